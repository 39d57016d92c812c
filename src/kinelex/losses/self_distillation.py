"""Self-distillation: assignments to prototypes, and embeddings that keep apart.

Caron et al., "Emerging Properties in Self-Supervised Vision Transformers" (DINO), ICCV 2021, and Oquab et
al., "DINOv2", 2023.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def sinkhorn(scores: Tensor, iterations: int = 3) -> Tensor:
    """Assignments of rows to prototypes that use all prototypes evenly: exp(scores), scaled by turns.

    Shape:
        - scores: (N, K), over the temperature, of all processes; returns: (N, K), rows sum to 1.

    Source: Cuturi, NeurIPS 2013; as SwAV (Caron et al., NeurIPS 2020) and DINOv2 take it.

    >>> sinkhorn(torch.tensor([[9.0, 8.0], [5.0, 2.0]]), 20).sum(dim=0).round(decimals=3).tolist()
    [1.0, 1.0]
    """
    n, k = scores.shape
    for _ in range(iterations):
        scores = scores - scores.logsumexp(dim=0, keepdim=True) + math.log(n / k)
        scores = scores - scores.logsumexp(dim=1, keepdim=True)
    return scores.exp()


def koleo(x: Tensor) -> Tensor:
    """Mean over the rows of -log of the distance to the nearest other row.

    Shape:
        - x: (N, D), L2-normalised, N of at least 2 (of one row it is 0); returns: ()

    Source: Sablayrolles et al., "Spreading vectors for similarity search", ICLR 2019, as in DINOv2.

    >>> round(koleo(torch.eye(3)).item(), 4)  # all are √2 apart
    -0.3466
    """
    if len(x) < 2:
        return x.sum() * 0
    with torch.no_grad():
        own = torch.eye(len(x), dtype=torch.bool, device=x.device)
        nearest = (x @ x.T).masked_fill(own, -torch.inf).argmax(dim=1)
    return -F.pairwise_distance(x, x[nearest], eps=1e-6).clamp(min=1e-6).log().mean()
