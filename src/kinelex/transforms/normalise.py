"""Normalisations of clips (N, C, T, V, M): centring, alignment with the body, scaling.

Missing joints and absent persons stay 0 and move nothing. What is measured on one person is measured on the
first who is there (with ``centre=frame``: in the frame); a missing landmark is that of the nearest frame that
has it, and in a clip that never shows it the joints that can stand for it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from kinelex.data.batch import Batch
from kinelex.errors import InputError, check_name, unknown_name
from kinelex.skeleton import SkeletonLayout, has_landmarks, joint_presence
from kinelex.skeleton.presence import all_present
from kinelex.transforms.base import Transform, clips_of, layout_of, register
from kinelex.transforms.landmarks import Landmark, body_centre, find_landmark, first_person
from kinelex.transforms.spatial import rotate, rotation_between

CENTRES = ("none", "first", "frame", "mean")
ALIGNMENTS = ("none", "body", "torso")
SCALES = ("none", "clip", "torso", "body")
TORSO = ("pelvis", "shoulder_center", "right_shoulder", "left_shoulder")  # what align=torso needs


def centre(
    x: Tensor,
    layout: SkeletonLayout,
    mode: str = "first",
    joint: str = "spine",
    presence: Tensor | None = None,
) -> Tensor:
    """Move a joint of the first person to the origin.

    Args:
        layout: layout of ``x``.
        mode: ``first`` subtracts the joint's place in the first frame that has it (CTR-GCN), ``frame`` its
            place in every frame (CMD), ``mean`` its mean place over the clip, ``none`` does nothing.
        joint: which joint, the middle of the spine as in both publications; where a layout has no spine (arms
            alone, a hand), its root. In a clip that never shows it nor a substitute, the mean of the joints.
        presence: which joints are there; by default those that are not 0.

    Shape:
        - x: (N, C, T, V, M); presence: (N, 1, T, V, M) bool; returns: (N, C, T, V, M)

    Raises:
        InputError: an unknown mode, or a joint other than the spine that the layout has not.

    >>> from kinelex.skeleton import get_layout
    >>> x = centre(torch.randn(2, 3, 8, 25, 1), get_layout("ntu25"), "frame")
    >>> x[:, :, :, 1].abs().max().item()
    0.0
    """
    check_name("centre", mode, CENTRES)
    if mode == "none":
        return x
    if not has_landmarks(layout, joint):
        if joint != "spine":
            raise unknown_name(f"joint of the layout {layout.name}", joint, layout.joints)
        joint = layout.joints[layout.root]
    there = joint_presence(x) if presence is None else presence

    def path(x: Tensor, presence: Tensor) -> Landmark:
        found = find_landmark(x, presence, layout, joint, f"centre={mode}")
        return found if all_present(presence) else found.otherwise(body_centre(x, presence))

    if mode == "frame":
        persons = 1 if all_present(there) else x.shape[4]
        origin = _each_frame([path(x[..., m], there[..., m]) for m in range(persons)], there)
    else:
        first = path(*first_person(x, there))
        origin = (first.first() if mode == "first" else first.mean())[:, :, None]
    moved = x - origin[:, :, :, None, None]
    return moved if all_present(there) else moved * there


def _each_frame(paths: list[Landmark], presence: Tensor) -> Tensor:
    """In every frame the path of the first person who is there, (N, C, T)."""
    if len(paths) == 1:
        return paths[0].filled()
    first = presence.any(dim=3).to(torch.int8).argmax(dim=3, keepdim=True)  # (N, 1, T, 1)
    stacked = torch.stack([path.filled() for path in paths], dim=3)
    return stacked.gather(3, first.expand(-1, stacked.shape[1], -1, -1)).squeeze(3)


def align_body(
    x: Tensor, layout: SkeletonLayout, mode: str = "torso", presence: Tensor | None = None
) -> Tensor:
    """Turn each clip into the body's own frame, so that it does not depend on the camera.

    The two modes look at the body from opposite sides: z points up along the trunk in both, x to the body's
    right in ``body`` and to its left in ``torso``.

    - ``body``, as published: in the first frame that has them, hip → spine is turned to z, then *left →
      right* shoulder to x, each by the smallest rotation. Kinect v1's short, noisy spine makes it unstable.
    - ``torso``: hip → shoulder centre is z and *right → left* shoulder is x, as means over the clip.

    A clip that never shows the trunk is not turned.

    Args:
        x: coordinates, centred before.
        layout: layout of ``x``.
        mode: ``none``, ``body`` or ``torso``.
        presence: which joints are there; by default those that are not 0 and the one at the origin.

    Shape:
        - x: (N, 3, T, V, M); presence: (N, 1, T, V, M) bool; returns: (N, 3, T, V, M)

    Raises:
        InputError: an unknown mode, or coordinates that are not three-dimensional.

    Source: ``body`` is the pre-normalisation of CMD (ECCV 2022), order: align z, align x.

    >>> from kinelex.skeleton import get_layout
    >>> align_body(torch.randn(2, 3, 8, 25, 1), get_layout("ntu25")).shape
    torch.Size([2, 3, 8, 25, 1])
    """
    check_name("align", mode, ALIGNMENTS)
    if mode == "none":
        return x
    if x.shape[1] != 3:
        raise InputError(
            f"align={mode} turns skeletons in 3-D, these have {x.shape[1]} coordinates per joint: "
            "pass input.align=none"
        )
    there = joint_presence(x, layout) if presence is None else presence

    def direction(x: Tensor, start: str, end: str) -> Landmark:
        person = first_person(x, there)
        ends = [find_landmark(*person, layout, joint, f"align={mode}") for joint in (end, start)]
        return ends[0] - ends[1]

    if mode == "torso":
        up = direction(x, "pelvis", "shoulder_center").mean()
        return rotate(x, _torso_frame(up, direction(x, "right_shoulder", "left_shoulder").mean()))
    axes = torch.eye(3, dtype=x.dtype, device=x.device)
    x = rotate(x, rotation_between(direction(x, "pelvis", "spine").first(), axes[2]))
    return rotate(x, rotation_between(direction(x, "left_shoulder", "right_shoulder").first(), axes[0]))


def _torso_frame(up: Tensor, across: Tensor) -> Tensor:
    """Rows: right → left, forward, up, from the mean directions of trunk and shoulders; (N, 3, 3)."""
    fallback = torch.eye(3, dtype=up.dtype, device=up.device)

    def unit(v: Tensor, axis: int) -> Tensor:
        length = v.norm(dim=1, keepdim=True)
        return torch.where(length > 1e-6, v / length.clamp(min=1e-6), fallback[axis])

    across = torch.where(up.norm(dim=1, keepdim=True) > 1e-6, across, 0)
    up = unit(up, 2)
    left = across - (across * up).sum(dim=1, keepdim=True) * up
    # A body without width has no left: any direction square to "up" will do.
    anyhow = fallback[0] - up[:, :1] * up
    left = unit(torch.where(left.norm(dim=1, keepdim=True) > 1e-6, left, anyhow), 0)
    return torch.stack([left, torch.linalg.cross(up, left), up], dim=1)


def scale_clip(
    x: Tensor, layout: SkeletonLayout, mode: str = "clip", presence: Tensor | None = None
) -> Tensor:
    """Scale each clip.

    Args:
        x: coordinates, centred before.
        layout: layout of ``x``.
        mode: ``clip`` maps each axis to [-1, 1] over the clip (the published N-UCLA recipe), ``torso``
            divides by the mean pelvis → shoulder distance of the first person, ``body`` by the root mean
            square distance of the person's joints from their middle, whatever joints there are (so does
            ``torso`` in a clip that never shows pelvis and shoulders), ``none`` does nothing.
        presence: which joints are there; by default those that are not 0 and the one at the origin.

    Shape:
        - x: (N, C, T, V, M); presence: (N, 1, T, V, M) bool; returns: (N, C, T, V, M)

    Raises:
        InputError: an unknown mode.

    >>> from kinelex.skeleton import get_layout
    >>> scale_clip(torch.randn(2, 3, 8, 25, 1), get_layout("ntu25")).abs().max().item()
    1.0
    """
    check_name("scale", mode, SCALES)
    if mode == "none":
        return x
    there = joint_presence(x, layout) if presence is None else presence
    if mode == "clip":
        if all_present(there):
            low, high = x.amin(dim=(2, 3, 4), keepdim=True), x.amax(dim=(2, 3, 4), keepdim=True)
            return (x - low) / (high - low).clamp(min=1e-6) * 2 - 1
        low = x.masked_fill(~there, torch.inf).amin(dim=(2, 3, 4), keepdim=True)
        high = x.masked_fill(~there, -torch.inf).amax(dim=(2, 3, 4), keepdim=True)
        return ((x - low) / (high - low).clamp(min=1e-6) * 2 - 1).masked_fill(~there, 0)
    body, seen = first_person(x, there)
    if mode == "body":
        length = _body_size(body, seen)
    else:
        joints = ("shoulder_center", "pelvis")
        ends = [find_landmark(body, seen, layout, joint, "scale=torso") for joint in joints]
        trunk = ends[0] - ends[1]
        length = trunk.path.norm(dim=1).sum(dim=1) / trunk.there.sum(dim=1).clamp(min=1)
        if not all_present(seen):
            length = torch.where(trunk.there.any(dim=1), length, _body_size(body, seen))
    return x / length.clamp(min=1e-6).view(-1, 1, 1, 1, 1)


def _body_size(x: Tensor, presence: Tensor) -> Tensor:
    """Root mean square distance of a person's joints from their middle in the frame, (N,)."""
    apart = (x - body_centre(x, presence).path[..., None]) * presence
    return (apart.square().sum(dim=(1, 2, 3)) / presence.sum(dim=(1, 2, 3)).clamp(min=1)).sqrt()


@register
@dataclass(frozen=True)
class Centre(Transform):
    """A joint of the first person moves to the origin, see :func:`centre` for the options.

    Args:
        joint: which joint.
        mode: ``first``, ``frame`` or ``mean``.
    """

    joint: str = "spine"
    mode: str = "first"

    def __post_init__(self) -> None:
        check_name("centre", self.mode, CENTRES)

    def apply(self, batch: Batch, params: None = None) -> Batch:
        x, there = clips_of(batch)
        return replace(batch, x=centre(x, layout_of(batch), self.mode, self.joint, there))


@register
@dataclass(frozen=True)
class AlignBody(Transform):
    """Clips turn into the body's own frame, see :func:`align_body` for the options.

    Args:
        mode: ``torso`` or ``body``.
    """

    mode: str = "torso"

    def __post_init__(self) -> None:
        check_name("align", self.mode, ALIGNMENTS)

    def apply(self, batch: Batch, params: None = None) -> Batch:
        x, there = clips_of(batch)
        return replace(batch, x=align_body(x, layout_of(batch), self.mode, there))


@register
@dataclass(frozen=True)
class ScaleClip(Transform):
    """Clips become of one size, see :func:`scale_clip` for the options.

    Args:
        mode: ``clip``, ``torso`` or ``body``.
    """

    mode: str = "clip"

    def __post_init__(self) -> None:
        check_name("scale", self.mode, SCALES)

    def apply(self, batch: Batch, params: None = None) -> Batch:
        x, there = clips_of(batch)
        return replace(batch, x=scale_clip(x, layout_of(batch), self.mode, there))
