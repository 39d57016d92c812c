"""Cross-modal mutual distillation: each stream's neighbourhood in its queue teaches the other streams.

CMD (Mao et al., ECCV 2022, arXiv 2208.12448), section 3.3, all ordered pairs of S streams at once. Letters:
u teacher, w student, n clip, k slot.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from kinelex.errors import InputError, check_name

MINING = ("none", "top")
COLDEST = 0.03  # below, exp(-2/τ) leaves the range of float32


class Neighbourhood(NamedTuple):
    """What each stream teaches about each clip; without gradient.

    Shape:
        - target: (S, N, K), rows sum to 1, zero outside the neighbours
        - members: (S, N, K), 1 for each neighbour, else 0; entropy: (S, N), of the targets, in nats.
    """

    target: Tensor
    members: Tensor
    entropy: Tensor


@torch.no_grad()
def neighbour_targets(
    similarity: Tensor, top_k: int, temperature: float = 0.05, mining: str = "none", positives: int = 1
) -> Neighbourhood:
    """What each stream teaches: a distribution over the ``top_k`` nearest keys of its own queue.

    ``mining="none"`` is the paper's soft target, a softmax over the neighbours. With ``top`` the nearest
    ``positives`` share the target evenly, as positive mining in CrosSCLR does (Li et al., CVPR 2021); for
    one it is the limit of ``none`` for τ → 0.

    Shape:
        - similarity: (S, N, K), of the keys to their own stream's queue.

    Raises:
        InputError: an unknown ``mining``, or ``top_k`` or ``positives`` out of range.

    >>> taught = neighbour_targets(torch.tensor([[[0.9, -0.2, 0.4]]]), top_k=2)
    >>> taught.members.tolist()
    [[[1.0, 0.0, 1.0]]]
    """
    check_name("mining", mining, MINING)
    if not 1 <= positives <= top_k <= similarity.shape[2]:
        got = f"positives={positives}, top_k={top_k} and a queue of {similarity.shape[2]}"
        raise InputError(f"expects 1 ≤ positives ≤ top_k ≤ queue, got {got}")
    nearest, slots = similarity.topk(top_k, dim=2, sorted=False)  # (S, N, top_k)
    if mining == "top":
        chosen = nearest.topk(positives, dim=2).indices
        shares = torch.zeros_like(nearest).scatter_(2, chosen, 1 / positives)
    else:
        shares = (nearest / temperature).softmax(dim=2)
    nothing = torch.zeros_like(similarity)
    return Neighbourhood(
        nothing.scatter(2, slots, shares),
        nothing.scatter_(2, slots, 1),
        torch.special.entr(shares).sum(dim=2),
    )


def mutual_distillation(similarity: Tensor, taught: Neighbourhood, temperature: float = 0.1) -> Tensor:
    """KL(target of u ‖ prediction of w), mean over the clips, for each teacher u and student w.

    The prediction is the softmax of the query's similarities to w's queue over the slots that are u's
    neighbours. With t the target, s the similarities and τ the student's temperature, the divergence is
    Σ t log t - Σ t s/τ + log Σ_neighbours exp(s/τ); both sums over slots are matrix products (w × k)(k × u).

    Shape:
        - similarity: (S, N, K), of the queries to their own stream's queue, from -1 to 1.
        - returns: (S, S), teacher × student; the diagonal, a stream with itself, is 0.

    Raises:
        InputError: shapes that differ, or a temperature below 0.03.

    Source: CMD, equations of the mutual distillation loss.

    >>> similarity = torch.nn.functional.normalize(torch.randn(2, 4, 8), dim=2)
    >>> loss = mutual_distillation(similarity, neighbour_targets(similarity, 5))
    >>> bool((loss >= -1e-6).all()), loss.diagonal().tolist()
    (True, [0.0, 0.0])
    """
    if similarity.shape != taught.target.shape or similarity.ndim != 3:
        got = f"{tuple(similarity.shape)} and {tuple(taught.target.shape)}"
        raise InputError(f"expects similarity and target of one shape (S, N, K), got {got}")
    if temperature < COLDEST:
        raise InputError(f"expects a student temperature of at least {COLDEST}, got {temperature}")
    logits = similarity.transpose(0, 1) / temperature  # (N, W, K)
    largest = logits.detach().amax(dim=2, keepdim=True)  # of each row, to keep exp in range
    mass = torch.bmm((logits - largest).exp(), taught.members.permute(1, 2, 0))  # (N, W, U)
    matched = torch.bmm(logits, taught.target.permute(1, 2, 0))
    divergence = mass.log() + largest - matched - taught.entropy.T[:, None]
    itself = torch.eye(len(similarity), dtype=torch.bool, device=similarity.device)
    return divergence.mean(dim=0).T.masked_fill(itself, 0)
