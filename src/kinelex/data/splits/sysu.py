"""The two settings of SYSU 3D HOI, each repeated over 30 random halves.

The data set's own random draws are not published. These are drawn anew, the same on every machine and in
every version of numpy: clips or subjects are ordered by a hash of their name and the draw's number.

Source: Hu, Zheng, Lai, Zhang: Jointly learning heterogeneous features for RGB-D activity recognition,
CVPR 2015, section 5.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np

from kinelex.data import SkeletonStore
from kinelex.errors import InputError

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
