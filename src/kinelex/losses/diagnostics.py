"""Numbers that show what a contrastive training does: entropy, alignment, uniformity, similarities."""

import torch
from torch import Tensor

from kinelex.losses.info_nce import masked_mean, pair_logits


def entropy(p: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean entropy of the rows of a distribution, in nats.

    Shape:
        - p: (N, K), rows sum to 1; mask: (N,) bool, rows that count.

    >>> entropy(torch.full((2, 4), 0.25)).item() == torch.tensor(4.0).log().item()
    True
    """
    return masked_mean(torch.special.entr(p).sum(dim=1), mask)


def alignment(a: Tensor, b: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean similarity a_i·b_i of the pairs.

    Shape:
        - a, b: (N, D), L2-normalised.

    >>> alignment(torch.eye(3), torch.eye(3)).item()
    1.0
    """
    return masked_mean((a * b).sum(dim=1), mask)


def uniformity(a: Tensor, mask: Tensor | None = None) -> Tensor:
    """log of the mean of exp(-2 ‖a_i - a_j‖²) over pairs i ≠ j: lower is more spread out; 0 without a pair.

    Shape:
        - a: (N, D), L2-normalised; mask: (N,) bool, rows that count.

    Source: Wang and Isola, ICML 2020.

    >>> round(uniformity(torch.eye(3)).item(), 4)
    -4.0
    """
    pairs = _off_diagonal(a, mask)
    mean = torch.where(pairs, (-2 * (2 - 2 * (a @ a.T))).exp(), 0).sum().div(pairs.sum())
    return torch.where(pairs.any(), mean.log(), 0)


def off_diagonal_histogram(a: Tensor, b: Tensor, bins: int, mask: Tensor | None = None) -> Tensor:
    """Counts of the similarities a_i·b_j, i ≠ j, in equal bins over [-1, 1].

    Shape:
        - a, b: (N, D), L2-normalised; returns: (bins,)

    >>> off_diagonal_histogram(torch.eye(3), torch.eye(3), 4).tolist()
    [0.0, 0.0, 6.0, 0.0]
    """
    use = _off_diagonal(a, mask)
    index = (((a @ b.T) + 1) / 2 * bins).long().clamp(0, bins - 1)
    return torch.zeros(bins, device=a.device).index_add_(0, index.flatten(), use.flatten().float())


def _off_diagonal(a: Tensor, mask: Tensor | None) -> Tensor:
    """Pairs i ≠ j of the rows in the mask, (N, N) bool."""
    use = ~torch.eye(len(a), dtype=torch.bool, device=a.device)
    return use if mask is None else use & mask[None, :] & mask[:, None]


@torch.no_grad()
def pair_diagnostics(
    a: Tensor, b: Tensor, target: Tensor, temperature: float, mask: Tensor | None = None
) -> dict[str, Tensor]:
    """How sure targets and predictions of an ordered pair of modalities are.

    Entropy of targets and predictions and of an even distribution, and the targets' mass on the diagonal.

    Shape:
        - a, b: (N, D), L2-normalised; target: (N, N); mask: (N,) bool, samples that have both.

    >>> sorted(pair_diagnostics(torch.eye(2), torch.eye(2), torch.eye(2), 0.07))[:2]
    ['prediction_entropy', 'target_diagonal']
    """
    rows = torch.ones(len(a), dtype=torch.bool, device=a.device) if mask is None else mask
    return {
        "target_entropy": entropy(target, rows),
        "target_diagonal": masked_mean(target.diagonal(), rows),
        "prediction_entropy": entropy(pair_logits(a, b, temperature, mask).softmax(dim=1), rows),
        "uniform_entropy": rows.sum().clamp(min=1).float().log(),
    }
