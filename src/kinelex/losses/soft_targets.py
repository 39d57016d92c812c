"""Soft contrastive targets from a teacher: self-similarity, cycle consistency and their slow arrival.

C2VL (Chen et al., arXiv 2405.20606), whose equations are not public; each function names the work on which
our reading rests.
"""

import torch
from torch import Tensor

from kinelex.errors import InputError, check_name

INTRA = ("anchor", "candidate", "none")


def _softmax(logits: Tensor, mask: Tensor | None) -> Tensor:
    if mask is not None:
        logits = logits.masked_fill(~mask[None, :], -torch.inf)
    p = logits.softmax(dim=1)
    return p if mask is None else torch.where(mask[None, :] & mask[:, None], p, torch.zeros_like(p))


def self_similarity(m: Tensor, temperature: float = 0.07, mask: Tensor | None = None) -> Tensor:
    """self_ij = softmax_j(m_i·m_j / τ_s): which samples look alike within one modality.

    Shape:
        - m: (N, D), L2-normalised; mask: (N,) bool, who has it; returns: (N, N), rows sum to 1, others are 0.

    Source: intra-modal self-similarity guidance; our reading after SoftCLIP (Gao et al., AAAI 2024).

    >>> self_similarity(torch.eye(3)).sum(dim=1).round(decimals=4).tolist()
    [1.0, 1.0, 1.0]
    """
    return _softmax(m @ m.T / temperature, mask)


def cycle_consistency(a: Tensor, b: Tensor, temperature: float = 0.07, mask: Tensor | None = None) -> Tensor:
    """cycle_ij = softmax_j((a_i·a_j + b_i·b_j + a_j·b_j) / (3 τ_s)): does a_i → a_j → b_j → b_i close?

    A negative j that shows the same action as i gets mass; a j whose own pair is badly matched gets little.

    Shape:
        - a, b: (N, D), L2-normalised; mask: (N,) bool, who has both; returns: (N, N), rows sum to 1.

    Source: inter-modal cross-consistency; our reading after the cycle-consistent prediction of Morgado
    et al., "Robust audio-visual instance discrimination", CVPR 2021.

    >>> cycle_consistency(torch.eye(3), torch.eye(3)).argmax(dim=1).tolist()
    [0, 1, 2]
    """
    matched = (a * b).sum(dim=1)  # (N,): how well pair j belongs together
    return _softmax((a @ a.T + b @ b.T + matched[None, :]) / (3 * temperature), mask)


def progressive_alpha(epoch: int, epochs: int, final: float = 0.8) -> float:
    """α_t = α_T · t / (E - 1), t from 0: the teacher's share of the target grows linearly over E epochs.

    Source: progressive self-distillation; after PS-KD (Kim et al., ICCV 2021).

    >>> [round(progressive_alpha(t, 5), 2) for t in range(5)]
    [0.0, 0.2, 0.4, 0.6, 0.8]
    """
    return final * epoch / (epochs - 1) if epochs > 1 else 0.0


def soft_targets(
    a: Tensor,
    b: Tensor,
    alpha: float,
    beta: float = 0.5,
    temperature: float = 0.07,
    intra: str = "anchor",
    inter: bool = True,
    mask: Tensor | None = None,
) -> Tensor:
    """The target distribution of an ordered pair of modalities: y + α (guidance - y).

    The guidance is the mean of the terms that are on: G = β y + (1 - β) self, of the modality ``intra``
    (``anchor``, ``candidate`` or ``none``), and with ``inter`` the cycle. With α = 0, or with both terms off,
    the target is the identity y. That β sits inside the intra-modal term is our reading.

    Shape:
        - a, b: (N, D), the teacher's anchors and candidates, L2-normalised; mask: (N,) bool, who has both.
        - returns: (N, N), without gradient; rows of samples in the mask sum to 1, all others are 0.

    Raises:
        InputError: an unknown ``intra``, or α or β outside 0 to 1.

    >>> a = torch.nn.functional.normalize(torch.randn(4, 8), dim=1)
    >>> bool(torch.allclose(soft_targets(a, a, alpha=0.5).sum(dim=1), torch.ones(4)))
    True
    """
    check_name("intra", intra, INTRA)
    if not (0 <= alpha <= 1 and 0 <= beta <= 1):
        raise InputError(f"expects alpha and beta from 0 to 1, got {alpha} and {beta}")
    with torch.no_grad():
        y = torch.eye(len(a), dtype=a.dtype, device=a.device)
        if mask is not None:
            y = y * mask[None, :]
        terms = []
        if intra != "none":
            own = self_similarity(a if intra == "anchor" else b, temperature, mask)
            terms.append(beta * y + (1 - beta) * own)
        if inter:
            terms.append(cycle_consistency(a, b, temperature, mask))
        if not terms or alpha == 0:
            return y
        guidance = torch.stack(terms).mean(dim=0)
        return y + alpha * (guidance - y)
