"""Intervals and tests against a plain bootstrap, scipy's binomial test and numpy."""

from math import comb

import numpy as np
import pytest
from scipy.stats import binomtest

from kinelex.errors import InputError
from kinelex.evaluation.statistics import bootstrap_interval, holm, mcnemar, mean_sd


@pytest.mark.parametrize("hits", [True, False])
def test_interval_is_that_of_drawing_clips_again(hits):
    rng = np.random.default_rng(0)
    values = (rng.random(150) < 0.8).astype(float) if hits else rng.gamma(2.0, size=150)
    means = [values[rng.integers(0, 150, 150)].mean() for _ in range(4000)]
    expected = np.quantile(means, [0.025, 0.975])
    found = bootstrap_interval(values, draws=4000)
    np.testing.assert_allclose(found, expected, atol=0.12 * (expected[1] - expected[0]))
    assert found[0] < values.mean() < found[1]
    assert bootstrap_interval(values, seed=1) == bootstrap_interval(values, seed=1)
    assert bootstrap_interval(np.append(values, np.nan), draws=4000) == found
    narrow = bootstrap_interval(values, level=0.5)
    assert found[0] < narrow[0] < narrow[1] < found[1]


def test_chunks_do_not_change_an_interval(monkeypatch):
    values = np.random.default_rng(0).normal(size=50)
    whole = bootstrap_interval(values)
    monkeypatch.setattr("kinelex.evaluation.statistics._CHUNK", 170)
    np.testing.assert_allclose(bootstrap_interval(values), whole, rtol=1e-12)


def test_all_right_is_sure_and_nothing_is_refused():
    assert bootstrap_interval(np.ones(9)) == (1.0, 1.0)
    with pytest.raises(InputError, match="one value or more"):
        bootstrap_interval(np.array([np.nan]))
    with pytest.raises(InputError, match="one value or more"):
        mean_sd([])


@pytest.mark.parametrize(("a", "b"), [(0, 0), (1, 0), (6, 1), (12, 12), (30, 14)])
def test_mcnemar_is_the_exact_binomial_test(a, b):
    first = np.array([True] * a + [False] * b + [True] * 7 + [False] * 3)
    second = np.array([False] * a + [True] * b + [True] * 7 + [False] * 3)
    found = mcnemar(first, second)
    assert (found["only_first"], found["only_second"]) == (a, b)
    by_hand = min(1.0, 2 * sum(comb(a + b, i) for i in range(min(a, b) + 1)) / 2 ** (a + b))
    assert found["p"] == pytest.approx(by_hand)
    if a + b:
        assert found["p"] == pytest.approx(binomtest(a, a + b).pvalue)
    assert mcnemar(second, first)["p"] == found["p"]
    with pytest.raises(InputError, match="the same clips"):
        mcnemar(first, second[1:])


def test_mean_and_sample_deviation():
    assert mean_sd([0.5, 0.7, 0.9]) == pytest.approx({"mean": 0.7, "sd": 0.2, "n": 3})
    assert mean_sd([0.5]) == {"mean": 0.5, "sd": None, "n": 1}


def test_holm_by_hand():
    """The smallest times their number, the next times one less, never falling, never above 1."""
    assert holm([0.02, 0.01, 0.5, 0.015]) == pytest.approx([0.045, 0.04, 0.5, 0.045])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def test_an_interval_of_rates_is_that_of_the_binomial():
    """Mean and width by the normal approximation: 95 % within 1.96 standard deviations."""
    low, high = bootstrap_interval(np.repeat([1.0, 0.0], [300, 100]), draws=20_000)
    assert (low + high) / 2 == pytest.approx(0.75, abs=0.005)
    assert high - low == pytest.approx(2 * 1.96 * (0.75 * 0.25 / 400) ** 0.5, rel=0.05)
