"""One frame rate for all clips: plans over the frames that a clip would have at another rate."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from kinelex.data.batch import Batch
from kinelex.errors import InputError
from kinelex.skeleton.presence import host_sees
from kinelex.transforms.temporal import FramePlan, apply_plan, mix_present


def check_rates(fps: np.ndarray, wanted: float | None) -> None:
    """Refuse clips whose rate is not known (NaN), where they are to be resampled to one (``input.fps``)."""
    unknown = int(np.isnan(fps).sum())
    if wanted is not None and unknown:
        raise InputError(
            f"input.fps={wanted:g} expects clips that say their frame rate, {unknown} of {len(fps)} do not: "
            "give it when they are prepared, or leave out input.fps"
        )


def lengths_at(batch: Batch, fps: float) -> Tensor:
    """Frames of each clip at another rate, from its first moment to its last, (N,) int64.

    >>> batch = Batch(torch.tensor([61, 31]), torch.zeros(2), torch.arange(2), fps=torch.tensor([60.0, 30.0]))
    >>> lengths_at(batch, 30.0)
    tensor([31, 31])
    """
    return ((batch.lengths - 1) / _ratio(batch, fps) + 1e-6).floor().long() + 1


def apply_plan_at(batch: Batch, plan: FramePlan, fps: float, presence: Tensor | None = None) -> Batch:
    """As :func:`~kinelex.transforms.apply_plan`, for a plan over the frames at another rate.

    Frame k at this rate is the clip k / fps seconds after its first frame, mixed of the two frames around.
    """
    ratio, last = _ratio(batch, fps).unsqueeze(1), (batch.lengths - 1).unsqueeze(1)

    def at(frames: Tensor) -> Batch:
        place = torch.minimum(frames * ratio, last.double())
        lower = (place + 1e-6).floor().long()
        weight = (place - lower).clamp(min=0).float()
        return apply_plan(batch, FramePlan(lower, torch.minimum(lower + 1, last), weight), presence)

    first = at(plan.lower)
    if plan.upper is plan.lower:
        return first
    x, presence = mix_present(first, at(plan.upper), plan.weight)
    return replace(first, x=x, presence=presence)


def _ratio(batch: Batch, fps: float) -> Tensor:
    """Frames of each clip per frame at the wanted rate, (N,) float64."""
    if batch.fps is None:
        raise InputError(f"input.fps={fps:g} expects a batch that says its clips' frame rates (Batch.fps)")
    if host_sees(batch.fps):  # trainings on an accelerator check before
        check_rates(batch.fps.numpy(), fps)
    return batch.fps.double() / fps
