"""``kinelex VERB``: options that all verbs share, the verb's own, its work, and the file of ``--json``."""

from __future__ import annotations

import inspect
import io
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from kinelex import __version__, plugins
from kinelex.cli.adapt import adapt
from kinelex.cli.compare import compare
from kinelex.cli.convert import convert
from kinelex.cli.count import count
from kinelex.cli.ensemble import ensemble
from kinelex.cli.evaluate import evaluate
from kinelex.cli.events import events
from kinelex.cli.exit_status import run_verb
from kinelex.cli.export import export
from kinelex.cli.export_data import export_data
from kinelex.cli.help_texts import help_text
from kinelex.cli.info import info
from kinelex.cli.live import live
from kinelex.cli.parser import VerbParser, add_arguments, verb_name, verb_parser
from kinelex.cli.pose import pose
from kinelex.cli.predict import predict
from kinelex.cli.prepare import parse_prepare, prepare
from kinelex.cli.prompts import prompts
from kinelex.cli.prompts_report import prompts_report
from kinelex.cli.push import push
from kinelex.cli.quickstart import quickstart
from kinelex.cli.search import search
from kinelex.cli.show import show
from kinelex.cli.study import study
from kinelex.cli.train import train
from kinelex.errors import InputError, check_name
from kinelex.files.atomic import (
    check_place,
    check_target,
    is_stream,
    refuse_special,
    spare_stores,
    write_numbers,
)
from kinelex.options import listed

VERBS = (
    quickstart,
    prepare,
    pose,
    info,
    show,
    prompts,
    prompts_report,
    train,
    evaluate,
    predict,
    events,
    live,
    count,
    search,
    compare,
    ensemble,
    adapt,
    study,
    convert,
    export,
    push,
    export_data,
)
RECIPE_VERBS = (train, adapt, study)  # their key=value are keys of recipes; elsewhere they are SECTION.KEY


def common(*, json: Path | None = None, plugin: str | None = None) -> None:
    """The options that every verb takes.

    Args:
        json: also write the numbers to this file.
        plugin: module with encoders, methods, readers, engines or tasks of your own, or several with commas.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of ``kinelex``; returns the exit status."""
    for stream in (sys.stdout, sys.stderr):  # a file's name may be no text, a terminal may lack signs
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    return run_verb(lambda: _run(list(sys.argv[1:] if arguments is None else arguments)))


def _run(words: list[str]) -> None:
    """Find the verb and run it; options of :func:`common` may stand before the verb or after it."""
    shared = VerbParser(prog="kinelex", add_help=False, allow_abbrev=False)
    add_arguments(shared, common)
    given, others = shared.parse_known_args(words)  # known before the verb is looked up
    if not others or others[0].startswith("-"):
        kinelex_parser().parse_args(others)  # --help and --version end here
        raise InputError("expects a verb; see `kinelex --help`")
    verbs = {verb_name(verb): verb for verb in VERBS}
    check_name("verb", others[0], verbs)
    verb = verbs[others[0]]
    words.remove(others[0])
    _load_plugins(given.plugin, for_help=bool({"-h", "--help"} & {*words}))
    parser = verb_parser(verb, common, epilog=help_text(others[0]) if {"-h", "--help"} & {*words} else None)
    kinds = {parameter.kind for parameter in inspect.signature(verb).parameters.values()}
    changes: list[str] = []
    if inspect.Parameter.VAR_POSITIONAL in kinds:
        words, changes = parser.split_changes(words, _is_recipe_key if verb in RECIPE_VERBS else None)
    if verb is prepare:
        options = parse_prepare(parser, words)
    else:
        parser.check_options(words)
        options = vars(parser.parse_intermixed_args(words))
    numbers_file = options.pop("json")
    options.pop("plugin")
    _check_outputs(numbers_file, {name: options.get(name) for name in ("out", "html")})
    first = [options.pop(next(iter(inspect.signature(verb).parameters)))] if changes else []
    numbers = verb(*first, *changes, **options)
    if numbers_file is not None and numbers is not None:
        with _said_of("json"):
            write_numbers(numbers_file, json.dumps(numbers, indent=2, default=str) + "\n")


def _load_plugins(named: str | None, for_help: bool) -> None:
    """Import the user's own parts before the verb reads its options, and say which there are.

    A help does not look for installed ones, which takes longer than the help.
    """
    plugins.load(*listed(named or ""))
    if for_help and not os.environ.get(plugins.VARIABLE):
        return
    if found := plugins.load_installed():
        print(f"plugins: {', '.join(found)}", file=sys.stderr)


def _check_outputs(numbers_file: Path | None, outputs: dict[str, Path | None]) -> None:
    """See before the work that its files can be written after it; nothing is made yet."""
    if numbers_file is not None and not is_stream(numbers_file):
        with _said_of("json"):
            check_target(numbers_file)
            spare_stores(numbers_file)
            check_place(numbers_file, f"{numbers_file} cannot be written")
    for option, path in outputs.items():
        if path is not None:
            with _said_of(option):
                refuse_special(path)


@contextmanager
def _said_of(option: str) -> Iterator[None]:
    """Begin the message about a wrong file with the option that named it."""
    try:
        yield
    except InputError as error:
        raise InputError(f"--{option} {error}") from error
    except OSError as error:
        raise InputError(f"--{option} {error.filename} cannot be written: {error.strerror}") from error


def kinelex_parser() -> VerbParser:
    """The parser of what stands before a verb: ``--version``, and a help that lists the verbs."""
    rows = [(verb_name(verb), (inspect.getdoc(verb) or "").partition("\n")[0]) for verb in VERBS]
    width = max(len(name) for name, _ in rows)
    listed = "\n".join(f"  {name:{width}}  {summary}" for name, summary in rows)
    parser = VerbParser(
        prog="kinelex",
        usage="kinelex VERB ...",
        description="Skeleton action encoders taught by vision, language and other skeleton streams.",
        epilog=f"verbs:\n{listed}\n\nOptions of a verb: kinelex VERB --help",
    )
    parser.add_argument("--version", action="version", version=f"kinelex {__version__}")
    return parser


def _is_recipe_key(name: str) -> bool:
    from kinelex.training.recipe import is_key

    return is_key(name)
