"""Private machinery of the two stores: digests of what columns hold, wherever batches end."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Collection, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

CHECKSUM = pa.binary(16)


class ContentDigest:
    """The SHA-256 of some columns, fed batch by batch: the same for the same rows, wherever batches end.

    >>> ids = pa.record_batch([pa.array(["a", "bc", None])], ["id"])
    >>> digests = ContentDigest(["id"]), ContentDigest(["id"])
    >>> digests[0].update(ids)
    >>> for start in (0, 2):
    ...     digests[1].update(ids.slice(start, 2))
    >>> digests[0].hexdigest(b"") == digests[1].hexdigest(b"")
    True
    """

    def __init__(self, columns: Collection[str]) -> None:
        self._columns = tuple(columns)
        self._streams: dict[str, Any] = {}

    def update(self, batch: pa.RecordBatch) -> None:
        """Add the rows of a batch; its structure must have been validated."""
        for name in self._columns:
            for stream, piece in _pieces(name, batch.column(name)):
                self._streams.setdefault(stream, hashlib.sha256()).update(piece)

    def hexdigest(self, about: bytes) -> str:
        """Sixteen hexadecimal digits that stand for the rows and for what the store says about them."""
        total = hashlib.sha256(about)
        for stream, digest in self._streams.items():
            total.update(stream.encode() + digest.digest())
        return total.hexdigest()[:16]


def validity(column: pa.Array) -> np.ndarray:
    """Which rows have a value, (rows,) bool. By its buffer: `is_valid` imports all kernels, 0.2 s."""
    valid = column.buffers()[0]
    return np.ones(len(column), bool) if valid is None else _bits(valid, column)


def numbers(column: pa.Array) -> np.ndarray:
    """A column of numbers without nulls, by its buffer: `to_numpy` imports pandas where it is there, 0.5 s.

    >>> numbers(pa.array([1.5, 2.5, 3.5], pa.float32())[1:])
    array([2.5, 3.5], dtype=float32)
    """
    name = str(column.type)
    kind = np.dtype({"halffloat": "float16", "float": "float32", "double": "float64"}.get(name, name))
    if len(column) == 0:
        return np.zeros(0, kind)
    return np.frombuffer(column.buffers()[1], kind)[column.offset : column.offset + len(column)]


def row_numbers(rows: Any) -> np.ndarray:
    """Rows as numbers (n,) int64, which may be given as a mask of all rows.

    >>> row_numbers([2, 0]).tolist(), row_numbers(np.array([False, True, True])).tolist()
    ([2, 0], [1, 2])
    """
    rows = np.asarray(rows)
    return np.flatnonzero(rows) if rows.dtype == bool else np.ascontiguousarray(rows, np.int64)


def offsets(column: pa.Array) -> np.ndarray:
    """Where each row of a list, text or binary column begins, and the end of the last: (rows + 1,) int32."""
    buffer = column.buffers()[1]
    if buffer is None or len(column) == 0:
        return np.zeros(len(column) + 1, np.int32)
    return np.frombuffer(buffer, np.int32)[column.offset : column.offset + len(column) + 1]


def row_lengths(column: pa.Array) -> np.ndarray:
    """How many values each row of a list column has, (rows,) int64; 0 where it is null."""
    return np.diff(offsets(column).astype(np.int64)) * validity(column)


def _truths(column: pa.Array) -> np.ndarray:
    return _bits(column.buffers()[1], column) if len(column) else np.zeros(0, bool)


def _bits(buffer: pa.Buffer, column: pa.Array) -> np.ndarray:
    bits = np.unpackbits(np.frombuffer(buffer, np.uint8), bitorder="little")
    return bits[column.offset : column.offset + len(column)].astype(bool)


def _pieces(name: str, column: pa.Array) -> Iterator[tuple[str, Any]]:
    """The content of a column as streams of bytes that can be joined over batches."""
    valid, kind = validity(column), column.type
    yield f"{name}?", valid
    if pa.types.is_fixed_size_list(kind):
        size = kind.list_size
        yield from _pieces(f"{name}[]", column.values.slice(column.offset * size, len(column) * size))
    elif pa.types.is_list(kind) or pa.types.is_string(kind) or pa.types.is_binary(kind):
        ends = offsets(column)
        first, last = int(ends[0]), int(ends[-1])
        yield f"{name}#", np.diff(ends)
        if pa.types.is_list(kind):
            yield from _pieces(f"{name}[]", column.values.slice(first, last - first))
        else:
            yield name, memoryview(column.buffers()[2] or b"")[first:last]
    elif pa.types.is_boolean(kind):
        yield name, _truths(column) & valid
    else:
        yield name, _plain(column, valid)


def _plain(column: pa.Array, valid: np.ndarray) -> Any:
    """The bytes of a column of numbers or of fixed width; zeros where it is null."""
    width = column.type.bit_width // 8
    if len(column) == 0:
        return b""
    raw = np.frombuffer(column.buffers()[1], np.uint8)
    values = raw[column.offset * width : (column.offset + len(column)) * width].reshape(-1, width)
    return values if valid.all() else values * valid[:, None]


class RowChecksums:
    """Checksums of the rows of a batch over some list or binary columns, whose structure is valid.

    >>> batch = pa.record_batch([pa.array([[1.5], None, [1.5]], pa.list_(pa.float32()))], ["x"])
    >>> sums = RowChecksums(batch, ["x"])
    >>> sums.of(0) == sums.of(2), sums.of(0) == sums.of(1), len(sums.of(0))
    (True, False, 16)
    """

    def __init__(self, batch: pa.RecordBatch, columns: Collection[str]) -> None:
        self._rows = len(batch)
        self._columns = [_Rows(batch.column(name)) for name in columns]

    def of(self, row: int) -> bytes:
        """The checksum of one row."""
        digest = hashlib.sha256()
        for column in self._columns:
            for piece in column.pieces(row):
                digest.update(piece)
        return digest.digest()[:16]

    def column(self) -> pa.Array:
        """The checksums of all rows."""
        return pa.array([self.of(row) for row in range(self._rows)], CHECKSUM)


class _Rows:
    """The bytes of each row of a column: texts and files in lists, or numbers in lists, or files."""

    def __init__(self, column: pa.Array) -> None:
        self._valid = validity(column).tolist()
        self._ends: list[list[int]] = []  # per level of lists and texts: where each begins
        while hasattr(column, "values"):
            self._ends.append(offsets(column).tolist())
            column = column.values
        self._width = 1
        if pa.types.is_string(column.type) or pa.types.is_binary(column.type):
            self._ends.append(offsets(column).tolist())
            data: Any = column.buffers()[2] or b""
        elif pa.types.is_boolean(column.type):
            data = _truths(column)
        else:
            self._width = column.type.bit_width // 8
            data = column.buffers()[1] or b""
        self._data = memoryview(data).cast("B")

    def pieces(self, row: int) -> Iterator[Any]:
        """The bytes of one row, each level behind its lengths."""
        if not self._valid[row]:
            yield b"null"
            return
        first, last = row, row + 1
        for ends in self._ends:
            yield struct.pack(f"<{last - first}i", *(ends[i + 1] - ends[i] for i in range(first, last)))
            first, last = ends[first], ends[last]
        yield self._data[first * self._width : last * self._width]


class RowChecks:
    """Checks the rows of a store, each when it is first read.

    ``check`` makes of a batch what says whether a row of it is as it must be.
    """

    def __init__(
        self, batches: list[pa.RecordBatch], check: Callable[[pa.RecordBatch], Callable[[int], bool]]
    ) -> None:
        self._batches, self._check = batches, check
        self._starts = np.cumsum([0] + [len(batch) for batch in batches])
        self._seen = np.zeros(int(self._starts[-1]), bool)
        self._checks: dict[int, Callable[[int], bool]] = {}

    def wrong(self, rows: np.ndarray) -> list[int]:
        """Which of some rows are wrong; those that are right are not looked at again."""
        found = []
        for row in rows[~self._seen[rows]].tolist():
            number = int(np.searchsorted(self._starts, row, side="right")) - 1
            if number not in self._checks:
                self._checks[number] = self._check(self._batches[number])
            if self._checks[number](row - int(self._starts[number])):
                self._seen[row] = True
            else:
                found.append(row)
        return found


def fits_checksum(batch: pa.RecordBatch, checksum: str, columns: Collection[str]) -> Callable[[int], bool]:
    """Says of a row whether some columns of a batch have the content that its checksum was made of."""
    sums, expected = RowChecksums(batch, columns), batch.column(checksum)
    return lambda row: sums.of(row) == expected[row].as_py()
