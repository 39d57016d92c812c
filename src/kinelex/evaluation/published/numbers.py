"""Read published numbers from YAML files, and find those that may stand beside a result."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from kinelex.data.splits.published import rules_of
from kinelex.errors import InputError, one_line, unknown_name
from kinelex.evaluation.protocols.registry import TASKS
from kinelex.files.bounded import bounded_text, safe_yaml

_TEXTS = ("method", "variant", "task")
_SOURCE = ("title", "url", "where")
_KEYS = (*_TEXTS, "source", "top1", "note")


@dataclass(frozen=True)
class Source:
    """The text in which a number was read.

    Args:
        title: what the text is.
        url: where it is.
        where: the place in it, such as a table's title.
        quoted_by: who quotes the number; empty for the words of the method's own authors.
    """

    title: str
    url: str
    where: str
    quoted_by: str = ""

    def __str__(self) -> str:
        """The source in words, without its address.

        >>> str(Source("README of x/y", "https://example.org", 'table "Results"', "Doe"))
        'quoted by Doe: README of x/y, table "Results"'
        """
        quoted = f"quoted by {self.quoted_by}: " if self.quoted_by else ""
        return f"{quoted}{self.title}, {self.where}"


@dataclass(frozen=True)
class Published:
    """One published number.

    Args:
        method: the method.
        variant: which of its numbers, such as one stream or an ensemble.
        dataset, protocol, task: what it was judged on, by kinelex's names.
        top1: per cent of the test clips.
        source: where it was read.
        note: what the source leaves open; may be empty.
    """

    method: str
    variant: str
    dataset: str
    protocol: str
    task: str
    top1: float
    source: Source
    note: str = ""

    @property
    def name(self) -> str:
        """The method with its variant."""
        return f"{self.method}, {self.variant}"


def published_numbers(dataset: str, protocol: str, tasks: Iterable[str]) -> tuple[Published, ...]:
    """What the package knows of the same data set, protocol and tasks.

    >>> [(n.name, n.top1) for n in published_numbers("nw_ucla", "xview", ("knn", "classify"))]
    [('MMCL, ensemble', 97.5)]
    """
    tasks = set(tasks)
    return tuple(n for n in _known() if (n.dataset, n.protocol) == (dataset, protocol) and n.task in tasks)


def read_published(path: str | Path) -> tuple[Published, ...]:
    """The numbers of one YAML file: a list of tables, each of one method, variant, task and source.

    Raises:
        InputError: the file cannot be read, an unknown or missing key, a task, data set or protocol that
            kinelex does not have, a rate that is none, a source without title, address or place, or a
            number that stands there twice.
    """
    try:
        content = safe_yaml(bounded_text(Path(path)))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path} cannot be read as YAML: {one_line(error)}") from error
    if not isinstance(content, list) or not content:
        raise InputError(f"{path}: expects a list of tables, each with {', '.join(_KEYS)}")
    numbers = [number for table in content for number in _numbers(table, path)]
    seen = set()
    for number in numbers:
        what = (number.name, number.dataset, number.protocol, number.task)
        if what in seen:
            raise InputError(f"{path} has the number of {' '.join(what)} twice: leave one out")
        seen.add(what)
    return tuple(numbers)


@lru_cache
def _known() -> tuple[Published, ...]:
    """All numbers of the package, method by method."""
    with resources.as_file(resources.files("kinelex.evaluation.published")) as folder:
        return tuple(number for file in sorted(folder.glob("*.yaml")) for number in read_published(file))


def _numbers(table: Any, path: str | Path) -> list[Published]:
    _check_keys(table, _KEYS, (*_TEXTS, "source", "top1"), f"{path}: a table")
    method, variant, task = (_text(table, key, f"{path}: a table") for key in _TEXTS)
    where = f"{path}: {method}, {variant}"
    if task not in TASKS:
        raise InputError(f"{where}: {unknown_name('task', task, TASKS)}")
    source = _source(table["source"], where)
    note = _text(table, "note", where) if "note" in table else ""
    found = []
    for dataset, rates in _mapping(table["top1"], f"{where}: top1").items():
        if not rules_of(dataset):
            raise InputError(f"{where}: {dataset!r} is no data set with published protocols")
        protocols = [name for name, rule in rules_of(dataset).items() if "each" not in rule]
        for protocol, top1 in _mapping(rates, f"{where}: top1 of {dataset}").items():
            if protocol not in protocols:
                raise InputError(f"{where}: {unknown_name(f'protocol of {dataset}', protocol, protocols)}")
            if isinstance(top1, bool) or not isinstance(top1, int | float) or not 0 < top1 <= 100:
                raise InputError(f"{where}: {top1!r} for {dataset} {protocol}: expects per cent, 0 to 100")
            found.append(Published(method, variant, dataset, protocol, task, float(top1), source, note))
    return found


def _source(given: Any, where: str) -> Source:
    where = f"{where}: the source"
    _check_keys(given, (*_SOURCE, "quoted_by"), _SOURCE, where)
    title, url, place = (_text(given, key, where) for key in _SOURCE)
    return Source(title, url, place, _text(given, "quoted_by", where) if "quoted_by" in given else "")


def _check_keys(given: Any, known: Iterable[str], needed: Iterable[str], where: str) -> None:
    given = _mapping(given, where)
    for key in given:
        if key not in known:
            raise InputError(f"{where}: {unknown_name('key', str(key), known)}")
    missing = [key for key in needed if key not in given]
    if missing:
        raise InputError(f"{where} has no {', '.join(missing)}: say where each number was read")


def _mapping(given: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(given, Mapping) or not given:
        raise InputError(f"{where}: expects names with values, has {given!r}")
    return given


def _text(given: Mapping[str, Any], key: str, where: str) -> str:
    text = given[key]
    if not isinstance(text, str) or not text.strip():
        raise InputError(f"{where}: {key} is {text!r}, expects a text")
    return text.strip()
