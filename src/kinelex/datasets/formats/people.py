"""Persons found frame by frame, as pose estimators give them, into places that each keep one person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from kinelex.datasets.formats.clip import Clip
from kinelex.errors import InputError

MOST_PLACES = 64  # those seen longest; a frame of more persons is a crowd that nobody labels
_MOST_LOST = 10_000  # frames that may be missing, beyond nine of ten: more are damaged numbers
_FAR = 1e12  # cost of what must not be paired


@dataclass(frozen=True)
class Person:
    """One person in one frame.

    Shape:
        - points: (V, C); scores: (V,)
    """

    points: np.ndarray  # places of the joints
    scores: np.ndarray | None = None  # confidences; a joint of confidence 0 is absent
    id: Any = None  # who it is, where the file says it


def numbers_in(value: Any, where: str) -> np.ndarray:
    """A list of numbers, or lists of as many in each, as an array; None in it is NaN."""
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InputError(f"{where}: expects numbers, as many for each joint: {error}") from error
    if array.ndim == 0 or isinstance(value, str):
        raise InputError(f"{where}: expects a list of numbers, got {str(value)[:40]!r}")
    return array


def frames_by_number(found: Mapping[int, list[Person]], where: str) -> list[list[Person]]:
    """Frames in the order of their numbers, with an empty one for every number that is missing."""
    first, last = min(found), max(found)
    if last - first > 10 * len(found) + _MOST_LOST:
        raise InputError(f"{where}: frame numbers from {first} to {last}: expects those of one clip")
    return [found.get(number, []) for number in range(first, last + 1)]


def clip_of_people(frames: list[list[Person]], where: str, **more: Any) -> Clip:
    """A clip in which every person keeps one place.

    Persons with an id are told apart by it. The others go to the place whose last pose is nearest, all of a
    frame at once, if it is nearer than the person is tall; else they are new. A person who is in no frame for
    a while comes back to the place that was left.
    """
    shapes = {person.points.shape for frame in frames for person in frame}
    if len(shapes) != 1:
        found = ", ".join(f"{shape[0]} joints of {shape[1]}" for shape in sorted(shapes)[:3])
        raise InputError(
            f"{where}: " + (f"persons with {found} numbers" if shapes else "no frame has a person")
        )
    joints, channels = shapes.pop()
    places = _Places()
    taken = [places.of(frame) for frame in frames]
    counts = Counter(place for row in taken for place in row)
    kept = sorted(sorted(counts, key=lambda place: (-counts[place], place))[:MOST_PLACES])
    x = np.zeros((len(frames), len(kept), joints, channels), np.float32)
    scores = np.zeros(x.shape[:3], np.float32)
    for t, (frame, row) in enumerate(zip(frames, taken, strict=True)):
        for person, place in zip(frame, row, strict=True):
            if place in kept:
                m = kept.index(place)
                x[t, m] = _present(person)
                scores[t, m] = person.points.any(axis=1) if person.scores is None else person.scores
    scored = any(person.scores is not None for frame in frames for person in frame)
    return Clip(x, scores if scored else None, **more)


def _present(person: Person) -> np.ndarray:
    """Points with zeros for joints of confidence 0."""
    if person.scores is None:
        return person.points
    return np.where((person.scores > 0)[:, None], person.points, 0)


class _Places:
    """Gives the persons of frame after frame a place each."""

    def __init__(self) -> None:
        self._last: list[np.ndarray] = []  # of every place the last pose
        self._known: dict[Any, int] = {}  # places by id

    def of(self, frame: list[Person]) -> list[int]:
        """The place of each person of the next frame, no place twice."""
        poses = [_present(person) for person in frame]
        taken: dict[int, int] = {}
        for i, person in enumerate(frame):
            if person.id is not None and self._known.get(person.id, -1) not in taken.values():
                if person.id not in self._known:
                    self._known[person.id] = self._new(poses[i])
                taken[i] = self._known[person.id]
        unnamed = [i for i in range(len(frame)) if i not in taken]
        free = [p for p in range(len(self._last)) if p not in {*self._known.values(), *taken.values()}]
        for i, place in self._nearest([poses[i] for i in unnamed], free):
            taken[unnamed[i]] = place
        for i in range(len(frame)):
            if i not in taken:
                taken[i] = self._new(poses[i])
            self._last[taken[i]] = poses[i]
        return [taken[i] for i in range(len(frame))]

    def _new(self, pose: np.ndarray) -> int:
        self._last.append(pose)
        return len(self._last) - 1

    def _nearest(self, poses: list[np.ndarray], free: list[int]) -> Iterable[tuple[int, int]]:
        if not poses or not free:
            return
        costs = np.array([[_distance(pose, self._last[p]) for p in free] for pose in poses])
        from scipy.optimize import linear_sum_assignment  # here: help imports readers

        for i, j in zip(*linear_sum_assignment(costs), strict=True):
            if costs[i, j] <= max(_height(poses[i]), _height(self._last[free[j]])):
                yield int(i), free[j]


def _there(pose: np.ndarray) -> np.ndarray:
    return pose.any(axis=1) & np.isfinite(pose).all(axis=1)


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    """Mean distance of the joints that both poses have."""
    both = _there(a) & _there(b)
    return min(float(np.linalg.norm(a[both] - b[both], axis=1).mean()), _FAR) if both.any() else _FAR


def _height(pose: np.ndarray) -> float:
    """Diagonal of the box around a pose."""
    there = pose[_there(pose)]
    return float(np.linalg.norm(np.ptp(there, axis=0))) if len(there) else 0.0
