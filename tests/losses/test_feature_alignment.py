"""MMCL's contrastive loss: the published numbers, a loop over every pair, the mask, and its gradient."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from kinelex.errors import InputError
from kinelex.losses import classification_loss, feature_alignment


def made(n=5, dim=4):
    generator = torch.Generator().manual_seed(n)
    return torch.randn(2, n, dim, generator=generator, dtype=torch.float64)


def cosine(a, b):
    dot = sum(float(x) * float(y) for x, y in zip(a, b, strict=True))
    return dot / math.sqrt(sum(float(x) ** 2 for x in a) * sum(float(y) ** 2 for y in b))


def naive(skeleton, rgb, temperature, clips):
    """Minus the log of the partner's share among all but oneself, mean over both modalities."""
    everything = [("skeleton", i, skeleton[i]) for i in clips] + [("rgb", i, rgb[i]) for i in clips]
    losses = []
    for kind, i, anchor in everything:
        total = own = 0.0
        for other_kind, j, other in everything:
            if (other_kind, j) == (kind, i):
                continue
            value = math.exp(cosine(anchor, other) / temperature)
            total += value
            if j == i:
                own = value
        losses.append(-math.log(own / total))
    return sum(losses) / len(losses)


def test_the_published_numbers(shared):
    reference = np.load(shared / "reference" / "mmcl_fam.npz")
    found = {name: torch.from_numpy(reference[name]) for name in reference.files}
    skeleton = found["skeleton_map"].mean(dim=(2, 3)).view(6, 2, 12).mean(dim=1)
    loss = feature_alignment(skeleton, found["rgb_embedding"], float(found["temperature"]))
    torch.testing.assert_close(loss, found["loss"], atol=1e-5, rtol=0)


@pytest.mark.parametrize(("n", "temperature"), [(5, 0.4), (2, 0.1), (7, 1.0)])
def test_against_a_loop(n, temperature):
    skeleton, rgb = made(n)
    expected = naive(skeleton, rgb, temperature, range(n))
    assert feature_alignment(skeleton, rgb, temperature).item() == pytest.approx(expected, rel=1e-12)
    everyone = torch.ones(n, dtype=torch.bool)
    assert feature_alignment(skeleton, rgb, temperature, everyone).item() == pytest.approx(expected)


@pytest.mark.parametrize("clips", [[0, 2, 3], [4], [1, 4]])
def test_clips_without_a_picture_take_no_part(clips):
    skeleton, rgb = made()
    mask = torch.zeros(5, dtype=torch.bool)
    mask[clips] = True
    loss = feature_alignment(skeleton, rgb, 0.4, mask)
    assert loss.item() == pytest.approx(naive(skeleton, rgb, 0.4, clips), abs=1e-12)
    rgb[~mask] = 1e3
    torch.testing.assert_close(feature_alignment(skeleton, rgb, 0.4, mask), loss)


@pytest.mark.parametrize("clips", [[0, 2, 3], []])
def test_gradient(clips):
    skeleton, rgb = made().requires_grad_()
    mask = torch.zeros(5, dtype=torch.bool)
    mask[clips] = True
    grads = torch.autograd.grad(feature_alignment(skeleton, rgb, 0.4, mask), [skeleton, rgb])
    for grad in grads:
        assert grad.isfinite().all()
        assert (grad[~mask] == 0).all()
        assert (grad[mask] != 0).any() == bool(clips)
    assert torch.autograd.gradcheck(lambda s, r: feature_alignment(s, r, 0.4, mask), (skeleton, rgb))


def test_no_pictures_at_all_and_wrong_shapes():
    skeleton, rgb = made()
    assert feature_alignment(skeleton, rgb, 0.4, torch.zeros(5, dtype=torch.bool)).item() == 0
    with pytest.raises(InputError, match=r"got \(5, 4\), \(4, 4\) and None"):
        feature_alignment(skeleton, rgb[:4])
    with pytest.raises(InputError, match="mask"):
        feature_alignment(skeleton, rgb, 0.4, torch.ones(4, dtype=torch.bool))


def test_cross_entropy_of_some_clips():
    scores, labels = torch.randn(6, 3, generator=torch.Generator().manual_seed(0)), torch.arange(6) % 3
    mask = torch.tensor([True, False, True, True, False, False])
    expected = F.cross_entropy(scores[mask], labels[mask], label_smoothing=0.1)
    torch.testing.assert_close(classification_loss(scores, labels, smoothing=0.1, mask=mask), expected)
    assert classification_loss(scores, labels, mask=torch.zeros(6, dtype=torch.bool)).item() == 0
