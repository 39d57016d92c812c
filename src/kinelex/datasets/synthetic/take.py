"""One performance of an action: its course in time, and the shapes that joint-angle curves are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from scipy.interpolate import PchipInterpolator

Curves = dict[str, np.ndarray]

_TIMES = {1: "once", 2: "twice", 3: "three times", 4: "four times", 5: "five times", 6: "six times"}


@dataclass(frozen=True)
class Take:
    """How an action is done this time. Angles are in degrees, time runs from 0 to 1."""

    u: np.ndarray  # (T,) course of the action: 0 before it starts, 1 when it is over
    rest: dict[str, float] = field(default_factory=dict)  # resting value of every angle, by name
    amplitude: float = 1.0  # size of the movement relative to the average
    repeats: int = 1  # how often the movement is repeated
    manner: float = 0.5  # which way it is done where there are several, 0 to 1
    whims: tuple[float, ...] = (0.0,) * 6  # small numbers in [-1, 1] that differ from take to take

    def path(self, name: str, *keys: tuple[float, float | None], u: np.ndarray | None = None) -> np.ndarray:
        """A smooth curve through (time, value) keys that never overshoots; None is the resting value.

        >>> Take(np.linspace(0, 1, 5)).path("bend", (0, None), (0.5, 40), (1, None)).round().tolist()
        [0.0, 30.0, 40.0, 30.0, 0.0]
        """
        rest = self.rest.get(name, 0.0)
        times = [time for time, _ in keys]
        values = [rest if value is None else value for _, value in keys]
        course = self.u if u is None else u
        return PchipInterpolator(times, values)(np.clip(course, times[0], times[-1]))

    def during(self, start: float, end: float) -> np.ndarray:
        """Rises smoothly from 0 to 1 until ``start``, falls back from ``end`` on.

        >>> Take(np.linspace(0, 1, 5)).during(0.25, 0.75).tolist()
        [0.0, 1.0, 1.0, 1.0, 0.0]
        """
        return _smooth(self.u / start) * _smooth((1 - self.u) / (1 - end))

    def reach(self, name: str, target: float | np.ndarray, weight: np.ndarray) -> np.ndarray:
        """From the resting value (weight 0) to a target (weight 1)."""
        rest = self.rest.get(name, 0.0)
        return rest + weight * (target - rest)

    def both(self, weight: np.ndarray, **targets: float | np.ndarray) -> Curves:
        """:meth:`reach` for angles of the left and of the right limb, by their names without the side."""
        angles = {f"{side}_{name}": target for side in ("left", "right") for name, target in targets.items()}
        return self.toward(weight, **angles)

    def toward(self, weight: np.ndarray, **targets: float | np.ndarray) -> Curves:
        """:meth:`reach` for several angles."""
        return {name: self.reach(name, target, weight) for name, target in targets.items()}

    def paths(
        self, times: tuple[float, ...], u: np.ndarray | None = None, **values: tuple[float | None, ...]
    ) -> Curves:
        """:meth:`path` for several angles that have their keys at the same times."""
        return {name: self.path(name, *zip(times, v, strict=True), u=u) for name, v in values.items()}

    def inner(self, start: float, end: float) -> np.ndarray:
        """The course of what lies between two times, again from 0 to 1."""
        return np.clip((self.u - start) / (end - start), 0, 1)

    def cycle(self, start: float = 0.0, end: float = 1.0) -> np.ndarray:
        """The course of each repetition between two times, each from 0 to 1.

        >>> Take(np.linspace(0, 1, 5), repeats=2).cycle().tolist()
        [0.0, 0.5, 0.0, 0.5, 1.0]
        """
        course = self.inner(start, end) * self.repeats
        return np.minimum(course - np.minimum(np.floor(course), self.repeats - 1), 1.0)

    @property
    def times(self) -> str:
        """The number of repetitions in words."""
        return _TIMES.get(self.repeats, f"{self.repeats} times")


def _smooth(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, 0, 1)
    return x * x * x * (10 + x * (6 * x - 15))


@dataclass(frozen=True)
class Action:
    """An action: what the joints do, and the sentence for it.

    Args:
        name: class name.
        curves: joint-angle curves of a take; one-sided actions are written for the right side.
        words: caption of a take, or what writes it; ``{side}``, ``{other}`` (side), ``{times}`` and
            ``{repeats}`` are filled in afterwards.
        seconds: average time that it takes.
        more: additional seconds for each repetition after the first.
        repeats: least and most repetitions.
        side: ``right`` or ``left`` where the action is defined by its side, ``hand`` where the performer's
            hand decides, ``either`` where each side comes as often, empty where it has none.
        reverse: run backwards in time.
        partner: curves of the second person, where there is one.
        contact: what the first person's hand touches of the second: ``hand`` or ``chest``.
    """

    name: str
    curves: Callable[[Take], Curves]
    words: str | Callable[[Take], str]
    seconds: float
    more: float = 0.0
    repeats: tuple[int, int] = (1, 1)
    side: str = ""
    reverse: bool = False
    partner: Callable[[Take], Curves] | None = None
    contact: str = "hand"
