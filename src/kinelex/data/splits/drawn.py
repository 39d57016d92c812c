"""Parts that are drawn by a seed and the clips' ids alone, whatever their order, and subjects left out."""

from __future__ import annotations

import hashlib
import math
import re
from typing import Protocol

import numpy as np

from kinelex.data import SkeletonStore
from kinelex.data.splits.published import Parts, known_subjects
from kinelex.errors import InputError


class LabelledIds(Protocol):
    """Clips that have ids and labels; a skeleton store is one."""

    labels: np.ndarray

    @property
    def ids(self) -> list[str]:
        """Clip ids, in row order."""


def random_parts(store: LabelledIds, name: str) -> Parts:
    """``random:RATIO:SEED``: a share of every class trains, the rest tests.

    A class of one clip trains; of any other class at least one clip tests and one trains. Clips without
    a label are drawn like one more class.
    """
    match = re.fullmatch(r"random:(?P<ratio>[^:]+):(?P<seed>[^:]+)", name)
    if match is None:
        raise InputError(
            f"unknown protocol {name!r}: a random split is written random:RATIO:SEED, for example "
            "random:0.8:0, where 80 % of every class train"
        )
    ratio, seed = read_ratio(match["ratio"], name, below_one=True), read_seed(match["seed"], name)
    train: list[np.ndarray] = []
    for label in np.unique(store.labels):
        rows = shuffled(store, np.flatnonzero(store.labels == label), seed)
        wanted = _rounded(ratio * len(rows))
        train.append(rows[: min(max(wanted, 1), max(len(rows) - 1, 1))])
    chosen = np.sort(np.concatenate(train))
    return chosen, np.setdiff1d(np.arange(len(store.ids)), chosen)


def loso_parts(store: SkeletonStore, name: str) -> Parts:
    """``loso:SUBJECT``: one subject tests, all others train."""
    known = known_subjects(store)
    subject = name.removeprefix("loso").removeprefix(":")
    if len(known) < 2:
        raise InputError(f"{store.path} knows {len(known)} subjects, {name!r} needs two or more")
    if subject not in map(str, known):
        asked = f"has no subject {subject!r}" if subject else "has several subjects"
        raise InputError(
            f"{name!r} leaves one subject out to test on, and {store.path} {asked}: take loso:{known[0]} "
            f"or another of its subjects {', '.join(map(str, known))}"
        )
    tests = store.subjects == int(subject)
    return np.flatnonzero((store.subjects >= 0) & ~tests), np.flatnonzero(tests)


def few_labels(store: SkeletonStore, train: np.ndarray, kind: str, ratio: float, seed: int) -> np.ndarray:
    """The labelled clips of a few-label subset, rows ascending.

    ``random`` draws a share of all labelled training clips, rounded down as CMD does, one at least.
    ``balanced`` draws the same number of every class: that share divided by the number of classes and rounded
    down, one at least; a class that has fewer gives all. With one seed, a smaller share is part of a larger
    one.
    """
    labels = store.labels[train]
    rows = train[labels >= 0]
    if not len(rows):
        raise InputError(
            f"{store.path}: no clip of the training part has a label, so there are no few labels"
        )
    if kind == "random":
        return np.sort(shuffled(store, rows, seed)[: max(int(ratio * len(rows)), 1)])
    classes = np.unique(store.labels[rows])
    each = max(math.floor(ratio * len(rows) / len(classes) + 1e-9), 1)
    drawn = [shuffled(store, rows[store.labels[rows] == label], seed)[:each] for label in classes]
    return np.sort(np.concatenate(drawn))


def shuffled(store: LabelledIds, rows: np.ndarray, seed: int) -> np.ndarray:
    """Rows in an order that their ids and the seed decide."""
    keys = [hashlib.sha256(f"{seed}\n{store.ids[row]}".encode()).digest() for row in rows]
    return rows[sorted(range(len(rows)), key=keys.__getitem__)]


def read_ratio(text: str, name: str, below_one: bool = False) -> float:
    """A share in a protocol's name."""
    upto = "below 1" if below_one else "up to 1"
    try:
        ratio = float(text)
    except ValueError:
        ratio = math.nan
    if not (0 < ratio < 1 or (ratio == 1 and not below_one)):
        raise InputError(f"protocol {name!r}: expects a share above 0 and {upto}, such as 0.1, got {text!r}")
    return ratio


def read_seed(text: str, name: str) -> int:
    """A seed in a protocol's name."""
    if not (text.isascii() and text.isdigit()):
        raise InputError(f"protocol {name!r}: expects a whole number as the seed, got {text!r}")
    return int(text)


def _rounded(value: float) -> int:
    return math.floor(value + 0.5)
