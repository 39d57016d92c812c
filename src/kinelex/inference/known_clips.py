"""The labelled clips of a run's training part: what it learned, what of it it did not, and their features."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from kinelex.data import SkeletonStore, open_store
from kinelex.datasets import get_split
from kinelex.errors import InputError
from kinelex.inference.vectors import NearestRows
from kinelex.training.learned import learned_config
from kinelex.training.run_directory import RunDirectory

_PAIRS = 1 << 22  # of clips, compared at once
_FIFTH, _SHARE = 5, 3  # neighbours; of a class a third at most
_PARTS = re.compile(r"(?::fold\d+of\d+|:few-(?:random|balanced):[^:]+:\d+)+")


@dataclass(frozen=True)
class TrainingClips:
    """The labelled clips of a training part.

    Args:
        store: the skeleton store.
        protocol: the protocol that the run was trained on.
        learned: rows that the run learned.
        held_out: rows of the whole protocol's training part that it did not, of classes that it learned.

    Shape:
        - learned: (n,); held_out: (m,)
    """

    store: SkeletonStore
    protocol: str
    learned: np.ndarray
    held_out: np.ndarray


@dataclass(frozen=True)
class KnownClips:
    """Features of clips that a model knows: the farther a clip is from them, the less it is known.

    Not the nearest clip tells it but the k-th: one clip may be near by chance, or a copy.

    Args:
        features: theirs, of all streams side by side.
        k: which of the nearest tells; of fewer clips the farthest.

    Shape:
        - features: (n, F)

    Source: Sun, Ming, Zhu, Li: Out-of-distribution detection with deep nearest neighbors, ICML 2022.

    >>> known = KnownClips(np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]]), k=2)
    >>> known.cosines(np.array([[3.0, 4.0]])).round(3)
    array([0.6])
    """

    features: np.ndarray
    k: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "k", min(self.k, len(self.features)))

    @cached_property
    def rows(self) -> NearestRows:
        """The features as they are compared."""
        return NearestRows(self.features)

    def cosines(self, query: np.ndarray, own: np.ndarray | None = None) -> np.ndarray:
        """The cosine of clips and the k-th nearest that is known.

        Args:
            query: features of the clips.
            own: rows of ``features`` that are these clips themselves, and do not count.

        Shape:
            - query: (m, F); own: (m,); returns: (m,)
        """
        found, step = np.empty(len(query)), max(1, _PAIRS // len(self.features))
        for first in range(0, len(query), step):
            part = slice(first, first + step)
            cosines = self.rows.cosines(query[part])
            if own is not None:
                cosines[np.arange(len(cosines)), own[part]] = -np.inf
            found[part] = np.partition(cosines, -self.k, axis=1)[:, -self.k]
        return found


def which_neighbour(clips: int, classes: int) -> int:
    """Which of the nearest clips is to tell whether one is known: the fifth, or an earlier one of few.

    >>> which_neighbour(1000, 10), which_neighbour(40, 10)
    (5, 1)
    """
    return max(1, min(_FIFTH, clips // (_SHARE * classes)))


def training_clips(config: dict[str, Any], data: Path | None = None) -> TrainingClips:
    """The training clips of a run, never a test clip.

    A run that was trained on a fold, or with few labels, leaves clips of the protocol's training part.

    Args:
        config: the run's ``config.yaml``.
        data: the store, where it is not where the run was trained.

    Raises:
        InputError: the run does not say what it was trained on, the store is not there, is another one than
            the run was trained on, or has no label.
    """
    own = learned_config(config)
    if "stores" in own:
        raise InputError("the run was trained on several stores: take the run of one, RUN/stores/NAME")
    path, protocol = data or own.get("data") or _data_of_base(config), own.get("protocol")
    if path is None or protocol is None:
        raise InputError("the run does not say which clips it was trained on")
    if not Path(path).is_file():
        raise InputError(f"the store that the run was trained on is not there ({path})")
    store = open_store(path)
    if own.get("store_fingerprint") not in (None, store.fingerprint):
        raise InputError(f"{path} is another store than the run was trained on")
    learned = get_split(store, protocol).train
    whole = get_split(store, _PARTS.sub("", protocol)).train
    learned, whole = (rows[store.labels[rows] >= 0] for rows in (learned, whole))
    if not len(learned):
        raise InputError(f"no training clip of {path} has a label")
    left = np.setdiff1d(whole, learned)
    held_out = left[np.isin(store.labels[left], np.unique(store.labels[learned]))]
    return TrainingClips(store, protocol, learned, held_out)


def _data_of_base(config: dict[str, Any]) -> str | None:
    """The store of the run that one was adapted from, where that run is still there."""
    base = Path((config.get("adapted") or {}).get("run", ""))
    return RunDirectory(base).config["data"] if (base / "config.yaml").is_file() else None
