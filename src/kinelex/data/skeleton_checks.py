"""Private machinery of the skeleton store: whether the columns of a file fit each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pyarrow as pa

from kinelex.data.content import numbers, offsets, row_lengths, validity
from kinelex.data.sequence import NUMBERS, StoreMeta

_ALWAYS = ("id", "persons", "frames", "splits", "coordinates")
_PER_JOINT = {"image_coordinates": 2, "scores": 1}


def check_columns(batches: Iterable[pa.RecordBatch], meta: StoreMeta) -> int:
    """See whether numbers, lengths and arrays of all clips belong together; gives the coordinates per joint.

    Raises:
        ValueError: they do not; says what is wrong.
    """
    channels: set[int] = set()
    for batch in batches:
        for name in _ALWAYS:
            if not validity(batch.column(name)).all():
                raise ValueError(f"a clip lacks its {name}")
        _check_numbers(batch, len(meta.class_names))
        persons, frames = int32_column(batch.column("persons")), int32_column(batch.column("frames"))
        if (persons < 1).any() or (frames < 1).any():
            raise ValueError("a clip has no frames or no persons")
        joints = persons * frames * meta.layout.num_joints  # int64: no overflow below 2**62 x joints
        lengths = row_lengths(batch.column("coordinates"))
        channels |= {int(per_joint) for per_joint in ((lengths // joints).min(), (lengths // joints).max())}
        if len(channels) != 1 or not channels <= {2, 3} or (lengths != joints * max(channels)).any():
            raise ValueError("the numbers of coordinates, persons, frames and joints do not fit each other")
        flat = batch.column("coordinates")
        width = meta.layout.num_joints * max(channels)
        if len(flat.values) % width or offsets(flat)[0] % width or flat.values.null_count:
            raise ValueError("coordinates are missing")
        for name, per_joint in _PER_JOINT.items():
            column = batch.column(name)
            expected = joints * per_joint * validity(column)
            if (row_lengths(column) != expected).any() or column.values.null_count:
                raise ValueError(f"the number of {name} does not fit the frames")
    return max(channels)


def _check_numbers(batch: pa.RecordBatch, classes: int) -> None:
    for name in NUMBERS:
        numbers, least = int32_column(batch.column(name)), 0
        most = classes - 1 if name == "label" else 2**31 - 1
        there = numbers[validity(batch.column(name))]
        if len(there) and (there.min() < least or there.max() > most):
            raise ValueError(f"a {name} is out of range, expects {least} to {most}")
    sizes = batch.column("image_size")
    sides = int32_column(sizes.values).reshape(-1, 2)[validity(sizes)]
    if (sides < 1).any():
        raise ValueError("an image_size is out of range, expects pixels")
    if "fps" in batch.schema.names:
        rates = float32_column(batch.column("fps"))[validity(batch.column("fps"))]
        if not (np.isfinite(rates) & (rates > 0)).all():
            raise ValueError("an fps is out of range, expects frames per second")


def int32_column(column: pa.Array) -> np.ndarray:
    """An int32 column as int64, with -1 for null."""
    return np.where(validity(column), numbers(column), -1).astype(np.int64)


def float32_column(column: pa.Array) -> np.ndarray:
    """A float32 column as float64, with NaN for null."""
    return np.where(validity(column), numbers(column), np.nan).astype(np.float64)


def finite_rows(batch: pa.RecordBatch) -> Callable[[int], bool]:
    """Says of a row whether its coordinates are numbers: what can be known where there are no checksums."""
    ends = offsets(batch.column("coordinates"))
    values = numbers(batch.column("coordinates").values)
    return lambda row: bool(np.isfinite(values[ends[row] : ends[row + 1]]).all())
