"""``.skeleton`` files of NTU RGB+D with known content, and a plain reader of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

JOINTS = 25
Frames = list[list[tuple[int, np.ndarray]]]  # of each frame its bodies: bodyID, values (25, 12)


@dataclass(frozen=True)
class Track:
    """A body as the file lists it: its bodyID, the frames in which it is there, values (frames, 25, 12)."""

    body: int
    frames: np.ndarray
    values: np.ndarray


def person(
    rng: np.random.Generator,
    frames: Iterable[int],
    body: int | None = None,
    width: float = 0.4,
    motion: float = 0.1,
    wide: Iterable[int] = (),
) -> Track:
    """A body of 1.7 m that wanders and trembles; in the frames ``wide`` (of its own) it is 3 m wide."""
    frames = np.array(list(frames), dtype=np.int64)
    number = 72057594037931101 + int(rng.integers(10**6)) if body is None else body
    values = rng.normal(0, 40, (len(frames), JOINTS, 12))
    shape = np.linspace(-0.5, 0.5, JOINTS)[:, None] * [width, 1.7, 0.2]
    place = rng.normal(0, 0.5, 3) + [0, 0, 3.5] + rng.normal(0, motion, (len(frames), 1, 3)).cumsum(0) / 5
    values[..., :3] = shape + place + rng.normal(0, 0.01, (len(frames), JOINTS, 3))
    values[list(wide), :, 0] += np.linspace(-1.5, 1.5, JOINTS)
    values[..., 5:7] += [960, 540]
    values[..., 11] = rng.integers(0, 3, (len(frames), JOINTS))
    return Track(number, frames, as_written(values))


def ghost(rng: np.random.Generator, frames: Iterable[int], body: int | None = None) -> Track:
    """Furniture taken for a body: wider than high in every frame."""
    return person(rng, frames, body, width=2.5, motion=1.0)


def as_written(values: np.ndarray) -> np.ndarray:
    """The numbers that the file says: 7 digits, as in the official files."""
    return np.array([float(f"{v:.7g}") for v in values.ravel()]).reshape(values.shape)


def frames_of(tracks: list[Track], frames: int) -> Frames:
    """What each frame lists; the tracks in their order."""
    listed: Frames = [[] for _ in range(frames)]
    for track in tracks:
        for frame, values in zip(track.frames, track.values, strict=True):
            listed[frame].append((track.body, values))
    return listed


def lines_of(frames: Frames) -> list[str]:
    """The lines of a file."""
    lines = [str(len(frames))]
    for bodies in frames:
        lines.append(str(len(bodies)))
        for body, values in bodies:
            lines += [f"{body} 0 1 1 1 1 0 0.02764709 0.05745083 2", str(JOINTS)]
            lines += [" ".join(f"{v:.7g}" for v in joint) for joint in values]
    return lines


def text_of(frames: Frames, end: str = "\r\n") -> bytes:
    """The bytes of a file."""
    return "".join(line + end for line in lines_of(frames)).encode()


def write(folder: Path, name: str, frames: Frames) -> Path:
    """Write ``<name>.skeleton``."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.skeleton"
    path.write_bytes(text_of(frames))
    return path


def read_plainly(text: bytes) -> Frames:
    """Read a file number by number, trusting nothing.

    Raises:
        ValueError, IndexError: the text is not what it should be.
    """
    lines = [line.split() for line in text.decode("ascii").split("\n")]
    if lines.pop():
        raise ValueError("no end of the last line")
    while not lines[-1]:
        lines.pop()
    lines.reverse()

    def count() -> int:
        (token,) = lines.pop()
        if not token.isdigit():
            raise ValueError(token)
        return int(token)

    frames: Frames = []
    for _ in range(count()):
        bodies: list[tuple[int, np.ndarray]] = []
        for _ in range(count()):
            body, *others = lines.pop()
            if len([float(token) for token in others]) != 9 or not body.isdigit() or count() != JOINTS:
                raise ValueError(body)
            joints = [[float(token) for token in lines.pop()] for _ in range(JOINTS)]
            if any(len(joint) != 12 or not np.isfinite(joint[:3]).all() for joint in joints):
                raise ValueError(joints)
            bodies.append((int(body), np.array(joints)))
        if len({body for body, _ in bodies}) != len(bodies):
            raise ValueError("a body twice in a frame")
        frames.append(bodies)
    if lines or not frames:
        raise ValueError("more lines than frames")
    return frames
