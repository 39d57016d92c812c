"""What judging asks of clips beside their coordinates: groups of subjects, and copies in the other part."""

from __future__ import annotations

import hashlib
from typing import Protocol

import numpy as np

from kinelex.data.skeleton_store import SkeletonStore


class LabelledClips(Protocol):
    """Clips whose classes and subjects are known; a skeleton store is one."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """One name per label."""

    labels: np.ndarray
    subjects: np.ndarray


def subject_groups(clips: LabelledClips, rows: np.ndarray) -> np.ndarray | None:
    """The subject of each row, or None where some are not known or there is only one."""
    subjects = clips.subjects[rows]
    known = bool((subjects >= 0).all()) and len(np.unique(subjects)) > 1
    return subjects if known else None


def copies(store: SkeletonStore, train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Which test clips are copies of a training clip: the same coordinates to the last bit.

    Published releases have them: in the common one of Northwestern-UCLA, 95 clips of the third view repeat
    the second. A neighbour search finds its own clip there, so rates without copies are given too.

    Shape:
        - train: (n_train,); test: (n_test,), rows of the store
        - returns: (n_test,) bool
    """

    def digest(row: int) -> bytes:
        clip = store.sequence(int(row))
        return hashlib.sha256(repr(clip.shape).encode() + clip.tobytes()).digest()

    known = {digest(row) for row in train}
    return np.array([digest(row) in known for row in test], dtype=bool)
