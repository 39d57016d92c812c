"""The strong augmentations of AimCLR that no other publication here has.

Source: Guo et al., "Contrastive Learning from Extremely Augmented Skeleton Sequences for Self-supervised
Action Recognition", AAAI 2022, arXiv 2112.03590. Differs from the published code in that a batch is drawn at
once, for any layout, and that absent joints stay absent.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from kinelex.data.batch import Batch
from kinelex.errors import InputError
from kinelex.skeleton.presence import indices_on
from kinelex.transforms.base import Transform, channels_of, clips_of, layout_of, register
from kinelex.transforms.frames import Sometimes, chance
from kinelex.transforms.spatial import rotate, rotation_matrices


@register
@dataclass(frozen=True)
class MainAxisRotation(Transform):
    """Each clip turns by a larger angle about one axis and by small ones about the two others.

    Clips in 2-D turn in their plane, about the axis that it has.

    Args:
        largest: largest angle about the main axis, radians.
        others: largest angle about the others, radians.
    """

    largest: float = 0.5236
    others: float = 0.01745

    def sample(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """Draw rotations (N, C, C)."""
        angles, c = torch.rand(len(batch), 3, generator=generator), channels_of(batch)
        main = torch.randint(3, (len(batch),), generator=generator) if c == 3 else torch.tensor([2])
        turned = angles * torch.where(F.one_hot(main, 3).bool(), self.largest, self.others)
        return rotation_matrices(turned, channels=c)

    def apply(self, batch: Batch, params: Tensor | None = None) -> Batch:
        if params is None:
            return batch
        x, _ = clips_of(batch)
        return replace(batch, x=rotate(x, params.to(x.device, non_blocking=True)))


@register
@dataclass(frozen=True)
class SwapSides(Sometimes):
    """In some clips left and right joints swap.

    Args:
        probability: share of the clips, a fraction of 1.
        mirror: also change the sign of x, which gives the mirror image; AimCLR does not.
    """

    mirror: bool = True

    def sample(self, batch: Batch, generator: torch.Generator) -> Tensor:
        return chance(len(batch), self.probability, generator)

    def apply(self, batch: Batch, params: Tensor | None = None) -> Batch:
        if params is None:
            return batch
        x, there = clips_of(batch)
        swapped, other = params.to(x.device, non_blocking=True), indices_on(layout_of(batch).mirror, x.device)
        y = x.index_select(3, other)
        if self.mirror:
            y = torch.cat([-y[:, :1], y[:, 1:]], dim=1)
        presence = torch.where(swapped, there.index_select(3, other), there)
        return replace(batch, x=torch.where(swapped, y, x), presence=presence)


@register
@dataclass(frozen=True)
class AxisMask(Sometimes):
    """In some clips one coordinate is 0 for all joints.

    Args:
        probability: share of the clips, a fraction of 1.
    """

    def sample(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """Draw what stays, (N, C, 1, 1, 1) bool."""
        c = channels_of(batch)
        axis = torch.randint(c, (len(batch),), generator=generator)
        masked = F.one_hot(axis, c).bool().view(-1, c, 1, 1, 1)
        return ~(masked & chance(len(batch), self.probability, generator))

    def apply(self, batch: Batch, params: Tensor | None = None) -> Batch:
        x, _ = clips_of(batch)
        return batch if params is None else replace(batch, x=x * params.to(x.device, non_blocking=True))


@register
@dataclass(frozen=True)
class GaussianBlur(Sometimes):
    """Some clips are smoothed in time, over the frames in which a joint is there.

    Args:
        probability: share of the clips, a fraction of 1.
        sigma: bounds of the kernel's width, frames.
        radius: frames that the kernel reaches to either side.
    """

    sigma: tuple[float, float] = (0.1, 2.0)
    radius: int = 7

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.sigma[0] <= self.sigma[1] < math.inf or self.radius < 0:
            limits = "a sigma above 0, the smaller bound first, and a radius of at least 0"
            raise InputError(f"gaussian_blur expects {limits}, got {self.sigma} and {self.radius}")

    def sample(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw which, and kernels (N, 2 · radius + 1)."""
        low, high = self.sigma
        sigma = low + (high - low) * torch.rand(len(batch), 1, generator=generator)
        steps = torch.arange(-self.radius, self.radius + 1)
        return chance(len(batch), self.probability, generator), torch.exp(-(steps**2) / (2 * sigma**2))

    def apply(self, batch: Batch, params: tuple[Tensor, Tensor] | None = None) -> Batch:
        if params is None:
            return batch
        x, there = clips_of(batch)
        chosen, kernels = (p.to(x.device, non_blocking=True) for p in params)

        def smoothed(values: Tensor) -> Tensor:
            ends = F.pad(values, (0, 0, 0, 0, self.radius, self.radius))
            return torch.einsum("nctvmk,nk->nctvm", ends.unfold(2, kernels.shape[1], 1), kernels.to(x.dtype))

        y = smoothed(x * there) / smoothed(there.to(x.dtype)).clamp(min=1e-6) * there
        return replace(batch, x=torch.where(chosen, y, x))
