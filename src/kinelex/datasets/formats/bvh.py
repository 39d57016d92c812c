"""Biovision hierarchy files (.bvh): joint positions by forward kinematics, all frames at once.

A joint's place is its offset, turned by the rotations above it, in the order in which the file names them.
Position channels replace the offset (as Blender reads them). End sites are joints of their own,
``<joint>_end``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from kinelex.errors import InputError
from kinelex.files.bounded import read_text
from kinelex.skeleton import SkeletonLayout, common_names

if TYPE_CHECKING:
    from scipy.spatial.transform import Rotation

_AXES = "XYZ"
_MAX_JOINTS = 1000


@dataclass(frozen=True)
class Joint:
    """One joint of a hierarchy."""

    name: str  # its name in the file
    parent: int  # index of its parent; its own for a root
    offset: tuple[float, float, float]  # place in the parent's frame while at rest
    channels: tuple[str, ...]  # names such as ``Xposition`` or ``Zrotation``, in the file's order


@dataclass(frozen=True)
class Bvh:
    """A parsed file.

    Shape:
        - motion: (T, channels)
    """

    joints: tuple[Joint, ...]  # the joints, parents before children
    motion: np.ndarray  # the channels' values
    fps: float | None = None  # frames per second; None where the file's frame time is no positive number

    def positions(self) -> np.ndarray:
        """Place of every joint in every frame, (T, V, 3), in the file's unit."""
        from scipy.spatial.transform import Rotation  # here: help imports readers

        frames = len(self.motion)
        places = np.zeros((frames, len(self.joints), 3))
        turns: list[Rotation] = []
        column = 0
        for j, joint in enumerate(self.joints):
            values = self.motion[:, column : column + len(joint.channels)]
            column += len(joint.channels)
            local = np.tile(np.asarray(joint.offset), (frames, 1))
            for c, channel in enumerate(joint.channels):
                if channel.endswith("position"):
                    local[:, _AXES.index(channel[0])] = values[:, c]
            turned = [c for c, channel in enumerate(joint.channels) if channel.endswith("rotation")]
            turn = Rotation.identity(frames)
            for c in turned:  # one axis after the other: files may name an axis twice, or fewer than three
                turn = turn * Rotation.from_euler(joint.channels[c][0].lower(), values[:, [c]], degrees=True)
            is_root = joint.parent == j
            places[:, j] = local if is_root else places[:, joint.parent] + turns[joint.parent].apply(local)
            turns.append(turn if is_root else turns[joint.parent] * turn)
        return places

    def layout(self, name: str) -> SkeletonLayout:
        """The hierarchy as a layout; common joint names are put into our vocabulary."""
        parents = tuple(joint.parent for joint in self.joints)
        names = common_names([joint.name for joint in self.joints])
        if len(set(names)) < len(names):  # two joints would get one name
            names = [joint.name for joint in self.joints]
        return SkeletonLayout(name, tuple(names), parents)


def read_bvh(path: Path) -> Bvh:
    """Parse a .bvh file.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "a.bvh"
    >>> hierarchy = "HIERARCHY ROOT Hips { OFFSET 0 0 0 CHANNELS 1 Zrotation End Site { OFFSET 1 0 0 } }"
    >>> _ = path.write_text(hierarchy + "\\nMOTION\\nFrames: 1\\nFrame Time: 0.1\\n90\\n")
    >>> read_bvh(path).positions().round(6).tolist()
    [[[0.0, 0.0, 0.0], [0.0, 1.0, 0.0]]]
    """
    text = read_text(path)
    lines = text.splitlines()
    start = next((i for i, line in enumerate(lines) if line.strip() == "MOTION"), None)
    if start is None:
        raise InputError(f"{path}: expects a line MOTION behind the hierarchy: no .bvh file, or truncated")
    joints = _Hierarchy(path, lines[:start]).joints
    if not text.endswith("\n"):
        raise InputError(f"{path}: line {len(lines)} is not ended, so the file may be truncated")
    motion = _motion(path, lines, start, sum(len(joint.channels) for joint in joints))
    return Bvh(joints, motion, _fps(lines[start + 2]))


def _fps(line: str) -> float | None:
    """The rate of a line ``Frame Time: SECONDS``; programs round the seconds, so 0.033333 is 30."""
    try:
        seconds = float(line.partition(":")[2])
    except ValueError:
        return None
    if not 1e-6 < seconds < 1e6:
        return None
    rate = 1 / seconds
    return float(round(rate)) if abs(rate - round(rate)) < 2e-3 * rate else rate


def _motion(path: Path, lines: list[str], start: int, channels: int) -> np.ndarray:
    """The table behind the line MOTION, (T, channels)."""
    head = [
        re.fullmatch(p, line.strip()) for p, line in zip(_HEAD, lines[start + 1 : start + 3], strict=False)
    ]
    if len(head) < 2 or head[0] is None or head[1] is None:
        raise InputError(f"{path}: line {start + 2}: expects 'Frames: N' and 'Frame Time: SECONDS'")
    rows = [(i, line.split()) for i, line in enumerate(lines[start + 3 :], start + 4) if line.strip()]
    frames = int(head[0][1])
    if len(rows) != frames or frames == 0:
        raise InputError(f"{path}: 'Frames: {frames}', but {len(rows)} lines follow (truncated?)")
    for number, row in rows:
        if len(row) != channels:
            raise InputError(f"{path}: line {number} has {len(row)} numbers, expects {channels}")
        if not all(_NUMBER.fullmatch(word) for word in row):
            wrong = next(word for word in row if not _NUMBER.fullmatch(word))
            raise InputError(f"{path}: line {number}: expects numbers, got {wrong!r:.40}")
    motion = np.array([[float(word) for word in row] for _, row in rows])
    if not np.isfinite(motion).all():
        raise InputError(f"{path}: a number of the motion is too large")
    return motion


_HEAD = (r"Frames:\s*(\d{1,8})", r"Frame Time:\s*([-+.\deE]+)")
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


class _Hierarchy:
    """Parses the part before MOTION."""

    def __init__(self, path: Path, lines: list[str]) -> None:
        self._path = path
        self._words = [(word, i) for i, line in enumerate(lines, 1) for word in line.split()]
        self._next = 0
        self.joints: tuple[Joint, ...] = ()
        self._take("HIERARCHY")
        above: list[int] = []  # joints whose brace is open; no recursion, as a chain may be long
        while self._next < len(self._words) or above or not self.joints:
            self._joint(above)

    def _word(self, expected: str) -> str:
        if self._next >= len(self._words):
            raise InputError(f"{self._path}: the hierarchy ends too early, expects {expected}")
        self._next += 1
        return self._words[self._next - 1][0]

    def _wrong(self, expected: str) -> NoReturn:
        word, line = self._words[self._next - 1]
        raise InputError(f"{self._path}: line {line}: expects {expected}, got {word!r:.40}")

    def _take(self, *expected: str) -> str:
        word = self._word(" or ".join(expected))
        if word not in expected:
            self._wrong(" or ".join(expected))
        return word

    def _joint(self, above: list[int]) -> None:
        """The head of a joint, a whole end site, or the brace that ends a joint."""
        what = self._take("JOINT", "End", "}") if above else self._take("ROOT")
        if what == "}":
            above.pop()
            return
        index = len(self.joints)
        if index == _MAX_JOINTS:
            self._wrong(f"at most {_MAX_JOINTS} joints")
        if what == "End":
            self._take("Site")
            name = f"{self.joints[above[-1]].name}_end"
        else:
            name = self._word("a joint's name")
            while len(name) < 200 and self._next < len(self._words) and self._words[self._next][0] != "{":
                name += f" {self._word('{')}"  # some programs put spaces into names
        self._take("{")
        offset = self._offset()
        channels = () if what == "End" else self._channels()
        self.joints += (Joint(name, above[-1] if above else index, offset, channels),)
        if what == "End":
            self._take("}")
        else:
            above.append(index)

    def _offset(self) -> tuple[float, float, float]:
        self._take("OFFSET")
        numbers = []
        for _ in range(3):
            word = self._word("3 numbers")
            if not _NUMBER.fullmatch(word):
                self._wrong("a number")
            numbers.append(float(word))
        return numbers[0], numbers[1], numbers[2]

    def _channels(self) -> tuple[str, ...]:
        self._take("CHANNELS")
        count = self._word("the number of channels")
        if count not in [*"0123456"]:
            self._wrong("a number of channels from 0 to 6")
        known = [axis + kind for kind in ("position", "rotation") for axis in _AXES]
        return tuple(self._take(*known) for _ in range(int(count)))
