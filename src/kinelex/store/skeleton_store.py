"""The skeleton store: one Arrow IPC file per data set, memory-mapped, ragged."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa

from kinelex.errors import InputError
from kinelex.skeleton import SkeletonLayout
from kinelex.store._arrow import AtomicArrowWriter, open_arrow, schema_with_header

KIND = "skeleton store"
MADE_BY = "kinelex prepare"
_NUMBERS = ("label", "subject", "camera", "setup", "replication", "persons", "frames")
_ROWS_PER_BATCH = 256


@dataclass(frozen=True)
class StoreMeta:
    """What a skeleton store says about itself.

    Args:
        dataset: name of the data set, for example ``nw_ucla``.
        layout: the layout of the coordinates.
        class_names: one name per label.
        units: unit of the coordinates, ``metres`` unless the raw files have another.
        source: where the raw files came from.
        prepared: how they were read (reader options and versions).
    """

    dataset: str
    layout: SkeletonLayout
    class_names: tuple[str, ...]
    units: str = "metres"
    source: str = ""
    prepared: dict[str, Any] = field(default_factory=dict)

    def _to_header(self) -> dict[str, Any]:
        return {**asdict(self), "layout": self.layout.to_yaml(), "kind": KIND, "format_version": 1}

    @classmethod
    def _from_header(cls, header: dict[str, Any]) -> StoreMeta:
        layout = SkeletonLayout.from_yaml(header["layout"])
        names = tuple(header["class_names"])
        return cls(header["dataset"], layout, names, header["units"], header["source"], header["prepared"])


@dataclass
class Sequence:
    """One clip on its way into a store.

    Args:
        id: unique name of the clip.
        coordinates: (T, M, V, C), metres; an absent person or joint is all zeros.
        label: class index, or None.
        subject, camera, setup, replication: numbers as the data set gives them, or None.
        image_coordinates: (T, M, V, 2), pixels, where the raw files have them.
        caption: a sentence that describes the clip, where the data set has one.
    """

    id: str
    coordinates: np.ndarray
    label: int | None = None
    subject: int | None = None
    camera: int | None = None
    setup: int | None = None
    replication: int | None = None
    image_coordinates: np.ndarray | None = None
    caption: str | None = None


class SkeletonStoreWriter:
    """Writes a store atomically: it appears under its name when all clips are in, or not at all.

    Args:
        path: the file to make.
        meta: what the store says about itself.

    Raises:
        InputError: in :meth:`add`, a clip that does not fit the layout, has no frames, coordinates that
            are not finite, a label out of range, or an id that is already there.

    >>> import tempfile, numpy as np
    >>> from kinelex.skeleton import get_layout
    >>> path = Path(tempfile.mkdtemp()) / "tiny.arrow"
    >>> with SkeletonStoreWriter(path, StoreMeta("tiny", get_layout("sbu15"), ("wave",))) as writer:
    ...     writer.add(Sequence("a", np.ones((4, 1, 15, 3)), label=0))
    >>> open_store(path).sequence(0).shape
    (4, 1, 15, 3)
    """

    def __init__(self, path: str | Path, meta: StoreMeta) -> None:
        self.meta = meta
        numbers = [pa.field(name, pa.int32()) for name in _NUMBERS]
        lists = [pa.field(name, pa.list_(pa.float32())) for name in ("coordinates", "image_coordinates")]
        fields = [pa.field("id", pa.utf8()), *numbers, pa.field("caption", pa.utf8()), *lists]
        self._file = AtomicArrowWriter(path, schema_with_header(fields, meta._to_header()))
        self._pending: list[Sequence] = []
        self._ids: set[str] = set()
        self._channels = 0

    def add(self, sequence: Sequence) -> None:
        """Check one clip and put it into the store."""
        check_sequence(sequence, self.meta)
        channels = sequence.coordinates.shape[3]
        if self._channels not in (0, channels):
            raise InputError(f"{sequence.id}: expects {self._channels} coordinates per joint, got {channels}")
        if sequence.id in self._ids:
            raise InputError(f"two clips have the id {sequence.id}")
        self._channels = channels
        self._ids.add(sequence.id)
        self._pending.append(sequence)
        if len(self._pending) == _ROWS_PER_BATCH:
            self._flush()

    def __len__(self) -> int:
        return len(self._ids)

    def _flush(self) -> None:
        if not self._pending:
            return
        rows, self._pending = self._pending, []
        columns: dict[str, pa.Array] = {"id": pa.array([s.id for s in rows], pa.utf8())}
        for name in _NUMBERS[:5]:
            columns[name] = pa.array([getattr(s, name) for s in rows], pa.int32())
        columns["persons"] = pa.array([s.coordinates.shape[1] for s in rows], pa.int32())
        columns["frames"] = pa.array([s.coordinates.shape[0] for s in rows], pa.int32())
        columns["caption"] = pa.array([s.caption for s in rows], pa.utf8())
        columns["coordinates"] = _float_lists([s.coordinates for s in rows])
        columns["image_coordinates"] = _float_lists([s.image_coordinates for s in rows])
        self._file.write(columns)

    def __enter__(self) -> SkeletonStoreWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._flush()
            if not self._ids:
                self._file.abort()
                raise InputError(f"no clip to write: {self._file.path} was not made")
        self._file.__exit__(kind, value, trace)


def _float_lists(arrays: list[np.ndarray | None]) -> pa.Array:
    sizes = np.array([0 if a is None else a.size for a in arrays])
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    flat = [np.ascontiguousarray(a, dtype=np.float32).ravel() for a in arrays if a is not None]
    values = pa.array(np.concatenate(flat) if flat else np.zeros(0, np.float32))
    mask = pa.array([a is None for a in arrays])
    return pa.ListArray.from_arrays(pa.array(offsets), values, mask=mask)


def check_sequence(sequence: Sequence, meta: StoreMeta) -> None:
    """Raise an InputError that names what is wrong with a clip, if anything is."""
    x, v = sequence.coordinates, meta.layout.num_joints
    if x.ndim != 4 or x.shape[3] not in (2, 3):
        raise InputError(f"{sequence.id}: expects coordinates (T, M, V, C), got shape {x.shape}")
    if x.shape[2] != v:
        raise InputError(f"{sequence.id}: expects {v} joints ({meta.layout.name}), got {x.shape[2]}")
    if x.shape[0] == 0 or x.shape[1] == 0:
        raise InputError(f"{sequence.id}: has no frames")
    if not np.isfinite(x).all():
        frame = int(np.argwhere(~np.isfinite(x))[0][0])
        raise InputError(f"{sequence.id}: coordinates of frame {frame} are not finite numbers")
    if not x.any():
        raise InputError(f"{sequence.id}: no frame has a body (all coordinates are 0)")
    pixels = sequence.image_coordinates
    if pixels is not None and pixels.shape != (*x.shape[:3], 2):
        raise InputError(f"{sequence.id}: expects image coordinates {(*x.shape[:3], 2)}, got {pixels.shape}")
    if sequence.label is not None and not 0 <= sequence.label < len(meta.class_names):
        raise InputError(
            f"{sequence.id}: class {sequence.label} is out of range, expects 0 to {len(meta.class_names) - 1}"
        )


class SkeletonStore:
    """A skeleton store, opened memory-mapped: nothing but the index is read until it is asked for.

    Missing numbers (``subject``, ``camera``, ...) read as -1.

    Raises:
        InputError: no file, no store, or damaged.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._reader, header = open_arrow(self.path, KIND, MADE_BY)
        self.meta = StoreMeta._from_header(header)
        self._batches = [self._reader.get_batch(b) for b in range(self._reader.num_record_batches)]
        self._row_start = np.cumsum([0] + [b.num_rows for b in self._batches])
        numbers = {name: self._numbers(name) for name in _NUMBERS}
        self.labels, self.subjects, self.cameras = numbers["label"], numbers["subject"], numbers["camera"]
        self.setups, self.replications = numbers["setup"], numbers["replication"]
        self.persons, self.lengths = numbers["persons"], numbers["frames"]

    def _numbers(self, name: str) -> np.ndarray:
        parts = [b.column(name).fill_null(-1).to_numpy(zero_copy_only=False) for b in self._batches]
        return np.concatenate(parts).astype(np.int64)

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
        batch, row = self._locate(index)
        value = self._batches[batch].column("image_coordinates")[row]
        if not value.is_valid:
            return None
        return value.values.to_numpy().reshape(self.lengths[index], self.persons[index], -1, 2)

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


def open_store(path: str | Path) -> SkeletonStore:
    """Open a skeleton store made by ``kinelex prepare``.

    Raises:
        InputError: no file, no store, or damaged.
    """
    return SkeletonStore(path)
