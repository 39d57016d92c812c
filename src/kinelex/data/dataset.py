"""Clips as batches, from a store or from arrays: what the loader and a loop of one's own read."""

from __future__ import annotations

from collections.abc import Sequence as Rows

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from kinelex.data.batch import Batch
from kinelex.data.clip_prompts import Prompts, StorePrompts
from kinelex.data.content import row_numbers
from kinelex.data.skeleton_store import SkeletonStore
from kinelex.errors import InputError, check_name

PLACEMENTS = ("memory", "mmap", "device")


class ArrayClips:
    """Clips in memory that stand where a skeleton store does.

    Args:
        clips: one array or tensor of clips of the same length, or an array for each clip.
        labels: class of each clip, -1 for none; None where no clip has one.
        fps: frames per second, of all clips or of each; None where it is not known.

    Shape:
        - clips: (N, C, T, V, M), or N arrays (T, M, V, C), each with its own T and M; metres.
        - labels, fps: (N,)

    Raises:
        InputError: no clips, other axes, joints or coordinates than in the first, numbers that are none, or
            labels of another number.

    >>> clips = ArrayClips([np.ones((9, 1, 25, 3)), np.ones((4, 2, 25, 3))], labels=[0, 1])
    >>> clips.lengths.tolist(), clips.persons.tolist(), clips.channels
    ([9, 4], [1, 2], 3)
    """

    def __init__(
        self,
        clips: np.ndarray | Tensor | Rows[np.ndarray],
        labels: np.ndarray | Rows[int] | None = None,
        fps: float | np.ndarray | None = None,
    ) -> None:
        if isinstance(clips, np.ndarray | Tensor):
            clips = np.asarray(clips)
            if clips.ndim != 5:
                raise InputError(f"expects clips (N, C, T, V, M), got an array of shape {clips.shape}")
            clips = list(clips.transpose(0, 2, 4, 3, 1))
        shapes = [np.shape(clip) for clip in clips]
        if not shapes:
            raise InputError("expects at least one clip, got none")
        for number, shape in enumerate(shapes):
            if len(shape) != 4 or 0 in shape or shape[2:] != shapes[0][2:] or shape[3] not in (2, 3):
                raise InputError(
                    f"clip {number} has shape {shape}, expects (T, M, V, C) with C 2 or 3, and V and C as in "
                    f"the first clip, which has shape {shapes[0]}"
                )
        self.lengths, self.persons = (np.array([shape[axis] for shape in shapes]) for axis in (0, 1))
        self.channels = shapes[0][3]
        width = shapes[0][2] * self.channels
        self._table = np.concatenate([np.asarray(clip, np.float32).reshape(-1, width) for clip in clips])
        if not np.isfinite(self._table).all():
            raise InputError("clips hold numbers that are none (NaN, infinite): an absent joint is all zeros")
        self.labels = np.full(len(shapes), -1) if labels is None else np.array(labels, dtype=np.int64)
        if self.labels.shape != (len(shapes),):
            raise InputError(f"expects a label for each of {len(shapes)} clips, got {self.labels.shape}")
        self.fps = np.broadcast_to(np.float64(np.nan if fps is None else fps), len(shapes)).copy()

    def __len__(self) -> int:
        return len(self.lengths)

    def verify(self, rows: np.ndarray | None = None) -> None:
        """Nothing: what is in memory needs no checksums."""

    def person_frames(self) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
        """The coordinates as :meth:`SkeletonStore.person_frames` gives them, in one table."""
        sizes = self.lengths * self.persons
        return [self._table], np.zeros(len(self), np.int64), np.cumsum(sizes) - sizes


class FrameTable:
    """The coordinates of clips: whole clips copied from memory, or index arithmetic on a device.

    Args:
        clips: a skeleton store, or clips in memory.
        rows: the clips that will be asked for; ``memory`` and ``device`` hold these alone.
        placement: ``memory`` copies them into RAM, ``mmap`` leaves them in the file, ``device`` puts them
            on the accelerator.
        device: the accelerator for ``device``.
        places: person places M of every frame: a clip's persons beyond are left out, what it lacks is all
            zeros. By default the most persons of any clip of the store.
    """

    def __init__(
        self,
        clips: SkeletonStore | ArrayClips,
        rows: np.ndarray,
        placement: str = "memory",
        device: torch.device | str = "cpu",
        places: int | None = None,
    ) -> None:
        check_name("placement", placement, PLACEMENTS)
        self._tables, self._table_of, self._start = clips.person_frames()
        self._lengths, self._persons, self._verify = clips.lengths, clips.persons, clips.verify
        self._places = int(clips.persons.max(initial=1)) if places is None else places
        self._shape = (self._tables[0].shape[1] // clips.channels, clips.channels)
        self._on_device: Tensor | None = None
        if placement == "mmap" or (placement == "memory" and isinstance(clips, ArrayClips)):
            return
        rows = np.unique(rows)
        sizes = self._lengths[rows] * self._persons[rows]
        own = np.empty((int(sizes.sum()), self._tables[0].shape[1]), np.float32)
        ends = np.cumsum(sizes)
        for row, size, end in zip(rows.tolist(), sizes.tolist(), ends.tolist(), strict=True):
            first = self._start[row]
            own[end - size : end] = self._tables[self._table_of[row]][first : first + size]
        if placement == "device":
            self._on_device = torch.from_numpy(own).to(device)
            self._start = np.full(len(self._start), -1)
        else:  # other clips are still read from the file
            self._tables, self._table_of = [*self._tables, own], self._table_of.copy()
            self._table_of[rows] = len(self._tables) - 1
        self._start[rows] = ends - sizes

    def gather(self, indices: np.ndarray) -> Tensor:
        """Frames of the clips, one after another; absent persons are all zeros.

        Shape:
            - indices: (N,)
            - returns: (sum of T, C, V, M), M the places, whichever clips are asked for; in memory a frame
              is one row (M, V, C).

        Raises:
            IndexError: a clip that was not put on the device.
        """
        self._verify(indices)
        if self._on_device is None:
            values = torch.from_numpy(self._copied(indices))
        elif (self._start[indices] < 0).any():
            raise IndexError(f"clip {indices[self._start[indices] < 0][0]} was not put on the device")
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


class ClipDataset(Dataset[Batch]):
    """Clips of a store or of arrays, by row or by several rows at once; each answer is a :class:`Batch`.

    It can be iterated by :class:`~kinelex.data.loader.SkeletonLoader`, or by PyTorch's own loader:
    ``DataLoader(dataset, batch_size=32, shuffle=True, collate_fn=dataset.collate)``.

    Args:
        clips: a skeleton store, or arrays as :class:`ArrayClips` takes them.
        labels: class of each clip, for arrays; a store has its own.
        rows: the rows to use, or a mask of all; None uses all. ``dataset[i]`` is clip ``rows[i]``.
        prompts: the prompts of all clips, for methods that read prompts: a store's, or by modality.
        placement, device, places: see :class:`FrameTable`.

    Raises:
        InputError: arrays that are no clips, labels beside a store, or an unknown placement.

    >>> dataset = ClipDataset(np.ones((10, 3, 20, 25, 1)), labels=np.arange(10))
    >>> batch = dataset[[4, 7]]
    >>> batch.frames.shape, batch.lengths.tolist(), batch.labels.tolist()  # frames one after another
    (torch.Size([40, 3, 25, 1]), [20, 20], [4, 7])
    """

    def __init__(
        self,
        clips: SkeletonStore | ArrayClips | np.ndarray | Tensor | Rows[np.ndarray],
        labels: np.ndarray | Rows[int] | None = None,
        rows: np.ndarray | None = None,
        prompts: StorePrompts | dict[str, Prompts] | None = None,
        placement: str = "memory",
        device: torch.device | str = "cpu",
        places: int | None = None,
    ) -> None:
        if not isinstance(clips, SkeletonStore | ArrayClips):
            clips = ArrayClips(clips, labels)
        elif labels is not None:
            raise InputError("labels are for arrays: a store has its own")
        self.clips, self.prompts = clips, prompts
        self.rows = np.arange(len(clips)) if rows is None else row_numbers(rows)
        self._frames = FrameTable(clips, self.rows, placement, device, places)
        columns = (clips.lengths, clips.labels, clips.fps)
        self._lengths, self._labels, self._fps = map(torch.from_numpy, columns)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int | slice | Rows[int] | np.ndarray) -> Batch:
        return self.batch(np.atleast_1d(self.rows[index]))

    __getitems__ = __getitem__  # PyTorch's loader asks for whole batches by this name

    @staticmethod
    def collate(batch: Batch) -> Batch:
        """What PyTorch's loader is to make of a batch: nothing, it is one already."""
        return batch

    def batch(self, rows: np.ndarray) -> Batch:
        """The batch of clips by their rows in the store.

        Shape:
            - rows: (N,)
        """
        index = torch.from_numpy(np.asarray(rows, dtype=np.int64))
        batch = Batch(self._lengths[index], self._labels[index], index, self._frames.gather(rows))
        batch.fps = self._fps[index]
        if isinstance(self.prompts, StorePrompts):
            batch.prompts = self.prompts.batch(np.asarray(rows))
        elif self.prompts is not None:
            batch.prompts = {modality: prompts[index] for modality, prompts in self.prompts.items()}
        return batch
