"""Private machinery of options on the command line: ``section.key=value``, checked against signatures."""

from __future__ import annotations

import inspect
import json
import re
import textwrap
import typing
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import PurePath
from typing import Any

from docstring_parser import parse as parse_docstring

from kinelex.errors import InputError, check_name

Option = tuple[str, Any, str]  # type, default, description


def read_options(
    factory: Callable[..., Any],
    given: Mapping[str, Any],
    whose: str,
    section: str,
    skip: Collection[str] = (),
) -> dict[str, Any]:
    """Check options against a signature and turn texts into values of its types.

    Args:
        factory: a class or function, whose typed parameters are the options.
        given: values, or their text as on the command line.
        whose: what a message calls the factory.
        section: what the options are called on the command line.
        skip: parameters that are no options.

    Raises:
        InputError: an unknown option (with the closest match), a missing one, or a value of the wrong type.

    >>> def render(image_size: int = 160, views: tuple[str, ...] = ("front",)): ...
    >>> read_options(render, {"image_size": "96", "views": "front,side"}, "render", "vision")
    {'image_size': 96, 'views': ('front', 'side')}
    """
    from jsonargparse import ArgumentError, ArgumentParser

    types = inspect.signature(factory, eval_str=True).parameters
    any_number = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    known = {n: p for n, p in types.items() if n not in skip and p.kind not in any_number}
    for key in given:
        check_name(f"option of {whose}", key, known)
    out = {}
    for key, value in given.items():
        text = str(value) if isinstance(value, str | PurePath) else json.dumps(value, default=str)
        if _takes_list(types[key].annotation) and not text.startswith(("[", "null")):
            text = f"[{text}]"
        parser = ArgumentParser(exit_on_error=False)
        if (hint := types[key].annotation) is not inspect.Parameter.empty:
            parser.add_argument(f"--{key}", type=hint)
        else:
            parser.add_argument(f"--{key}")
        try:
            out[key] = parser.parse_args([f"--{key}={text}"]).as_dict()[key]
        except ArgumentError as error:
            wanted = spelled(known[key].annotation)
            raise InputError(f"{section}.{key} expects {wanted}, got {value!r}") from error
    for key, parameter in known.items():
        if parameter.default is inspect.Parameter.empty and key not in out:
            raise InputError(f"{whose} cannot do without {section}.{key}={spelled(parameter.annotation)}")
    return out


def option_texts(factory: Callable[..., Any], skip: Collection[str] = ()) -> dict[str, Option]:
    """The options of a class or function: type, default and description, which a base class may have.

    >>> def render(image_size: int = 160): ...
    >>> option_texts(render)
    {'image_size': ('int', 160, '')}
    """
    classes = [c for c in getattr(factory, "__mro__", [factory])[::-1] if c is not object]
    params = [p for c in classes for p in parse_docstring(inspect.getdoc(c) or "").params]
    texts = {p.arg_name: " ".join((p.description or "").replace("``", "").split()) for p in params}
    parameters = inspect.signature(factory).parameters.items()
    return {n: (spelled(p.annotation), p.default, texts.get(n, "")) for n, p in parameters if n not in skip}


def split_options(
    words: Iterable[str], sections: Collection[str], example: str, verb: str
) -> dict[str, dict[str, str]]:
    """Options as written on the command line, ``section.key=value``, by section.

    Raises:
        InputError: another form, an unknown section, or an option given twice.

    >>> split_options(["knn.k=5", "knn.metric=cosine"], ["knn"], "knn.k=5", "evaluate")
    {'knn': {'k': '5', 'metric': 'cosine'}}
    """
    out: dict[str, dict[str, str]] = {}
    for word in words:
        key, equals, value = word.partition("=")
        section, dot, option = key.partition(".")
        if not (equals and dot):
            raise InputError(
                f"does not know what {word!r} means: expects options as SECTION.KEY=VALUE, for example "
                f"{example}; see `kinelex {verb} --help`"
            )
        section, option = section.replace("-", "_"), option.replace("-", "_")
        check_name("section of options", section, sections)
        if option in out.setdefault(section, {}):
            raise InputError(f"{section}.{option} is given twice, as {out[section][option]!r} and {value!r}")
        out[section][option] = value
    return out


def spelled(annotation: Any) -> str:
    """A type as a user reads it.

    >>> spelled("tuple[str, ...]"), spelled(tuple[int, ...]), spelled(int), spelled("float | None")
    ('list of str', 'list of int', 'int', 'float or none')
    """
    text = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    text = re.sub(r"\b(?:[a-z_]+\.)+", "", text)  # pathlib.Path
    text = re.sub(r"(?:list|tuple|Sequence)\[(\w+)[^\]]*\]", r"list of \1", text)
    return text.replace(" | ", " or ").replace("None", "none")


def wrapped(text: str, first: int, then: int) -> list[str]:
    """Lines of a help text, indented by so many spaces."""
    return textwrap.wrap(text, 110, initial_indent=" " * first, subsequent_indent=" " * then)


def shown_default(default: Any) -> str:
    """The end of an option's help text.

    >>> shown_default((0.1, 0.2)), shown_default(None), shown_default("")
    (' (default: 0.1,0.2)', '', '')
    """
    if default is None or default in ((), ""):
        return ""
    if isinstance(default, tuple | list):
        default = ",".join(map(str, default))
    return f" (default: {default})"


def _takes_list(hint: Any) -> bool:
    hints = typing.get_args(hint) if type(None) in typing.get_args(hint) else (hint,)
    return any((typing.get_origin(h) or h) in (list, tuple) for h in hints)


def listed(text: str) -> list[str]:
    """The names of a comma-separated list.

    >>> listed("knn, linear,")
    ['knn', 'linear']
    """
    return [part.strip() for part in text.split(",") if part.strip()]
