"""The batched ragged loader: whole batches by array operations, deterministic, resumable.

The order of an epoch is a function of seed and epoch alone; ranks take turns in it. So a training can
resume in mid-epoch by skipping the batches it has seen (:meth:`SkeletonLoader.set_epoch`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from kinelex.data.batch import Batch
from kinelex.data.content import row_numbers
from kinelex.data.dataset import ArrayClips, ClipDataset
from kinelex.data.skeleton_store import SkeletonStore
from kinelex.errors import InputError


class SkeletonLoader:
    """Iterates over batches of clips.

    Args:
        clips: the clips: a skeleton store, arrays, or a :class:`ClipDataset`.
        indices: rows to use, or a mask of all.
        batch_size: clips per batch and process.
        shuffle: new order in every epoch; otherwise the order of ``indices``, with a last smaller batch.
        seed: seed of the order.
        repeat: how often a shuffled epoch visits each clip.
        rank, world_size: this process and their number.
        groups: the group of each row, for example its store: a shuffled epoch draws from a group in
            proportion to the power ``group_power`` of its size, as many clips as there are rows in all; of a
            group that is drawn from less than it has, other rows in each epoch.
        group_power: 1 draws every row as often, 0 every group.
        options: what :class:`ClipDataset` takes, for example ``prompts`` and ``placement``.

    Shape:
        - indices, groups: (rows,); a mask: (clips,) bool

    Raises:
        InputError: no rows, or a batch size that does not fit.

    >>> loader = SkeletonLoader(np.ones((10, 3, 20, 25, 1)), np.arange(10), batch_size=4, shuffle=True)
    >>> loader.set_epoch(2)
    >>> [batch.frames.shape[0] for batch in loader]  # the last two clips wait for another order
    [80, 80]
    """

    def __init__(
        self,
        clips: SkeletonStore | ArrayClips | Dataset[Any] | np.ndarray | Tensor,
        indices: np.ndarray,
        batch_size: int,
        shuffle: bool = False,
        seed: int = 0,
        repeat: int = 1,
        rank: int = 0,
        world_size: int = 1,
        groups: np.ndarray | None = None,
        group_power: float = 1.0,
        **options: Any,
    ) -> None:
        indices = row_numbers(indices)
        if len(indices) == 0:
            raise InputError("no clip to load: the chosen part of the protocol is empty")
        if batch_size < 1:
            raise InputError(f"expects a batch size of at least 1, got {batch_size}")
        if shuffle and len(indices) < 2 * world_size:
            raise InputError(f"training needs at least {2 * world_size} clips, got {len(indices)}")
        self.indices = np.repeat(indices, repeat) if shuffle else indices
        self._shares = []
        if shuffle and groups is not None:
            found, counts = np.unique(groups, return_counts=True)
            draws = drawn_counts(counts, group_power, len(self.indices))
            self._shares = [(indices[groups == g], n) for g, n in zip(found, draws, strict=True)]
        self.batch_size = min(batch_size, len(self.indices) // world_size) if shuffle else batch_size
        self.shuffle, self.seed = shuffle, seed
        self.rank, self.world_size = rank, world_size
        self.epoch, self._first = 0, 0
        self.dataset: Any = clips  # ClipDataset, or one that answers `batch` as it does
        if not isinstance(clips, Dataset):
            self.dataset = ClipDataset(clips, rows=self.indices, **options)
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
            generator = np.random.default_rng([self.seed, epoch])
            if self._shares:
                indices = np.concatenate([_drawn(rows, n, generator) for rows, n in self._shares])
            indices = generator.permutation(indices)
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


def drawn_counts(sizes: np.ndarray, power: float, total: int) -> np.ndarray:
    """How often an epoch draws from groups of some sizes: by a power of the size, ``total`` in all.

    Shape:
        - sizes: (groups,); returns: (groups,) int64, each at least 1

    >>> drawn_counts(np.array([900, 100]), 0.5, 1000).tolist()
    [750, 250]
    """
    share = sizes.astype(np.float64) ** power
    ends = np.rint(np.cumsum(share / share.sum()) * total).astype(np.int64)
    return np.maximum(np.diff(ends, prepend=0), 1)


def _drawn(rows: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    """Rows, each as often as any other but for one time."""
    whole, rest = divmod(count, len(rows))
    return np.concatenate([np.tile(rows, whole), generator.permutation(rows)[:rest]])
