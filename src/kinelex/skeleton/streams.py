"""Streams derived from joint coordinates: joint, bone, motion, bone_motion; and mirroring."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from kinelex.errors import InputError, unknown_name
from kinelex.skeleton.layout import SkeletonLayout

if TYPE_CHECKING:
    import torch
    from torch import Tensor

STREAMS = ("joint", "bone", "motion", "bone_motion")


@lru_cache(maxsize=64)
def _on_device(joints: tuple[int, ...], device: torch.device) -> Tensor:
    """Joint indices on a device, copied there once: a copy in every step makes the host wait."""
    import torch

    with torch.inference_mode(False):  # so that a later training may use it, too
        return torch.tensor(joints, device=device)


def make_stream(x: Tensor, layout: SkeletonLayout, stream: str) -> Tensor:
    """Derive a stream from joint coordinates.

    ``bone`` is x[v] - x[parent(v)], the root gets 0; ``motion`` is x[t+1] - x[t], the last frame gets 0;
    ``bone_motion`` is the motion of ``bone``.

    Args:
        x: joint coordinates.
        layout: the layout of ``x``; its parents define the bones.
        stream: one of :data:`STREAMS`.

    Shape:
        - x: (N, C, T, V, M)
        - returns: (N, C, T, V, M)

    Raises:
        InputError: an unknown stream, or a joint count that is not the layout's.

    >>> import torch
    >>> from kinelex.skeleton import get_layout
    >>> x = torch.randn(2, 3, 8, 25, 1)
    >>> make_stream(x, get_layout("ntu25"), "bone")[:, :, :, 20].abs().max().item()
    0.0
    """
    if stream not in STREAMS:
        raise unknown_name("stream", stream, STREAMS)
    if x.ndim != 5 or x.shape[3] != layout.num_joints:
        raise InputError(
            f"expects (N, C, T, V, M) with V = {layout.num_joints} joints ({layout.name}), "
            f"got shape {tuple(x.shape)}"
        )
    if stream.startswith("bone"):
        x = x - x.index_select(3, _on_device(layout.parents, x.device))
    if stream.endswith("motion"):
        import torch  # here: preparing data needs layouts and no torch

        x = torch.cat([x[:, :, 1:] - x[:, :, :-1], torch.zeros_like(x[:, :, :1])], dim=2)
    return x


def mirror(x: Tensor, layout: SkeletonLayout, axis: int = 0) -> Tensor:
    """The clip in a mirror: left and right joints swap and one coordinate changes sign.

    Args:
        x: joint coordinates.
        layout: the layout of ``x``.
        axis: the coordinate that points from side to side (0 is x).

    Shape:
        - x: (N, C, T, V, M)
        - returns: (N, C, T, V, M)

    >>> import torch
    >>> from kinelex.skeleton import get_layout
    >>> x, ntu = torch.randn(2, 3, 8, 25, 1), get_layout("ntu25")
    >>> torch.equal(mirror(mirror(x, ntu), ntu), x)
    True
    """
    x = x.index_select(3, _on_device(layout.mirror, x.device))
    sign = x.new_ones(x.shape[1])
    sign[axis] = -1
    return x * sign.view(1, -1, 1, 1, 1)
