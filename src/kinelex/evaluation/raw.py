"""Raw coordinates as features: the baseline that a trained encoder has to beat."""

from __future__ import annotations

from typing import Any

import numpy as np

from kinelex.data import SkeletonStore
from kinelex.data.loader import SkeletonLoader
from kinelex.data.named_clips import NamedClips
from kinelex.transforms import InputConfig, InputPipeline


def raw_features(
    store: SkeletonStore | NamedClips,
    indices: np.ndarray,
    frames: int = 64,
    aligned: bool = False,
    batch_size: int = 256,
    persons: int | None = None,
) -> np.ndarray:
    """Clips as flat vectors of coordinates: resampled and centred on the body, all persons.

    They take the way of an encoder's input (:class:`~kinelex.transforms.InputPipeline`): the whole clip,
    centred on the spine joint of the first person in the first frame. Aligned clips are centred on the
    mean place of that joint and turned into the frame of the clip's mean torso: on Northwestern-UCLA that
    is a far stronger baseline than turning by the first frame (83 against 77 %).

    Shape:
        - indices: (n,)
        - returns: (n, C * frames * V * persons) float32, in the store's units; by default as many persons
              as the clip of the store with the most has
    """
    body: dict[str, Any] = (
        {"centre": "mean", "align": "torso"} if aligned else {"centre": "first", "align": "none"}
    )
    pipeline = InputPipeline(store.layout, InputConfig(frames=frames, test_crop=1.0, **body))
    persons = persons or int(store.persons.max(initial=1))
    shape = (len(indices), store.channels * frames * store.layout.num_joints * persons)
    features = np.empty(shape, np.float32)
    for i, batch in enumerate(SkeletonLoader(store, indices, batch_size, places=persons)):
        features[i * batch_size :][: len(batch)] = pipeline(batch).flatten(1).numpy()
    return features
