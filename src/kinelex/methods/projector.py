"""The head that turns features into embeddings."""

from __future__ import annotations

from torch import nn


def projector(width: int, hidden: int, dim: int, norm: bool = False) -> nn.Sequential:
    """Linear → ReLU → Linear, or with batch norm before the ReLU. The L2 norm is taken by the caller.

    Shape:
        - input: (N, width)
        - returns of the module: (N, dim)
    """
    middle = [nn.BatchNorm1d(hidden), nn.ReLU()] if norm else [nn.ReLU()]
    return nn.Sequential(nn.Linear(width, hidden), *middle, nn.Linear(hidden, dim))
