"""Smoothing as frames come in: the One Euro filter, joint by joint.

Source: Casiez, Roussel, Vogel: 1 € filter: a simple speed-based low-pass filter for noisy input in
interactive systems, CHI 2012.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kinelex.errors import InputError


@dataclass(frozen=True)
class OneEuro:
    """Settings of the filter. A slow joint is held still, a fast one is followed.

    Args:
        min_cutoff: Hz, of a joint that does not move; less is smoother.
        beta: how much the cutoff rises with speed, Hz per metre per second; more follows faster.
        d_cutoff: Hz, of the filter of the speed.

    Raises:
        InputError: a value out of range.

    >>> OneEuro(beta=0.0).min_cutoff
    1.5
    """

    min_cutoff: float = 1.5
    beta: float = 2.0
    d_cutoff: float = 1.0

    def __post_init__(self) -> None:
        for name, least in (
            ("min_cutoff", "more than 0"),
            ("d_cutoff", "more than 0"),
            ("beta", "0 or more"),
        ):
            value = getattr(self, name)
            if not (0 <= value < float("inf")) or (value == 0 and name != "beta"):
                raise InputError(f"smooth.{name}={value}: expects {least}")


class OneEuroFilter:
    """The filter of some joints. One that was absent begins anew.

    Args:
        options: its settings.

    >>> smooth = OneEuroFilter(OneEuro())
    >>> x = np.array([[1.0, 2.0]])
    >>> smooth(x, 0.0).tolist(), smooth(x + 0.1, 0.1).round(2).tolist()
    ([[1.0, 2.0]], [[1.06, 2.06]])
    """

    def __init__(self, options: OneEuro) -> None:
        self._options = options
        self._time: float | None = None
        self._x = self._speed = np.zeros(0)

    def __call__(self, x: np.ndarray, time: float, scale: np.ndarray | float = 1.0) -> np.ndarray:
        """Joints of the next frame, smoothed.

        Args:
            x: places; an absent joint is zeros.
            time: seconds.
            scale: metres per unit of ``x``: the speed that counts is that of the body, not of its picture.

        Shape:
            - x and returns: (..., C); scale: one number, or (..., 1)
        """
        there = x.any(axis=-1, keepdims=True)
        step = 0.0 if self._time is None else time - self._time
        self._time = time
        if step <= 0 or self._x.shape != x.shape:
            self._x, self._speed = x.astype(np.float64), np.zeros(x.shape)
            return x
        known = there & self._x.any(axis=-1, keepdims=True)
        speed = np.where(known, (x - self._x) / step, 0)
        speed = self._speed + _share(self._options.d_cutoff, step) * (speed - self._speed)
        fast = np.linalg.norm(speed, axis=-1, keepdims=True) * scale
        share = _share(self._options.min_cutoff + self._options.beta * fast, step)
        self._x = np.where(known, self._x + share * (x - self._x), x)
        self._speed = np.where(known, speed, 0)
        return self._x.astype(x.dtype)


def _share(cutoff: np.ndarray | float, step: float) -> np.ndarray | float:
    """What part of the way to the new value is gone."""
    turn = 2 * np.pi * cutoff * step
    return turn / (turn + 1)
