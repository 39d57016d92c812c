"""Frames at any times onto a grid of equal steps."""

from __future__ import annotations

import numpy as np

_UNEVEN = 0.25  # of a step: time stamps are rounded to milliseconds, or to a clock of their own
_WIDEST = 3.0  # steps between two frames that what lies between them is taken from
_WIDEST_SECONDS = 0.2


def frame_rate(times: np.ndarray) -> float | None:
    """Frames per second; None of a single frame.

    Shape:
        - times: (T,) seconds, rising

    >>> frame_rate(np.arange(5) / 25)
    25.0
    """
    span = float(times[-1] - times[0]) if len(times) else 0.0
    return round((len(times) - 1) / span, 3) if span > 0 else None


def is_even(times: np.ndarray) -> bool:
    """Whether frames follow each other in equal steps, but for roundings.

    Shape:
        - times: (T,) seconds, rising

    >>> is_even(np.array([0, 0.033, 0.067, 0.1])), is_even(np.array([0, 0.03, 0.1, 0.13]))
    (True, False)
    """
    if len(times) < 3:
        return True
    even = np.linspace(times[0], times[-1], len(times))
    return bool(np.abs(times - even).max() <= _UNEVEN * (even[1] - even[0]))


def usual_rate(times: np.ndarray) -> float:
    """Frames per second of most steps, for times that are not even.

    Shape:
        - times: (T,) seconds, rising

    >>> usual_rate(np.array([0, 0.1, 0.2, 0.3, 0.9]))
    10.0
    """
    steps = np.diff(times)
    middle = np.median(steps[steps > 0])
    return round(1 / float(steps[np.abs(steps - middle) <= middle / 2].mean()), 3)


def on_grid(x: np.ndarray, times: np.ndarray, rate: float) -> np.ndarray:
    """Frames at some times as frames of a rate: on straight lines between the two nearest, joint by joint.

    A joint that is absent (zeros) in one of the two, or whose frames are far apart, is absent.

    Args:
        x: joints; an absent one is zeros.
        times: seconds, rising.
        rate: frames per second to come.

    Shape:
        - x: (T, M, V, C); times: (T,); returns: (T', M, V, C)

    >>> x = np.array([1.0, 2.0, 4.0]).reshape(3, 1, 1, 1)
    >>> on_grid(x, np.array([0.0, 0.1, 0.3]), 10).ravel().round(3).tolist()
    [1.0, 2.0, 3.0, 4.0]
    """
    count = int(np.floor((times[-1] - times[0]) * rate + 1e-3)) + 1
    wanted = np.minimum(times[0] + np.arange(count) / rate, times[-1])
    after = np.searchsorted(times, wanted - 1e-6)
    before = np.maximum(after - 1, 0)
    gap = times[after] - times[before]
    share = np.where(gap > 0, (wanted - times[before]) / np.where(gap > 0, gap, 1), 1).clip(0, 1)
    share = share.reshape(-1, 1, 1, 1)
    a, b = x[before], x[after]
    both = a.any(axis=-1, keepdims=True) & b.any(axis=-1, keepdims=True)
    both &= (gap <= max(_WIDEST / rate, _WIDEST_SECONDS)).reshape(-1, 1, 1, 1)
    between = np.where(both, a + share * (b - a), 0)
    return np.where(share < 1e-3, a, np.where(share > 1 - 1e-3, b, between)).astype(x.dtype)
