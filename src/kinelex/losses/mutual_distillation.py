"""Cross-modal mutual distillation: each stream's neighbourhood in its queue teaches the other streams.

CMD (Mao et al., ECCV 2022, arXiv 2208.12448), section 3.3. All ordered pairs of S streams are computed at
once; nothing has the size of pairs × clips × neighbours. Letters: u teacher, w student, n clip, k slot.
"""

from __future__ import annotations

import torch
from torch import Tensor

from kinelex.errors import InputError, unknown_name

MINING = ("none", "top")
COLDEST = 0.03  # below, exp(-2/τ) leaves the range of float32


@torch.no_grad()
def neighbour_targets(
    similarity: Tensor, top_k: int, temperature: float = 0.05, mining: str = "none", positives: int = 1
) -> tuple[Tensor, Tensor]:
    """What each stream teaches: a distribution over the nearest keys of its own queue.

    Args:
        similarity: of the keys to their own stream's queue.
        top_k: neighbours that count.
        temperature: τ of the teacher.
        mining: ``none``: softmax over the neighbours, the paper's soft target. ``top``: the ``positives``
            nearest share the target evenly, as positive mining in CrosSCLR does (Li et al., CVPR 2021); the
            limit of ``none`` for τ → 0 where it is one.
        positives: neighbours that mining takes as positives.

    Shape:
        - similarity: (S, N, K)
        - returns: the target (S, N, K), rows sum to 1, zero outside the neighbours; and 1 for each neighbour,
          else 0, (S, N, K).

    Raises:
        InputError: an unknown ``mining``, or ``top_k`` or ``positives`` out of range.

    >>> target, neighbours = neighbour_targets(torch.tensor([[[0.9, -0.2, 0.4]]]), top_k=2)
    >>> neighbours.tolist()
    [[[1.0, 0.0, 1.0]]]
    """
    if mining not in MINING:
        raise unknown_name("mining", mining, MINING)
    if not 1 <= positives <= top_k <= similarity.shape[2]:
        raise InputError(
            f"expects 1 ≤ positives ≤ top_k ≤ queue, got positives={positives}, top_k={top_k} and a queue "
            f"of {similarity.shape[2]}"
        )
    neighbours = _top(similarity, top_k)
    if mining == "top":
        return _top(similarity, positives) / positives, neighbours
    logits = (similarity / temperature).masked_fill_(neighbours == 0, -torch.inf)
    return logits.softmax(dim=2), neighbours


def _top(similarity: Tensor, count: int) -> Tensor:
    """1 at the ``count`` largest of each row, else 0."""
    if count == similarity.shape[2]:
        return torch.ones_like(similarity)
    slots = similarity.topk(count, dim=2, sorted=False).indices
    return torch.zeros_like(similarity).scatter_(2, slots, 1)


def mutual_distillation(
    similarity: Tensor, target: Tensor, neighbours: Tensor, temperature: float = 0.1
) -> Tensor:
    """KL(target of u ‖ prediction of w), mean over the clips, for each teacher u and student w.

    The prediction is the softmax of the query's similarities to w's queue over the slots that are u's
    neighbours. With t the target, s the similarities and τ the student's temperature, the divergence is
    Σ t log t - Σ t s/τ + log Σ_neighbours exp(s/τ); both sums over slots are matrix products (u × k)(k × w).

    Args:
        similarity: of the queries to their own stream's queue, with gradient.
        target: see :func:`neighbour_targets`.
        neighbours: see :func:`neighbour_targets`.
        temperature: τ of the student, at least 0.03.

    Shape:
        - similarity, target, neighbours: (S, N, K), similarities from -1 to 1.
        - returns: (S, S), teacher × student; the diagonal, a stream with itself, is 0.

    Raises:
        InputError: shapes that differ, or a temperature out of range.

    Source: CMD, equations of the mutual distillation loss.

    >>> similarity = torch.nn.functional.normalize(torch.randn(2, 4, 8), dim=2)
    >>> loss = mutual_distillation(similarity, *neighbour_targets(similarity, 5))
    >>> bool((loss >= -1e-6).all()), loss.diagonal().tolist()
    (True, [0.0, 0.0])
    """
    if not similarity.shape == target.shape == neighbours.shape or similarity.ndim != 3:
        raise InputError(
            "expects similarity, target and neighbours of one shape (S, N, K), "
            f"got {tuple(similarity.shape)}, {tuple(target.shape)} and {tuple(neighbours.shape)}"
        )
    if temperature < COLDEST:
        raise InputError(f"expects a student temperature of at least {COLDEST}, got {temperature}")
    logits = similarity / temperature
    top = logits.detach().amax(dim=2, keepdim=True)  # of each row, to keep exp in range
    mass = torch.einsum("unk,wnk->uwn", neighbours, (logits - top).exp())
    matched = torch.einsum("unk,wnk->uwn", target, logits)
    certainty = -torch.special.entr(target).sum(dim=2)  # (S, N): Σ t log t
    divergence = certainty[:, None] - matched + mass.log() + top[None, :, :, 0]
    itself = torch.eye(len(similarity), dtype=torch.bool, device=similarity.device)
    return divergence.mean(dim=2).masked_fill(itself, 0)
