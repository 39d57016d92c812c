"""Who is who from picture to picture: persons keep their place by likeness and optimal assignment.

Likeness is the mean of two: how near the joints lie, relative to the body's size, to where those of the last
picture have moved on to (as COCO's object keypoint similarity, with one width for all joints), and the
intersection over union of the boxes around them.

Source: Ronchi, Perona: Benchmarking and error diagnosis in multi-instance pose estimation, ICCV 2017 (the
similarity of key points); Bewley et al.: Simple online and realtime tracking, ICIP 2016 (motion, boxes and
assignment).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kinelex.errors import InputError
from kinelex.pose.base import Poses

_WIDTH = 0.2  # of the likeness, in sizes of the body: about 18 cm
_SAME, _SAME_WIDTH = 0.8, 0.1  # two detections that are this much alike are one person
_COASTING = 0.5  # seconds for which a person who is not seen moves on
_NEAR = 1.0  # sizes of the body between where one vanished and where the same appears again


@dataclass(frozen=True)
class Tracking:
    """How persons are told apart.

    Args:
        likeness: from which likeness on, 0 to 1, somebody is the person of the last picture.
        lost: seconds after which the place of a person who is not seen may become another's.
        shortest: seconds; whoever is seen for less in all is left out of a clip (or in half of a short one).

    Raises:
        InputError: a value out of range.

    >>> Tracking(lost=1.0).likeness
    0.1
    """

    likeness: float = 0.1
    lost: float = 2.0
    shortest: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.likeness <= 1:
            raise InputError(f"track.likeness={self.likeness}: expects more than 0, and at most 1")
        for name in ("lost", "shortest"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise InputError(f"track.{name}={getattr(self, name)}: expects seconds, 0 or more")


@dataclass
class _Place:
    """A person as last seen."""

    image: np.ndarray  # (V, 2) pixels
    time: float  # seconds
    velocity: np.ndarray  # (2,) pixels per second, of the whole body

    def at(self, time: float) -> np.ndarray:
        """Where the joints should be by now."""
        moved = self.image + self.velocity * min(time - self.time, _COASTING)
        return np.where(self.image.any(axis=1, keepdims=True), moved, 0)

    def seen(self, image: np.ndarray, time: float) -> _Place:
        """The same person, seen again."""
        both = self.image.any(axis=1) & image.any(axis=1)
        step = time - self.time
        if step <= 0 or not both.any():
            return _Place(image, time, np.zeros(2))
        speed = np.median(image[both] - self.image[both], axis=0) / step
        return _Place(image, time, 0.5 * (self.velocity + speed))


class Tracker:
    """Puts the persons of each picture into the places that they had before.

    Args:
        places: how many persons there are room for.
        options: how they are told apart.

    Attributes:
        left_out: how many detections had no place, there being more persons than places.

    >>> tracker = Tracker(2)
    >>> here, there = np.full((17, 2), 50.0) + np.eye(17, 2), np.full((17, 2), 300.0) + np.eye(17, 2)
    >>> ones = np.ones((2, 17), np.float32)
    >>> _ = tracker.step(Poses(np.stack([here, there]), ones), 0.0)
    >>> tracker.step(Poses(np.stack([there, here]), ones), 0.1).image[:, 0, 0].tolist()
    [51.0, 301.0]
    """

    def __init__(self, places: int, options: Tracking | None = None) -> None:
        self.options = options or Tracking()
        self.left_out = 0
        self._places: list[_Place | None] = [None] * places

    def step(self, poses: Poses, time: float) -> Poses:
        """The persons of a picture by place; a place whose person is not seen is absent (zeros).

        Shape:
            - returns: ``places`` persons
        """
        joints = poses.image.shape[1]
        poses = distinct(poses)
        row_of = self._assign(poses, time)
        out = Poses.nobody(len(self._places), joints, poses.world is not None)
        for place, row in row_of.items():
            image = poses.image[row]
            last = self._places[place]
            self._places[place] = last.seen(image, time) if last else _Place(image, time, np.zeros(2))
            out.image[place], out.scores[place] = image, poses.scores[row]
            if out.world is not None and poses.world is not None:
                out.world[place] = poses.world[row]
        self.left_out += len(poses) - len(row_of)
        return out

    def _assign(self, poses: Poses, time: float) -> dict[int, int]:
        """Which row of a picture each place gets."""
        from scipy.optimize import linear_sum_assignment  # takes longer than a help

        places = [place for place, person in enumerate(self._places) if person is not None]
        alike = np.zeros((len(places), len(poses)))
        for i, place in enumerate(places):
            person = self._places[place]
            assert person is not None
            alike[i] = [_likeness(person.at(time), image) for image in poses.image]
        alike[alike < self.options.likeness] = 0  # such a pair must not win over a good one of others
        found = {
            places[i]: int(j)
            for i, j in zip(*linear_sum_assignment(alike, maximize=True), strict=True)
            if alike[i, j] > 0
        }
        new = [row for row in range(len(poses)) if row not in found.values()]
        for row in sorted(new, key=lambda row: -poses.scores[row].mean()):
            free = self._free_place(poses.image[row], set(found), time)
            if free is not None:
                found[free] = row
        return found

    def _free_place(self, image: np.ndarray, taken: set[int], time: float) -> int | None:
        """The place for somebody new: of one who vanished near there, an unused one, any that is free."""
        free = [place for place in range(len(self._places)) if place not in taken]
        if not free:
            return None

        def order(place: int) -> tuple[int, float]:
            person = self._places[place]
            if person is None:
                return 1, float(place)
            distance = _distance(person.image, image)
            if time - person.time <= self.options.lost:
                return 3, distance
            return (0 if distance < _NEAR else 2), distance

        return min(free, key=order)


def distinct(poses: Poses) -> Poses:
    """Persons without those that were found twice; of two the one with the better scores stays."""
    kept: list[int] = []
    for row in np.argsort(-poses.scores.mean(axis=1), kind="stable").tolist():
        twice = any(_keypoints(poses.image[row], poses.image[other], _SAME_WIDTH) > _SAME for other in kept)
        if poses.image[row].any() and not twice:
            kept.append(row)
    return poses if len(kept) == len(poses) else poses.pick(sorted(kept))


def _likeness(a: np.ndarray, b: np.ndarray) -> float:
    return 0.5 * (_keypoints(a, b, _WIDTH) + _overlap(_box(a), _box(b)))


def _box(image: np.ndarray) -> np.ndarray:
    """Around the joints that are there: two corners, (4,)."""
    there = image[image.any(axis=1)]
    return np.concatenate([there.min(axis=0), there.max(axis=0)]) if len(there) else np.zeros(4)


def body_size(image: np.ndarray) -> float:
    """The size of a body in pixels: the root of its box's area, of a thin box as if it were wider.

    Shape:
        - image: (V, 2)

    >>> body_size(np.array([[10.0, 10.0], [50.0, 100.0]]))
    60.0
    """
    box = _box(image)
    width, height = (box[2:] - box[:2]).tolist()
    longer = max(width, height)
    return float(np.sqrt(max(width, longer / 4) * max(height, longer / 4)))


def _keypoints(a: np.ndarray, b: np.ndarray, width: float) -> float:
    """How near the joints are that both have, 0 to 1."""
    both = a.any(axis=1) & b.any(axis=1)
    if not both.any():
        return 0.0
    size = max(body_size(a), body_size(b), 1.0)
    square = ((a[both] - b[both]) ** 2).sum(axis=1)
    return float(np.exp(-square / (2 * (width * size) ** 2)).mean())


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    common = float(np.prod(np.maximum(sides, 0)))
    both = float(np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]))
    return common / (both - common) if both > common else 0.0


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    """Between the middles of two boxes, in sizes of the body."""
    apart = (_box(a)[:2] + _box(a)[2:] - _box(b)[:2] - _box(b)[2:]) / 2
    return float(np.linalg.norm(apart)) / max(body_size(a), body_size(b), 1.0)
