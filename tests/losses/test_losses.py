"""Every loss against a naive loop over i and j."""

import math

import pytest
import torch
from torch.nn import functional as F

from kinelex.errors import InputError
from kinelex.losses import (
    alignment,
    cycle_consistency,
    entropy,
    off_diagonal_histogram,
    progressive_alpha,
    self_similarity,
    soft_info_nce,
    soft_targets,
    uniformity,
)

N = 7
MASKS = [None, torch.tensor([True, False, True, True, False, True, True])]


@pytest.fixture
def pair():
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, N, 5, generator=generator, dtype=torch.float64)
    return F.normalize(a, dim=1), F.normalize(b, dim=1)


def rows(mask):
    return [i for i in range(N) if mask is None or mask[i]]


def softmax_row(logits):
    top = max(logits.values())
    total = sum(math.exp(v - top) for v in logits.values())
    return {j: math.exp(v - top) / total for j, v in logits.items()}


def naive_self(m, tau, mask):
    return {i: softmax_row({j: float(m[i] @ m[j]) / tau for j in rows(mask)}) for i in rows(mask)}


def naive_cycle(a, b, tau, mask):
    return {
        i: softmax_row({j: float(a[i] @ a[j] + b[i] @ b[j] + a[j] @ b[j]) / (3 * tau) for j in rows(mask)})
        for i in rows(mask)
    }


def dense(table):
    out = torch.zeros(N, N, dtype=torch.float64)
    for i, row in table.items():
        for j, value in row.items():
            out[i, j] = value
    return out


@pytest.mark.parametrize("mask", MASKS)
def test_self_similarity_and_cycle(pair, mask):
    a, b = pair
    torch.testing.assert_close(self_similarity(a, 0.2, mask), dense(naive_self(a, 0.2, mask)))
    torch.testing.assert_close(cycle_consistency(a, b, 0.2, mask), dense(naive_cycle(a, b, 0.2, mask)))


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("intra", ["anchor", "candidate", "none"])
@pytest.mark.parametrize("inter", [True, False])
def test_soft_targets(pair, mask, intra, inter):
    a, b = pair
    alpha, beta, tau = 0.6, 0.3, 0.15
    own = naive_self(a if intra == "anchor" else b, tau, mask)
    cycle = naive_cycle(a, b, tau, mask)
    expected = torch.zeros(N, N, dtype=torch.float64)
    for i in rows(mask):
        for j in rows(mask):
            y = float(i == j)
            terms = []
            if intra != "none":
                terms.append(beta * y + (1 - beta) * own[i][j])
            if inter:
                terms.append(cycle[i][j])
            guidance = sum(terms) / len(terms) if terms else y
            expected[i, j] = y + alpha * (guidance - y)
    target = soft_targets(a, b, alpha, beta, tau, intra, inter, mask)
    torch.testing.assert_close(target, expected)
    assert not target.requires_grad


@pytest.mark.parametrize("mask", MASKS)
def test_soft_info_nce(pair, mask):
    a, b = pair
    target = soft_targets(a, b, 0.8, mask=mask)
    total = 0.0
    for i in rows(mask):
        p = softmax_row({j: float(a[i] @ b[j]) / 0.07 for j in rows(mask)})
        total -= sum(float(target[i, j]) * math.log(p[j]) for j in rows(mask))
    expected = total / len(rows(mask))
    assert soft_info_nce(a, b, target, 0.07, mask).item() == pytest.approx(expected, rel=1e-9)
    hard = -sum(
        math.log(softmax_row({j: float(a[i] @ b[j]) / 0.07 for j in rows(mask)})[i]) for i in rows(mask)
    ) / len(rows(mask))
    assert soft_info_nce(a, b, None, 0.07, mask).item() == pytest.approx(hard, rel=1e-9)
    identity = soft_targets(a, b, 0.0, mask=mask)
    assert soft_info_nce(a, b, identity, 0.07, mask).item() == pytest.approx(hard, rel=1e-9)


def test_a_missing_modality_takes_no_part_and_gets_no_gradient(pair):
    mask = MASKS[1]
    a, b = (t.clone().requires_grad_() for t in pair)
    soft_info_nce(a, b, soft_targets(a, b, 0.5, mask=mask), 0.07, mask).backward()
    for gradient in (a.grad, b.grad):
        assert gradient.isfinite().all()
        assert not gradient[~mask].any()
        assert gradient[mask].any(dim=1).all()


def test_nothing_present_gives_zero_not_nan(pair):
    nothing = torch.zeros(N, dtype=torch.bool)
    a = pair[0].clone().requires_grad_()
    target = soft_targets(a, pair[1], 0.5, mask=nothing)
    loss = soft_info_nce(a, pair[1], target, 0.07, nothing)
    assert loss.item() == 0


def test_gradient_is_that_of_the_formula(pair):
    a, b = (t.clone().requires_grad_() for t in pair)
    target = soft_targets(a, b, 0.7)
    assert torch.autograd.gradcheck(lambda x, y: soft_info_nce(x, y, target, 0.2), (a, b))


def test_alpha_schedule():
    assert [progressive_alpha(t, 11, 0.8) for t in (0, 5, 10)] == pytest.approx([0, 0.4, 0.8])
    assert progressive_alpha(0, 1) == 0


def test_diagnostics_against_loops(pair):
    a, b = pair
    p = torch.softmax(a @ b.T, dim=1)
    by_hand = -sum(float(v) * math.log(float(v)) for v in p.flatten()) / N
    assert entropy(p).item() == pytest.approx(by_hand)
    assert alignment(a, b).item() == pytest.approx(sum(float(a[i] @ b[i]) for i in range(N)) / N)
    off = [(i, j) for i in range(N) for j in range(N) if i != j]
    spread = sum(math.exp(-2 * float((a[i] - a[j]).square().sum())) for i, j in off) / len(off)
    assert uniformity(a).item() == pytest.approx(math.log(spread))
    counts = off_diagonal_histogram(a, b, 10)
    assert counts.sum() == len(off)
    for k in range(10):
        inside = sum(1 for i, j in off if int((float(a[i] @ b[j]) + 1) / 2 * 10) == k)
        assert counts[k] == inside


def test_wrong_arguments_are_named(pair):
    a, b = pair
    with pytest.raises(InputError, match=r"target \(N, N\)"):
        soft_info_nce(a, b, torch.zeros(3, 3))
    with pytest.raises(InputError, match="did you mean 'anchor'"):
        soft_targets(a, b, 0.5, intra="anchr")
    with pytest.raises(InputError, match="from 0 to 1"):
        soft_targets(a, b, 1.5)
