"""Normalisations of clips (N, C, T, V, M): centring, alignment with the body, scaling.

They act on the batch and are not baked into the store. A person that is absent from a frame (all zeros)
stays all zeros.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from kinelex.errors import InputError, unknown_name
from kinelex.skeleton import SkeletonLayout, has_landmarks, landmark_weights

CENTRES = ("none", "first", "frame", "mean")
ALIGNMENTS = ("none", "body", "torso")
SCALES = ("none", "clip", "torso", "body")
TORSO = ("pelvis", "shoulder_center", "right_shoulder", "left_shoulder")  # what align=torso needs


def present(x: Tensor) -> Tensor:
    """Which persons are there in which frame: any coordinate is not 0.

    Shape:
        - x: (N, C, T, V, M)
        - returns: (N, 1, T, 1, M) bool
    """
    return (x != 0).any(dim=3, keepdim=True).any(dim=1, keepdim=True)


def _landmark(x: Tensor, layout: SkeletonLayout, joint: str, asked: str) -> Tensor:
    """Trajectory of a landmark of person 0, (N, C, T), which the option ``asked`` needs."""
    try:
        weights = torch.from_numpy(landmark_weights(layout, joint)).to(x.device, x.dtype, non_blocking=True)
    except InputError as error:
        option = asked.partition("=")[0]
        other = "body" if option == "scale" else "none"
        raise InputError(
            f"{asked} does not suit these clips, pass input.{option}={other}: {error}"
        ) from error
    return torch.einsum("nctv,v->nct", x[..., 0], weights)


def _first_frame(x: Tensor) -> Tensor:
    """Index (N,) of the first frame in which person 0 is present (0 if there is none)."""
    return present(x)[:, 0, :, 0, 0].to(torch.int8).argmax(dim=1)


def _at(values: Tensor, frame: Tensor) -> Tensor:
    """Pick one frame per clip from (N, C, T): (N, C)."""
    return values.gather(2, frame.view(-1, 1, 1).expand(-1, values.shape[1], 1)).squeeze(2)


def fill_empty(x: Tensor) -> Tensor:
    """Fill the frames after a person has left by repeating what was seen of them.

    A person who is absent from the first frame is moved to the clip's start first, without the frames in
    between in which they are absent. A person who is never there stays all zeros.

    Shape:
        - x: (N, C, T, V, M)
        - returns: (N, C, T, V, M)

    Source: the pre-normalisation of CMD (ECCV 2022), its first step.

    >>> x = torch.tensor([1.0, 2.0, 0.0, 0.0, 0.0]).view(1, 1, 5, 1, 1)
    >>> fill_empty(x).flatten().tolist()
    [1.0, 2.0, 1.0, 2.0, 1.0]
    """
    there = present(x)[:, 0, :, 0]  # (N, T, M)
    t = there.shape[1]
    time = torch.arange(t, device=x.device).view(1, t, 1)
    late = ~there[:, :1]  # (N, 1, M)
    packed = (~there).to(torch.int8).argsort(dim=1, stable=True)  # frames with the person first, in order
    order = torch.where(late, packed, time)
    last = torch.where(there, time + 1, 0).amax(dim=1, keepdim=True)
    count = torch.where(late, there.sum(dim=1, keepdim=True), last).clamp(min=1)
    source = order.gather(1, (time % count).expand_as(order))  # (N, T, M)
    return x.gather(2, source[:, None, :, None].expand_as(x))


def centre(x: Tensor, layout: SkeletonLayout, mode: str = "first", joint: str = "spine") -> Tensor:
    """Move a joint of person 0 to the origin.

    Args:
        x: coordinates.
        layout: layout of ``x``.
        mode: ``first`` subtracts the joint's place in the first frame with a body (CTR-GCN), ``frame`` its
            place in every frame (CMD), ``mean`` its mean place over the clip, ``none`` does nothing.
        joint: which joint, the middle of the spine as in both publications; where a layout has none (arms
            alone, a hand), its root.

    Shape:
        - x: (N, C, T, V, M)
        - returns: (N, C, T, V, M)

    Raises:
        InputError: an unknown mode.

    >>> from kinelex.skeleton import get_layout
    >>> x = centre(torch.randn(2, 3, 8, 25, 1), get_layout("ntu25"), "frame")
    >>> x[:, :, :, 1].abs().max().item()
    0.0
    """
    if mode not in CENTRES:
        raise unknown_name("centre", mode, CENTRES)
    if mode == "none":
        return x
    has_joint = has_landmarks(layout, joint)
    path = _landmark(x, layout, joint if has_joint else layout.joints[layout.root], f"centre={mode}")
    there = present(x)
    if mode == "first":
        origin = _at(path, _first_frame(x)).unsqueeze(2)
    elif mode == "mean":
        count = there[:, :, :, 0, 0].sum(dim=2, keepdim=True).clamp(min=1)
        origin = path.sum(dim=2, keepdim=True) / count
    else:
        origin = path
    return (x - origin[:, :, :, None, None]) * there


def rotation_between(source: Tensor, target: Tensor) -> Tensor:
    """The smallest rotation that turns each source direction into the target direction.

    Shape:
        - source: (N, 3), any length; a vector of length 0 gives the identity.
        - target: (3,), unit length.
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
        - x: (N, C, T, V, M)
        - rotation: (N, C, C)
        - returns: (N, C, T, V, M)
    """
    return torch.einsum("ncd,ndtvm->nctvm", rotation.to(x.dtype), x)


def align_body(x: Tensor, layout: SkeletonLayout, mode: str = "torso") -> Tensor:
    """Turn each clip into the body's own frame, so that it does not depend on the camera.

    The two modes look at the body from opposite sides: z points up along the trunk in both, x to the body's
    right in ``body`` and to its left in ``torso``.

    - ``body``, as published: in the first frame with a body, hip → spine is turned to z, then *left → right*
      shoulder to x, each by the smallest rotation. A short, noisy spine makes it unstable on Kinect v1.
    - ``torso``: hip → shoulder centre is z and *right → left* shoulder is x, as means over the clip.

    Args:
        x: coordinates, centred before.
        layout: layout of ``x``.
        mode: ``none``, ``body`` or ``torso``.

    Shape:
        - x: (N, 3, T, V, M)
        - returns: (N, 3, T, V, M)

    Raises:
        InputError: an unknown mode, or coordinates that are not three-dimensional.

    Source: ``body`` is the pre-normalisation of CMD (ECCV 2022), order: align z, align x.
    """
    if mode not in ALIGNMENTS:
        raise unknown_name("align", mode, ALIGNMENTS)
    if mode == "none":
        return x
    if x.shape[1] != 3:
        raise InputError(
            f"align={mode} turns skeletons in 3-D, these have {x.shape[1]} coordinates per joint: "
            "pass input.align=none"
        )
    if mode == "torso":
        return rotate(x, _torso_frame(x, layout))
    first = _first_frame(x)

    def direction(x: Tensor, start: str, end: str) -> Tensor:
        return _at(_landmark(x, layout, end, "align=body") - _landmark(x, layout, start, "align=body"), first)

    axes = torch.eye(3, dtype=x.dtype, device=x.device)
    x = rotate(x, rotation_between(direction(x, "pelvis", "spine"), axes[2]))
    return rotate(x, rotation_between(direction(x, "left_shoulder", "right_shoulder"), axes[0]))


def _torso_frame(x: Tensor, layout: SkeletonLayout) -> Tensor:
    """Rows: right → left, forward, up of person 0, from means over the clip; (N, 3, 3)."""

    def mean_direction(start: str, end: str) -> Tensor:
        return (_landmark(x, layout, end, "align=torso") - _landmark(x, layout, start, "align=torso")).mean(
            dim=2
        )

    fallback = torch.eye(3, dtype=x.dtype, device=x.device)

    def unit(v: Tensor, axis: int) -> Tensor:
        length = v.norm(dim=1, keepdim=True)
        return torch.where(length > 1e-6, v / length.clamp(min=1e-6), fallback[axis])

    up = unit(mean_direction("pelvis", "shoulder_center"), 2)
    across = mean_direction("right_shoulder", "left_shoulder")
    left = across - (across * up).sum(dim=1, keepdim=True) * up
    # A body without width has no left: any direction square to "up" will do.
    anyhow = fallback[0] - up[:, :1] * up
    left = unit(torch.where(left.norm(dim=1, keepdim=True) > 1e-6, left, anyhow), 0)
    return torch.stack([left, torch.linalg.cross(up, left), up], dim=1)


def scale_clip(x: Tensor, layout: SkeletonLayout, mode: str = "clip") -> Tensor:
    """Scale each clip.

    Args:
        x: coordinates, centred before.
        layout: layout of ``x``.
        mode: ``clip`` maps each axis to [-1, 1] over the clip (the published N-UCLA recipe), ``torso``
            divides by the mean pelvis → shoulder distance of person 0, ``body`` by the root mean square
            distance of person 0's joints from their middle, whatever joints there are, ``none`` does nothing.

    Shape:
        - x: (N, C, T, V, M)
        - returns: (N, C, T, V, M)

    Raises:
        InputError: an unknown mode.
    """
    if mode not in SCALES:
        raise unknown_name("scale", mode, SCALES)
    if mode == "none":
        return x
    there = present(x)
    if mode == "clip":
        low = x.masked_fill(~there, torch.inf).amin(dim=(2, 3, 4), keepdim=True)
        high = x.masked_fill(~there, -torch.inf).amax(dim=(2, 3, 4), keepdim=True)
        return ((x - low) / (high - low).clamp(min=1e-6) * 2 - 1).masked_fill(~there, 0)
    if mode == "body":
        return x / _body_size(x).clamp(min=1e-6).view(-1, 1, 1, 1, 1)
    ends = [_landmark(x, layout, joint, "scale=torso") for joint in ("shoulder_center", "pelvis")]
    torso = (ends[0] - ends[1]).norm(dim=1)  # (N, T)
    seen = there[:, 0, :, 0, 0]
    length = (torso * seen).sum(dim=1) / seen.sum(dim=1).clamp(min=1)
    return x / length.clamp(min=1e-6).view(-1, 1, 1, 1, 1)


def _body_size(x: Tensor) -> Tensor:
    """Root mean square distance of person 0's joints from their middle, over the frames with them; (N,)."""
    person = x[..., 0]  # (N, C, T, V)
    apart = person - person.mean(dim=3, keepdim=True)
    squares = apart.square().sum(dim=1).mean(dim=2)  # (N, T)
    seen = present(x)[:, 0, :, 0, 0]
    return ((squares * seen).sum(dim=1) / seen.sum(dim=1).clamp(min=1)).sqrt()
