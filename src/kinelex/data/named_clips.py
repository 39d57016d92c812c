"""Clips in memory with names and a layout: what inference reads as it reads a skeleton store."""

from __future__ import annotations

from collections.abc import Sequence as Rows
from dataclasses import replace
from pathlib import Path

import numpy as np

from kinelex.data.dataset import ArrayClips
from kinelex.data.sequence import Sequence, StoreMeta, check_sequence
from kinelex.skeleton import SkeletonLayout


class NamedClips(ArrayClips):
    """Clips in memory that stand where a skeleton store does, for everything that a trained encoder does.

    Args:
        clips: the clips.
        layout: the layout of their joints.
        path: where they came from, for messages.

    Raises:
        InputError: a clip of another layout, without frames or a body, or with numbers that are none.

    >>> from kinelex.skeleton import get_layout
    >>> clips = NamedClips([Sequence("a", np.ones((9, 1, 25, 3)), fps=30.0)], get_layout("ntu25"))
    >>> len(clips), clips.ids, clips.fps.tolist(), clips.sequence(0).shape
    (1, ['a'], [30.0], (9, 1, 25, 3))
    """

    def __init__(self, clips: Rows[Sequence], layout: SkeletonLayout, path: str | Path = "the clips") -> None:
        meta = StoreMeta("clips", layout, ())
        for clip in clips:
            check_sequence(replace(clip, label=None), meta)
        rates = np.array([np.nan if clip.fps is None else clip.fps for clip in clips])
        super().__init__([clip.coordinates for clip in clips], fps=rates)
        self.layout, self.path, self.ids = layout, path, [clip.id for clip in clips]
        self._clips = clips

    def sequence(self, index: int) -> np.ndarray:
        """Coordinates of one clip.

        Shape:
            - returns: (T, M, V, C)
        """
        tables, _, starts = self.person_frames()
        shape = (self.lengths[index], self.persons[index], self.layout.num_joints, self.channels)
        return tables[0][starts[index] :][: shape[0] * shape[1]].reshape(shape)

    def image_coordinates(self, index: int) -> np.ndarray | None:
        """Pixel coordinates (T, M, V, 2) of one clip, or None where it has none."""
        return self._clips[index].image_coordinates

    def scores(self, index: int) -> np.ndarray | None:
        """Confidence (T, M, V) of every joint of one clip, or None where it has none."""
        return self._clips[index].scores

    def image_size(self, index: int) -> tuple[int, int] | None:
        """(height, width) in pixels of the picture, or None where it is not known."""
        return self._clips[index].image_size
