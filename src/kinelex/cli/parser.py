"""Verbs from typed functions: argparse from a signature and its docstring, one message for wrong input."""

from __future__ import annotations

import argparse
import difflib
import inspect
import os
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from docstring_parser import parse as parse_docstring

from kinelex.errors import InputError, unknown_name

Verb = Callable[..., dict[str, Any] | None]  # returns the numbers for --json
ALIKE = 0.75  # from which similarity on a word is taken for a mistyped option


class VerbParser(argparse.ArgumentParser):
    """An argument parser whose complaints are one message, without the usage around it."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, **settings)
        for text in ("description", "epilog"):
            setattr(self, text, (getattr(self, text) or "").replace("%", "%%") or None)

    def error(self, message: str) -> NoReturn:
        """Raise the complaint as wrong input, with where to read on."""
        raise InputError(f"{message[:1].lower()}{message[1:]}; see `{self.prog} --help`")

    def own_options(self) -> dict[str, argparse.Action]:
        """The verb's options by name, ``--help`` left out."""
        return {n: a for a in self._actions for n in a.option_strings if n[:2] == "--" and n != "--help"}

    def unknown_option(self, option: str) -> InputError:
        """Word the error for an option that the verb does not have.

        >>> str(verb_parser(lambda *, tasks: 0, name="evaluate").unknown_option("--taks"))
        "unknown option '--taks': did you mean '--tasks'? Known: --tasks; see `kinelex evaluate --help`"
        """
        complaint = unknown_name("option", option, self.own_options())
        return InputError(f"{complaint}; see `{self.prog} --help`")

    def check_options(self, words: Sequence[str]) -> None:
        """Look for options that there are not, before it is asked what is missing."""
        for option in (text.partition("=")[0] for text in words):
            if option.startswith("--") and option not in (*self.own_options(), "--help"):
                raise self.unknown_option(option)

    def split_changes(
        self, words: Sequence[str], is_key: Callable[[str], bool] | None = None
    ) -> tuple[list[str], list[str]]:
        """Separate the verb's own arguments from ``key=value``, ``--key=value`` and ``--key value``.

        Args:
            words: what stands after the verb's name.
            is_key: whether a name is that of a recipe's key; asked where it looks like an option of the verb
                or has no value. None: names of changes have a dot, as ``knn.k`` has.

        >>> def train(recipe: str, *, data: str): ...
        >>> given = ["c2vl", "--data", "s.arrow", "epochs=3", "--alpha", "0.5"]
        >>> verb_parser(train).split_changes(given, is_key={"epochs", "alpha"}.__contains__)
        (['c2vl', '--data', 's.arrow'], ['epochs=3', 'alpha=0.5'])
        """
        own = self.own_options()
        kept: list[str] = []
        changes: list[str] = []
        rest = list(words)
        while rest:
            text = rest.pop(0)
            option, equals, _ = text.partition("=")
            if option in own or option in ("--help", "-h"):
                kept.append(text)
                if not equals and option in own and own[option].nargs != 0 and rest:
                    kept.append(rest.pop(0))
            elif text.startswith("--"):
                bare = not equals and (not rest or rest[0].startswith("--"))
                if is_key is None:
                    known = "." in option
                else:
                    known = not (bare or difflib.get_close_matches(option, own, 1, ALIKE))
                    known = known or is_key(option[2:])
                if not known:
                    raise self.unknown_option(option)
                if bare:
                    raise InputError(f"{text} expects a value: {text} VALUE")
                changes.append(text[2:] if equals else f"{text[2:]}={rest.pop(0)}")
            elif equals and not os.path.exists(text):
                changes.append(text)
            else:
                kept.append(text)
        return kept, changes


def verb_name(verb: Verb) -> str:
    """What a verb is called on the command line: ``export-data`` for ``export_data``."""
    return verb.__name__.replace("_", "-")


def flag_of(name: str) -> str:
    """The option of a parameter; ``from_`` is called ``--from``, which Python keeps for itself."""
    return f"--{name.rstrip('_').replace('_', '-')}"


def verb_parser(
    verb: Verb, *more: Callable[..., None], name: str | None = None, epilog: str | None = None
) -> VerbParser:
    """The parser of a verb, from its signature and docstring.

    Args:
        verb: the verb.
        more: functions whose parameters are options of the verb too.
        name: its name on the command line; by default the function's.
        epilog: what ends the help.

    >>> def prepare(dataset: str, source: Path | None = None, *, frames: int = 16): ...
    >>> read = verb_parser(prepare).parse_intermixed_args(["ntu60", "--frames", "8", "raw"])
    >>> read.dataset, str(read.source), read.frames
    ('ntu60', 'raw', 8)
    """
    doc = parse_docstring(inspect.getdoc(verb) or "")
    parser = VerbParser(
        prog=f"kinelex {name or verb_name(verb)}",
        description="\n\n".join(filter(None, [doc.short_description, doc.long_description])),
        epilog=epilog,
        allow_abbrev=False,
    )
    for function in (verb, *getattr(verb, "shares", ()), *more):
        add_arguments(parser, function)
    for parameter in inspect.signature(verb).parameters.values():
        if parameter.kind is parameter.VAR_POSITIONAL:  # taken out before the rest is parsed
            text = next((p.description or "" for p in doc.params if p.arg_name == parameter.name), "")
            form = text.partition(",")[0]
            usage = parser.format_usage().removeprefix("usage: ").rstrip().replace("%", "%%")
            parser.usage = f"{usage} [{form if '=' in form else 'KEY=VALUE'} ...]"
    return parser


def add_arguments(parser: VerbParser, function: Callable[..., Any]) -> None:
    """Add a function's parameters, with the help texts of its docstring.

    Parameters before ``*`` become positional arguments (optional where they have a default), those after
    it options; a bool becomes a flag, a list takes several words.
    """
    doc = parse_docstring(inspect.getdoc(function) or "")
    texts = {p.arg_name: (p.description or "").replace("\n", " ").replace("%", "%%") for p in doc.params}
    types = typing.get_type_hints(function)
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        text, default = texts.get(name, ""), parameter.default
        required = default is parameter.empty
        convert, many = _kind_of(types.get(name, str))
        how: dict[str, Any] = {"type": _path if convert is Path else convert, "help": text}
        how |= {"nargs": "+"} if many else {}
        if parameter.kind is not parameter.KEYWORD_ONLY:
            parser.add_argument(name, **how, **({} if required else {"nargs": "?", "default": default}))
            continue
        if convert is bool:
            how = {"action": "store_true", "help": text}
        elif required:
            how |= {"required": True, "metavar": flag_of(name)[2:].upper(), "help": f"{text} (required)"}
        else:
            shown = "" if default is None else f" (default: {default})"
            how |= {"default": default, "help": text + shown}
        parser.add_argument(flag_of(name), dest=name, **how)


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
    if typing.get_origin(annotation) is list:
        return typing.get_args(annotation)[0], True
    kinds = [kind for kind in typing.get_args(annotation) if kind is not type(None)]
    return _kind_of(kinds[0]) if kinds else (annotation, False)
