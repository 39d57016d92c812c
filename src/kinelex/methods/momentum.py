"""Networks that follow others slowly: key encoders and teachers."""

import torch
from torch import Tensor, nn


@torch.no_grad()
def follow(slow: nn.Module, quick: nn.Module, momentum: float) -> None:
    """Each parameter of ``slow`` keeps ``momentum`` of itself and takes the rest from ``quick``, in place.

    >>> slow, quick = nn.Linear(1, 1).requires_grad_(False), nn.Linear(1, 1)
    >>> follow(slow, quick, momentum=0.0)
    >>> torch.equal(slow.weight, quick.weight)
    True
    """
    keys: list[Tensor] = list(slow.parameters())
    queries: list[Tensor] = list(quick.parameters())
    torch._foreach_lerp_(keys, queries, 1 - momentum)
