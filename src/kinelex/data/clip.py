"""One clip by itself: what a store gives by name, and a notebook shows as a player."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kinelex.skeleton import SkeletonLayout


@dataclass(frozen=True, repr=False)
class Clip:
    """One clip with what is known about it; in a notebook it shows itself as an interactive player.

    Args:
        id: its name.
        coordinates: metres or pixels; a missing joint is all zeros.
        layout: the layout of its joints.
        label: name of its class, or None.
        fps: frames per second, or None where it is not known.

    Shape:
        - coordinates: (T, M, V, C) with C 2 or 3

    >>> from kinelex.skeleton import get_layout
    >>> Clip("wave_01", np.ones((9, 1, 25, 3)), get_layout("ntu25"), "wave", 30.0)
    Clip('wave_01', wave: 9 frames at 30 a second, 1 person, ntu25, 3-D)
    """

    id: str
    coordinates: np.ndarray
    layout: SkeletonLayout
    label: str | None = None
    fps: float | None = None

    def __repr__(self) -> str:
        frames, persons, _, channels = self.coordinates.shape
        rate = "" if self.fps is None else f" at {self.fps:g} a second"
        people = f"{persons} person{'s' * (persons != 1)}"
        body = f"{people}, {self.layout.name}, {channels}-D"
        return (
            f"{type(self).__name__}({self.id!r}, {self.label or 'no label'}: {frames} frames{rate}, {body})"
        )

    def _repr_html_(self) -> str:
        from kinelex import show  # by its public name: reports stand above data

        return str(show(self)._repr_html_())
