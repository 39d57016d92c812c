"""Space: random rotation and scaling of clips (N, C, T, V, M). Sample first, then apply."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from kinelex.data.batch import Batch
from kinelex.errors import InputError
from kinelex.transforms.base import Transform, channels_of, clips_of, register
from kinelex.transforms.frames import Sometimes, chance, check_probability, sometimes


def rotation_between(source: Tensor, target: Tensor) -> Tensor:
    """The smallest rotation that turns each source direction into the target direction.

    Shape:
        - source: (N, 3), any length; a vector of length 0 gives the identity; target: (3,), unit length.
        - returns: (N, 3, 3)

    Source: Rodrigues' formula.
    """
    direction = F.normalize(source, dim=1)
    axis = torch.linalg.cross(direction, target.expand_as(direction))
    cosine = (direction * target).sum(dim=1)
    zero = torch.zeros_like(cosine)
    ax, ay, az = axis.unbind(dim=1)
    skew = torch.stack([zero, -az, ay, az, zero, -ax, -ay, ax, zero], dim=1).view(-1, 3, 3)
    identity = torch.eye(3, dtype=source.dtype, device=source.device)
    general = identity + skew + skew @ skew / (1 + cosine).clamp(min=1e-6).view(-1, 1, 1)
    # A half turn has no unique axis: turn about one that is square to the target.
    helper = torch.roll(target, 1)
    side = F.normalize(torch.linalg.cross(target, helper), dim=0)
    half_turn = 2 * torch.outer(side, side) - identity
    rotation = torch.where((cosine < -1 + 1e-5).view(-1, 1, 1), half_turn, general)
    return torch.where((source.norm(dim=1) < 1e-8).view(-1, 1, 1), identity, rotation)


def rotate(x: Tensor, rotation: Tensor) -> Tensor:
    """Apply one rotation matrix per clip.

    Shape:
        - x: (N, C, T, V, M); rotation: (N, C, C); returns: (N, C, T, V, M)

    >>> rotate(torch.ones(1, 2, 1, 1, 1), torch.tensor([[[0.0, -1.0], [1.0, 0.0]]])).flatten().tolist()
    [-1.0, 1.0]
    """
    return torch.einsum("ncd,ndtvm->nctvm", rotation.to(x.dtype), x)


def sample_rotation(
    n: int, limits: tuple[float, ...], generator: torch.Generator | None = None, channels: int = 3
) -> Tensor:
    """Draw rotations about the three axes, uniform within ± the limits.

    Args:
        limits: largest angle about x, y and z in radians; clips in 2-D turn in their plane, about z.
        generator: source of randomness (on the CPU).
        channels: number C of coordinates per joint, 2 or 3.

    Shape:
        - returns: (n, C, C), the rotation about x first, then y, then z.

    Raises:
        InputError: an angle about x or y for clips in 2-D, which would leave their plane.

    >>> sample_rotation(2, (0.0, 0.0, 0.0))[0].tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    >>> sample_rotation(5, (0.0, 0.0, 0.3), channels=2).shape
    torch.Size([5, 2, 2])
    """
    if channels == 2 and any(limits[:2]):
        angles_given = ",".join(f"{angle:g}" for angle in limits)
        raise InputError(
            f"input.rotation=[{angles_given}] turns about x and y, these skeletons are 2-D and turn in the "
            f"picture's plane alone: pass input.rotation=[0,0,{limits[2]:g}]"
        )
    return rotation_matrices((torch.rand(n, 3, generator=generator) * 2 - 1) * torch.tensor(limits), channels)


def rotation_matrices(angles: Tensor, channels: int = 3) -> Tensor:
    """Rotations about x, then y, then z; in 2-D about z.

    Shape:
        - angles: (n, 3), radians; returns: (n, C, C)
    """
    n = len(angles)
    cos, sin = angles.cos().unbind(dim=1), angles.sin().unbind(dim=1)
    zero, one = torch.zeros(n), torch.ones(n)

    def matrix(*entries: Tensor) -> Tensor:
        return torch.stack(entries, dim=1).view(n, 3, 3)

    about_x = matrix(one, zero, zero, zero, cos[0], -sin[0], zero, sin[0], cos[0])
    about_y = matrix(cos[1], zero, sin[1], zero, one, zero, -sin[1], zero, cos[1])
    about_z = matrix(cos[2], -sin[2], zero, sin[2], cos[2], zero, zero, zero, one)
    return (about_z @ about_y @ about_x)[:, :channels, :channels]


def sample_scale(n: int, bounds: tuple[float, float], generator: torch.Generator | None = None) -> Tensor:
    """Draw scale factors per axis, uniform within the bounds.

    Shape:
        - returns: (n, 3)

    >>> sample_scale(2, (1.0, 1.0)).tolist()
    [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    """
    low, high = bounds
    return low + (high - low) * torch.rand(n, 3, generator=generator)


def scale(x: Tensor, factors: Tensor) -> Tensor:
    """Multiply each axis of each clip by its factor.

    Shape:
        - x: (N, C, T, V, M); factors: (N, C); returns: (N, C, T, V, M)

    >>> scale(torch.ones(1, 3, 1, 1, 1), torch.tensor([[1.0, 2.0, 3.0]])).flatten().tolist()
    [1.0, 2.0, 3.0]
    """
    return x * factors[:, :, None, None, None].to(x.device, x.dtype, non_blocking=True)


@register
@dataclass(frozen=True)
class RandomRotation(Transform):
    """Each clip turns about the origin by angles of its own: centre clips before.

    Args:
        limits: largest angle about x, y and z in radians; clips in 2-D turn about z alone.
        probability: share of the clips that turn, a fraction of 1.

    >>> from kinelex.transforms import Compose
    >>> clips, generator = torch.ones(1, 3, 2, 25, 1), torch.Generator().manual_seed(0)
    >>> turned = Compose([RandomRotation((0.3, 0.3, 0.3))])(clips, generator)
    >>> bool((turned.norm(dim=1) - 3**0.5).abs().max() < 1e-5)
    True
    """

    limits: tuple[float, float, float] = (0.3, 0.3, 0.3)
    probability: float = 1.0

    def __post_init__(self) -> None:
        check_probability(self.probability)

    def sample(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """Draw rotations (N, C, C)."""
        drawn = sample_rotation(len(batch), self.limits, generator, channels_of(batch))
        return sometimes(drawn, torch.eye(drawn.shape[1]), self.probability, generator)

    def apply(self, batch: Batch, params: Tensor | None = None) -> Batch:
        if params is None:
            return batch
        x, _ = clips_of(batch)
        return replace(batch, x=rotate(x, params.to(x.device, non_blocking=True)))


@register
@dataclass(frozen=True)
class RandomScaling(Transform):
    """Each axis of each clip is stretched by a factor of its own.

    Args:
        bounds: smallest and largest factor.
        probability: share of the clips that are stretched, a fraction of 1.
    """

    bounds: tuple[float, float] = (0.9, 1.1)
    probability: float = 1.0

    def __post_init__(self) -> None:
        check_probability(self.probability)

    def sample(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """Draw factors (N, 3)."""
        drawn = sample_scale(len(batch), self.bounds, generator)
        return sometimes(drawn, torch.ones(3), self.probability, generator)

    def apply(self, batch: Batch, params: Tensor | None = None) -> Batch:
        x, _ = clips_of(batch)
        return batch if params is None else replace(batch, x=scale(x, params[:, : x.shape[1]]))


@register
@dataclass(frozen=True)
class JointNoise(Sometimes):
    """Gaussian noise on each coordinate of each joint and frame.

    Args:
        probability: share of the clips that get it, a fraction of 1.
        std: its standard deviation, in units of the clips as they come.
    """

    probability: float = 1.0
    std: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.std < math.inf:
            raise InputError(f"expects std of at least 0, got {self.std}")

    def sample(self, batch: Batch, generator: torch.Generator) -> tuple[int, Tensor | None]:
        """Draw a seed of the noise, and which clips get it; None for all."""
        seed = int(torch.randint(2**31, (), generator=generator))
        return seed, None if self.probability == 1 else chance(len(batch), self.probability, generator)

    def apply(self, batch: Batch, params: tuple[int, Tensor | None] | None = None) -> Batch:
        if params is None:
            return batch
        x, there = clips_of(batch)
        seed, chosen = params
        generator = torch.Generator(x.device).manual_seed(seed)
        noise = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
        where = there if chosen is None else there & chosen.to(x.device, non_blocking=True)
        return replace(batch, x=x + self.std * noise * where)
