"""Private machinery of the command line: verbs from typed functions, one message for wrong input."""

from __future__ import annotations

import argparse
import inspect
import json
import os
import sys
import textwrap
import traceback
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from docstring_parser import parse as parse_docstring

from kinelex import __version__
from kinelex._files import spare_stores
from kinelex.errors import InputError, unknown_name

Verb = Callable[..., None]


class VerbParser(argparse.ArgumentParser):
    """An argument parser whose complaints are one message, without the usage around it."""

    def error(self, message: str) -> NoReturn:
        """Raise the complaint as wrong input, with where to read on.

        Raises:
            InputError: always.
        """
        raise InputError(f"{message[:1].lower()}{message[1:]}; see `{self.prog} --help`")


def verb_name(verb: Verb) -> str:
    """What a verb is called on the command line.

    >>> def export_data(): ...
    >>> verb_name(export_data)
    'export-data'
    """
    return verb.__name__.replace("_", "-")


def verb_parser(verb: Verb, epilog: str | None = None) -> VerbParser:
    """The parser of a verb, from its signature and docstring.

    Parameters before ``*`` become positional arguments (optional where they have a default), those after
    it options; a bool becomes a flag. Help texts come from the docstring.

    >>> def prepare(dataset: str, source: Path | None = None, *, frames: int = 16): ...
    >>> found = verb_parser(prepare).parse_intermixed_args(["ntu60", "--frames", "8", "raw"])
    >>> found.dataset, str(found.source), found.frames
    ('ntu60', 'raw', 8)
    """
    doc = parse_docstring(inspect.getdoc(verb) or "")
    texts = {p.arg_name: (p.description or "").replace("\n", " ").replace("%", "%%") for p in doc.params}
    about = "\n\n".join(filter(None, [doc.short_description, doc.long_description]))
    parser = VerbParser(
        prog=f"kinelex {verb_name(verb)}",
        description=about.replace("%", "%%"),
        epilog=None if epilog is None else epilog.replace("%", "%%"),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    types = typing.get_type_hints(verb)
    for name, parameter in inspect.signature(verb).parameters.items():
        if parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
            continue
        default, text = parameter.default, texts.get(name, "")
        flag = _flag(name)
        convert, many = _kind_of(types[name])
        required = default is inspect.Parameter.empty
        shown = "" if required or default is None else f" (default: {default})"
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            more: dict[str, Any] = {} if required else {"nargs": "?", "default": default}
            more |= {"nargs": "+"} if many else {}
            parser.add_argument(name, type=convert, help=text, **more)
        elif convert is bool:
            parser.add_argument(flag, dest=name, action="store_true", help=text)
        elif required:
            more = {"required": True, "metavar": _flag(name)[2:].upper()}
            parser.add_argument(flag, dest=name, type=convert, help=f"{text} (required)", **more)
        else:
            more = {"nargs": "+"} if many else {}
            parser.add_argument(flag, dest=name, type=convert, default=default, help=text + shown, **more)
    return parser


def _kind_of(annotation: Any) -> tuple[Any, bool]:
    """What turns one word into a parameter's value, and whether the parameter takes several words.

    >>> _kind_of(list[Path] | None) == (Path, True), _kind_of(int | None) == (int, False)
    (True, True)
    """
    many = typing.get_origin(annotation) is list
    kinds = [kind for kind in typing.get_args(annotation) or (annotation,) if kind is not type(None)]
    if typing.get_origin(kinds[0]) is list:
        return typing.get_args(kinds[0])[0], True
    return kinds[0], many


def prepare_parser(verb: Verb, arguments: Sequence[str]) -> VerbParser:
    """The parser of ``prepare``, with the options of the data set that the arguments name.

    Its help lists the data sets and the options of each.
    """
    from kinelex.datasets.prepare import dataset_names, dataset_options, dataset_titles

    parser = verb_parser(verb)
    pairs = zip(["", *arguments], arguments, strict=False)
    files = ("--out", "--json")  # what follows these is no data set, whatever its name
    named = next((word for before, word in pairs if word in dataset_names() and before not in files), None)
    for name, (convert, _, _) in dataset_options(named).items() if named else ():
        how: dict[str, Any] = {"action": "store_true"} if convert is bool else {"type": convert}
        parser.add_argument(_flag(name), default=argparse.SUPPRESS, help=argparse.SUPPRESS, **how)
    if {"-h", "--help"} & set(arguments):
        lines = ["data sets, and options of single ones:"]
        for dataset, title in dataset_titles().items():
            lines.append(f"  {dataset:12}{title}")
            for name, (_, default, text) in dataset_options(dataset).items():
                shown = "" if default in (None, False) else f" (default: {default})"
                line = f"{_flag(name)}  {text.rstrip('.').replace('``', '')}{shown}"
                lines += textwrap.wrap(line, 100, initial_indent=" " * 14, subsequent_indent=" " * 16)
        parser.epilog = "\n".join(lines)
    return parser


def parse_prepare(verb: Verb, arguments: Sequence[str]) -> dict[str, Any]:
    """Parse the arguments of ``prepare``.

    Raises:
        InputError: wrong arguments; an option that the data set does not have names those it has.
    """
    from kinelex.datasets.prepare import dataset_names, dataset_options

    parser = prepare_parser(verb, arguments)
    found, unknown = parser.parse_known_intermixed_args(arguments)
    if found.dataset not in dataset_names():
        raise unknown_name("data set", found.dataset, dataset_names())
    wrong = next((word.partition("=")[0] for word in unknown if word.startswith("--")), None)
    if wrong is not None:
        own = ", ".join(map(_flag, sorted(dataset_options(found.dataset)))) or "no options of its own"
        raise InputError(f"{found.dataset} has no option {wrong}; it has {own}; see `{parser.prog} --help`")
    if unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    return vars(found)


def _flag(name: str) -> str:
    """The option of a parameter; ``from_`` is called ``--from``, which Python keeps for itself."""
    return f"--{name.rstrip('_').replace('_', '-')}"


def kinelex_parser(verbs: Sequence[Verb]) -> VerbParser:
    """The parser of what stands before a verb: ``--version``, and a help that lists the verbs."""
    rows = [(verb_name(v), parse_docstring(inspect.getdoc(v) or "").short_description) for v in verbs]
    width = max(len(name) for name, _ in rows)
    listed = "\n".join(f"  {name:{width}}  {summary}" for name, summary in rows)
    parser = VerbParser(
        prog="kinelex",
        usage="kinelex VERB ...",
        description="Skeleton action encoders taught by vision, language and other skeleton streams.",
        epilog=f"verbs:\n{listed}\n\nOptions of a verb: kinelex VERB --help",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"kinelex {__version__}")
    return parser


def split_overrides(verb: Verb, arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Separate a verb's own arguments from changes to the recipe.

    Changes are written ``key=value``, ``--key=value`` or ``--key value``.

    >>> def train(recipe: str, *, data: str): ...
    >>> split_overrides(train, ["c2vl", "--data", "s.arrow", "epochs=3", "--alpha", "0.5"])
    (['c2vl', '--data', 's.arrow'], ['epochs=3', 'alpha=0.5'])
    """
    parameters = inspect.signature(verb).parameters.values()
    own = {_flag(p.name): p for p in parameters if p.kind is p.KEYWORD_ONLY}
    kept: list[str] = []
    changes: list[str] = []
    rest = list(arguments)
    while rest:
        text = rest.pop(0)
        option, equals, _ = text.partition("=")
        if option in own or option in ("--help", "-h"):
            kept.append(text)
            is_flag = option not in own or own[option].default is False
            if not equals and not is_flag and rest:
                kept.append(rest.pop(0))
        elif text.startswith("--"):
            if not equals and (not rest or rest[0].startswith("--")):
                raise InputError(f"{text} expects a value: {text} VALUE")
            changes.append(text[2:] if equals else f"{text[2:]}={rest.pop(0)}")
        elif equals and not Path(text).exists():
            changes.append(text)
        else:
            kept.append(text)
    return kept, changes


def run_verb(action: Callable[[], None]) -> int:
    """Run a verb and turn its end into an exit status: 0 done, 2 wrong input, 1 our fault."""
    try:
        action()
    except InputError as error:
        print(f"kinelex: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("kinelex: interrupted", file=sys.stderr)
        return 130
    except Exception:
        traceback.print_exc()
        print("kinelex: this is a fault of kinelex, please report it with the lines above", file=sys.stderr)
        return 1
    return 0


def check_writable(path: Path | None) -> None:
    """See before the work whether the file of ``--json`` can be written afterwards; nothing is made yet.

    Raises:
        InputError: it cannot.
    """
    if path is None:
        return
    if path.is_dir():
        raise InputError(f"--json {path} is a directory, expects the name of a file to write")
    spare_stores(path)
    there = next(p for p in (path, *path.absolute().parents) if p.exists())
    if there != path and not there.is_dir():
        raise InputError(f"--json {path} cannot be written: {there} is a file, expects a directory")
    if not os.access(there, os.W_OK):
        raise InputError(f"--json {path} cannot be written: {there} is not writable")


def write_json(path: Path | None, content: dict[str, Any]) -> None:
    """Write the numbers of a verb for scripts, when a path is given; folders are made.

    Raises:
        InputError: the file cannot be written.
    """
    if path is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=2, default=str) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"--json {path} cannot be written: {error.strerror}") from error
