"""Cross-entropy with class weights, label smoothing and mixup, against plain loops."""

import math

import pytest
import torch

from kinelex.errors import InputError
from kinelex.losses import Mix, class_weights, classification_loss, mixup


def _naive(scores, target):
    """Cross-entropy of one clip with a full target distribution."""
    total = sum(math.exp(s) for s in scores)
    return -sum(t * math.log(math.exp(s) / total) for t, s in zip(target, scores, strict=True))


def test_the_loss_against_a_loop():
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(6, 4, generator=generator, dtype=torch.float64)
    labels = torch.tensor([0, 3, 3, 1, 2, 0])
    weights = torch.tensor([0.5, 2.0, 1.0, 0.0], dtype=torch.float64)
    mix = Mix(torch.tensor([1, 2, 3, 4, 5, 0]), torch.rand(6, generator=generator, dtype=torch.float64))
    smoothing, total = 0.2, 0.0
    for i in range(6):
        for label, share in ((labels[i], mix.share[i]), (labels[mix.partner[i]], 1 - mix.share[i])):
            target = [smoothing / 4 + (1 - smoothing) * float(c == label) for c in range(4)]
            # a class's weight counts with that class's part of the target
            total += share * _naive(scores[i], [t * w for t, w in zip(target, weights, strict=True)])
    found = classification_loss(scores, labels, weights, smoothing, mix)
    assert found.item() == pytest.approx(float(total) / 6, rel=1e-9)


def test_half_a_batch_in_each_of_two_processes_gives_the_loss_of_one():
    scores, labels = torch.randn(8, 3), torch.tensor([0, 0, 0, 0, 0, 1, 2, 2])
    weights = class_weights([5, 1, 2])
    halves = [classification_loss(scores[h], labels[h], weights) for h in (slice(4), slice(4, 8))]
    whole = classification_loss(scores, labels, weights)
    assert torch.isclose(torch.stack(halves).mean(), whole)


def test_balanced_weights_give_every_class_the_same_say():
    counts = [6, 0, 2, 1]
    weights = class_weights(counts)
    assert [round(float(w * c), 5) for w, c in zip(weights, counts, strict=True)] == [3.0, 0.0, 3.0, 3.0]
    assert class_weights(counts, "none").tolist() == [1.0] * 4
    with pytest.raises(InputError, match="unknown class_weights 'balance'.*did you mean 'balanced'"):
        class_weights(counts, "balance")
    with pytest.raises(InputError, match="need training clips"):
        class_weights([0, 0])


def test_mixup_mixes_clips_and_says_how():
    x = torch.randn(64, 3, 5, generator=torch.Generator().manual_seed(1))
    mixed, mix = mixup(x, 0.3, torch.Generator().manual_seed(2))
    for i in range(64):
        s = mix.share[i]
        assert torch.allclose(mixed[i], s * x[i] + (1 - s) * x[mix.partner[i]])
    again = mixup(x, 0.3, torch.Generator().manual_seed(2))[0]
    assert torch.equal(mixed, again)
    shares = mixup(torch.zeros(20000, 1), 0.3, torch.Generator().manual_seed(3))[1].share
    assert shares.mean().item() == pytest.approx(0.5, abs=0.01)
    assert shares.var().item() == pytest.approx(0.25 / (2 * 0.3 + 1), abs=0.01)  # of Beta(a, a)


def test_mixup_refuses_what_float32_cannot_draw():
    shares = mixup(torch.zeros(20000, 1), 0.1, torch.Generator().manual_seed(3))[1].share
    assert shares.var().item() == pytest.approx(0.25 / (2 * 0.1 + 1), abs=0.01)
    with pytest.raises(InputError, match=r"an alpha of at least 0\.1, got 0\.01"):
        mixup(torch.zeros(4, 1), 0.01)
