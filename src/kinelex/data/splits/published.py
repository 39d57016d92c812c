"""The published protocols: rules, the splits that came with the raw files, and SYSU's random halves.

SYSU's draws are not published: here clips or subjects are ordered by a hash of their name and the draw's
number.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from functools import lru_cache
from importlib import resources
from typing import Any

import numpy as np

from kinelex.data import SkeletonStore
from kinelex.data.sequence import NUMBERS
from kinelex.errors import InputError, unknown_name
from kinelex.files.bounded import safe_yaml

REPETITIONS = 30
SETTINGS = (1, 2)


def sysu_split(store: SkeletonStore, setting: int, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Training and test rows of one random half/half split.

    Args:
        store: a store of SYSU 3D HOI.
        setting: 1 draws half of the clips of every class for training, so subjects are on both sides; 2
            draws half of the subjects.
        number: which of the 30 splits, from 1.

    Shape:
        - returns: (rows,) int64 twice, ascending; every row is in one of them.
    """
    if setting not in SETTINGS or not 1 <= number <= REPETITIONS:
        raise InputError(
            f"unknown protocol 'setting{setting}:{number}': expects setting1:1 to setting1:{REPETITIONS} "
            f"or setting2:1 to setting2:{REPETITIONS}"
        )
    groups = store.labels if setting == 1 else store.subjects
    if (groups < 0).any():
        missing = "class" if setting == 1 else "subject"
        raise InputError(f"{store.path} has clips without a {missing}, which setting {setting} needs")
    train = np.zeros(len(store), dtype=bool)
    if setting == 1:
        for label in np.unique(groups):
            rows = np.flatnonzero(groups == label)
            chosen = _half((store.ids[row] for row in rows), f"setting1:{number}")
            train[rows] = [store.ids[row] in chosen for row in rows]
    else:
        chosen = _half((str(s) for s in np.unique(groups)), f"setting2:{number}")
        train = np.array([str(s) in chosen for s in groups])
    return np.flatnonzero(train), np.flatnonzero(~train)


def _half(names: Iterable[str], draw: str) -> set[str]:
    """Half of the names, the smaller half if their number is odd.

    >>> sorted(_half(["a", "b", "c", "d"], "setting2:1")) == sorted(_half(["d", "c", "b", "a"], "setting2:1"))
    True
    """
    ordered = sorted(names, key=lambda name: hashlib.sha256(f"{draw}/{name}".encode()).digest())
    return set(ordered[: len(ordered) // 2])


Parts = tuple[np.ndarray, np.ndarray]  # rows that train, rows that test, each ascending
ANY_STORE = "random:0.8:SEED, loso:SUBJECT or file:PATH"


def published_names(store: SkeletonStore) -> tuple[str, ...]:
    """Every protocol that the data set has: by its rules, by tags of the clips, by its own files."""
    names: list[str] = []
    for name, rule in rules_of(store.meta.dataset).items():
        if "each" in rule:
            numbers = known_numbers(store.column(rule["each"]))
            names += [f"{name}:{number}" for number in numbers if len(numbers) > 1]
        else:
            names.append(name)
    names += [name for name in tagged_names(store) if name not in names]
    if store.meta.dataset == "sysu":
        drawn_by = {1: store.labels, 2: store.subjects}
        settings = [setting for setting, column in drawn_by.items() if (column >= 0).all()]
        names += [f"setting{s}:{k}" for s in settings for k in range(1, REPETITIONS + 1)]
    return tuple(names)


def published_parts(store: SkeletonStore, name: str) -> Parts:
    """The rows of a published protocol; a part may be empty."""
    rules = {n: rule for n, rule in rules_of(store.meta.dataset).items() if "each" not in rule}
    tagged = tagged_names(store)
    if name in tagged:
        return _tagged_parts(store, name)
    if name in rules:
        train, test = (np.flatnonzero(_selects(store, rules[name][part])) for part in ("train", "test"))
        return train, test
    if store.meta.dataset == "sysu":
        return _sysu_parts(store, name)
    each, _, number = name.partition(":")
    if name in published_names(store):  # one of those that leave out each number of a column
        left_out = store.column(rules_of(store.meta.dataset)[each]["each"]) == int(number)
        return np.flatnonzero(~left_out), np.flatnonzero(left_out)
    known = [*rules, *tagged]
    if not known:
        raise InputError(
            f"the data set {store.meta.dataset} has no protocols, so not {name!r} either: take {ANY_STORE}"
        )
    error = unknown_name(f"protocol of {store.meta.dataset}", name, known)
    raise InputError(f"{error}; every store also has {ANY_STORE}")


def rule_in_words(store: SkeletonStore, name: str, part: str) -> str:
    """What a part of a published protocol asks for, for messages; empty where there is no rule."""
    rule = rules_of(store.meta.dataset).get(name, {})
    return "" if name in tagged_names(store) or part not in rule else _worded(rule[part])


def known_subjects(store: SkeletonStore) -> list[int]:
    """The subjects of a store, ascending, without the clips that have none."""
    return known_numbers(store.subjects)


def known_numbers(column: np.ndarray) -> list[int]:
    """The numbers of a column, ascending, without the clips that have none."""
    return [int(number) for number in np.unique(column) if number >= 0]


def tagged_names(store: SkeletonStore) -> tuple[str, ...]:
    """Protocols that came with the raw files: ``xsub`` for the tags ``xsub:train`` and ``xsub:test``."""
    found: dict[str, None] = {}
    for tags in set(store.splits):
        for tag in tags:
            protocol, _, part = tag.rpartition(":")
            if protocol and part in ("train", "test"):
                found[protocol] = None
    return tuple(sorted(found))


def _tagged_parts(store: SkeletonStore, name: str) -> Parts:
    tagged = enumerate(store.splits)
    found = [(row, f"{name}:train" in tags, f"{name}:test" in tags) for row, tags in tagged]
    train = np.array([row for row, trains, _ in found if trains], dtype=np.int64)
    test = np.array([row for row, _, tests in found if tests], dtype=np.int64)
    both = np.intersect1d(train, test)
    if len(both):
        raise InputError(
            f"{store.path}: {len(both)} clips are in both parts of {name}, the first is "
            f"{store.ids[both[0]]}: prepare the store from files in which each clip is in one part"
        )
    return train, test


@lru_cache
def rules_of(dataset: str) -> dict[str, dict[str, Any]]:
    """The rules of a data set: per protocol what trains and what tests, or ``each`` with a column."""
    file = resources.files("kinelex.data.splits").joinpath("protocols", f"{dataset}.yaml")
    return safe_yaml(file.read_text(encoding="utf-8")) if file.is_file() else {}


def _selects(store: SkeletonStore, rule: dict[str, Any]) -> np.ndarray:
    """Which rows fulfil all conditions of a rule, (rows,) bool."""
    return np.broadcast_to(fulfils(_columns(store), rule), len(store))


def _columns(store: SkeletonStore) -> dict[str, np.ndarray]:
    """What rules may ask for, by name."""
    return {name: store.column(name) for name in NUMBERS} | {"id": np.array(store.ids)}


def fulfils(columns: dict[str, np.ndarray], rule: dict[str, Any]) -> np.ndarray:
    """Which clips fulfil all conditions of a rule; an empty rule takes all.

    Shape:
        - columns: each of the same shape, -1 where a clip has no number; ``id`` of texts.
        - returns: bool of that shape; a scalar for an empty rule.
    """
    chosen = np.array(True)
    for column, condition in rule.items():
        values = columns[column]
        if isinstance(condition, dict):
            chosen = chosen & ~np.isin(values, condition["not"])
            if values.dtype.kind != "U":
                chosen = chosen & (values >= 0)
        else:
            chosen = chosen & np.isin(values, condition)
    return chosen


def _worded(rule: dict[str, Any]) -> str:
    words = []
    for column, condition in rule.items():
        negated = isinstance(condition, dict)
        numbers = ", ".join(str(n) for n in (condition["not"] if negated else condition))
        words.append(f"{column} {'other than ' if negated else ''}{numbers}")
    return "; ".join(words)


def _sysu_parts(store: SkeletonStore, name: str) -> Parts:
    match = re.fullmatch(r"setting(?P<setting>[12]):(?P<number>\d+)", name)
    if match is None:
        raise InputError(
            f"unknown protocol {name!r}: SYSU has setting1:K and setting2:K, K from 1 to {REPETITIONS}; each "
            f"store also has {ANY_STORE}"
        )
    return sysu_split(store, int(match["setting"]), int(match["number"]))
