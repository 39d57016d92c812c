"""One pass over all coordinates of a store: what is missing, repeated, frozen or out of place."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from kinelex.data import SkeletonStore

_ROWS_AT_ONCE = 1 << 15  # one person in one frame is a row; bounds the memory
_SAMPLED_CLIPS = 1000
_FARTHEST, _DEVIATIONS = 0.35, 20.0  # a jump is longer than this share of the body, and than so many MADs


@dataclass(frozen=True)
class Scale:
    """How large bodies are and how far joints go from one frame to the next, from a sample of the clips.

    Args:
        body: median diagonal of a body's bounding box, in the store's units.
        jump: a joint that goes farther than this from one frame to the next jumps, a share of ``body``.
        clips: number of clips in the sample.
    """

    body: float
    jump: float
    clips: int


@dataclass(frozen=True)
class Jump:
    """The longest jump of a clip: ``step`` is a share of the body's size, ``frame`` the one after it."""

    row: int
    frame: int
    person: int
    joint: int
    step: float


@dataclass(frozen=True)
class Findings:
    """What :func:`scan_store` found.

    Shape:
        - copies: (clips,) int64: clips with the same number are the same to the last bit; -1: no other.
        - constant: (clips,) bool: more than one frame, and all of them are the same.
        - empty: (clips,) share of the frames in which nobody is seen, fractions of 1.
        - joint_missing: (V,) share of the bodies that are seen without this joint, fractions of 1.
        - jumps: the longest jump of every clip that has one, longest first.
    """

    copies: np.ndarray
    constant: np.ndarray
    empty: np.ndarray
    joint_missing: np.ndarray
    jumps: list[Jump]
    scale: Scale


@dataclass(frozen=True)
class _Chunk:
    """Whole clips that lie one after another in a table of the store.

    Shape:
        - rows: (n,) rows of the store; x: (R, V, C); clip, frame, person: (R,), the place of each row
    """

    rows: np.ndarray
    x: np.ndarray
    clip: np.ndarray
    frame: np.ndarray
    person: np.ndarray
    lengths: np.ndarray
    persons: np.ndarray


def scan_store(store: SkeletonStore) -> Findings:
    """Check every clip of a store; memory does not grow with the number of clips' coordinates.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from kinelex.skeleton import get_layout
    >>> from kinelex.data import Sequence, SkeletonStoreWriter, StoreMeta, open_store
    >>> path = Path(tempfile.mkdtemp()) / "tiny.arrow"
    >>> body = np.random.default_rng(0).normal(size=(1, 1, 15, 3))
    >>> with SkeletonStoreWriter(path, StoreMeta("tiny", get_layout("sbu15"), ("wave",))) as writer:
    ...     for name in ("a", "b"):
    ...         writer.add(Sequence(name, np.repeat(body, 4, axis=0)))
    >>> found = scan_store(open_store(path))
    >>> found.copies.tolist(), found.constant.tolist(), found.jumps
    ([0, 0], [True, True], [])
    """
    scale = measure(store)
    digests: list[bytes] = []
    constant, empty = np.zeros(len(store), dtype=bool), np.zeros(len(store))
    missing, bodies = np.zeros(store.layout.num_joints, dtype=np.int64), 0
    jumps: list[Jump] = []
    for chunk in _chunks(store):
        there = (chunk.x != 0).any(axis=2)  # (R, V)
        body = there.any(axis=1)
        missing += (body[:, None] & ~there).sum(axis=0)
        bodies += int(body.sum())
        empty[chunk.rows] = _empty_share(chunk, body)
        before, after, steps = _steps(chunk, there)
        moved = (chunk.x[before] != chunk.x[after]).any(axis=(1, 2))
        moves = np.bincount(chunk.clip[before], moved, minlength=len(chunk.rows))
        constant[chunk.rows] = (moves == 0) & (chunk.lengths > 1)
        jumps += _jumps(chunk, after, steps / scale.body, scale.jump)
        digests += _digests(chunk)
    jumps.sort(key=lambda jump: -jump.step)
    return Findings(_groups(digests), constant, empty, missing / max(bodies, 1), jumps, scale)


def measure(store: SkeletonStore) -> Scale:
    """Body size and jump length of a store, robust, from up to 1000 of its clips spread over all rows."""
    rows = np.unique(np.linspace(0, len(store) - 1, _SAMPLED_CLIPS).astype(int))
    sizes, steps = [], []
    for row in rows:
        x = store.sequence(int(row))[-1 << 10 :]  # (T, M, V, C); of a very long clip its last frames
        there: np.ndarray = (x != 0).any(axis=3)
        low = np.where(there[..., None], x, np.inf).min(axis=2)
        high = np.where(there[..., None], x, -np.inf).max(axis=2)
        seen = there.any(axis=2)
        sizes.append(np.linalg.norm(high[seen] - low[seen], axis=1))
        both = there[1:] & there[:-1]
        steps.append(np.linalg.norm(x[1:][both] - x[:-1][both], axis=1))
    body = max(float(np.median(np.concatenate(sizes))), 1e-9)
    lengths = np.concatenate(steps) / body
    middle = float(np.median(lengths)) if len(lengths) else 0.0
    deviation = 1.4826 * float(np.median(np.abs(lengths - middle))) if len(lengths) else 0.0
    return Scale(body, max(_FARTHEST, middle + _DEVIATIONS * deviation), len(rows))


def _chunks(store: SkeletonStore) -> Iterator[_Chunk]:
    tables, which, start = store.person_frames()
    sizes = store.lengths * store.persons
    first = 0
    while first < len(store):
        last = first + 1  # exclusive; a clip that is larger than a chunk is one of its own
        while last < len(store) and which[last] == which[first]:
            if start[last] + sizes[last] - start[first] > _ROWS_AT_ONCE:
                break
            last += 1
        rows = np.arange(first, last)
        table = tables[which[first]][start[first] : start[last - 1] + sizes[last - 1]]
        clip = np.repeat(np.arange(len(rows)), sizes[rows])
        place = np.arange(len(clip)) - (start[rows] - start[first])[clip]
        persons = store.persons[rows]
        x = table.reshape(len(table), store.layout.num_joints, -1)
        frame, person = place // persons[clip], place % persons[clip]
        yield _Chunk(rows, x, clip, frame, person, store.lengths[rows], persons)
        first = last


def _empty_share(chunk: _Chunk, body: np.ndarray) -> np.ndarray:
    seen = np.logical_or.reduceat(body, np.flatnonzero(chunk.person == 0))  # (frames of all clips,)
    starts = np.cumsum(chunk.lengths) - chunk.lengths
    return 1 - np.add.reduceat(seen.astype(np.int64), starts) / chunk.lengths


def _steps(chunk: _Chunk, there: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows before and after each step of a person, and how far each joint goes, 0 where it is not seen."""
    before = np.flatnonzero(chunk.frame < chunk.lengths[chunk.clip] - 1)
    after = before + chunk.persons[chunk.clip[before]]
    way = chunk.x[after] - chunk.x[before]
    length = np.sqrt(np.einsum("rvc,rvc->rv", way, way))
    return before, after, np.where(there[before] & there[after], length, 0)


def _jumps(chunk: _Chunk, after: np.ndarray, steps: np.ndarray, limit: float) -> list[Jump]:
    far = np.flatnonzero(steps.max(axis=1, initial=0) > limit)
    longest: dict[int, Jump] = {}
    for i in far:
        row, joint = int(after[i]), int(steps[i].argmax())
        clip, step = int(chunk.clip[row]), float(steps[i, joint])
        if clip not in longest or step > longest[clip].step:
            place = (int(chunk.frame[row]), int(chunk.person[row]))
            longest[clip] = Jump(int(chunk.rows[clip]), *place, joint, step)
    return list(longest.values())


def _digests(chunk: _Chunk) -> list[bytes]:
    sizes, found = chunk.lengths * chunk.persons, []
    for x, persons in zip(np.split(chunk.x, np.cumsum(sizes)[:-1]), chunk.persons, strict=True):
        content, salt = np.ascontiguousarray(x).view(np.uint8).data, bytes([persons % 256])
        found.append(hashlib.blake2b(content, digest_size=16, salt=salt).digest())
    return found


def _groups(digests: list[bytes]) -> np.ndarray:
    """Numbers of the groups of equal digests, by their first clip; -1 for a clip that is alone."""
    rows_of: dict[bytes, list[int]] = {}
    for row, digest in enumerate(digests):
        rows_of.setdefault(digest, []).append(row)
    numbers = np.full(len(digests), -1, dtype=np.int64)
    shared = (rows for rows in rows_of.values() if len(rows) > 1)
    for number, rows in enumerate(shared):
        numbers[rows] = number
    return numbers
