"""Losses: tensors in, scalar out. They know no trainer and no encoder."""

from kinelex.losses.classification import CLASS_WEIGHTS, Mix, class_weights, classification_loss, mixup
from kinelex.losses.diagnostics import (
    alignment,
    entropy,
    off_diagonal_histogram,
    pair_diagnostics,
    uniformity,
)
from kinelex.losses.feature_alignment import feature_alignment
from kinelex.losses.gather import gather, mean_over_processes
from kinelex.losses.info_nce import pair_logits, pair_mask, soft_info_nce
from kinelex.losses.mutual_distillation import MINING, Neighbourhood, mutual_distillation, neighbour_targets
from kinelex.losses.queue_info_nce import (
    check_room,
    contrastive_accuracy,
    enqueue,
    new_queue,
    queue_info_nce,
    queue_similarities,
)
from kinelex.losses.soft_targets import (
    INTRA,
    cycle_consistency,
    progressive_alpha,
    self_similarity,
    soft_targets,
)

__all__ = [
    "CLASS_WEIGHTS",
    "INTRA",
    "MINING",
    "Mix",
    "Neighbourhood",
    "alignment",
    "check_room",
    "class_weights",
    "classification_loss",
    "contrastive_accuracy",
    "cycle_consistency",
    "enqueue",
    "entropy",
    "feature_alignment",
    "gather",
    "mean_over_processes",
    "mixup",
    "mutual_distillation",
    "neighbour_targets",
    "new_queue",
    "off_diagonal_histogram",
    "pair_diagnostics",
    "pair_logits",
    "pair_mask",
    "progressive_alpha",
    "queue_info_nce",
    "queue_similarities",
    "self_similarity",
    "soft_info_nce",
    "soft_targets",
    "uniformity",
]
