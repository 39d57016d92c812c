"""The batched ragged loader: whole batches by array operations, deterministic, resumable.

The order of an epoch is a function of seed and epoch alone; ranks take turns in it. So a training can
resume in mid-epoch by skipping the batches it has seen (:meth:`SkeletonLoader.seek`).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from kinelex.data import SkeletonStore
from kinelex.data.batch import Batch
from kinelex.data.clip_prompts import StorePrompts
from kinelex.errors import InputError, unknown_name

PLACEMENTS = ("memory", "mmap", "device")


class FrameTable:
    """The coordinates of chosen clips: whole clips copied from memory, or index arithmetic on a device.

    Args:
        store: the skeleton store.
        placement: ``memory`` copies them into RAM, ``mmap`` leaves them in the file, ``device`` puts them
            on the accelerator.
        device: the accelerator for ``device``.
        places: person places M of every frame: a clip's persons beyond are left out, what it lacks is all
            zeros. By default the most persons of any clip of the store.
    """

    def __init__(
        self,
        store: SkeletonStore,
        placement: str = "memory",
        device: torch.device | str = "cpu",
        places: int | None = None,
    ) -> None:
        if placement not in PLACEMENTS:
            raise unknown_name("placement", placement, PLACEMENTS)
        tables, self._table_of, self._start = store.person_frames()
        self._lengths, self._persons, self._verify = store.lengths, store.persons, store.verify
        self._places = int(store.persons.max(initial=1)) if places is None else places
        self._shape = (store.layout.num_joints, store.channels)
        self._tables = [table.copy() for table in tables] if placement == "memory" else tables
        self._on_device: Tensor | None = None
        if placement == "device":
            rows = np.cumsum([0] + [len(t) for t in tables])
            self._start = self._start + rows[self._table_of]
            self._on_device = torch.cat([torch.from_numpy(t.copy()).to(device) for t in tables])

    def gather(self, indices: np.ndarray) -> Tensor:
        """Frames of the clips, one after another; absent persons are all zeros.

        Shape:
            - indices: (N,)
            - returns: (sum of T, C, V, M), M the places, whichever clips are asked for; in memory a frame
              is one row (M, V, C).
        """
        self._verify(indices)
        if self._on_device is None:
            values = torch.from_numpy(self._copied(indices))
        else:
            values = self._selected(self._on_device, indices)
        return values.view(len(values), self._places, *self._shape).permute(0, 3, 2, 1)

    def _copied(self, indices: np.ndarray) -> np.ndarray:
        """A clip is one block of its table: copying 256 blocks beats indexing 20 000 rows."""
        width, m = self._shape[0] * self._shape[1], self._places
        values = np.empty((int(self._lengths[indices].sum()), m, width), np.float32)
        columns = (self._table_of, self._start, self._lengths, self._persons)
        end = 0
        for table, start, length, persons in zip(*(c[indices].tolist() for c in columns), strict=True):
            first, end = end, end + length
            block = self._tables[table][start : start + length * persons]
            values[first:end, :persons] = block.reshape(length, persons, width)[:, :m]
            values[first:end, persons:] = 0
        return values

    def _selected(self, whole: Tensor, indices: np.ndarray) -> Tensor:
        lengths, persons, m = self._lengths[indices], self._persons[indices], self._places
        clip = np.repeat(np.arange(len(indices)), lengths)
        frame = np.arange(len(clip)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        first = self._start[indices][clip] + frame * persons[clip]
        absent = np.arange(m) >= persons[clip][:, None]
        rows = np.where(absent, first[:, None], first[:, None] + np.arange(m))
        values = whole.index_select(0, torch.from_numpy(rows.ravel()).to(whole.device))
        if absent.any():
            values[torch.from_numpy(absent.ravel()).to(values.device)] = 0
        return values.view(len(clip), m, -1)


class SkeletonLoader:
    """Iterates over batches of clips.

    Args:
        store: the skeleton store.
        indices: rows to use.
        batch_size: clips per batch and process.
        shuffle: new order in every epoch; otherwise the order of ``indices``, with a last smaller batch.
        seed: seed of the order.
        placement: ``memory``, ``mmap`` or ``device``, see :class:`FrameTable`.
        device: the accelerator for ``device``.
        prompts: the clips' prompts, for methods that read prompts.
        repeat: how often a shuffled epoch visits each clip.
        rank, world_size: this process and their number.
        places: person places of every frame, see :class:`FrameTable`.

    Raises:
        InputError: no rows, or a batch size that does not fit.
    """

    def __init__(
        self,
        store: SkeletonStore,
        indices: np.ndarray,
        batch_size: int,
        shuffle: bool = False,
        seed: int = 0,
        placement: str = "memory",
        device: torch.device | str = "cpu",
        prompts: StorePrompts | None = None,
        repeat: int = 1,
        rank: int = 0,
        world_size: int = 1,
        places: int | None = None,
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
        self.prompts = prompts
        self._frames = FrameTable(store, placement, device, places)
        self._lengths = torch.from_numpy(store.lengths)
        self._labels = torch.from_numpy(store.labels)
        self._fps = torch.from_numpy(store.fps)

    def __len__(self) -> int:
        """Batches per epoch and process; in shuffled order an incomplete last batch is left out."""
        if self.shuffle:
            return len(self.indices) // (self.batch_size * self.world_size)
        mine = len(self.indices[self.rank :: self.world_size])
        return -(-mine // self.batch_size)

    def seek(self, epoch: int, batch: int = 0) -> None:
        """Continue at a batch of an epoch; it holds for the next iteration, later ones start at 0."""
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
        index = torch.from_numpy(np.asarray(rows, dtype=np.int64))
        batch = Batch(
            self._lengths[index],
            self._labels[index],
            index,
            frames=self._frames.gather(rows),
            fps=self._fps[index],
        )
        if self.prompts is not None:
            batch.prompts = self.prompts.batch(np.asarray(rows))
        return batch
