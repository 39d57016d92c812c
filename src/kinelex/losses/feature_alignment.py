"""MMCL's feature alignment: a clip's skeleton and its picture find each other among all of the batch."""

import torch
from torch import Tensor
from torch.nn import functional as F

from kinelex.errors import InputError
from kinelex.losses.info_nce import masked_mean


def feature_alignment(
    skeleton: Tensor, rgb: Tensor, temperature: float = 0.4, mask: Tensor | None = None
) -> Tensor:
    """Symmetric contrastive loss of two modalities, with the similarities within a modality as negatives too.

    Each of the 2N embeddings, normalised here, looks for its partner of the other modality among all others
    of both modalities. Clips outside the mask take no part; if none is left the loss is 0.

    Shape:
        - skeleton, rgb: (N, D); mask: (N,) bool; returns: scalar

    Raises:
        InputError: shapes that do not belong together.

    Source: MMCL (arXiv 2407.15706), section on feature alignment.

    >>> eye = torch.eye(3)
    >>> bool(feature_alignment(eye, eye) < feature_alignment(eye, eye.flip(0)))
    True
    """
    n = len(skeleton)
    if skeleton.shape != rgb.shape or skeleton.ndim != 2 or (mask is not None and mask.shape != (n,)):
        a, b, c = (None if x is None else tuple(x.shape) for x in (skeleton, rgb, mask))
        raise InputError(f"expects skeleton and rgb (N, D) and mask (N,), got {a}, {b} and {c}")
    both = F.normalize(torch.cat([skeleton, rgb]), dim=1)  # (2N, D)
    itself = torch.eye(2 * n, dtype=torch.bool, device=both.device)
    partner = torch.arange(2 * n, device=both.device).roll(n)
    logits = (both @ both.T / temperature).masked_fill(itself, -torch.inf)
    if mask is None:
        return F.cross_entropy(logits, partner)
    present = mask.repeat(2)
    # A row outside the mask keeps its own partner: a softmax over nothing has no gradient but NaN.
    logits = logits.masked_fill(~(present | itself.roll(n, dims=1)), -torch.inf)
    rows = F.cross_entropy(logits, partner, reduction="none")
    return masked_mean(rows, present)
