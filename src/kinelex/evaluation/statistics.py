"""How sure a number is: bootstrap intervals, McNemar's exact test, mean and spread over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kinelex.errors import InputError

DRAWS = 2000
_CHUNK = 1 << 22  # values drawn at once: 32 MiB


def bootstrap_interval(
    values: np.ndarray, seed: int = 0, draws: int = DRAWS, level: float = 0.95
) -> tuple[float, float]:
    """The percentile bootstrap interval of a mean over test clips.

    Clips are drawn anew with replacement; where all values are 0 or 1 the sum of such a draw is binomial and
    is drawn directly, which is the same.

    Args:
        values: one per clip, for example 1 where it was right and 0 where not; NaN is left out.
        seed: of the draws.
        draws: how many.
        level: share of the draws within the interval.

    Shape:
        - values: (N,)

    Raises:
        InputError: no value.

    Source: Efron, Tibshirani: An introduction to the bootstrap, 1993, section 13.3.

    >>> low, high = bootstrap_interval(np.array([1.0] * 80 + [0.0] * 20))
    >>> 0.71 < low < 0.74 and 0.86 < high < 0.89
    True
    """
    values = np.asarray(values, dtype=np.float64)
    values = values[~np.isnan(values)]
    n = len(values)
    if n == 0:
        raise InputError("expects one value or more to draw from, got none")
    rng = np.random.default_rng(seed)
    if np.isin(values, (0.0, 1.0)).all():
        means = rng.binomial(n, values.mean(), draws) / n
    else:
        step = max(1, _CHUNK // n)
        sizes = [min(step, draws - first) for first in range(0, draws, step)]
        means = np.concatenate([values[rng.integers(0, n, (size, n))].mean(axis=1) for size in sizes])
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def mcnemar(first: np.ndarray, second: np.ndarray) -> dict[str, Any]:
    """McNemar's exact test of two classifiers on the same clips: is one right more often than the other?

    Args:
        first, second: per clip whether the classifier was right.

    Shape:
        - first, second: (N,) bool

    Returns:
        ``only_first`` and ``only_second`` (clips that only one got right) and ``p``, two-sided: how likely so
        uneven a division of these clips is where both are right equally often.

    Raises:
        InputError: not as many clips.

    Source: McNemar: Note on the sampling error of the difference between correlated proportions, 1947; the
        exact form by the binomial distribution.

    >>> mcnemar(np.array([True] * 6 + [False]), np.array([False] * 6 + [True]))
    {'only_first': 6, 'only_second': 1, 'p': 0.125}
    """
    from scipy.stats import binom

    first, second = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    if first.shape != second.shape:
        raise InputError(
            f"expects two classifiers' hits on the same clips, got {len(first)} and {len(second)}"
        )
    a, b = int((first & ~second).sum()), int((second & ~first).sum())
    p = min(1.0, 2 * float(binom.cdf(min(a, b), a + b, 0.5))) if a + b else 1.0
    return {"only_first": a, "only_second": b, "p": p}


def mean_sd(values: Sequence[float]) -> dict[str, Any]:
    """Mean and sample standard deviation (n - 1) over runs; of one run there is no deviation.

    Raises:
        InputError: no value.

    >>> mean_sd([0.7, 0.8])
    {'mean': 0.75, 'sd': 0.07071067811865482, 'n': 2}
    >>> mean_sd([0.7])["sd"] is None
    True
    """
    if len(values) == 0:
        raise InputError("expects one value or more, got none")
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {"mean": float(np.mean(values)), "sd": sd, "n": len(values)}


def holm(probabilities: Sequence[float]) -> list[float]:
    """P values corrected for their number by Holm's step-down method.

    Source: Holm: A simple sequentially rejective multiple test procedure, 1979.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(probabilities, kind="stable")
    corrected, highest = [0.0] * len(probabilities), 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(probabilities) - rank) * probabilities[place]))
        corrected[place] = highest
    return corrected
