"""Space: random rotation and scaling of clips (N, C, T, V, M). Sample first, then apply."""

from __future__ import annotations

import torch
from torch import Tensor

from kinelex.errors import InputError
from kinelex.transforms.normalise import rotate


def sample_rotation(
    n: int, limits: tuple[float, ...], generator: torch.Generator | None = None, channels: int = 3
) -> Tensor:
    """Draw rotations about the three axes, uniform within ± the limits.

    Args:
        n: number of clips.
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
    angles = (torch.rand(n, 3, generator=generator) * 2 - 1) * torch.tensor(limits)
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
    """
    low, high = bounds
    return low + (high - low) * torch.rand(n, 3, generator=generator)


def scale(x: Tensor, factors: Tensor) -> Tensor:
    """Multiply each axis of each clip by its factor.

    Shape:
        - x: (N, C, T, V, M)
        - factors: (N, C)
        - returns: (N, C, T, V, M)
    """
    return x * factors[:, :, None, None, None].to(x.device, x.dtype, non_blocking=True)


def random_rotation(x: Tensor, limits: tuple[float, ...], generator: torch.Generator | None = None) -> Tensor:
    """Rotate each clip by its own random rotation about the origin (centre the clip before).

    Shape:
        - x: (N, C, T, V, M), C of 2 or 3
        - returns: (N, C, T, V, M)
    """
    return rotate(x, sample_rotation(len(x), limits, generator, x.shape[1]).to(x.device))
