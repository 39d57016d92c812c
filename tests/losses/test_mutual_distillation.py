"""Queue InfoNCE and mutual distillation of several streams, in float64, against loops over everything."""

import math

import pytest
import torch
from torch.nn import functional as F

from kinelex.errors import InputError
from kinelex.losses import (
    contrastive_accuracy,
    enqueue,
    mutual_distillation,
    neighbour_targets,
    new_queue,
    queue_info_nce,
    queue_similarities,
)

S, N, D, K, TOP = 3, 4, 5, 11, 6


def unit(*shape, seed, dim):
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(*shape, generator=generator, dtype=torch.float64), dim=dim)


@pytest.fixture
def given():
    return unit(S, N, D, seed=0, dim=2), unit(S, N, D, seed=1, dim=2), unit(S, D, K, seed=2, dim=1)


def dot(a, b):
    return sum(float(x) * float(y) for x, y in zip(a, b, strict=True))


def softmax(values):
    total = sum(math.exp(v) for v in values)
    return [math.exp(v) / total for v in values]


def nearest(u, n, keys, queue):
    """Slots of the neighbours of clip n's key in u's queue, nearest first, with their similarities."""
    found = [(dot(keys[u, n], queue[u, :, k]), k) for k in range(K)]
    return sorted(found, reverse=True)[:TOP]


def naive_distillation(queries, keys, queue, teacher, student, mining, positives):
    table = torch.zeros(S, S, dtype=torch.float64)
    for u in range(S):
        for w in range(S):
            if u == w:
                continue
            for n in range(N):
                neighbours = nearest(u, n, keys, queue)
                target = softmax([similarity / teacher for similarity, _ in neighbours])
                if mining == "top":
                    target = [1 / positives] * positives + [0.0] * (TOP - positives)
                predicted = softmax([dot(queries[w, n], queue[w, :, k]) / student for _, k in neighbours])
                for t, p in zip(target, predicted, strict=True):
                    table[u, w] += t * (math.log(t) - math.log(p)) / N if t else 0.0
    return table


@pytest.mark.parametrize(("mining", "positives"), [("none", 1), ("top", 1), ("top", 3)])
def test_distillation_of_all_pairs(given, mining, positives):
    queries, keys, queue = given
    taught = neighbour_targets(keys @ queue, TOP, 0.05, mining, positives)
    for u in range(S):
        for n in range(N):
            assert taught.members[u, n].nonzero()[:, 0].tolist() == sorted(
                k for _, k in nearest(u, n, keys, queue)
            )
    torch.testing.assert_close(taught.target.sum(dim=2), torch.ones(S, N, dtype=torch.float64))
    by_hand = [[-sum(float(t) * math.log(t) for t in row if t > 0) for row in rows] for rows in taught.target]
    torch.testing.assert_close(taught.entropy, torch.tensor(by_hand, dtype=torch.float64))
    found = mutual_distillation(queries @ queue, taught, 0.1)
    expected = naive_distillation(queries, keys, queue, 0.05, 0.1, mining, positives)
    torch.testing.assert_close(found, expected)


def test_the_whole_queue_may_be_the_neighbourhood(given):
    queries, keys, queue = given
    taught = neighbour_targets(keys @ queue, K, 0.2)
    torch.testing.assert_close(taught.target, (keys @ queue / 0.2).softmax(dim=2))
    loss = mutual_distillation(queries @ queue, taught, 0.1)
    log_p = (queries @ queue / 0.1).log_softmax(dim=2)
    expected = F.kl_div(log_p[2], taught.target[0], reduction="batchmean")
    torch.testing.assert_close(loss[0, 2], expected)


def test_top_mining_is_the_limit_of_a_cold_teacher(given):
    _, keys, queue = given
    soft = neighbour_targets(keys @ queue, TOP, 1e-5)
    hard = neighbour_targets(keys @ queue, TOP, 0.05, "top")
    torch.testing.assert_close(soft, hard)


def test_gradient_is_that_of_the_formula_and_reaches_students_only(given):
    queries, keys, queue = (t.clone().requires_grad_() for t in given)
    taught = neighbour_targets(keys @ queue, TOP)
    assert not any(t.requires_grad for t in taught)
    assert torch.autograd.gradcheck(
        lambda s: mutual_distillation(s, taught, 0.2),
        ((queries @ queue).detach().requires_grad_(),),
    )


def test_rows_far_from_their_neighbours_stay_finite_in_float32():
    """The student's nearest keys are at 1, the teacher's neighbours all at -1 for it."""
    teacher = torch.tensor([[1.0] * 4 + [-1.0] * 4]).expand(2, 1, 8)
    similarity = (-teacher).clone().requires_grad_()
    loss = mutual_distillation(similarity, neighbour_targets(teacher, 4), 0.03).sum()
    loss.backward()
    torch.testing.assert_close(loss.detach(), torch.tensor(0.0), atol=1e-4, rtol=0)
    assert similarity.grad.isfinite().all()


def test_info_nce_and_accuracy(given):
    queries, keys, queue = given
    keys = F.normalize(queries + 0.8 * keys, dim=2)
    positive, negative = queue_similarities(queries, keys, queue)
    for s in range(S):
        total, right = 0.0, 0
        for n in range(N):
            row = [dot(queries[s, n], keys[s, n])] + [dot(queries[s, n], queue[s, :, k]) for k in range(K)]
            assert [float(positive[s, n]), *negative[s, n].tolist()] == pytest.approx(row)
            total -= math.log(softmax([v / 0.07 for v in row])[0])
            right += row[0] > max(row[1:])
        assert queue_info_nce(positive, negative, 0.07)[s].item() == pytest.approx(total / N)
        assert contrastive_accuracy(positive, negative)[s].item() == pytest.approx(right / N)
    assert contrastive_accuracy(torch.ones(1, 3), torch.ones(1, 3, 4)).item() == 0


def test_the_queue_goes_round():
    queue, pointer = new_queue(2, 3, 5), torch.tensor(0)
    torch.testing.assert_close(queue.norm(dim=1), torch.ones(2, 5))
    expected, place = queue.clone(), 0
    for step in range(4):
        keys = torch.randn(2, 3, 3, generator=torch.Generator().manual_seed(step))
        for n in range(3):
            expected[:, :, place] = keys[:, n]
            place = (place + 1) % 5
        enqueue(queue, pointer, keys)
        assert torch.equal(queue, expected)
        assert pointer.item() == place
    with pytest.raises(InputError, match="at least 6 keys.*got 5"):
        enqueue(queue, pointer, torch.zeros(2, 6, 3))


def test_wrong_arguments_are_named(given):
    queries, keys, queue = given
    similarity = queries @ queue
    taught = neighbour_targets(similarity, TOP)
    with pytest.raises(InputError, match="did you mean 'top'"):
        neighbour_targets(similarity, TOP, mining="tpo")
    with pytest.raises(InputError, match=r"top_k=12 and a queue of 11"):
        neighbour_targets(similarity, 12)
    with pytest.raises(InputError, match=r"positives=7, top_k=6"):
        neighbour_targets(similarity, TOP, mining="top", positives=7)
    with pytest.raises(InputError, match=r"one shape \(S, N, K\)"):
        mutual_distillation(similarity[1:], taught)
    with pytest.raises(InputError, match="at least 0.03, got 0.01"):
        mutual_distillation(similarity, taught, 0.01)
    with pytest.raises(InputError, match=r"queue \(S, D, K\)"):
        queue_similarities(queries, keys, queue[:2])
