"""The command line: each verb is a plain typed function."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kinelex.cli.adapt import adapt
from kinelex.cli.compare import compare
from kinelex.cli.ensemble import ensemble
from kinelex.cli.evaluate import evaluate, tasks_help
from kinelex.cli.exit_status import run_verb
from kinelex.cli.functions import (
    check_regular,
    check_writable,
    kinelex_parser,
    split_overrides,
    verb_name,
    verb_parser,
    write_json,
)
from kinelex.cli.prepare import parse_prepare
from kinelex.cli.prompts import parts_help, prompts
from kinelex.cli.prompts_report import prompts_report
from kinelex.cli.study import studies_help, study
from kinelex.errors import InputError, unknown_name


def quickstart(*, out: Path = Path("quickstart"), json: Path | None = None) -> None:
    """Go the whole way on the built-in actors: store, prompts, C2VL, evaluation, report.

    Needs no data and no network. Minutes on two cores.

    Args:
        out: folder for everything that is made.
        json: also write the numbers to this file.
    """
    from kinelex.cli.quickstart import run_quickstart

    write_json(json, run_quickstart(out))


def prepare(
    dataset: str,
    source: Path | None = None,
    *,
    out: Path,
    strict: bool = False,
    workers: int | None = None,
    json: Path | None = None,
    **options: Any,
) -> None:
    """Read a data set's raw files into a skeleton store. A killed run goes on where it stopped.

    Args:
        dataset: the data set, by the name below.
        source: the folder (or file) with its raw data; none for the built-in actors.
        out: the store to make.
        strict: stop at the first clip that cannot be read, instead of skipping it.
        workers: how many processes read; by default one per core where there is much to read.
        options: options of the data set, listed below.
        json: also write the numbers to this file.
    """
    from dataclasses import asdict

    from kinelex.datasets import prepare as prepare_store

    summary = prepare_store(dataset, source, out, strict, workers=workers, **options)
    print("\n".join([str(summary), *(f"note: {note}" for note in summary.notes)]))
    write_json(json, asdict(summary))


def info(
    path: Path | None = None,
    *,
    layout: str | None = None,
    html: Path | None = None,
    verify: bool = False,
    json: Path | None = None,
) -> None:
    """Show what a store, a prompt store or a run holds, or the joints of a layout.

    Args:
        path: a skeleton store, a prompt store or a run directory; none with --layout.
        layout: list joints, parents and parts of this layout: a built-in name or a YAML file.
        html: also check every clip of a skeleton store and write its data-set card to this file.
        verify: also compare every clip of a store with its checksum.
        json: also write the numbers to this file.
    """
    from rich.console import Console

    from kinelex.cli.info import describe, describe_layout

    if (path is None) == (layout is None) or (layout is not None and (html is not None or verify)):
        raise InputError("expects a store, a prompt store or a run directory, or else --layout NAME alone")
    description, shown = describe(path, html, verify) if path is not None else describe_layout(str(layout))
    Console().print(shown)
    write_json(json, description)


def train(
    recipe: str,
    *overrides: str,
    data: Path,
    protocol: str,
    out: Path,
    prompts: Path | None = None,
    resume: bool = False,
    json: Path | None = None,
) -> None:
    """Train a method on the training part of a protocol.

    Any key of the recipe can be changed: key=value or --key value, for example epochs=20,
    method.alpha=0.5 or --optimizer.lr 0.001.

    Args:
        recipe: recipe name (c2vl, cmd, mmcl, supervised: the one for the store's data set) or a YAML file.
        data: the skeleton store.
        protocol: the split to train on, for example xview.
        out: the run directory to make.
        prompts: the prompt store, for c2vl and mmcl.
        resume: go on with the run in --out where it stopped.
        json: also write the last epoch's numbers to this file.
    """
    from kinelex.training.train import is_first_process
    from kinelex.training.train import train as train_method

    run = train_method(recipe, data, protocol, out, prompts, overrides, resume)
    if is_first_process():
        print(f"run directory: {run.path}")
        write_json(json, (run.metrics() or [{}])[-1])


def convert(
    checkpoint: Path,
    *,
    from_: str,
    out: Path,
    layout: str = "ntu25",
    classes: Path | None = None,
    stream: str | None = None,
    center: str | None = None,
    json: Path | None = None,
) -> None:
    """Turn a published checkpoint into a run that evaluate takes.

    Weights alone are read from the file, no code in it is run.

    Args:
        checkpoint: the file, for example checkpoint_0450.pth.tar.
        from_: which publication's: cmd, ctrgcn, mmcl, hdgcn, msg3d, or PYSKL's stgcnpp and aagcn.
        out: the run directory to make.
        layout: the skeleton layout that it was trained on: ntu25, or kinect20 for N-UCLA.
        classes: names of the classes (of all but cmd), one per line, or a store of the data set; by default
            they are numbered.
        stream: what a classifier was trained on: joint (the default), bone, motion or bone_motion.
        center: joint in the centre of hdgcn's hierarchy: shoulder_center (the default), spine or pelvis.
        json: also write what was found to this file.
    """
    from kinelex.cli.info import describe
    from kinelex.training.convert import convert as convert_checkpoint

    run = convert_checkpoint(checkpoint, from_, out, layout, classes, stream, center)
    description, _ = describe(run.path)
    sizes = ", ".join(f"{k} {v}" for k, v in description["encoder"].items() if k != "bidirectional")
    print(f"run directory: {run.path} (streams {', '.join(description['streams'])}; {sizes})")
    print(f"judge it with: kinelex evaluate {run.path} --data STORE --protocol P")
    write_json(json, description)


def export_data(
    store: Path,
    *,
    to: str,
    out: Path,
    protocol: str | None = None,
    frames: int | None = None,
    json: Path | None = None,
) -> None:
    """Write a store in a format that other people's code reads.

    Args:
        store: the skeleton store.
        to: the format: ctrgcn_npz, pyskl or npy.
        out: the file to make; for npy a folder.
        protocol: which clips train and which test; by default the store's first, in pyskl all of them.
        frames: length of padded clips; longer ones lose their end; by default that of the longest.
        json: also write the numbers to this file.
    """
    from dataclasses import asdict

    from kinelex.datasets.export import export_data as export

    summary = export(store, to, out, protocol=protocol, frames=frames)
    print(summary)
    write_json(json, asdict(summary))


VERBS = (
    quickstart,
    prepare,
    info,
    prompts,
    prompts_report,
    train,
    evaluate,
    compare,
    ensemble,
    adapt,
    study,
    convert,
    export_data,
)
# These take key=value; their first argument.
_WITH_CHANGES = {train: "recipe", prompts: "store", evaluate: "run", adapt: "run", study: "name"}
_OF_RECIPES = (train, adapt, study)  # the keys are those of recipes; elsewhere they are SECTION.KEY
_EPILOGS = {prompts: parts_help, evaluate: tasks_help, study: studies_help}  # what ends their help


def _is_recipe_key(name: str) -> bool:
    from kinelex.training.recipe import is_key

    return is_key(name)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of ``kinelex``; returns the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)

    for stream in (sys.stdout, sys.stderr):  # a file's name may be no text, a terminal may lack signs
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")

    def action() -> None:
        if not given or given[0].startswith("-"):
            kinelex_parser(VERBS).parse_args(given)  # --help and --version end here
            raise InputError("expects a verb; see `kinelex --help`")
        verbs = {verb_name(verb): verb for verb in VERBS}
        if given[0] not in verbs:
            raise unknown_name("verb", given[0], verbs)
        verb = verbs[given[0]]
        kept, changes = given[1:], list[str]()
        if verb in _WITH_CHANGES:
            kept, changes = split_overrides(verb, kept, _is_recipe_key if verb in _OF_RECIPES else None)
        if verb is prepare:
            options = parse_prepare(verb, kept)
        elif verb in _EPILOGS and {"-h", "--help"} & set(kept):
            verb_parser(verb, _EPILOGS[verb]()).parse_args(["--help"])
        else:
            parser = verb_parser(verb)
            parser.check_options(kept)
            options = vars(parser.parse_intermixed_args(kept))
        check_writable(options["json"])
        for option in ("out", "html"):
            check_regular(option, options.get(option))
        first = [options.pop(_WITH_CHANGES[verb])] if verb in _WITH_CHANGES else []
        verb(*first, *changes, **options)

    return run_verb(action)


if __name__ == "__main__":
    sys.exit(main())
