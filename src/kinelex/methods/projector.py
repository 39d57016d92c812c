"""The head that turns features into embeddings."""

from torch import nn


def projector(width: int, hidden: int, dim: int, norm: bool = False) -> nn.Sequential:
    """Linear → ReLU → Linear, or with batch norm before the ReLU: (N, width) to (N, dim), not normalised."""
    middle = [nn.BatchNorm1d(hidden), nn.ReLU()] if norm else [nn.ReLU()]
    return nn.Sequential(nn.Linear(width, hidden), *middle, nn.Linear(hidden, dim))
