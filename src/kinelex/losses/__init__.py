"""Losses: tensors in, scalar out. They know no trainer and no encoder."""

from kinelex.losses.classification import CLASS_WEIGHTS, Mix, class_weights, classification_loss, mixup
from kinelex.losses.decorrelation import decorrelation
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
    queue_divergence,
    queue_info_nce,
    queue_similarities,
)
from kinelex.losses.self_distillation import koleo, sinkhorn
from kinelex.losses.soft_targets import (
    INTRA,
    cycle_consistency,
    progressive_alpha,
    self_similarity,
    soft_targets,
)

__all__ = ["CLASS_WEIGHTS", "Mix", "class_weights", "classification_loss", "mixup"]
__all__ += ["alignment", "entropy", "off_diagonal_histogram", "pair_diagnostics", "uniformity"]
__all__ += ["decorrelation"]
__all__ += ["feature_alignment", "gather", "mean_over_processes", "pair_logits", "pair_mask", "soft_info_nce"]
__all__ += ["MINING", "Neighbourhood", "mutual_distillation", "neighbour_targets", "queue_info_nce"]
__all__ += ["koleo", "sinkhorn"]
__all__ += ["check_room", "contrastive_accuracy", "enqueue", "new_queue", "queue_divergence"]
__all__ += ["queue_similarities"]
__all__ += ["INTRA", "cycle_consistency", "progressive_alpha", "self_similarity", "soft_targets"]
