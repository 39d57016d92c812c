"""Two views of the same clips agree, and the dimensions of their embeddings say different things."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from kinelex.errors import InputError


class Decorrelation(NamedTuple):
    """The three terms, each a scalar, before their weights."""

    invariance: Tensor
    variance: Tensor
    covariance: Tensor


def decorrelation(first: Tensor, second: Tensor) -> Decorrelation:
    """Mean square between views, spread below 1 of each dimension, and covariance between dimensions.

    Variance and covariance are means of the two views'. Embeddings that are all alike have a variance term of
    about 1, so that a collapse costs more than it gains; no negatives are needed.

    Shape:
        - first, second: (N, D), row i of both from one clip; N at least 2

    Raises:
        InputError: shapes that do not belong together, or fewer than two rows.

    Source: Bardes, Ponce, LeCun, VICReg, ICLR 2022, equations 1 to 5.

    >>> x = torch.eye(4) - 0.25
    >>> terms = decorrelation(x, x)
    >>> [round(float(term), 3) for term in terms]
    [0.0, 0.5, 0.021]
    """
    if first.shape != second.shape or first.ndim != 2 or len(first) < 2:
        shapes = f"{tuple(first.shape)} and {tuple(second.shape)}"
        raise InputError(f"expects two views (N, D) of at least 2 clips, got {shapes}")
    views = torch.stack([first, second])  # (2, N, D)
    centred = views - views.mean(dim=1, keepdim=True)
    covariance = centred.transpose(1, 2) @ centred / (views.shape[1] - 1)  # (2, D, D)
    variances = covariance.diagonal(dim1=1, dim2=2)
    spread = F.relu(1 - (variances + 1e-4).sqrt()).mean()
    between = covariance.square().sum(dim=(1, 2)) - variances.square().sum(dim=1)
    return Decorrelation(F.mse_loss(first, second), spread, (between / views.shape[2]).mean())
