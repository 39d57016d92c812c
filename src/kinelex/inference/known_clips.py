"""The labelled clips of a run's training part: what it learned, and what of it it did not."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kinelex.data import SkeletonStore, open_store
from kinelex.datasets import get_split
from kinelex.errors import InputError
from kinelex.training.learned import learned_config
from kinelex.training.run_directory import RunDirectory

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
