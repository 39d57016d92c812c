"""The clips that prompts are made for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kinelex.data import SkeletonStore
from kinelex.errors import InputError


def sample_frames(length: int, count: int) -> np.ndarray:
    """Frames spread uniformly over a clip, the middle of each of ``count`` equal parts, (count,).

    >>> sample_frames(100, 4).tolist(), sample_frames(1, 3).tolist()
    ([12, 37, 62, 87], [0, 0, 0])
    """
    return ((np.arange(count) + 0.5) * length / count).astype(np.int64)


@dataclass(frozen=True)
class Clips:
    """Clips by row: those of a skeleton store, or those that an engine knows where there is none.

    Without a store ``lengths`` and ``fingerprint`` are None.
    """

    ids: list[str]
    lengths: list[int] | None
    dataset: str
    fingerprint: str | None

    @classmethod
    def of_store(cls, store: SkeletonStore) -> Clips:
        """The clips of a store."""
        return cls(store.ids, [int(n) for n in store.lengths], store.meta.dataset, store.fingerprint)

    @classmethod
    def of_engine(cls, engine: Any) -> Clips:
        """The clips that a language engine knows by itself."""
        if not hasattr(engine, "ids"):
            raise InputError("whose prompts? Name a skeleton store: kinelex prompts STORE --out PROMPTS ...")
        return cls(list(engine.ids), None, engine.dataset, None)

    def __len__(self) -> int:
        return len(self.ids)

    def frames(self, row: int, count: int) -> np.ndarray:
        """Frames spread over a clip; where its length is not known, their places in the order, (count,)."""
        return np.arange(count) if self.lengths is None else sample_frames(self.lengths[row], count)
