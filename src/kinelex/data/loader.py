"""The batched ragged loader: whole batches by array operations, deterministic, resumable.

The order of an epoch is a function of seed and epoch alone; ranks take turns in it. So a training can
resume in mid-epoch by skipping the batches it has seen (:meth:`SkeletonLoader.set_epoch`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from kinelex.data.batch import Batch
from kinelex.data.dataset import ArrayClips, ClipDataset
from kinelex.data.skeleton_store import SkeletonStore
from kinelex.errors import InputError


class SkeletonLoader:
    """Iterates over batches of clips.

    Args:
        clips: the clips: a skeleton store, arrays, or a :class:`ClipDataset`.
        indices: rows to use.
        batch_size: clips per batch and process.
        shuffle: new order in every epoch; otherwise the order of ``indices``, with a last smaller batch.
        seed: seed of the order.
        repeat: how often a shuffled epoch visits each clip.
        rank, world_size: this process and their number.
        options: what :class:`ClipDataset` takes, for example ``prompts`` and ``placement``.

    Shape:
        - indices: (rows,)

    Raises:
        InputError: no rows, or a batch size that does not fit.

    >>> loader = SkeletonLoader(np.ones((10, 3, 20, 25, 1)), np.arange(10), batch_size=4, shuffle=True)
    >>> loader.set_epoch(2)
    >>> [batch.frames.shape[0] for batch in loader]  # the last two clips wait for another order
    [80, 80]
    """

    def __init__(
        self,
        clips: SkeletonStore | ArrayClips | ClipDataset | np.ndarray,
        indices: np.ndarray,
        batch_size: int,
        shuffle: bool = False,
        seed: int = 0,
        repeat: int = 1,
        rank: int = 0,
        world_size: int = 1,
        **options: Any,
    ) -> None:
        if len(indices) == 0:
            raise InputError("no clip to load: the chosen part of the protocol is empty")
        if batch_size < 1:
            raise InputError(f"expects a batch size of at least 1, got {batch_size}")
        if shuffle and len(indices) < 2 * world_size:
            raise InputError(f"training needs at least {2 * world_size} clips, got {len(indices)}")
        self.indices = np.ascontiguousarray(indices, dtype=np.int64)
        if shuffle:
            self.indices = np.repeat(self.indices, repeat)
        self.batch_size = min(batch_size, len(self.indices) // world_size) if shuffle else batch_size
        self.shuffle, self.seed = shuffle, seed
        self.rank, self.world_size = rank, world_size
        self.epoch, self._first = 0, 0
        if not isinstance(clips, ClipDataset):
            clips = ClipDataset(clips, rows=self.indices, **options)
        self.dataset = clips
        self.prompts = self.dataset.prompts

    def __len__(self) -> int:
        """Batches per epoch and process; in shuffled order an incomplete last batch is left out."""
        if self.shuffle:
            return len(self.indices) // (self.batch_size * self.world_size)
        mine = len(self.indices[self.rank :: self.world_size])
        return -(-mine // self.batch_size)

    def set_epoch(self, epoch: int, batch: int = 0) -> None:
        """Go on with an epoch, at one of its batches; later iterations start at the first."""
        self.epoch, self._first = epoch, batch

    def order(self, epoch: int) -> np.ndarray:
        """Rows of this process in the order in which the epoch visits them."""
        indices = self.indices
        if self.shuffle:
            indices = np.random.default_rng([self.seed, epoch]).permutation(indices)
            indices = indices[: len(self) * self.batch_size * self.world_size]
        return indices[self.rank :: self.world_size]

    def __iter__(self) -> Iterator[Batch]:
        order, first = self.order(self.epoch), self._first
        self._first = 0
        for start in range(first * self.batch_size, len(order), self.batch_size):
            yield self.batch(order[start : start + self.batch_size])

    def batch(self, rows: np.ndarray) -> Batch:
        """The batch of given store rows."""
        return self.dataset.batch(rows)
