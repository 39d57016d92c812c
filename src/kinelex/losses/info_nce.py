"""Cross-entropy between a target distribution and the softmax of similarities."""

from collections.abc import Mapping

import torch
from torch import Tensor

from kinelex.errors import InputError


def masked_mean(rows: Tensor, mask: Tensor | None) -> Tensor:
    """Mean of the rows (N,) in the mask; 0 where none is."""
    if mask is None:
        return rows.mean()
    return torch.where(mask, rows, torch.zeros_like(rows)).sum() / mask.sum().clamp(min=1)


def pair_logits(a: Tensor, b: Tensor, temperature: float, mask: Tensor | None = None) -> Tensor:
    """Similarities a_i·b_j / τ; columns of rows that lack the modality are -inf.

    Shape:
        - a, b: (N, D), L2-normalised; mask: (N,) bool, True where both modalities are there; returns: (N, N)

    >>> pair_logits(torch.eye(2), torch.eye(2), 0.5).tolist()
    [[2.0, 0.0], [0.0, 2.0]]
    """
    logits = a @ b.T / temperature
    return logits if mask is None else logits.masked_fill(~mask[None, :], -torch.inf)


def pair_mask(masks: Mapping[str, Tensor], a: str, b: str) -> Tensor | None:
    """Which samples have both modalities of a pair; None where neither has a mask.

    Shape:
        - masks and returns: (N,) bool

    >>> pair_mask({"vision": torch.tensor([True, False])}, "skeleton", "vision").tolist()
    [True, False]
    """
    both = [masks[m] for m in (a, b) if m in masks]
    return torch.stack(both).all(dim=0) if both else None


def soft_info_nce(
    a: Tensor, b: Tensor, target: Tensor | None = None, temperature: float = 0.07, mask: Tensor | None = None
) -> Tensor:
    """Mean over rows i of the cross-entropy between ``target[i]`` and softmax_j(a_i·b_j / τ).

    With ``target=None`` the target is the identity: plain InfoNCE. Rows and columns of samples outside the
    mask take no part; if none is left the loss is 0.

    Shape:
        - a, b: (N, D), anchors and candidates, L2-normalised; mask: (N,) bool, samples that have both.
        - target: (N, N), rows sum to 1 over the samples in the mask; returns: scalar

    Raises:
        InputError: shapes that do not belong together.

    Source: C2VL (arXiv 2405.20606), section on soft contrastive targets; InfoNCE of van den Oord et al. 2018.

    >>> a = torch.eye(3)
    >>> bool(soft_info_nce(a, a) < soft_info_nce(a, a.flip(0)))
    True
    """
    if a.shape != b.shape or a.ndim != 2 or (target is not None and target.shape != (len(a), len(a))):
        got = [None if x is None else tuple(x.shape) for x in (a, b, target)]
        raise InputError(f"expects a, b (N, D) and target (N, N), got {', '.join(map(str, got))}")
    log_p = pair_logits(a, b, temperature, mask).log_softmax(dim=1)
    if target is None:
        rows = -log_p.diagonal()
    else:
        # 0 · (-inf) would be NaN where a column is masked: its target is 0, and so is its share.
        rows = -torch.where(target > 0, target * log_p, torch.zeros_like(log_p)).sum(dim=1)
    return masked_mean(rows, mask)
