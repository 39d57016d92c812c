"""Streams derived from joint coordinates: joint, bone, motion, bone_motion; and mirroring."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kinelex.errors import InputError, unknown_name
from kinelex.skeleton.layout import SkeletonLayout
from kinelex.skeleton.presence import all_present, indices_on, joint_presence

if TYPE_CHECKING:
    from torch import Tensor

STREAMS = ("joint", "bone", "motion", "bone_motion")


def make_stream(x: Tensor, layout: SkeletonLayout, stream: str, presence: Tensor | None = None) -> Tensor:
    """Derive a stream from joint coordinates.

    ``bone`` is x[v] - x[parent(v)], the root gets 0; ``motion`` is x[t+1] - x[t], the last frame gets 0;
    ``bone_motion`` is the motion of ``bone``. A bone with an end that is missing is 0, and so is a motion
    from or to a frame in which the joint (or the bone) is missing.

    Args:
        layout: the layout of ``x``; its parents define the bones.
        stream: one of :data:`STREAMS`.
        presence: which joints are there; by default those that are not 0, and the joint that
            :func:`~kinelex.transforms.centre` moves to the origin. Pass it where other joints may be there
            at 0, such as those that :func:`~kinelex.transforms.map_joints` sets to 0.

    Shape:
        - x: (N, C, T, V, M); presence: (N, 1, T, V, M) bool; returns: (N, C, T, V, M)

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
    if stream == "joint":
        return x
    there = joint_presence(x, layout) if presence is None else presence
    complete = all_present(there)
    if stream.startswith("bone"):
        parents = indices_on(layout.parents, x.device)
        x = x - x.index_select(3, parents)
        if not complete:
            there = there & there.index_select(3, parents)
            x = x * there
    if stream.endswith("motion"):
        import torch  # here: preparing data needs layouts and no torch

        moved = x[:, :, 1:] - x[:, :, :-1]
        if not complete:
            moved = moved * (there[:, :, 1:] & there[:, :, :-1])
        x = torch.cat([moved, torch.zeros_like(x[:, :, :1])], dim=2)
    return x


def mirror(x: Tensor, layout: SkeletonLayout, axis: int = 0) -> Tensor:
    """The clip in a mirror: left and right joints swap and one coordinate changes sign.

    Args:
        layout: the layout of ``x``.
        axis: the coordinate that points from side to side (0 is x).

    Shape:
        - x: (N, C, T, V, M); returns: (N, C, T, V, M)

    >>> import torch
    >>> from kinelex.skeleton import get_layout
    >>> x, ntu = torch.randn(2, 3, 8, 25, 1), get_layout("ntu25")
    >>> torch.equal(mirror(mirror(x, ntu), ntu), x)
    True
    """
    x = x.index_select(3, indices_on(layout.mirror, x.device))
    sign = x.new_ones(x.shape[1])
    sign[axis] = -1
    return x * sign.view(1, -1, 1, 1, 1)
