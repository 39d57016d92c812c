"""The batch: what the loader makes, transforms change and methods read."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor


@dataclass
class Batch:
    """A batch of clips: ragged ``frames`` as loaded, or ``x`` once resampled to one length.

    Shape:
        - frames: (sum of T, C, V, M), the clips' frames one after another; None once resampled.
        - lengths: (N,) int64, frames of each clip.
        - x: (N, C, T, V, M), None until resampled.
        - presence: (N, 1, T, V, M) bool, which joints of ``x`` are there; None until resampled.
        - fps: (N,) float, frames per second of each clip, NaN where it is not known; or None.
        - labels: (N,) int64, -1 where a clip has none.
        - indices: (N,) int64, rows of the store.
        - prompts: per modality (N, P, D), the prompts of single frames.
        - clip_prompts: per modality (N, D), the prompt of the whole clip, where the engine makes one.
        - present: per modality (N,) bool, False where a clip lacks the modality; of images as ``images``.
        - images: (N, H, W, 3) uint8, the tiled pictures, for methods that look at them; black where missing.
    """

    lengths: Tensor
    labels: Tensor
    indices: Tensor
    frames: Tensor | None = None
    x: Tensor | None = None
    presence: Tensor | None = None
    fps: Tensor | None = None
    prompts: dict[str, Tensor] = field(default_factory=dict)
    clip_prompts: dict[str, Tensor] = field(default_factory=dict)
    present: dict[str, Tensor] = field(default_factory=dict)
    images: Tensor | None = None

    def __len__(self) -> int:
        return len(self.lengths)

    def to(self, device: torch.device | str) -> Batch:
        """The batch with all tensors on a device."""

        def move(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
            return {name: t.to(device, non_blocking=True) for name, t in tensors.items()}

        return replace(
            self,
            lengths=self.lengths.to(device, non_blocking=True),
            labels=self.labels.to(device, non_blocking=True),
            indices=self.indices.to(device, non_blocking=True),
            frames=None if self.frames is None else self.frames.to(device, non_blocking=True),
            x=None if self.x is None else self.x.to(device, non_blocking=True),
            presence=None if self.presence is None else self.presence.to(device, non_blocking=True),
            fps=None if self.fps is None else self.fps.to(device, non_blocking=True),
            prompts=move(self.prompts),
            clip_prompts=move(self.clip_prompts),
            present=move(self.present),
            images=None if self.images is None else self.images.to(device, non_blocking=True),
        )
