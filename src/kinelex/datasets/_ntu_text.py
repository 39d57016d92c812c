"""Private machinery: the text of NTU RGB+D's ``.skeleton`` files into arrays, fast and exactly.

Line 1 is the number of frames. Each frame is a line with its number of bodies, and each body a line of 10
values (the first is the bodyID), a line ``25``, and 25 lines of 12 values: x y z, depthX depthY, colorX
colorY, quaternion w x y z, tracking state.

A file is read fast, as one table of the joint lines, when every line is where and as it should be. Anything
else goes through :func:`read_slowly`, line by line, which either reads it too or names the line.

Source: the data set's own readers, https://github.com/shahroudy/NTURGB-D, and 948 files looked at.
"""

from __future__ import annotations

import re
from collections.abc import Sequence as Listed
from pathlib import Path
from typing import NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.csv

from kinelex.datasets._bodies import Recording
from kinelex.errors import InputError

JOINTS = 25
_BODY_VALUES = 10
_JOINT_VALUES = 12
_BODY_LINES = 2 + JOINTS  # bodyID and more, the number of joints, the joints
_KEPT = (0, 1, 2, 5, 6)  # x y z, colorX colorY
_COLUMNS = [f"c{i}" for i in range(_JOINT_VALUES)]
_LARGEST = float(np.finfo(np.float32).max)
_PLAIN = b"0123456789+-.eE \r\n"
_SPACE, _END, _RETURN = 32, 10, 13
_COUNTS = {str(n).encode() + end: n for n in range(10) for end in (b"\n", b"\r\n")}
_BODY = re.compile(rb"([0-9]+)(?: [+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?){9}\r?\n25\r?\n")
_FLOAT = re.compile(rb"[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|nan|inf|infinity)", re.IGNORECASE)

_PARSE = pyarrow.csv.ParseOptions(
    delimiter=" ",
    quote_char=False,
    double_quote=False,
    escape_char=False,
    newlines_in_values=False,
    ignore_empty_lines=False,
)
_CONVERT = pyarrow.csv.ConvertOptions(
    column_types={name: pa.float64() for name in _COLUMNS},  # then to float32, as of a number of Python
    null_values=[],
    strings_can_be_null=False,
    check_utf8=False,
)


def read_recording(path: Path) -> Recording:
    """Read one ``.skeleton`` file.

    Raises:
        InputError: the file cannot be read, ends early, or a line is not what it should be; names the line.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    fast = _read_fast(data)
    return read_slowly(data, path) if fast is None else fast


def _read_fast(data: bytes) -> Recording | None:
    """The recording, when every line is in its place and of plain numbers; else None."""
    if not data.endswith(b"\n") or data.translate(None, _PLAIN):
        return None
    text = np.frombuffer(data, np.uint8)
    if not _is_tidy(text):
        return None
    start: list[int] = [0, *(np.flatnonzero(text == _END) + 1).tolist()]
    count = len(start) - 1
    length = data[: start[1]].strip()
    if not (length.isdigit() and len(length) < 7):
        return None
    at, joints, rows = 1, [], []
    ids: dict[bytes, int] = {}
    for frame in range(int(length)):
        bodies = _COUNTS.get(data[start[at] : start[at + 1]]) if at < count else None
        if bodies is None or at + bodies * _BODY_LINES >= count:
            return None
        at += 1
        for slot in range(bodies):
            body = _BODY.fullmatch(data, start[at], start[at + 2])
            if body is None:
                return None
            rows.append((frame, slot, ids.setdefault(body[1], len(ids))))
            joints.append(data[start[at + 2] : start[at + _BODY_LINES]])
            at += _BODY_LINES
    if at != count or at == 1 or not _are_distinct(rows):
        return None
    values = _read_table(b"".join(joints), len(rows))
    return None if values is None else _recording(int(length), rows, values)


def _is_tidy(text: np.ndarray) -> bool:
    """Whether no line is empty, and one space stands between two values and nowhere else.

    Two separators in a row are the mark of an untidy text, unless they are the two of a line's end.
    """
    separator = text <= _SPACE
    adjacent = np.count_nonzero(separator[1:] & separator[:-1])
    return not separator[0] and adjacent == np.count_nonzero(text == _RETURN)


def _are_distinct(rows: Listed[tuple[int, int, int]]) -> bool:
    return len({(frame, track) for frame, _, track in rows}) == len(rows)


def _read_table(text: bytes, bodies: int) -> np.ndarray | None:
    """The kept columns (bodies, 25, 5) of the joint lines, or None when a line is no such line."""
    if not bodies:
        return np.zeros((0, JOINTS, len(_KEPT)))
    options = pyarrow.csv.ReadOptions(use_threads=False, block_size=len(text) + 1, column_names=_COLUMNS)
    try:
        table = pyarrow.csv.read_csv(pa.BufferReader(text), options, _PARSE, _CONVERT)
    except pa.ArrowException:
        return None
    if table.num_rows != bodies * JOINTS or any(column.null_count for column in table.columns):
        return None
    values = np.stack([table.column(i).to_numpy() for i in _KEPT], axis=-1)
    return values.reshape(bodies, JOINTS, -1) if np.abs(values).max() <= _LARGEST else None


def _recording(frames: int, rows: Listed[tuple[int, int, int]], values: np.ndarray) -> Recording:
    frame, slot, track = np.array(rows, dtype=np.int64).reshape(-1, 3).T
    x = values.astype(np.float32)
    return Recording(frames, frame, slot, track, x[..., :3], x[..., 3:])


def read_slowly(data: bytes, path: Path) -> Recording:
    """Read line by line, with any white space between values; names the first line that is wrong.

    A last line without its end may have lost digits. It is taken only where none can be missing: a joint
    line whose last value, the tracking state, is there (one digit), or a frame without a body.

    Raises:
        InputError: a line is not what it should be.
    """
    reader = _SlowReader(data, path)
    frames = reader.count("the number of frames")
    if frames == 0:
        reader.fail("the number of frames, at least 1", b"0")
    rows: list[tuple[int, int, int]] = []
    values: list[list[list[float]]] = []
    ids: dict[bytes, int] = {}
    for frame in range(frames):
        listed: dict[bytes, int] = {}
        for slot in range(reader.count(f"the number of bodies of frame {frame + 1} of {frames}")):
            body = reader.body()
            if listed.setdefault(body, slot) != slot:
                reader.fail(f"every body once in frame {frame + 1}", body)
            if reader.count("the number of joints, 25") != JOINTS:
                reader.fail("the number of joints, 25", reader.line)
            rows.append((frame, slot, ids.setdefault(body, len(ids))))
            values.append([reader.joint() for _ in range(JOINTS)])
    reader.end(frames)
    return _recording(frames, rows, np.array(values).reshape(len(rows), JOINTS, len(_KEPT)))


class _SlowReader:
    """Takes a text line by line and knows where it is."""

    def __init__(self, data: bytes, path: Path) -> None:
        *whole, rest = data.split(b"\n")
        self._lines = [*whole, rest] if rest.strip() else whole
        self._cut = bool(rest.strip())
        self._path = path
        self._number = 0
        self.line = b""

    def fail(self, expected: str, got: bytes) -> NoReturn:
        shown = repr(got.decode("ascii", "backslashreplace").strip())
        shown = f"{shown[:60]}…" if len(shown) > 60 else shown
        raise InputError(f"{self._path}: line {self._number}: expects {expected}, got {shown}")

    def _next(self, expected: str) -> list[bytes]:
        self._number += 1
        if self._number > len(self._lines):
            raise InputError(
                f"{self._path}: line {self._number}: expects {expected}, the file ends here: it is truncated"
            )
        self.line = self._lines[self._number - 1]
        values = self.line.split()
        if self._cut and self._number == len(self._lines):
            whole = values == [b"0"] or (len(values) == _JOINT_VALUES and values[-1] in (b"0", b"1", b"2"))
            if not whole:
                self.fail(f"{expected}, and the end of the line (the file is truncated)", self.line)
        return values

    def count(self, expected: str) -> int:
        values = self._next(expected)
        if len(values) != 1 or not values[0].isdigit() or len(values[0]) > 6:
            self.fail(expected, self.line)
        return int(values[0])

    def body(self) -> bytes:
        expected = f"{_BODY_VALUES} numbers of a body, the first its own"
        values = self._next(expected)
        if len(values) != _BODY_VALUES or not values[0].isdigit() or not all(map(_FLOAT.fullmatch, values)):
            self.fail(expected, self.line)
        return values[0]

    def joint(self) -> list[float]:
        expected = f"{_JOINT_VALUES} numbers of a joint"
        values = self._next(expected)
        if len(values) != _JOINT_VALUES or not all(map(_FLOAT.fullmatch, values)):
            self.fail(expected, self.line)
        kept = [float(values[i]) for i in _KEPT]
        if not all(abs(v) <= _LARGEST for v in kept[:3]):
            self.fail("finite coordinates x y z", self.line)
        return kept[:3] + [v if abs(v) <= _LARGEST else 0.0 for v in kept[3:]]

    def end(self, frames: int) -> None:
        """Nothing but empty lines may follow."""
        while self._number < len(self._lines):
            self._number += 1
            line = self._lines[self._number - 1]
            if line.strip():
                self.fail(f"the end of the file after {frames} frames", line)
