"""Repetitions of a movement: how often a person does it, when, and how alike; nothing is trained for it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

SHORTEST = 0.4  # seconds of one repetition
SMOOTHING = 0.08  # seconds, one standard deviation
STILL = 0.02  # of the body's size: what moves less is a person who stands
DIP = 0.7  # how far the distance of a posture to the one a period later must fall
ALIKE = 0.5  # correlation of a repetition with the mean of the others
PHASES = 32  # frames that repetitions are compared at
USUAL_FPS = 30.0


@dataclass(frozen=True)
class Repetition:
    """One repetition.

    Args:
        start, end: frames; the end is the first frame after it.
        similarity: correlation of its postures with the mean of the other repetitions', at most 1.
    """

    start: int
    end: int
    similarity: float


def posture_path(x: np.ndarray) -> np.ndarray:
    """A person's postures as rows of numbers: joints around their mean, in sizes of the body.

    Joints that are missing for a while are put on the straight line between the frames that have them; joints
    that are missing always are left out.

    Shape:
        - x: (T, V, C), missing joints 0
        - returns: (T, v·C) float64, without columns where fewer than two joints are ever there

    >>> posture_path(np.ones((9, 5, 3))).shape
    (9, 15)
    """
    there = np.asarray(x.any(axis=2))
    joints = np.flatnonzero(there.any(axis=0))
    frames = np.arange(len(x))
    path = np.empty((len(x), len(joints), x.shape[2]))
    for place, joint in enumerate(joints):
        seen = np.flatnonzero(there[:, joint])
        for axis in range(x.shape[2]):
            path[:, place, axis] = np.interp(frames, seen, x[seen, joint, axis])
    if len(joints) < 2:
        return np.empty((len(x), 0))
    path -= path.mean(axis=1, keepdims=True)
    size = np.sqrt((path**2).sum(axis=2).mean())
    return (path / size if size > 0 else path).reshape(len(x), -1)


def find_repetitions(path: np.ndarray, fps: float = USUAL_FPS) -> list[Repetition]:
    """Repetitions of a movement in a path of postures, or of any features of frames.

    The period is where a posture is like the one a period later (a dip of the mean distance over all lags);
    then each turning point along the direction of most movement at this period is a repetition, so that the
    tempo may change from one to the next; what is not alike the others is left out. Where there are several
    dips, the one counts that finds most.

    Args:
        path: a row of features for each frame, in sizes of the body.
        fps: frames per second.

    Shape:
        - path: (T, F)

    Returns:
        In order of time; none where nothing is done at least twice.

    >>> turn = np.linspace(0, 10 * np.pi, 300)
    >>> len(find_repetitions(np.stack([np.cos(turn), np.cos(turn) ** 2], axis=1)))
    5
    """
    shortest = max(4, round(SHORTEST * fps))
    if len(path) < 2 * shortest or path.shape[1] == 0:
        return []
    path = gaussian_filter1d(path, SMOOTHING * fps, axis=0, mode="nearest")
    if np.sqrt(path.var(axis=0).sum() / path.shape[1]) < STILL:
        return []
    found = [_cycles(path, period, shortest) for period in find_periods(path, shortest)]
    return max(found, key=lambda cycles: sum(one.similarity for one in cycles), default=[])


def find_periods(path: np.ndarray, shortest: int) -> list[int]:
    """Lags after which postures come back, in frames: dips of the mean distance, where one of them is deep.

    Shape:
        - path: (T, F)

    >>> find_periods(np.cos(np.linspace(0, 20 * np.pi, 201))[:, None], 5)
    [20, 40, 60]
    """
    distance = lag_distances(path)
    lags = np.arange(1, len(distance) + 1)
    inside = distance[1:-1]
    dips = 1 + np.flatnonzero((inside <= distance[:-2]) & (inside < distance[2:]))
    dips = dips[lags[dips] >= shortest]
    depths = distance[dips] / np.maximum.accumulate(distance)[dips]
    return lags[dips[depths < 0.95][:3]].tolist() if (depths < DIP).any() else []


def lag_distances(path: np.ndarray) -> np.ndarray:
    """The mean squared distance of a posture to the one a lag later, for lags from 1 to half the length.

    By the Fourier transform, column by column: time and memory grow with the length, not with its square.

    Shape:
        - path: (T, F)
        - returns: (T // 2,)

    >>> lag_distances(np.array([[0.0], [1.0], [0.0], [1.0]])).round(6).tolist()
    [1.0, 0.0]
    """
    from scipy.fft import irfft, next_fast_len, rfft

    path, most = path - path.mean(axis=0), len(path) // 2
    size = next_fast_len(len(path) + most, real=True)
    power = np.zeros(size // 2 + 1)
    for column in path.T:
        power += np.abs(rfft(column, size)) ** 2
    lags = np.arange(1, most + 1)
    squares = np.append(0, np.cumsum((path**2).sum(axis=1)))
    both = squares[-1] - squares[lags] + squares[len(path) - lags]
    return np.maximum(both - 2 * irfft(power, size)[lags], 0) / (len(path) - lags)


def _smooth(path: np.ndarray, sigma: float) -> np.ndarray:
    """A Gaussian filter along time that takes no longer for a wide one."""
    from scipy.signal import oaconvolve

    radius = int(4 * sigma + 0.5)
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)[:, None]
    wide = np.pad(path, ((radius, radius), (0, 0)), mode="edge")
    return oaconvolve(wide, kernel / kernel.sum(), mode="valid", axes=0)


def _cycles(path: np.ndarray, period: int, shortest: int) -> list[Repetition]:
    """Repetitions of about this period."""
    from scipy.signal import find_peaks  # slow to import

    drift = _smooth(path, period)  # turns of the body, steps to another place
    direction = np.linalg.svd(path - drift, full_matrices=False)[2][0]
    along = path @ direction
    signal = gaussian_filter1d((path - drift) @ direction, period / 12)
    if np.median(along[: period // 8 + 1]) > along.mean():
        signal = -signal  # a repetition begins and ends in the posture that the recording begins in
    span = np.subtract(*np.quantile(signal, [0.95, 0.05]))
    peaks = find_peaks(signal, prominence=0.4 * span, distance=max(1, round(0.4 * period)))[0]
    found = [_around(signal, peaks, place, period) for place in range(len(peaks))]
    return _alike(path - drift, [(start, end) for start, end in found if end - start >= shortest])


def _around(signal: np.ndarray, peaks: np.ndarray, place: int, period: int) -> tuple[int, int]:
    """The lowest points before and after a peak."""
    peak = peaks[place]
    first = peaks[place - 1] if place > 0 else max(0, peak - period)
    last = peaks[place + 1] if place + 1 < len(peaks) else min(len(signal), peak + period)
    return int(first + signal[first:peak].argmin()) if peak > first else int(peak), int(
        peak + signal[peak:last].argmin()
    )


def _alike(path: np.ndarray, cycles: list[tuple[int, int]]) -> list[Repetition]:
    """Cycles that are like the mean of the others, where there are at least two."""
    path, frames = path - path.mean(axis=0), np.arange(len(path))
    grids = [np.linspace(start, end - 1, PHASES) for start, end in cycles]
    postures = [np.stack([np.interp(grid, frames, column) for column in path.T], axis=1) for grid in grids]
    rows = np.array([posture.ravel() for posture in postures])
    while len(cycles) >= 2:
        others = (rows.sum(axis=0) - rows) / (len(rows) - 1)
        lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(others, axis=1)
        similarity = (rows * others).sum(axis=1) / np.where(lengths > 0, lengths, 1)
        if similarity.min() >= ALIKE:
            return [Repetition(*c, float(s)) for c, s in zip(cycles, similarity, strict=True)]
        least = int(similarity.argmin())
        rows = np.delete(rows, least, axis=0)
        cycles = cycles[:least] + cycles[least + 1 :]
    return []
