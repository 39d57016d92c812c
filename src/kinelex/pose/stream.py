"""Frames one by one, from a file or a camera: found, followed, smoothed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from kinelex.errors import InputError, unknown_name
from kinelex.pose.base import PoseEngine, Poses
from kinelex.pose.registry import create
from kinelex.pose.smoothing import OneEuro, OneEuroFilter
from kinelex.pose.tracking import Tracker, Tracking, body_size

COORDINATES = ("world", "image")
_METRES = 0.95  # the size of a standing adult's box: the root of 1.7 by 0.5 metres


@dataclass(frozen=True)
class PoseOptions:
    """What decides which poses a video becomes.

    Args:
        engine: name of the pose engine.
        engine_options: options of the engine (``pose.KEY`` on the command line).
        coordinates: ``world`` (3-D, metres, the origin between each person's hips) or ``image`` (2-D,
            pixels); None takes world where the engine has it.
        persons: how many persons are followed at most.
        rate: frames per second that are looked at; None looks at all.
        least: joints with a lower score, 0 to 1, are absent; None takes the engine's own limit.
        smooth: settings of the smoothing; None leaves coordinates as they are found.
        track: how persons are told apart.

    Raises:
        InputError: a value out of range.

    >>> PoseOptions(persons=1).engine
    'mediapipe'
    """

    engine: str = "mediapipe"
    engine_options: dict[str, Any] = field(default_factory=dict)
    coordinates: str | None = None
    persons: int = 2
    rate: float | None = None
    least: float | None = None
    smooth: OneEuro | None = None
    track: Tracking = field(default_factory=Tracking)

    def __post_init__(self) -> None:
        if self.coordinates not in (None, *COORDINATES):
            raise unknown_name("--coordinates", str(self.coordinates), COORDINATES)
        if not 1 <= self.persons <= 64:
            raise InputError(f"--persons {self.persons}: expects 1 to 64 persons")
        if self.rate is not None and not 0 < self.rate < float("inf"):
            raise InputError(f"--rate {self.rate}: expects a positive number of frames per second")
        if self.least is not None and not 0 <= self.least <= 1:
            raise InputError(f"--least {self.least}: expects a score from 0 to 1")

    def make_engine(self) -> PoseEngine:
        """The engine, for one video or camera.

        Raises:
            InputError: no such engine, options that it does not have, no model, or a third dimension asked of
                an engine that has none.
        """
        engine = create(self.engine, self.persons, **self.engine_options)
        if self.coordinates == "world" and not engine.world:
            engine.close()
            raise InputError(
                f"{self.engine} finds persons in the picture only: expects --coordinates image, or an engine "
                "that gives places in space (mediapipe)"
            )
        return engine


class PoseStream:
    """The persons of a video or camera, frame by frame; each keeps its place.

    Args:
        options: which engine, and what is done with what it finds.

    Attributes:
        engine: the engine at work.

    Raises:
        InputError: as :meth:`PoseOptions.make_engine` does.
    """

    def __init__(self, options: PoseOptions | None = None) -> None:
        self.options = options or PoseOptions()
        self.engine = self.options.make_engine()
        self.tracker = Tracker(self.options.persons, self.options.track)
        least = self.options.least
        self._least = self.engine.least if least is None else least
        smooth = self.options.smooth
        self._image = None if smooth is None else OneEuroFilter(smooth)
        self._world = None if smooth is None else OneEuroFilter(smooth)

    def step(self, picture: np.ndarray, time: float) -> Poses:
        """The persons of the next picture by place; who is not there is all zeros.

        Args:
            picture: RGB, upright.
            time: seconds; rises from call to call.

        Shape:
            - picture: (H, W, 3) uint8
            - returns: ``persons`` places
        """
        found = self.engine.detect(picture, time)
        found = found.without(found.scores < self._least) if self._least > 0 else found
        poses = self.tracker.step(found, time)
        if self._image is None or self._world is None:
            return poses
        sizes = np.array([max(body_size(image), 1.0) for image in poses.image])
        image = self._image(poses.image, time, _METRES / sizes[:, None, None])
        world = None if poses.world is None else self._world(poses.world, time)
        return replace(poses, image=image, world=world)

    def close(self) -> None:
        """Let go of the engine's model."""
        self.engine.close()

    def __enter__(self) -> PoseStream:
        return self

    def __exit__(self, *of: object) -> None:
        self.close()
