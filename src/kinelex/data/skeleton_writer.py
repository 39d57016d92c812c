"""Writing skeleton stores: clips into record batches of an Arrow file."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence as Rows
from pathlib import Path

import numpy as np
import pyarrow as pa

from kinelex.data.arrow import StoreWriter
from kinelex.data.sequence import ARRAYS, NUMBERS, SKELETONS, Sequence, StoreMeta, check_sequence
from kinelex.errors import InputError

CLIP_FIELDS = [
    pa.field("id", pa.utf8()),
    *(pa.field(name, pa.int32()) for name in (*NUMBERS, "persons", "frames")),
    pa.field("caption", pa.utf8()),
    pa.field("splits", pa.list_(pa.utf8())),
    pa.field("image_size", pa.list_(pa.int32(), 2)),
    pa.field("fps", pa.float32()),
    *(pa.field(name, pa.list_(pa.float32())) for name in ARRAYS),
]
_BYTES_PER_BATCH = 32 << 20  # few batches open fast; one is what the writer holds in memory


class SkeletonStoreWriter(StoreWriter):
    """Writes a store atomically: it appears under its name when all clips are in, or not at all.

    Args:
        path: the file to make.
        meta: what the store says about itself.

    Raises:
        InputError: in :meth:`add`, a clip that does not fit the layout, has no frames, coordinates that
            are not finite, a label out of range, or an id that is already there.

    >>> import tempfile, numpy as np
    >>> from kinelex.skeleton import get_layout
    >>> from kinelex.data import open_store
    >>> path = Path(tempfile.mkdtemp()) / "tiny.arrow"
    >>> with SkeletonStoreWriter(path, StoreMeta("tiny", get_layout("sbu15"), ("wave",))) as writer:
    ...     writer.add(Sequence("a", np.ones((4, 1, 15, 3)), label=0))
    >>> open_store(path).sequence(0).shape
    (4, 1, 15, 3)
    """

    def __init__(self, path: str | Path, meta: StoreMeta) -> None:
        twice = [name for i, name in enumerate(meta.class_names) if name in meta.class_names[:i]]
        if twice:
            raise InputError(f"{path}: expects a name of its own for each class, got {twice[0]!r} twice")
        super().__init__(path, SKELETONS, CLIP_FIELDS, meta.header())
        self.meta, self._channels, self._waiting = meta, 0, 0  # bytes

    def add(self, sequence: Sequence) -> None:
        """Check one clip and put it into the store."""
        check_sequence(sequence, self.meta)
        channels = sequence.coordinates.shape[3]
        if self._channels not in (0, channels):
            raise InputError(f"{sequence.id}: expects {self._channels} coordinates per joint, got {channels}")
        self._put(sequence)
        self._channels = channels
        arrays = (getattr(sequence, name) for name in ARRAYS)
        self._waiting += sum(4 * array.size for array in arrays if array is not None)
        if self._waiting >= _BYTES_PER_BATCH:
            self._waiting = 0
            self._flush()

    def _columns(self, rows: list[Sequence]) -> dict[str, pa.Array]:
        return clip_columns(rows)


def clip_columns(rows: Rows[Sequence]) -> dict[str, pa.Array]:
    """The columns :data:`CLIP_FIELDS` of some clips."""
    shapes = [s.coordinates.shape for s in rows]
    columns = {name: pa.array([getattr(s, name) for s in rows], pa.int32()) for name in NUMBERS}
    columns["persons"] = pa.array([shape[1] for shape in shapes], pa.int32())
    columns["frames"] = pa.array([shape[0] for shape in shapes], pa.int32())
    for name in ("id", "caption"):
        columns[name] = pa.array([getattr(s, name) for s in rows], pa.utf8())
    columns["splits"] = pa.array([list(s.splits) for s in rows], pa.list_(pa.utf8()))
    columns["image_size"] = pa.array([s.image_size for s in rows], pa.list_(pa.int32(), 2))
    columns["fps"] = pa.array([s.fps for s in rows], pa.float32())
    return columns | {name: _float_lists([getattr(s, name) for s in rows]) for name in ARRAYS}


def clip_rows(batch: pa.RecordBatch, joints: int) -> Iterator[Sequence]:
    """The clips in columns made by :func:`clip_columns`; arrays are views of the batch."""
    plain = [f.name for f in CLIP_FIELDS if f.name not in ARRAYS]
    rows = batch.select(plain).to_pylist()
    arrays = {name: _flat_rows(batch.column(name)) for name in ARRAYS}
    last = {"image_coordinates": (2,), "scores": (), "coordinates": (-1,)}
    for i, row in enumerate(rows):
        shape = (row.pop("frames"), row.pop("persons"), joints)
        for name in ARRAYS:
            flat = arrays[name][i]
            row[name] = None if flat is None else flat.reshape(*shape, *last[name])
        size = row["image_size"]
        row |= {"splits": tuple(row["splits"]), "image_size": None if size is None else tuple(size)}
        yield Sequence(**row)


def _flat_rows(column: pa.ListArray) -> list[np.ndarray | None]:
    values, ends = column.values.to_numpy(), column.offsets.to_numpy()
    present = column.is_valid().to_numpy(zero_copy_only=False)
    return [values[ends[i] : ends[i + 1]] if there else None for i, there in enumerate(present)]


def _float_lists(arrays: list[np.ndarray | None]) -> pa.Array:
    sizes = np.array([0 if a is None else a.size for a in arrays])
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    flat = [np.ascontiguousarray(a, dtype=np.float32).ravel() for a in arrays if a is not None]
    values = pa.array(np.concatenate(flat) if flat else np.zeros(0, np.float32))
    mask = pa.array([a is None for a in arrays], pa.bool_())
    return pa.ListArray.from_arrays(pa.array(offsets), values, mask=mask)
