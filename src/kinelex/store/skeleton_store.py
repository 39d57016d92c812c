"""The skeleton store: one Arrow IPC file per data set, memory-mapped, ragged."""

from __future__ import annotations

import hashlib
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa

from kinelex.skeleton import SkeletonLayout
from kinelex.store._arrow import open_arrow
from kinelex.store._sequence import KIND, NUMBERS, READABLE, StoreMeta

MADE_BY = "kinelex prepare"


class SkeletonStore:
    """A skeleton store, opened memory-mapped: nothing but the index is read until it is asked for.

    Missing numbers (``subject``, ``camera``, ...) read as -1.

    Raises:
        InputError: no file, no store, or damaged.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._reader, header = open_arrow(self.path, KIND, MADE_BY, READABLE)
        self.meta = StoreMeta._from_header(header)
        self._batches = [self._reader.get_batch(b) for b in range(self._reader.num_record_batches)]
        self._row_start = np.cumsum([0] + [b.num_rows for b in self._batches])
        numbers = {name: self._numbers(name) for name in (*NUMBERS, "persons", "frames")}
        self.labels, self.subjects, self.cameras = numbers["label"], numbers["subject"], numbers["camera"]
        self.setups, self.replications = numbers["setup"], numbers["replication"]
        self.persons, self.lengths = numbers["persons"], numbers["frames"]

    def _numbers(self, name: str) -> np.ndarray:
        return np.concatenate([_without_nulls(b.column(name)) for b in self._batches]).astype(np.int64)

    @property
    def layout(self) -> SkeletonLayout:
        """Layout of the coordinates."""
        return self.meta.layout

    @property
    def class_names(self) -> tuple[str, ...]:
        """One name per label."""
        return self.meta.class_names

    @cached_property
    def ids(self) -> list[str]:
        """Clip ids, in row order."""
        return [i for b in self._batches for i in b.column("id").to_pylist()]

    @cached_property
    def captions(self) -> list[str | None]:
        """Captions, in row order; None where the data set has none."""
        return [c for b in self._batches for c in b.column("caption").to_pylist()]

    @cached_property
    def splits(self) -> list[tuple[str, ...]]:
        """Tags such as ``xsub:train`` of the splits that came with the files, in row order."""
        return [tuple(tags) for b in self._batches for tags in b.column("splits").to_pylist()]

    @cached_property
    def fps(self) -> np.ndarray:
        """Frames per second of each clip, (clips,), NaN where it is not known."""
        if "fps" not in self._reader.schema.names:
            return np.full(len(self), np.nan)
        return np.concatenate(
            [b.column("fps").to_numpy(zero_copy_only=False) for b in self._batches], dtype=np.float64
        )

    @cached_property
    def channels(self) -> int:
        """Number of coordinates C per joint: 3, or 2 for image skeletons."""
        values = self._flat(0).size
        rows = slice(self._row_start[0], self._row_start[1])
        return int(values // (self.lengths[rows] * self.persons[rows]).sum() // self.layout.num_joints)

    @cached_property
    def fingerprint(self) -> str:
        """Identifies data set, layout and clips: prompts remember for which store they were made."""
        text = "\n".join([self.meta.dataset, self.layout.to_yaml(), *self.ids])
        return hashlib.sha256(text.encode() + self.lengths.tobytes()).hexdigest()[:16]

    def __len__(self) -> int:
        return int(self._row_start[-1])

    def _flat(self, batch: int, name: str = "coordinates") -> np.ndarray:
        return self._batches[batch].column(name).values.to_numpy(zero_copy_only=True)

    def _locate(self, index: int) -> tuple[int, int]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"clip {index} of a store of {len(self)}")
        index %= len(self)
        batch = int(np.searchsorted(self._row_start, index, side="right")) - 1
        return batch, index - int(self._row_start[batch])

    def sequence(self, index: int) -> np.ndarray:
        """Coordinates of one clip, without a copy.

        Shape:
            - returns: (T, M, V, C), read-only.

        Raises:
            IndexError: no such row.
        """
        batch, row = self._locate(index)
        start = self._batches[batch].column("coordinates").offsets[row].as_py()
        shape = (self.lengths[index], self.persons[index], self.layout.num_joints, self.channels)
        return self._flat(batch)[start : start + int(np.prod(shape))].reshape(shape)

    def image_coordinates(self, index: int) -> np.ndarray | None:
        """Pixel coordinates (T, M, V, 2) of one clip, or None where the raw files had none."""
        return self._beside(index, "image_coordinates", (2,))

    def scores(self, index: int) -> np.ndarray | None:
        """Confidence (T, M, V) of every joint of one clip, or None where the raw files had none."""
        return self._beside(index, "scores", ())

    def _beside(self, index: int, name: str, per_joint: tuple[int, ...]) -> np.ndarray | None:
        batch, row = self._locate(index)
        value = self._batches[batch].column(name)[row]
        if not value.is_valid:
            return None
        shape = (self.lengths[index], self.persons[index], self.layout.num_joints, *per_joint)
        return value.values.to_numpy().reshape(shape)

    def image_size(self, index: int) -> tuple[int, int] | None:
        """(height, width) in pixels of the picture that 2-D coordinates refer to, or None."""
        batch, row = self._locate(index)
        size = self._batches[batch].column("image_size")[row].as_py()
        return None if size is None else (size[0], size[1])

    def person_frames(self) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
        """The coordinates as the loader gathers them: one table per record batch, without a copy.

        Shape:
            - returns: tables, each (rows, V*C) where a row is one person in one frame; for every clip the
              number of its table, and the row at which it starts. Clip i, frame t, person m is row
              ``start[i] + t * persons[i] + m``.
        """
        width = self.layout.num_joints * self.channels
        tables = [self._flat(b).reshape(-1, width) for b in range(len(self._batches))]
        which = np.repeat(np.arange(len(tables)), np.diff(self._row_start))
        starts = [b.column("coordinates").offsets.to_numpy()[:-1] // width for b in self._batches]
        return tables, which, np.concatenate(starts).astype(np.int64)


def _without_nulls(column: pa.Array) -> np.ndarray:
    """An int32 column with -1 for null. By its buffers: `fill_null` imports all of Arrow's kernels, 0.2 s."""
    valid, values = column.buffers()
    numbers = np.frombuffer(values, np.int32)[column.offset : column.offset + len(column)]
    if valid is None:
        return numbers
    bits = np.unpackbits(np.frombuffer(valid, np.uint8), bitorder="little")
    return np.where(bits[column.offset : column.offset + len(column)], numbers, -1)


def open_store(path: str | Path) -> SkeletonStore:
    """Open a skeleton store made by ``kinelex prepare``.

    Raises:
        InputError: no file, no store, or damaged.
    """
    return SkeletonStore(path)
