"""Numbers that show what a contrastive training does: entropy, alignment, uniformity, similarities."""

from __future__ import annotations

import torch
from torch import Tensor


def entropy(p: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean entropy of the rows of a distribution, in nats.

    Shape:
        - p: (N, K), rows sum to 1.
        - mask: (N,) bool, rows that count.

    >>> entropy(torch.full((2, 4), 0.25)).item() == torch.tensor(4.0).log().item()
    True
    """
    rows = torch.special.entr(p).sum(dim=1)
    return rows.mean() if mask is None else (rows * mask).sum() / mask.sum().clamp(min=1)


def alignment(a: Tensor, b: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean similarity a_i·b_i of the pairs.

    Shape:
        - a, b: (N, D), L2-normalised.
    """
    rows = (a * b).sum(dim=1)
    return rows.mean() if mask is None else (rows * mask).sum() / mask.sum().clamp(min=1)


def uniformity(a: Tensor) -> Tensor:
    """log of the mean of exp(-2 |a_i - a_j|²) over pairs i ≠ j: lower is more spread out.

    Shape:
        - a: (N, D), L2-normalised.

    Source: Wang and Isola, ICML 2020.
    """
    if len(a) < 2:
        return a.new_zeros(())
    squared = 2 - 2 * (a @ a.T)
    off = ~torch.eye(len(a), dtype=torch.bool, device=a.device)
    return torch.where(off, (-2 * squared).exp(), 0).sum().div(off.sum()).log()


def off_diagonal_histogram(a: Tensor, b: Tensor, bins: int, mask: Tensor | None = None) -> Tensor:
    """Counts of the similarities a_i·b_j, i ≠ j, in equal bins over [-1, 1].

    Shape:
        - a, b: (N, D), L2-normalised.
        - returns: (bins,)
    """
    use = ~torch.eye(len(a), dtype=torch.bool, device=a.device)
    if mask is not None:
        use = use & mask[None, :] & mask[:, None]
    index = (((a @ b.T) + 1) / 2 * bins).long().clamp(0, bins - 1)
    return torch.zeros(bins, device=a.device).index_add_(0, index.flatten(), use.flatten().float())
