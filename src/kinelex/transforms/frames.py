"""Transforms in time: frames chosen from clips of any length, and the order of frames."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from kinelex.data.batch import Batch
from kinelex.errors import InputError
from kinelex.transforms.base import Transform, clips_of, register
from kinelex.transforms.rate import apply_plan_at, lengths_at
from kinelex.transforms.temporal import (
    Crop,
    FramePlan,
    apply_plan,
    centre_crop,
    ragged_frames,
    random_plan,
    resize_plan,
    sample_crop,
    sorted_plan,
    uniform_plan,
)


@dataclass(frozen=True)
class FrameChoice(Transform):
    """Clips of any length become ``frames`` frames long.

    Args:
        frames: frames T of the result.
        fps: frames per second that clips are resampled to first, so that what lasts as long has as many
            frames; by default they stay as filmed.
    """

    frames: int = 64
    fps: float | None = None
    chooses_frames = True
    streams_first = False  # streams are derived from whole clips, before frames are chosen

    def __post_init__(self) -> None:
        if self.frames < 1 or not (self.fps is None or 0 < self.fps < math.inf):
            given = f"{self.frames} and {self.fps}"
            raise InputError(f"expects frames of at least 1 and fps above 0, got {given}")

    @abstractmethod
    def draw(self, lengths: Tensor, generator: torch.Generator) -> FramePlan:
        """The frames of training."""

    @abstractmethod
    def still(self, lengths: Tensor) -> FramePlan:
        """The frames of test time."""

    def views(self, batch: Batch) -> list[FramePlan]:
        """What test time averages over, instead of one choice of frames; nothing for most."""
        return []

    def _kept(self, batch: Batch) -> tuple[Batch, Tensor | None]:
        """The ragged frames to choose from, and which joints of them are there."""
        return ragged_frames(batch)

    def _lengths(self, batch: Batch) -> Tensor:
        """Frames of each clip, at the rate of the result, (N,)."""
        return batch.lengths if self.fps is None else lengths_at(batch, self.fps)

    def _choosable(self, batch: Batch) -> Tensor:
        """Frames of each clip that there are to choose from, (N,)."""
        return self._lengths(batch)

    def sample(self, batch: Batch, generator: torch.Generator) -> FramePlan:
        return self.draw(self._choosable(batch), generator)

    def sample_each(self, batch: Batch, generators: Sequence[torch.Generator]) -> FramePlan:
        """What :meth:`sample` does, each clip by a generator of its own, whatever clips are beside it."""
        lengths = self._choosable(batch).split(1)
        plans = [self.draw(length, own) for length, own in zip(lengths, generators, strict=True)]
        return FramePlan(*(torch.cat([getattr(plan, f.name) for plan in plans]) for f in fields(FramePlan)))

    def apply(self, batch: Batch, params: FramePlan | None = None) -> Batch:
        batch, presence = self._kept(batch)
        plan = self.still(self._lengths(batch)) if params is None else params
        if self.fps is None:
            return apply_plan(batch, plan, presence)
        return apply_plan_at(batch, plan, self.fps, presence)


@register
@dataclass(frozen=True)
class CropResize(FrameChoice):
    """A random part of the clip, resized; at test time the middle of the clip.

    Args:
        frames, fps: see :class:`FrameChoice`.
        crop: bounds of the part's length, fractions of the clip.
        minimum: shortest part in frames; a shorter clip is taken whole.
        test_crop: share of the clip that is taken at test time.

    Source: CMD (ECCV 2022) and CTR-GCN (ICCV 2021).

    >>> clips = torch.randn(2, 3, 90, 25, 1)
    >>> from kinelex.transforms import Compose
    >>> Compose([CropResize(16, crop=(0.5, 1.0))])(clips).shape
    torch.Size([2, 3, 16, 25, 1])
    """

    crop: tuple[float, float] = (0.5, 1.0)
    minimum: int = 64
    test_crop: float = 0.95

    def draw(self, lengths: Tensor, generator: torch.Generator) -> FramePlan:
        return resize_plan(sample_crop(lengths, self.crop, self.minimum, generator), self.frames)

    def still(self, lengths: Tensor) -> FramePlan:
        return resize_plan(centre_crop(lengths, self.test_crop), self.frames)


@register
@dataclass(frozen=True)
class PickFrames(FrameChoice):
    """Single frames in their order, drawn at random; at test time spread evenly.

    Args:
        frames, fps: see :class:`FrameChoice`.
        anyhow: each frame is drawn from the whole clip (CTR-GCN on N-UCLA), not one from each of equal parts.
    """

    anyhow: bool = False

    def draw(self, lengths: Tensor, generator: torch.Generator) -> FramePlan:
        return (sorted_plan if self.anyhow else random_plan)(lengths, self.frames, generator)

    def still(self, lengths: Tensor) -> FramePlan:
        return uniform_plan(lengths, self.frames)


@register
@dataclass(frozen=True)
class ReflectCrop(FrameChoice):
    """The clip resized and moved in time, mirrored beyond its ends; at test time unmoved.

    Args:
        frames, fps: see :class:`FrameChoice`.
        padding: how far it may move, a fraction of its length.

    Source: AimCLR (AAAI 2022, arXiv 2112.03590), temporal crop.
    """

    padding: float = 1 / 6

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.padding <= 1:
            raise InputError(f"reflect_crop expects a padding from 0 to 1, got {self.padding}")

    def draw(self, lengths: Tensor, generator: torch.Generator) -> FramePlan:
        most = int(self.frames * self.padding + 1e-6)
        moves = torch.randint(-most, most + 1, (len(lengths), 1), generator=generator).to(lengths.device)
        index = torch.arange(self.frames, device=lengths.device) + moves
        index = torch.where(index < 0, -1 - index, index)
        index = torch.where(index >= self.frames, 2 * self.frames - 1 - index, index)
        plan = self.still(lengths)
        return FramePlan(*(t.gather(1, index) for t in (plan.lower, plan.upper, plan.weight)))

    def still(self, lengths: Tensor) -> FramePlan:
        return resize_plan(Crop(torch.zeros_like(lengths), lengths), self.frames)


@dataclass(frozen=True)
class Sometimes(Transform):
    """A transform of some clips and not of others.

    Args:
        probability: share of the clips, a fraction of 1.
    """

    probability: float = 0.5

    def __post_init__(self) -> None:
        check_probability(self.probability)


def check_probability(probability: float) -> None:
    """Refuse a share of the clips that is none."""
    if not 0 <= probability <= 1:
        raise InputError(f"expects a probability from 0 to 1, got {probability}")


def chance(n: int, probability: float, generator: torch.Generator) -> Tensor:
    """For each clip whether something happens to it, (N, 1, 1, 1, 1) bool."""
    return (torch.rand(n, generator=generator) < probability).view(-1, 1, 1, 1, 1)


def sometimes(drawn: Tensor, unchanged: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """What was drawn (N, …) for some clips, for others what changes nothing."""
    if probability == 1:
        return drawn
    chosen = torch.rand(len(drawn), generator=generator) < probability
    return torch.where(chosen.view(-1, *[1] * (drawn.ndim - 1)), drawn, unchanged)


@register
@dataclass(frozen=True)
class TimeFlip(Sometimes):
    """Some clips run backwards.

    Args:
        probability: share of the clips, a fraction of 1.

    Source: AimCLR (AAAI 2022), temporal flip.
    """

    def sample(self, batch: Batch, generator: torch.Generator) -> Tensor:
        return chance(len(batch), self.probability, generator)

    def apply(self, batch: Batch, params: Tensor | None = None) -> Batch:
        if params is None:
            return batch
        x, there = clips_of(batch)
        time = torch.arange(x.shape[2], device=x.device).expand(len(x), -1)  # (N, T)
        whole = torch.full_like(batch.lengths, x.shape[2])
        ends = (whole if batch.frames is None else batch.lengths)[:, None]
        turned = params.flatten(1).to(x.device) & (time < ends)
        order = torch.where(turned, ends - 1 - time, time)[:, None, :, None, None]
        x, there = (torch.take_along_dim(values, order, 2) for values in (x, there))
        return replace(batch, x=x, presence=there)
