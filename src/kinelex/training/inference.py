"""Features of stored clips by a trained encoder."""

from __future__ import annotations

import numpy as np
import torch

from kinelex.errors import InputError
from kinelex.store import SkeletonStore
from kinelex.training.loader import SkeletonLoader
from kinelex.training.run_directory import SkeletonEncoder


def extract_features(
    encoder: SkeletonEncoder,
    store: SkeletonStore,
    indices: np.ndarray,
    batch_size: int = 256,
    device: torch.device | str = "cpu",
) -> np.ndarray:
    """Features of clips, prepared as at test time.

    Args:
        encoder: the encoder, as :func:`~kinelex.training.run_directory.load_encoder` gives it.
        store: the skeleton store.
        indices: rows to embed.
        batch_size: clips at a time.
        device: where to compute.

    Shape:
        - indices: (n,)
        - returns: (n, F) float32

    Raises:
        InputError: the store's layout is not the encoder's.
    """
    if encoder.layout.joints != store.layout.joints:
        raise InputError(
            f"the encoder expects {encoder.layout.num_joints} joints ({encoder.layout.name}), "
            f"{store.path} has {store.layout.num_joints} ({store.layout.name})"
        )
    loader = SkeletonLoader(store, indices, batch_size)
    encoder = encoder.to(device)
    was_training = encoder.training
    encoder.eval()
    with torch.inference_mode():
        parts = [encoder(encoder.pipeline(batch.to(device))).float().cpu().numpy() for batch in loader]
    encoder.train(was_training)
    return np.concatenate(parts)
