"""Cross-entropy with class weights, label smoothing and mixup."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from kinelex.errors import InputError, check_name
from kinelex.losses.info_nce import masked_mean

CLASS_WEIGHTS = ("none", "balanced")
LEAST_MIXUP = 0.1  # below, draws of float32 are too small to tell apart, and shares become halves


def class_weights(counts: Sequence[int], kind: str = "balanced") -> Tensor:
    """A weight per class whose mean over the training clips is 1; a class without a clip gets 0.

    ``balanced`` gives every class the same say, ``none`` every clip.

    Shape:
        - returns: (classes,) float32

    Raises:
        InputError: an unknown kind, or no clips.

    >>> class_weights([1, 3]).tolist()
    [2.0, 0.6666666865348816]
    """
    check_name("class_weights", kind, CLASS_WEIGHTS)
    clips = torch.tensor(counts, dtype=torch.float64)
    if not clips.sum() > 0:
        raise InputError("class weights need training clips with labels, got none")
    if kind == "none":
        return torch.ones(len(clips))
    learned = clips > 0
    return torch.where(learned, clips.sum() / (learned.sum() * clips.clamp(min=1)), 0.0).float()


@dataclass
class Mix:
    """Which clips were mixed, and how.

    Shape:
        - partner: (N,) int64, the clip that was mixed into each one; share: (N,) what each kept of itself.
    """

    partner: Tensor
    share: Tensor


def mixup(x: Tensor, alpha: float, generator: torch.Generator | None = None) -> tuple[Tensor, Mix]:
    """Mix every clip with another one of the batch; shares are drawn from Beta(alpha, alpha), on the CPU.

    Args:
        alpha: at least 0.1.
        generator: source of randomness (on the CPU).

    Shape:
        - x and returns: (N, ...)

    Raises:
        InputError: an alpha out of range.

    Source: Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018, one share per clip.

    >>> x, mix = mixup(torch.eye(3), 1.0, torch.Generator().manual_seed(0))
    >>> bool((x.sum(dim=1) - 1).abs().max() < 1e-6), mix.share.shape
    (True, torch.Size([3]))
    """
    if not LEAST_MIXUP <= alpha < math.inf:
        raise InputError(f"expects an alpha of at least {LEAST_MIXUP}, got {alpha}")
    n = len(x)
    concentration = torch.full((n,), float(alpha))
    # two Gamma draws make a Beta draw; torch.distributions takes no generator
    one, other = (torch._standard_gamma(concentration, generator=generator) for _ in range(2))
    share = ((one + 1e-20) / (one + other + 2e-20)).to(x.device)
    partner = torch.randperm(n, generator=generator).to(x.device)
    weight = share.to(x.dtype).view(n, *[1] * (x.ndim - 1))
    return weight * x + (1 - weight) * x[partner], Mix(partner, share)


def classification_loss(
    scores: Tensor,
    labels: Tensor,
    weights: Tensor | None = None,
    smoothing: float = 0.0,
    mix: Mix | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Mean cross-entropy over the clips, or over those of a mask: 0 where it has none.

    With a weight per class the sum is divided by the number of clips, not by that of the weights, so that
    half a batch in each of two processes gives the loss of one. Smoothing is the share of the target that
    is spread evenly over the classes.

    Shape:
        - scores: (N, classes); labels: (N,); weights: (classes,); mask: (N,) bool; returns: scalar

    >>> classification_loss(torch.tensor([[0.0, 0.0]]), torch.tensor([1])).item()
    0.6931471824645996
    """

    def of(target: Tensor) -> Tensor:
        return F.cross_entropy(scores, target, weights, reduction="none", label_smoothing=smoothing)

    rows = of(labels)
    if mix is not None:
        rows = mix.share * rows + (1 - mix.share) * of(labels[mix.partner])
    return masked_mean(rows, mask)
