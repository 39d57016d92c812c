"""Losses: tensors in, scalar out. They know no trainer and no encoder."""

from kinelex.losses._gather import gather
from kinelex.losses.diagnostics import alignment, entropy, off_diagonal_histogram, uniformity
from kinelex.losses.info_nce import pair_logits, soft_info_nce
from kinelex.losses.soft_targets import (
    INTRA,
    cycle_consistency,
    progressive_alpha,
    self_similarity,
    soft_targets,
)

__all__ = [
    "INTRA",
    "alignment",
    "cycle_consistency",
    "entropy",
    "gather",
    "off_diagonal_histogram",
    "pair_logits",
    "progressive_alpha",
    "self_similarity",
    "soft_info_nce",
    "soft_targets",
    "uniformity",
]
