"""Private machinery of the command line: the arguments of ``prepare``, which depend on the data set."""

from __future__ import annotations

import argparse
import difflib
import inspect
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kinelex.cli.functions import ALIKE, Verb, VerbParser, flag_of, verb_parser
from kinelex.errors import InputError, unknown_name

if TYPE_CHECKING:
    from kinelex.datasets.registry import Option


def prepare_parser(verb: Verb, arguments: Sequence[str]) -> VerbParser:
    """The parser of ``prepare``, with the options of the data set that the arguments name.

    Its help lists the data sets, and the options with the data sets that have them.
    """
    from kinelex.datasets.policy import OPTIONS
    from kinelex.datasets.prepare import dataset_names, dataset_options, dataset_titles

    parser = verb_parser(verb)
    pairs = zip(["", *arguments], arguments, strict=False)
    files = ("--out", "--json")  # what follows these is no data set, whatever its name
    named = next((word for before, word in pairs if word in dataset_names() and before not in files), None)
    for name, (convert, _, _) in dataset_options(named).items() if named else ():
        how: dict[str, Any] = {"action": "store_true"} if convert is bool else {"type": convert}
        parser.add_argument(flag_of(name), default=argparse.SUPPRESS, help=argparse.SUPPRESS, **how)
    if {"-h", "--help"} & set(arguments):
        lines = ["data sets:"]
        lines += [f"  {dataset:13}{title}" for dataset, title in dataset_titles().items()]
        found: dict[tuple[str, Option], list[str]] = {}
        for dataset in dataset_titles():
            for name, option in dataset_options(dataset).items():
                found.setdefault((name, option), []).append(dataset)
        lines.append("options of single data sets:")
        for (name, option), having in found.items():
            if name not in OPTIONS:
                lines += _lines(name, option, f" of {', '.join(having)}")
        lines.append("options of all data sets with raw files:")
        for name, option in OPTIONS.items():
            lines += _lines(name, option)
        parser.epilog = "\n".join(lines)
    return parser


def _lines(name: str, option: Option, of: str = "") -> list[str]:
    """The help of an option."""
    _, default, text = option
    shown = "" if default in (None, False) else f" (default: {default})"
    line = f"{flag_of(name)}{of}: {text.rstrip('.').replace('``', '')}{shown}"
    return textwrap.wrap(line, 100, initial_indent="  ", subsequent_indent=" " * 6)


def parse_prepare(verb: Verb, arguments: Sequence[str]) -> dict[str, Any]:
    """Parse the arguments of ``prepare``.

    Raises:
        InputError: wrong arguments; an option that the data set does not have names those it has.
    """
    from kinelex.datasets.prepare import dataset_names, dataset_options

    parser = prepare_parser(verb, arguments)
    own = [flag_of(p.name) for p in inspect.signature(verb).parameters.values() if p.kind is p.KEYWORD_ONLY]
    for option in (text.partition("=")[0] for text in arguments):
        if option not in own and difflib.get_close_matches(option, own, n=1, cutoff=ALIKE):
            parser.check_options([option])
    found, unknown = parser.parse_known_intermixed_args(arguments)
    if found.dataset not in dataset_names():
        raise unknown_name("data set", found.dataset, dataset_names())
    wrong = next((word.partition("=")[0] for word in unknown if word.startswith("--")), None)
    if wrong is not None:
        has = ", ".join(map(flag_of, dataset_options(found.dataset)))
        raise InputError(f"{found.dataset} has no option {wrong}; it has {has}; see `{parser.prog} --help`")
    if unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    return vars(found)
