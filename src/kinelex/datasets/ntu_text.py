"""The text of NTU RGB+D's ``.skeleton`` files into arrays, fast and exactly.

The number of frames; per frame its number of bodies; per body 10 values (the first is the bodyID), ``25``,
and 25 lines of 12 values: x y z, depthX depthY, colorX colorY, quaternion w x y z, tracking state. A file
whose every line is as it should be is read at once; any other by :func:`read_slowly`, which reads it too or
names the line.

Source: the data set's own readers, https://github.com/shahroudy/NTURGB-D, and 948 files looked at.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NoReturn

import numpy as np

from kinelex.datasets.bodies import Recording
from kinelex.datasets.formats.numbers import TextTable
from kinelex.errors import InputError
from kinelex.files.bounded import read_bytes

JOINTS = 25
_BODY_VALUES = 10
_JOINT_VALUES = 12
_BODY_FORM = np.array([_BODY_VALUES, 1, *[_JOINT_VALUES] * JOINTS])  # values in the lines of a body
_KEPT = (0, 1, 2, 5, 6)  # x y z, colorX colorY
_WHOLE_ENDS = (b" 0", b" 1", b" 2")
_LARGEST = float(np.finfo(np.float32).max)
_FLOAT = re.compile(rb"[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|nan|inf|infinity)", re.IGNORECASE)


def read_recording(path: Path) -> Recording:
    """Read one ``.skeleton`` file."""
    data = read_bytes(path)
    fast = read_fast(data)
    return read_slowly(data, path) if fast is None else fast


def read_fast(data: bytes) -> Recording | None:
    """The recording, when every line is in its place and every value a number; else None."""
    if data[-2:] in _WHOLE_ENDS:
        data += b"\n"  # what read_slowly says of a last line without its end
    table = TextTable.parse(data)
    places = None if table is None else _find_bodies(table)
    if table is None or places is None:
        return None
    per_frame, body = places
    first = table.first[body]
    names = [table.text(value) for value in first.tolist()]
    kept = np.arange(JOINTS)[:, None] * _JOINT_VALUES + _KEPT
    values = table.values[(table.first[body + 2])[:, None, None] + kept]
    if not all(name.isdigit() for name in names) or not np.isfinite(values).all():
        return None
    if len(values) and np.abs(values).max() > _LARGEST:
        return None
    frame = np.repeat(np.arange(len(per_frame)), per_frame)
    slot = np.arange(len(body)) - np.repeat(np.cumsum(per_frame) - per_frame, per_frame)
    recording = _recording(len(per_frame), frame, slot, names, values)
    tracks = recording.track.max(initial=0) + 1
    return None if (np.bincount(frame * tracks + recording.track) > 1).any() else recording


def _find_bodies(table: TextTable) -> tuple[np.ndarray, np.ndarray] | None:
    """How many bodies each frame has, and the first line of each body; None when a line is out of place."""
    lines = len(table.first)
    length = table.text(0)
    body = np.flatnonzero(table.count == _BODY_VALUES)
    inside = body[:, None] + np.arange(len(_BODY_FORM))
    if table.count[0] != 1 or not (length.isdigit() and len(length) < 7) or int(length) == 0:
        return None
    if lines != 1 + int(length) + inside.size or (inside.size and inside[-1, -1] >= lines):
        return None
    if (table.count[inside] != _BODY_FORM).any():
        return None
    is_frame = np.ones(lines, dtype=bool)
    is_frame[0] = False
    is_frame[inside] = False
    line = np.flatnonzero(is_frame)
    value, joints = table.first[line], table.first[body + 1]
    if len(line) != int(length) or (table.count[line] != 1).any() or (table.size(value) != 1).any():
        return None
    if (table.size(joints) != 2).any() or (table.values[joints] != JOINTS).any():
        return None
    per_frame = table.values[value].astype(np.int64)  # one character that is a number is a digit
    expected = 1 + np.arange(len(line)) + len(_BODY_FORM) * (np.cumsum(per_frame) - per_frame)
    if per_frame.sum() != len(body) or (line != expected).any():
        return None
    return per_frame, body


def _recording(
    frames: int, frame: np.ndarray, slot: np.ndarray, names: list[bytes], values: np.ndarray
) -> Recording:
    """The recording of bodies with these names, kept values (bodies, 25, 5)."""
    numbers: dict[bytes, int] = {}
    same = (name.lstrip(b"0") for name in names)  # 07 is 7
    track = np.array([numbers.setdefault(name, len(numbers)) for name in same], dtype=np.int64)
    x = values.astype(np.float32)
    return Recording(frames, frame, slot, track, x[..., :3], x[..., 3:])


def read_slowly(data: bytes, path: Path) -> Recording:
    """Read line by line, with any white space between values; names the first line that is wrong.

    A last line without its end may have lost digits. It is taken only where none can be missing: a joint
    line whose last value, the tracking state, is there (one digit), or a frame without a body.
    """
    reader = _SlowReader(data, path)
    frames = reader.count("the number of frames")
    if frames == 0:
        reader.fail("the number of frames, at least 1", b"0")
    frame, slot, names = [], [], []
    values: list[list[list[float]]] = []
    for t in range(frames):
        there: set[bytes] = set()
        for place in range(reader.count(f"the number of bodies of frame {t + 1} of {frames}")):
            name = reader.body()
            if name in there:
                reader.fail(f"every body once in frame {t + 1}", name)
            if reader.count("the number of joints, 25") != JOINTS:
                reader.fail("the number of joints, 25", reader.line)
            there.add(name)
            frame.append(t)
            slot.append(place)
            names.append(name)
            values.append([reader.joint() for _ in range(JOINTS)])
    reader.end(frames)
    kept = np.array(values).reshape(len(names), JOINTS, len(_KEPT))
    return _recording(frames, np.array(frame, np.int64), np.array(slot, np.int64), names, kept)


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
