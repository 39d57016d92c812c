"""Clips as shares of the picture with the confidence of each joint: how PYSKL reads poses in pictures."""

from __future__ import annotations

import numpy as np

from kinelex.data.dataset import ArrayClips
from kinelex.data.named_clips import NamedClips
from kinelex.data.skeleton_store import SkeletonStore
from kinelex.errors import InputError

HARDLY_SEEN = 0.01  # joints with no more confidence lie in the middle of the picture


def in_picture(pixels: np.ndarray, scores: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Pixels as shares of half the picture from its middle, and the scores; joints hardly seen lie at 0.

    Args:
        size: height and width of the picture, pixels.

    Shape:
        - pixels: (..., 2); scores: (...); returns: (..., 3) float32: x, y, score

    Source: PYSKL (ACM MM 2022), its preparation of 2-D poses.

    >>> in_picture(np.array([960.0, 0.0]), np.array(1.0), (1080, 1920)).tolist()
    [0.0, -1.0, 1.0]
    """
    half = np.array([size[1] / 2, size[0] / 2], np.float32)
    x = (pixels.astype(np.float32) - half) / half
    x[scores <= HARDLY_SEEN] = 0
    return np.concatenate([x, scores.astype(np.float32)[..., None]], axis=-1)


class ScoredClips(ArrayClips):
    """The clips of a store in three numbers a joint: x and y in the picture, and the confidence.

    Where coordinates are in space, the pixels beside them are read. They are held in memory.

    Args:
        clips: a skeleton store, or clips in memory.
        rows: the clips that will be asked for.

    Shape:
        - rows: (n,)

    Raises:
        InputError: a clip without pixels, or that does not say how large its picture is.
    """

    def __init__(self, clips: SkeletonStore | NamedClips, rows: np.ndarray) -> None:
        self.lengths, self.persons, self.labels = clips.lengths, clips.persons, clips.labels
        self.fps, self.channels = clips.fps, 3
        width = self.channels * clips.layout.num_joints
        rows = np.unique(rows)
        self._table = np.concatenate([self._clip(clips, row).reshape(-1, width) for row in rows.tolist()])
        sizes = self.lengths[rows] * self.persons[rows]
        self._start = np.zeros(len(clips), np.int64)
        self._start[rows] = np.cumsum(sizes) - sizes

    def person_frames(self) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
        """The coordinates as :meth:`SkeletonStore.person_frames` gives them, in one table."""
        return [self._table], np.zeros(len(self), np.int64), self._start

    @staticmethod
    def _clip(clips: SkeletonStore | NamedClips, row: int) -> np.ndarray:
        pixels = clips.sequence(row) if clips.channels == 2 else clips.image_coordinates(row)
        size, scores = clips.image_size(row), clips.scores(row)
        if pixels is None or size is None:
            lacks = "coordinates in pixels" if pixels is None else "the size of its picture"
            raise InputError(
                f"the run reads poses in pictures, {clips.ids[row]} of {clips.path} lacks {lacks}: expects "
                "clips of `kinelex pose`, of a pickle of PYSKL or of another format that says both"
            )
        there = (pixels != 0).any(axis=-1)
        return in_picture(pixels, there.astype(np.float32) if scores is None else scores * there, size)


def clips_to_read(
    clips: SkeletonStore | NamedClips, rows: np.ndarray, scores: bool
) -> SkeletonStore | ArrayClips:
    """The clips as a run reads them: as they are, or with ``input.scores`` as :class:`ScoredClips`.

    Shape:
        - rows: (n,)
    """
    return ScoredClips(clips, rows) if scores else clips
