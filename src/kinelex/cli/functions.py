"""Private machinery of the command line: verbs from typed functions, one message for wrong input."""

from __future__ import annotations

import argparse
import difflib
import inspect
import json
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from docstring_parser import parse as parse_docstring

from kinelex import __version__
from kinelex.errors import InputError
from kinelex.files.atomic import (
    check_place,
    check_target,
    is_stream,
    refuse_special,
    spare_stores,
    write_numbers,
)

Verb = Callable[..., None]
ALIKE = 0.75  # from which similarity on a word is taken for a mistyped option


class VerbParser(argparse.ArgumentParser):
    """An argument parser whose complaints are one message, without the usage around it."""

    def error(self, message: str) -> NoReturn:
        """Raise the complaint as wrong input, with where to read on.

        Raises:
            InputError: always.
        """
        raise InputError(f"{message[:1].lower()}{message[1:]}; see `{self.prog} --help`")

    def check_options(self, arguments: Sequence[str]) -> None:
        """Look for options that there are not, before it is asked what is missing.

        Raises:
            InputError: an unknown option, with the closest match.
        """
        own = [name for action in self._actions for name in action.option_strings if name[:2] == "--"]
        own.remove("--help")
        for text in arguments:
            option = text.partition("=")[0]
            if option.startswith("--") and option not in (*own, "--help"):
                raise unknown_option(option, own, self.prog)


def unknown_option(option: str, own: Sequence[str], prog: str) -> InputError:
    """Word the error for an option that a verb does not have.

    >>> str(unknown_option("--taks", ["--tasks", "--json"], "kinelex evaluate"))
    'unknown option --taks: did you mean --tasks? Known: --tasks, --json; see `kinelex evaluate --help`'
    """
    close = difflib.get_close_matches(option, own, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    return InputError(f"unknown option {option}: {hint}Known: {', '.join(own)}; see `{prog} --help`")


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
        flag = flag_of(name)
        convert, many = _kind_of(types[name])
        convert = _path if convert is Path else convert
        required = default is inspect.Parameter.empty
        shown = "" if required or default is None else f" (default: {default})"
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            more: dict[str, Any] = {} if required else {"nargs": "?", "default": default}
            more |= {"nargs": "+"} if many else {}
            parser.add_argument(name, type=convert, help=text, **more)
        elif convert is bool:
            parser.add_argument(flag, dest=name, action="store_true", help=text)
        elif required:
            more = {"required": True, "metavar": flag_of(name)[2:].upper()}
            parser.add_argument(flag, dest=name, type=convert, help=f"{text} (required)", **more)
        else:
            more = {"nargs": "+"} if many else {}
            parser.add_argument(flag, dest=name, type=convert, default=default, help=text + shown, **more)
    for name, parameter in inspect.signature(verb).parameters.items():
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:  # taken out before the rest is parsed
            form = texts.get(name, "").partition(",")[0]
            usage = parser.format_usage().removeprefix("usage: ").rstrip().replace("%", "%%")
            parser.usage = f"{usage} [{form if '=' in form else 'KEY=VALUE'} ...]"
    return parser


def _path(text: str) -> Path:
    """A path as given on the command line."""
    if not text or "\0" in text:
        raise argparse.ArgumentTypeError(f"expects the name of a file or folder, got {text[:80]!r}")
    try:
        text.encode()
    except UnicodeEncodeError:  # Arrow opens no such file
        raise argparse.ArgumentTypeError(f"expects a name in UTF-8, got {text[:80]!r}") from None
    return Path(text)


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


def flag_of(name: str) -> str:
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


def split_overrides(
    verb: Verb, arguments: Sequence[str], is_key: Callable[[str], bool] | None = None
) -> tuple[list[str], list[str]]:
    """Separate a verb's own arguments from changes to the recipe.

    Changes are written ``key=value``, ``--key=value`` or ``--key value``.

    Args:
        verb: the verb.
        arguments: what stands after its name.
        is_key: whether a name is that of a recipe's key; asked where it looks like an option of the verb or
            has no value. None: names of changes have a dot, as ``knn.k`` has.

    Raises:
        InputError: an option that the verb does not have, or a change without a value.

    >>> def train(recipe: str, *, data: str): ...
    >>> given = ["c2vl", "--data", "s.arrow", "epochs=3", "--alpha", "0.5"]
    >>> split_overrides(train, given, is_key={"epochs", "alpha"}.__contains__)
    (['c2vl', '--data', 's.arrow'], ['epochs=3', 'alpha=0.5'])
    """
    parameters = inspect.signature(verb).parameters.values()
    own = {flag_of(p.name): p for p in parameters if p.kind is p.KEYWORD_ONLY}
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
            bare = not equals and (not rest or rest[0].startswith("--"))
            if is_key is None:
                known = "." in option
            else:
                alike = difflib.get_close_matches(option, own, 1, ALIKE)
                known = is_key(option[2:]) if bare or alike else True
            if not known:
                raise unknown_option(option, list(own), f"kinelex {verb_name(verb)}")
            if bare:
                raise InputError(f"{text} expects a value: {text} VALUE")
            changes.append(text[2:] if equals else f"{text[2:]}={rest.pop(0)}")
        elif equals and not _is_there(text):
            changes.append(text)
        else:
            kept.append(text)
    return kept, changes


def _is_there(text: str) -> bool:
    """Whether a word names a file; what is too long for a name, or has a zero byte, does not."""
    try:
        return Path(text).exists()
    except (OSError, ValueError):
        return False


def check_writable(path: Path | None) -> None:
    """See before the work whether the file of ``--json`` can be written afterwards; nothing is made yet.

    Raises:
        InputError: it cannot.
    """
    if path is None or is_stream(path):
        return
    try:
        check_target(path)
        spare_stores(path)
        check_place(path, f"{path} cannot be written")
    except InputError as error:
        raise InputError(f"--json {error}") from error
    except OSError as error:
        raise InputError(f"--json {path} cannot be written: {error.strerror}") from error


def check_regular(option: str, path: Path | None) -> None:
    """See before the work that an output is no device, pipe or socket, and no link that leads nowhere.

    Raises:
        InputError: it is.
    """
    if path is not None:
        try:
            refuse_special(path)
        except InputError as error:
            raise InputError(f"--{option} {error}") from error


def write_json(path: Path | None, content: dict[str, Any]) -> None:
    """Write the numbers of a verb for scripts, when a path is given; folders are made.

    Raises:
        InputError: the file cannot be written.
    """
    if path is None:
        return
    try:
        write_numbers(path, json.dumps(content, indent=2, default=str) + "\n")
    except InputError as error:
        raise InputError(f"--json {error}") from error
