"""Private machinery of the protocols: the published rules, and the splits that came with the raw files."""

from __future__ import annotations

import re
from functools import lru_cache
from importlib import resources
from typing import Any

import numpy as np

from kinelex.data import SkeletonStore
from kinelex.data.splits.sysu import REPETITIONS, sysu_split
from kinelex.errors import InputError, unknown_name
from kinelex.files.bounded import safe_yaml

Parts = tuple[np.ndarray, np.ndarray]  # rows that train, rows that test, each ascending
ANY_STORE = "random:0.8:SEED, loso:SUBJECT or file:PATH"


def published_names(store: SkeletonStore) -> tuple[str, ...]:
    """Every protocol that the data set has: by its rules, by tags of the clips, by its own files."""
    names: list[str] = []
    for name, rule in rules_of(store.meta.dataset).items():
        if "each" in rule:
            numbers = known_numbers(_columns(store)[rule["each"]])
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
        left_out = _columns(store)[rules_of(store.meta.dataset)[each]["each"]] == int(number)
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
    return {
        "subject": store.subjects,
        "camera": store.cameras,
        "setup": store.setups,
        "replication": store.replications,
        "label": store.labels,
        "id": np.array(store.ids),
    }


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
