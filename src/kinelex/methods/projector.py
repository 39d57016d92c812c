"""The heads that turn features into embeddings."""

from collections.abc import Mapping

from torch import nn


def projector(width: int, hidden: int, dim: int, norm: bool = False) -> nn.Sequential:
    """Linear → ReLU → Linear, or with batch norm before the ReLU: (N, width) to (N, dim), not normalised."""
    middle = [nn.BatchNorm1d(hidden), nn.ReLU()] if norm else [nn.ReLU()]
    return nn.Sequential(nn.Linear(width, hidden), *middle, nn.Linear(hidden, dim))


def projectors(
    widths: Mapping[str, int], hidden: int, dim: int, norm: bool, text_space: bool
) -> nn.ModuleDict:
    """A projector for each modality; with ``text_space`` language has none, and all others its width."""
    size = widths["language"] if text_space else dim
    kept = {"language"} if text_space else set()
    return nn.ModuleDict(
        {m: nn.Identity() if m in kept else projector(w, hidden, size, norm) for m, w in widths.items()}
    )
