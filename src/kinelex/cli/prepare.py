"""The verb ``prepare``, whose options depend on the data set."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kinelex.cli.parser import ALIKE, VerbParser, flag_of
from kinelex.errors import InputError, check_name
from kinelex.options import wrapped


def prepare(
    dataset: str,
    source: Path | None = None,
    *,
    out: Path,
    strict: bool = False,
    workers: int | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Read a data set's raw files into a skeleton store. A killed run goes on where it stopped.

    Args:
        dataset: the data set, by the name below.
        source: the folder (or file) with its raw data; none for the built-in actors.
        out: the store to make.
        strict: stop at the first clip that cannot be read, instead of skipping it.
        workers: how many processes read; by default one per core where there is much to read.
        options: options of the data set, listed below.
    """
    from kinelex.datasets import prepare as prepare_store

    summary = prepare_store(dataset, source, out, strict, workers=workers, **options)
    print("\n".join([str(summary), *(f"note: {note}" for note in summary.notes)]))
    return asdict(summary)


def parse_prepare(parser: VerbParser, words: Sequence[str]) -> dict[str, Any]:
    """Parse the arguments of ``prepare``, with the options of the data set that they name."""
    if {"-h", "--help"} & set(words):
        parser.print_help()
        parser.exit()
    from kinelex.datasets.prepare import dataset_names, dataset_options

    pairs = zip(["", *words], words, strict=False)
    files = ("--out", "--json")  # what follows these is no data set, whatever its name
    named = next((word for before, word in pairs if word in dataset_names() and before not in files), None)
    options = dataset_options(named) if named else {}
    own = parser.own_options()
    for option in {text.partition("=")[0] for text in words} - {*own, *map(flag_of, options)}:
        if difflib.get_close_matches(option, own, n=1, cutoff=ALIKE):
            parser.check_options([option])
    for name, (convert, _, _) in options.items():
        how: dict[str, Any] = {"action": "store_true"} if convert is bool else {"type": convert}
        parser.add_argument(flag_of(name), default=argparse.SUPPRESS, **how)
    read, unknown = parser.parse_known_intermixed_args(words)
    check_name("data set", read.dataset, dataset_names())
    wrong = next((word.partition("=")[0] for word in unknown if word.startswith("--")), None)
    if wrong is not None:
        has = ", ".join(map(flag_of, dataset_options(read.dataset)))
        raise InputError(f"{read.dataset} has no option {wrong}; it has {has}; see `{parser.prog} --help`")
    if unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    return vars(read)


def datasets_help() -> str:
    """The data sets, and the options with the data sets that have them, for the end of the help."""
    from kinelex.datasets.policy import OPTIONS
    from kinelex.datasets.prepare import dataset_options, dataset_titles

    lines = ["data sets:", *(f"  {name:13}{title}" for name, title in dataset_titles().items())]
    having: dict[tuple[str, Any], list[str]] = {}
    for dataset in dataset_titles():
        for key in dataset_options(dataset).items():
            having.setdefault(key, []).append(dataset)
    own = {key: f" of {', '.join(sets)}" for key, sets in having.items() if key[0] not in OPTIONS}
    shared = dict.fromkeys(OPTIONS.items(), "")
    for title, group in (("single data sets", own), ("all data sets with raw files", shared)):
        lines.append(f"options of {title}:")
        for (name, (_, default, text)), of in group.items():
            shown = "" if default in (None, False) else f" (default: {default})"
            lines += wrapped(f"{flag_of(name)}{of}: {text.rstrip('.').replace('``', '')}{shown}", 2, 6)
    return "\n".join(lines)
