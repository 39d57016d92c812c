"""Private machinery of cross-data-set use: which class of one set is which of another."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

from kinelex.errors import InputError, unknown_name
from kinelex.files.bounded import named_yaml, safe_yaml

_NUMBER = re.compile(r"a0*(\d+)")
_FORM = "a YAML file {class of the other set, by its name or as a3 for its third: class of the run}"


def class_map_names() -> tuple[str, ...]:
    """Names of the class maps that come with the package.

    >>> class_map_names()
    ('utd_mhad_to_ntu120',)
    """
    files = resources.files("kinelex.evaluation").joinpath("class_maps").iterdir()
    return tuple(sorted(f.name.removesuffix(".yaml") for f in files if f.name.endswith(".yaml")))


def read_class_map(given: str | Path, theirs: tuple[str, ...], ours: tuple[str, ...]) -> dict[int, int]:
    """Which class of the run each class of the other set is.

    Args:
        given: a YAML file, or a name of :func:`class_map_names`.
        theirs: the other set's classes.
        ours: the run's classes.

    Returns:
        Indices, the other set's in ascending order to the run's.

    Raises:
        InputError: no such file or name, not of this form, or a class that a set does not have.
    """
    content = _content(str(given))
    if not isinstance(content, dict) or not content:
        raise InputError(f"the class map {given} is no mapping: expects {_FORM}")
    found: dict[int, int] = {}
    for key, value in content.items():
        for name in (key, value):
            if not isinstance(name, str):
                raise InputError(f"the class map {given} has {name!r}, which is no text: put it in quotes")
        other = _index(key, theirs, given)
        if other in found:
            raise InputError(f"the class map {given} has {theirs[other]!r} twice")
        if value not in ours:
            raise unknown_name(f"class of the run in the class map {given}", value, ours)
        found[other] = ours.index(value)
    return dict(sorted(found.items()))


def _content(given: str) -> object:
    if given in class_map_names():
        file = resources.files("kinelex.evaluation").joinpath("class_maps", f"{given}.yaml")
        return safe_yaml(file.read_text(encoding="utf-8"))
    path = Path(given)
    if not path.is_file() and path.suffix not in (".yaml", ".yml"):
        raise unknown_name("class map", given, class_map_names())
    return named_yaml(given, "the class map", _FORM)


def _index(key: str, theirs: tuple[str, ...], given: str | Path) -> int:
    """A class by its name, or by its number from 1: a3 is the third."""
    if key in theirs:
        return theirs.index(key)
    match = _NUMBER.fullmatch(key)
    if match is None:
        raise unknown_name(f"class of the other set in the class map {given}", key, theirs)
    if not 1 <= int(match[1]) <= len(theirs):
        raise InputError(f"the class map {given} has {key}, the other set has a1 to a{len(theirs)}")
    return int(match[1]) - 1
