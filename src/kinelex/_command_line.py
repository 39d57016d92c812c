"""Private machinery of the command line: verbs from typed functions, one message for wrong input."""

from __future__ import annotations

import inspect
import json
import sys
import traceback
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from docstring_parser import parse as parse_docstring
from jsonargparse import ArgumentParser

from kinelex.errors import InputError

Verb = Callable[..., None]


def add_verb(subcommands: Any, verb: Verb) -> None:
    """Add a function as a verb.

    Parameters before ``*`` become positional arguments (optional where they have a default), those after
    it options; a bool becomes a flag. Help texts come from the docstring.
    """
    doc = parse_docstring(verb.__doc__ or "")
    texts = {p.arg_name: (p.description or "").replace("\n", " ") for p in doc.params}
    summary = doc.short_description or ""
    parser = ArgumentParser(description="\n\n".join(filter(None, [summary, doc.long_description])))
    types = typing.get_type_hints(verb)
    for name, parameter in inspect.signature(verb).parameters.items():
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            continue
        required = parameter.default is inspect.Parameter.empty
        flag = f"--{name.replace('_', '-')}"
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            more = {} if required else {"nargs": "?", "default": parameter.default}
            parser.add_argument(name, type=types[name], help=texts.get(name), **more)
        elif types[name] is bool:
            parser.add_argument(flag, action="store_true", help=texts.get(name))
        elif required:
            parser.add_argument(flag, type=types[name], required=True, help=texts.get(name))
        else:
            parser.add_argument(flag, type=types[name], default=parameter.default, help=texts.get(name))
    subcommands.add_subcommand(verb.__name__, parser, help=summary)


def split_overrides(verb: Verb, arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Separate a verb's own arguments from changes to the recipe.

    Changes are written ``key=value``, ``--key=value`` or ``--key value``.

    >>> def train(recipe: str, *, data: str): ...
    >>> split_overrides(train, ["c2vl", "--data", "s.arrow", "epochs=3", "--alpha", "0.5"])
    (['c2vl', '--data', 's.arrow'], ['epochs=3', 'alpha=0.5'])
    """
    parameters = inspect.signature(verb).parameters.values()
    own = {f"--{p.name.replace('_', '-')}": p for p in parameters if p.kind is p.KEYWORD_ONLY}
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


def write_json(path: Path | None, content: dict[str, Any]) -> None:
    """Write the numbers of a verb for scripts, when a path is given.

    Raises:
        InputError: the file cannot be written.
    """
    if path is None:
        return
    try:
        path.write_text(json.dumps(content, indent=2, default=str) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"--json {path} cannot be written: {error.strerror}") from error
