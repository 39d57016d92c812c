"""The batch: what the loader makes, transforms change and methods read."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from kinelex.data.clip_prompts import Prompts
from kinelex.skeleton import SkeletonLayout


@dataclass
class Batch:
    """A batch of clips: ragged ``frames`` as loaded, or ``x`` once resampled to one length.

    Shape:
        - frames: (sum of T, C, V, M), the clips' frames one after another; None once resampled.
        - lengths: (N,) int64, frames of each clip.
        - x: (N, C, T, V, M), None until resampled; beside ``frames`` the whole clips, padded.
        - presence: (N, 1, T, V, M) bool, which joints of ``x`` are there; None where ``x`` is.
        - fps: (N,) float, frames per second of each clip, NaN where it is not known; or None.
        - labels: (N,) int64, -1 where a clip has none; indices: (N,) int64, rows of the store.
        - prompts: by modality N clips' prompts; ``images`` are the tiled pictures, for methods that ask.
    """

    lengths: Tensor
    labels: Tensor
    indices: Tensor
    frames: Tensor | None = None
    x: Tensor | None = None
    presence: Tensor | None = None
    fps: Tensor | None = None
    layout: SkeletonLayout | None = None
    prompts: dict[str, Prompts] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.lengths)

    def to(self, device: torch.device | str) -> Batch:
        """The batch with all tensors on a device."""

        def moved(values: dict[str, Any]) -> dict[str, Any]:
            return {k: v.to(device, non_blocking=True) for k, v in values.items() if isinstance(v, Tensor)}

        return replace(self, **moved(vars(self)), prompts={m: p.to(device) for m, p in self.prompts.items()})
