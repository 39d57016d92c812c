"""Features of stored clips by a trained encoder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from kinelex.data import SkeletonStore
from kinelex.data.batch import Batch
from kinelex.data.loader import SkeletonLoader
from kinelex.data.named_clips import NamedClips
from kinelex.data.scored_clips import clips_to_read
from kinelex.errors import InputError, one_line
from kinelex.training.encoder_files import SkeletonEncoder
from kinelex.transforms.rate import check_rates

LOADED = 256  # clips that are read and prepared at a time


def extract_features(
    encoder: SkeletonEncoder,
    store: SkeletonStore | NamedClips,
    indices: np.ndarray,
    batch_size: int | None = None,
    device: torch.device | str = "cpu",
) -> np.ndarray:
    """Features of clips, prepared as at test time.

    Args:
        encoder: the encoder, as :func:`~kinelex.training.encoder_files.load_encoder` gives it.
        store: the skeleton store, or clips in memory.
        indices: rows to embed.
        batch_size: clips at a time; by default 256, which go through the encoder in parts of as many as are
            fastest on a CPU.
        device: where to compute.

    Shape:
        - indices: (n,)
        - returns: (n, F) float32

    Raises:
        InputError: the store's layout is not the encoder's, or a feature is no finite number.
    """
    return extract_all({"": encoder}, store, indices, batch_size, device)[""]


def extract_all(
    encoders: Mapping[str, SkeletonEncoder],
    store: SkeletonStore | NamedClips,
    indices: np.ndarray,
    batch_size: int | None = None,
    device: torch.device | str = "cpu",
    change: Callable[[Batch], Batch] | None = None,
    augment: bool = False,
    crops: Callable[[int], torch.Generator] | None = None,
    progress: Callable[[float, int], None] | None = None,
) -> dict[str, np.ndarray]:
    """Features of clips by several encoders, for example one per stream, in one pass over the clips.

    Args:
        encoders: the encoders by name.
        store, indices, batch_size, device: as in :func:`extract_features`.
        change: what is done to each batch of clips as loaded, on the device, before it is prepared.
        augment: prepare clips as in training, changed at random, instead of as at test time.
        crops: take each row's frames as in training, by its generator, and all else as at test time.
        progress: told how many clips are done, and of how many.

    Shape:
        - indices: (n,)
        - returns: by name (n, F) float32

    Raises:
        InputError: the store's layout is not an encoder's, a clip does not say the frame rate that the input
            asks for, or a feature is no finite number.
    """
    for encoder in encoders.values():
        if encoder.source.joints != store.layout.joints:
            raise InputError(
                f"the encoder expects {encoder.source.num_joints} joints ({encoder.source.name}), "
                f"{store.path} has {store.layout.num_joints} ({store.layout.name})"
            )
    for encoder in encoders.values():
        check_rates(store.fps[indices], encoder.pipeline.config.fps)
    pipelines = {name: encoder.for_store(store).pipeline for name, encoder in encoders.items()}
    places = max(pipeline.config.persons or 1 for pipeline in pipelines.values())
    training = {name: encoder.training for name, encoder in encoders.items()}
    parts: dict[str, list[np.ndarray]] = {name: [] for name in encoders}
    for encoder in encoders.values():
        encoder.to(device).eval()
    scores = any(pipeline.config.scores for pipeline in pipelines.values())
    clips, on_cpu = clips_to_read(store, indices, scores), torch.device(device).type == "cpu"
    with torch.inference_mode():
        for number, batch in enumerate(SkeletonLoader(clips, indices, batch_size or LOADED, places=places)):
            there = batch.to(device) if change is None else change(batch.to(device))
            for name, encoder in encoders.items():
                pipeline, generator = pipelines[name], torch.Generator().manual_seed(number)
                views: list[dict[str, Any] | None]
                if augment:
                    views = [pipeline.sample(there, generator)]
                elif crops is not None:
                    views = [pipeline.sample_crops(there, [crops(row) for row in batch.indices.tolist()])]
                else:
                    views = pipeline.views(there)
                size = batch_size or (encoder.encoder.cached if on_cpu else LOADED)
                each = max(1, size // len(there))  # views that go through the encoder together
                seen = [
                    _in_parts(encoder, [pipeline(there, view) for view in views[i : i + each]], size)
                    for i in range(0, len(views), each)
                ]
                mean = torch.cat(seen).unflatten(0, (len(views), -1)).mean(dim=0)
                parts[name].append(mean.cpu().numpy())
            if progress is not None:
                progress(sum(map(len, parts[name])), len(indices))
    for name, encoder in encoders.items():
        encoder.train(training[name])
    features = {name: np.concatenate(found) for name, found in parts.items()}
    for name, found in features.items():
        _check_finite(f"the {name} encoder" if name else "the encoder", found, store, indices)
    return features


def _in_parts(encoder: SkeletonEncoder, views: list[torch.Tensor], size: int) -> torch.Tensor:
    """Features of views of clips, which go through an encoder some at a time; other lengths apart."""
    if len(views) > 1 and len({view.shape for view in views}) == 1:
        views = [torch.cat(views)]
    return torch.cat([encoder(part).float() for view in views for part in view.split(size)])


def _check_finite(
    encoder: str, features: np.ndarray, store: SkeletonStore | NamedClips, indices: np.ndarray
) -> None:
    """Raise an InputError where features are no numbers: nothing can be judged by them."""
    wrong = ~np.isfinite(features).all(axis=1)
    if wrong.any():
        raise InputError(
            f"{encoder} gives features that are no finite numbers for {wrong.sum()} of {len(wrong)} clips, "
            f"the first is {store.ids[indices[wrong.argmax()]]}: its training diverged (see the loss in "
            "metrics.csv, try a lower optimizer.lr) or its weights are damaged"
        )


def check_device(device: str) -> None:
    """Refuse a device that this machine does not have."""
    try:
        torch.zeros(1, device=device).item()  # what the device "meta" cannot
    except (RuntimeError, AssertionError, ImportError) as error:
        reason = one_line(error)[:200]
        raise InputError(f"device {device!r} cannot be used on this machine: {reason}") from error
