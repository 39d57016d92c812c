"""Protocols: which clips of a data set train and which test, and folds of the training part.

The published rules are data, one file per data set in ``protocols/``. A fold such as
``xview:fold1of5`` splits the *training part* of a protocol by whole subjects, so that settings can be
chosen without ever looking at the test part.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

import numpy as np
import yaml

from kinelex.errors import InputError, unknown_name
from kinelex.store import SkeletonStore

_FOLD = re.compile(r"(?P<protocol>[^:]+):fold(?P<fold>\d+)of(?P<folds>\d+)")


@dataclass(frozen=True)
class Split:
    """The clips of a protocol.

    Args:
        name: the protocol, for example ``xview`` or ``xview:fold1of5``.
        train: rows of the store that train, ascending.
        test: rows of the store that test, ascending; none of them in ``train``.

    Shape:
        - train: (rows,) int64
        - test: (rows,) int64
    """

    name: str
    train: np.ndarray
    test: np.ndarray


def protocol_names(store: SkeletonStore) -> tuple[str, ...]:
    """Names of the protocols that a store's data set has; none for a data set without published ones.

    >>> from kinelex.datasets.splits import _rules
    >>> tuple(_rules("actors"))
    ('xsub', 'xview', 'unseen')
    """
    return tuple(_rules(store.meta.dataset))


def get_split(store: SkeletonStore, name: str) -> Split:
    """The training and test rows of a protocol, or of a fold of its training part.

    Args:
        store: the skeleton store.
        name: a name of :func:`protocol_names`, or ``PROTOCOL:foldKofN`` for fold K of N of the
            protocol's training part: the subjects are dealt to N groups, and group K tests.

    Raises:
        InputError: the data set has no such protocol, a part of it is empty in this store, the fold is
            written wrongly, or the training part has fewer subjects than folds.

    >>> import tempfile, numpy as np
    >>> from pathlib import Path
    >>> from kinelex.skeleton import get_layout
    >>> from kinelex.store import Sequence, SkeletonStoreWriter, StoreMeta, open_store
    >>> path = Path(tempfile.mkdtemp()) / "tiny.arrow"
    >>> with SkeletonStoreWriter(path, StoreMeta("utd_mhad", get_layout("kinect20"), ("wave",))) as writer:
    ...     for subject in (1, 2, 3, 4):
    ...         writer.add(Sequence(f"s{subject}", np.ones((2, 1, 20, 3)), label=0, subject=subject))
    >>> get_split(open_store(path), "xsub")
    Split(name='xsub', train=array([0, 2]), test=array([1, 3]))
    >>> get_split(open_store(path), "xsub:fold1of2")
    Split(name='xsub:fold1of2', train=array([2]), test=array([0]))
    """
    if ":" not in name:
        return _checked(_published(store, name), store)
    match = _FOLD.fullmatch(name)
    if match is None:
        raise InputError(
            f"unknown protocol {name!r}: a fold of a protocol's training part is written "
            "PROTOCOL:foldKofN, for example xview:fold1of5"
        )
    base = _checked(_published(store, match["protocol"]), store)
    return _fold(store, base, name, int(match["fold"]), int(match["folds"]))


def split_sizes(store: SkeletonStore) -> dict[str, tuple[int, int]]:
    """Number of training and test clips of every protocol; 0 where the store has none of them."""
    splits = [_published(store, name) for name in protocol_names(store)]
    return {split.name: (len(split.train), len(split.test)) for split in splits}


@lru_cache
def _rules(dataset: str) -> dict[str, dict[str, dict[str, Any]]]:
    file = resources.files("kinelex.datasets").joinpath("protocols", f"{dataset}.yaml")
    return yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else {}


def _published(store: SkeletonStore, name: str) -> Split:
    rules = _rules(store.meta.dataset)
    if not rules:
        raise InputError(f"the data set {store.meta.dataset} has no protocols, so not {name!r} either")
    if name not in rules:
        raise unknown_name(f"protocol of {store.meta.dataset}", name, rules)
    parts = [np.flatnonzero(_selects(store, rules[name][part])) for part in ("train", "test")]
    return Split(name, *parts)


def _selects(store: SkeletonStore, rule: dict[str, Any]) -> np.ndarray:
    """Which rows fulfil all conditions of a rule, (rows,) bool."""
    columns = {
        "subject": store.subjects,
        "camera": store.cameras,
        "setup": store.setups,
        "replication": store.replications,
    }
    chosen = np.ones(len(store), dtype=bool)
    for column, condition in rule.items():
        values = columns[column]
        if isinstance(condition, dict):
            chosen &= ~np.isin(values, condition["not"]) & (values >= 0)
        else:
            chosen &= np.isin(values, condition)
    return chosen


def _checked(split: Split, store: SkeletonStore) -> Split:
    for part in ("train", "test"):
        if not len(getattr(split, part)):
            rule = _rules(store.meta.dataset)[split.name][part]
            raise InputError(
                f"{store.path} has no clip for the {part} part of {split.name} ({_worded(rule)}): "
                "prepare the store from the whole data set"
            )
    return split


def _worded(rule: dict[str, Any]) -> str:
    words = []
    for column, condition in rule.items():
        negated = isinstance(condition, dict)
        numbers = ", ".join(str(n) for n in (condition["not"] if negated else condition))
        words.append(f"{column} {'other than ' if negated else ''}{numbers}")
    return "; ".join(words)


def _fold(store: SkeletonStore, base: Split, name: str, fold: int, folds: int) -> Split:
    if folds < 2 or not 1 <= fold <= folds:
        raise InputError(f"unknown protocol {name!r}: expects at least 2 folds, counted from 1")
    subjects = store.subjects[base.train]
    if (subjects < 0).any():
        raise InputError(f"{store.path} has clips without a subject, so folds of {base.name} cannot be made")
    count = len(np.unique(subjects))
    if count < folds:
        raise InputError(
            f"{name} needs {folds} subjects, the training part of {base.name} has {count}: "
            f"ask for at most {count} folds"
        )
    held_out = np.isin(subjects, _deal(subjects, folds)[fold - 1])
    return Split(name, base.train[~held_out], base.train[held_out])


def _deal(subjects: np.ndarray, folds: int) -> list[list[int]]:
    """Deal subjects to folds of similar size: the one with most clips first, to the smallest fold."""
    numbers, clips = np.unique(subjects, return_counts=True)
    groups: list[list[int]] = [[] for _ in range(folds)]
    sizes = [0] * folds
    for i in np.argsort(-clips, kind="stable"):
        smallest = sizes.index(min(sizes))
        groups[smallest].append(int(numbers[i]))
        sizes[smallest] += int(clips[i])
    return groups
