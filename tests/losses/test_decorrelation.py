"""Decorrelation against plain loops."""

import pytest
import torch

from kinelex.errors import InputError
from kinelex.losses import decorrelation


def loops(first: torch.Tensor, second: torch.Tensor) -> list[float]:
    n, d = first.shape
    invariance = sum(float((first[i, j] - second[i, j]) ** 2) for i in range(n) for j in range(d)) / (n * d)
    variance = covariance = 0.0
    for view in (first, second):
        means = [sum(float(view[i, j]) for i in range(n)) / n for j in range(d)]
        for j in range(d):
            for k in range(d):
                pairs = [(float(view[i, j]) - means[j]) * (float(view[i, k]) - means[k]) for i in range(n)]
                value = sum(pairs) / (n - 1)
                if j == k:
                    variance += max(0.0, 1 - (value + 1e-4) ** 0.5) / d / 2
                else:
                    covariance += value**2 / d / 2
    return [invariance, variance, covariance]


def test_the_terms_are_those_of_loops() -> None:
    first, second = (
        torch.randn(2, 6, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 0.7
    )
    terms = decorrelation(first, second)
    assert [float(term) for term in terms] == pytest.approx(loops(first, second))


def test_a_collapse_costs_and_independent_dimensions_do_not() -> None:
    alike = decorrelation(torch.ones(5, 3), torch.ones(5, 3))
    assert float(alike.variance) == pytest.approx(0.99)
    signs = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    assert [float(term) for term in decorrelation(signs, signs)] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("shapes", [((4, 3), (4, 2)), ((1, 3), (1, 3)), ((4,), (4,))])
def test_what_does_not_belong_together_is_refused(shapes: tuple) -> None:
    with pytest.raises(InputError, match="two views"):
        decorrelation(*map(torch.ones, shapes))
