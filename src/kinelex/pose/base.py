"""What a pose engine is: pictures in, the persons in each of them out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from kinelex.skeleton import SkeletonLayout


@dataclass(frozen=True)
class Poses:
    """The persons in one picture; an absent person or joint is all zeros.

    Args:
        image: where the joints are in the picture, pixels from its upper left corner.
        scores: confidence of each joint, 0 to 1.
        world: metres in the axes of Kinect's camera (x to the camera's left, y up, z away from it), the
            origin between the hips of each person; None where an engine has no third dimension.

    Shape:
        - image: (M, V, 2) float32; scores: (M, V) float32; world: (M, V, 3) float32
    """

    image: np.ndarray
    scores: np.ndarray
    world: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.image)

    @classmethod
    def nobody(cls, persons: int, joints: int, world: bool) -> Poses:
        """Places for some persons, all of them absent."""
        zeros = [np.zeros((persons, joints, *last), np.float32) for last in ((2,), (), (3,))]
        return cls(zeros[0], zeros[1], zeros[2] if world else None)

    def beside(self, others: Poses) -> Poses:
        """These persons, then the others."""
        world = None
        if self.world is not None and others.world is not None:
            world = np.concatenate([self.world, others.world])
        image, scores = (
            np.concatenate(p) for p in ((self.image, others.image), (self.scores, others.scores))
        )
        return Poses(image, scores, world)

    def pick(self, rows: np.ndarray | list[int] | range) -> Poses:
        """Some of the persons, in another order."""
        rows = np.asarray(rows, np.int64)
        world = None if self.world is None else self.world[rows]
        return Poses(self.image[rows], self.scores[rows], world)

    def without(self, joints: np.ndarray) -> Poses:
        """The same with some joints absent.

        Shape:
            - joints: (M, V) bool
        """
        image = np.where(joints[..., None], 0, self.image).astype(np.float32)
        world = None
        if self.world is not None:
            world = np.where(joints[..., None], 0, self.world).astype(np.float32)
        return replace(self, image=image, scores=np.where(joints, 0, self.scores), world=world)


class PoseEngine(ABC):
    """Finds the persons in the pictures of one video or one camera, in order of time.

    Subclasses take ``persons`` and typed keyword arguments with defaults; these are the options
    ``pose.KEY=VALUE`` of the command line, helped by the docstring's ``Args``. An engine is made anew for
    each video, and may follow persons from picture to picture. Who is who is settled after it.

    Args:
        persons: how many persons are looked for at most.

    Raises:
        InputError: an option out of range, no or a damaged model file, a package that is not installed.

    >>> from kinelex.skeleton import get_layout
    >>> class Statue(PoseEngine):
    ...     '''Somebody in the middle of every picture.'''
    ...     name, layout = "statue", get_layout("coco17")
    ...     def detect(self, picture, time):
    ...         middle = np.full((1, 17, 2), picture.shape[0] / 2, np.float32)
    ...         return Poses(middle, np.ones((1, 17), np.float32))
    >>> len(Statue(persons=1).detect(np.zeros((4, 4, 3), np.uint8), 0.0))
    1
    """

    name: ClassVar[str]
    layout: SkeletonLayout
    world: ClassVar[bool] = False  # whether it gives places in space too
    least: ClassVar[float] = 0.0  # joints of a lower score are absent, unless the user says otherwise

    def __init__(self, persons: int) -> None:
        self.persons = persons

    @abstractmethod
    def detect(self, picture: np.ndarray, time: float) -> Poses:
        """The persons in a picture, in any order.

        Args:
            picture: RGB, upright.
            time: seconds from the beginning; rises from call to call.

        Shape:
            - picture: (H, W, 3) uint8
        """

    def close(self) -> None:
        """Let go of the model."""
        return

    def files(self) -> tuple[str, ...]:
        """Files whose content decides what is found: work begun with others is not taken up."""
        return ()
