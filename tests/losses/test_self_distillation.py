"""Sinkhorn-Knopp and KoLeo against plain loops."""

import math

import pytest
import torch
from torch.nn import functional as F

from kinelex.losses import koleo, sinkhorn


@pytest.mark.parametrize("shape", [(6, 4), (3, 8)])
def test_sinkhorn_against_a_loop(shape):
    n, k = shape
    scores = torch.randn(n, k, generator=torch.Generator().manual_seed(0), dtype=torch.double) * 4
    q = [[math.exp(scores[i, j]) for j in range(k)] for i in range(n)]
    for _ in range(3):
        for j in range(k):
            total = sum(q[i][j] for i in range(n))
            for i in range(n):
                q[i][j] /= total * k
        for i in range(n):
            total = sum(q[i])
            q[i] = [v / (total * n) for v in q[i]]
    expected = torch.tensor(q, dtype=torch.double) * n
    torch.testing.assert_close(sinkhorn(scores), expected)
    even = sinkhorn(scores, 500)
    torch.testing.assert_close(even.sum(dim=0), torch.full((k,), n / k, dtype=torch.double))
    assert sinkhorn(scores.float() * 1000).isfinite().all()


def test_koleo_against_a_loop():
    x = F.normalize(torch.randn(7, 5, generator=torch.Generator().manual_seed(0), dtype=torch.double), dim=1)
    nearest = [min((x[i] - x[j]).norm().item() for j in range(7) if j != i) for i in range(7)]
    assert koleo(x).item() == pytest.approx(-sum(map(math.log, nearest)) / 7, abs=1e-4)


def test_koleo_of_copies_and_of_one_row_is_a_number():
    for rows in (1, 2):
        x = torch.ones(rows, 4).div(2).requires_grad_()
        koleo(x).backward()
        assert koleo(x).isfinite()
        assert x.grad.isfinite().all()
