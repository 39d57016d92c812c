"""From one layout to another: each joint copied, or the midpoint of the nearest named ones that are there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from kinelex.errors import InputError, check_name
from kinelex.skeleton.layout import SkeletonLayout
from kinelex.skeleton.presence import all_present, complete, indices_on, joint_presence

if TYPE_CHECKING:
    from torch import Tensor

# How joints that a layout lacks are made: all of them from joints that can stand for them; those for which
# none can are missing; or all of them are missing.
RETARGETS = ("complete", "partial", "named")

# For a joint that a layout lacks: the first line whose joints can all be had wins, and their mean is
# taken. `{s}` is the side. Each line only names joints that are resolved without coming back.
_SUBSTITUTES: dict[str, tuple[tuple[str, ...], ...]] = {
    "pelvis": (("left_hip", "right_hip"),),
    "shoulder_center": (("left_shoulder", "right_shoulder"), ("neck",)),
    "neck": (("shoulder_center",), ("left_shoulder", "right_shoulder")),
    "spine": (("pelvis", "shoulder_center"), ("pelvis", "neck")),
    "lower_spine": (("pelvis", "spine"),),
    "chest": (("spine", "shoulder_center"),),
    "head": (("left_ear", "right_ear"), ("left_eye", "right_eye"), ("nose",), ("neck",)),
    "nose": (("head",),),
    "{s}_eye": (("head",), ("nose",)),
    "{s}_eye_inner": (("{s}_eye",), ("head",), ("nose",)),
    "{s}_eye_outer": (("{s}_eye",), ("head",), ("nose",)),
    "{s}_ear": (("{s}_eye",), ("head",), ("nose",)),
    "{s}_mouth": (("nose",), ("head",)),
    "{s}_clavicle": (("{s}_shoulder",),),
    "{s}_shoulder": (("shoulder_center",), ("neck",)),
    "{s}_elbow": (("{s}_shoulder", "{s}_wrist"), ("{s}_shoulder", "{s}_hand")),
    "{s}_wrist": (("{s}_hand",),),
    "{s}_hand": (("{s}_index", "{s}_pinky"), ("{s}_wrist",)),
    "{s}_hand_tip": (("{s}_index",), ("{s}_hand",), ("{s}_wrist",)),
    "{s}_index": (("{s}_hand_tip",), ("{s}_hand",), ("{s}_wrist",)),
    "{s}_pinky": (("{s}_hand",), ("{s}_wrist",)),
    "{s}_thumb": (("{s}_hand",), ("{s}_wrist",)),
    "{s}_hip": (("pelvis",),),
    "{s}_knee": (("{s}_hip", "{s}_ankle"), ("{s}_hip", "{s}_foot")),
    "{s}_ankle": (("{s}_foot",), ("{s}_heel",)),
    "{s}_foot": (("{s}_big_toe", "{s}_small_toe"), ("{s}_big_toe",), ("{s}_ankle",)),
    "{s}_big_toe": (("{s}_foot",), ("{s}_ankle",)),
    "{s}_small_toe": (("{s}_big_toe",), ("{s}_foot",), ("{s}_ankle",)),
    "{s}_heel": (("{s}_ankle",), ("{s}_foot",)),
}


def landmark_weights(layout: SkeletonLayout, joint: str) -> np.ndarray:
    """Weights over the layout's joints that give a named joint, or its substitute.

    Args:
        layout: the layout that the coordinates are in.
        joint: a joint name of the common vocabulary, for example ``pelvis``.

    Shape:
        - returns: (V,), non-negative, sum 1.

    Raises:
        InputError: neither the joint nor a substitute exists in the layout.

    >>> from kinelex.skeleton import get_layout
    >>> landmark_weights(get_layout("coco17"), "pelvis").nonzero()[0].tolist()
    [11, 12]
    """
    weights = _resolve(layout, joint, frozenset())
    if weights is None:
        raise InputError(
            f"layout {layout.name} has neither the joint {joint!r} nor joints that can stand for it; "
            f"it has {', '.join(layout.joints)}"
        )
    return weights


def has_landmarks(layout: SkeletonLayout, *joints: str) -> bool:
    """Whether a layout has each of some joints, or joints that can stand for it.

    >>> from kinelex.skeleton import get_layout
    >>> has_landmarks(get_layout("coco17"), "pelvis", "spine"), has_landmarks(get_layout("coco17"), "tail")
    (True, False)
    """
    return all(_resolve(layout, joint, frozenset()) is not None for joint in joints)


def landmark_choices(layout: SkeletonLayout, joint: str) -> np.ndarray:
    """Weights of a joint, if the layout has it, and of everything that can stand for it, the best first.

    Shape:
        - returns: (K, V), each row non-negative, sum 1; K is 0 where nothing can stand for it.

    >>> from kinelex.skeleton import get_layout
    >>> [row.nonzero()[0].tolist() for row in landmark_choices(get_layout("coco17"), "head")]
    [[3, 4], [1, 2], [0], [5, 6]]
    """
    rows = list(_choices(layout, joint, frozenset()))
    return np.stack(rows) if rows else np.zeros((0, layout.num_joints), np.float32)


def _choices(layout: SkeletonLayout, joint: str, visited: frozenset[str]) -> Iterator[np.ndarray]:
    if joint in layout.joints:
        weights = np.zeros(layout.num_joints, dtype=np.float32)
        weights[layout.joints.index(joint)] = 1.0
        yield weights
    elif joint in visited:
        return
    side, _, rest = joint.partition("_")
    sided = side in ("left", "right")
    for names in _SUBSTITUTES.get("{s}_" + rest if sided else joint, ()):
        found = [_resolve(layout, name.format(s=side), visited | {joint}) for name in names]
        known = [w for w in found if w is not None]
        if len(known) == len(names):
            yield np.mean(known, axis=0)


def _resolve(layout: SkeletonLayout, joint: str, visited: frozenset[str]) -> np.ndarray | None:
    return next(_choices(layout, joint, visited), None)


def retarget_matrix(source: SkeletonLayout, target: SkeletonLayout) -> np.ndarray:
    """Matrix that turns source joints into target joints.

    Shape:
        - returns: (V_target, V_source), rows sum to 1.

    Raises:
        InputError: a target joint has no counterpart in the source.

    >>> from kinelex.skeleton import get_layout
    >>> retarget_matrix(get_layout("ntu25"), get_layout("coco17")).shape
    (17, 25)
    """
    return np.stack([landmark_weights(source, joint) for joint in target.joints])


def retarget_choices(source: SkeletonLayout, target: SkeletonLayout, mode: str = "complete") -> np.ndarray:
    """Matrices that turn source joints into target joints, for when the sources of a better one are missing.

    A joint that the source has is only ever copied.

    Args:
        source, target: the layouts.
        mode: of a target joint that the source lacks: ``complete`` makes it from joints that can stand for
            it, as :func:`retarget_matrix` does; ``partial`` too, but where none can it is missing; ``named``
            leaves it missing.

    Shape:
        - returns: (K, V_target, V_source), rows sum to 1, or are 0 where there is no further choice: a joint
          that is missing has rows of zeros alone.

    Raises:
        InputError: ``complete`` and a joint without a counterpart, or no joint has one.

    >>> from kinelex.skeleton import get_layout
    >>> choices = retarget_choices(get_layout("sbu15"), get_layout("ntu25"), "named")
    >>> choices.shape, int(choices.sum())
    ((1, 25, 15), 15)
    """
    check_name("retarget", mode, RETARGETS)
    if mode == "complete":
        retarget_matrix(source, target)  # says which joint cannot be had
    rows = []
    for joint in target.joints:
        found = landmark_choices(source, joint)
        if joint in source.joints:
            found = found[:1]
        rows.append(found[:0] if mode == "named" and joint not in source.joints else found)
    most = max(map(len, rows))
    if not most:
        raise InputError(
            f"no joint of the layout {target.name} can be had from {source.name}, which has "
            f"{', '.join(source.joints)}"
        )
    choices = np.zeros((most, target.num_joints, source.num_joints), dtype=np.float32)
    for number, found in enumerate(rows):
        choices[: len(found), number] = found
    return choices


def weigh(
    x: Tensor, presence: Tensor, weights: Tensor, layout: SkeletonLayout, dim: int = -2
) -> tuple[Tensor, Tensor]:
    """Weighted means of joints, and where they are there: where all of the joints are.

    Of a left and a right joint that are both weighed, one stands for the other where that one is missing.

    Args:
        x: coordinates; absent joints are 0.
        weights: weights over the joints, sum 1, or all 0 for nothing.
        layout: layout of ``x``.
        dim: where the joints are: -2 (persons come after them) or -1.

    Shape:
        - x: (..., C, T, V, M) or (..., C, T, V); presence: the same with C = 1, bool
        - weights: (U, V), or (V,) with ``dim=-1``
        - returns: (..., C, T, U, M) or (..., C, T); the same with C = 1, bool
    """
    import torch  # here: preparing data needs matrices of layouts and no torch

    equation = "...vm,uv->...um" if dim == -2 else "...v,v->..."
    y = torch.einsum(equation, x, weights)
    if all_present(presence):
        return y, complete(y.narrow(2 * dim, 0, 1).shape, x.device)
    other = indices_on(layout.mirror, x.device)
    alone = presence & ~presence.index_select(dim, other)
    paired = torch.where(weights > 0, weights[..., other], 0)
    share = torch.einsum(equation, presence.to(x.dtype), weights)
    share = share + torch.einsum(equation, alone.to(x.dtype), paired)
    return y + torch.einsum(equation, x * alone, paired), share > 0.999


def retarget_present(
    x: Tensor, presence: Tensor, source: SkeletonLayout, choices: Tensor, lacking: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Coordinates in another layout and which of them are there, of clips in which joints may be missing.

    Args:
        x: coordinates in the source layout; absent joints are 0.
        source: layout of ``x``.
        choices: as :func:`retarget_choices` gives them.
        lacking: which target joints have no choice at all, where there are any: these are missing.

    Shape:
        - x: (N, C, T, V_source, M); presence: (N, 1, T, V_source, M) bool; choices: (K, V_target, V_source);
          lacking: (V_target,) bool
        - returns: (N, C, T, V_target, M); (N, 1, T, V_target, M) bool
    """
    y, there = weigh(x, presence, choices[0], source)
    if all_present(presence):
        return y, there if lacking is None else there & ~lacking[:, None]
    y = y * there
    for weights in choices[1:]:
        other, found = weigh(x, presence, weights, source)
        y, there = y + other * (found & ~there), there | found
    return y, there


def retarget(
    x: Tensor, source: SkeletonLayout, target: SkeletonLayout, presence: Tensor | None = None
) -> Tensor:
    """Coordinates in another layout: joints copied by name, midpoints where one has no counterpart.

    A joint that is missing in the source is missing in the result, as zeros. A joint that the source does
    not have at all is made from the best of its substitutes that are there, of a left and a right joint from
    one alone if need be.

    Args:
        x: coordinates in the source layout.
        source: layout of ``x``.
        presence: which joints are there; by default those that are not 0.

    Shape:
        - x: (..., C, T, V_source, M); presence: (..., 1, T, V_source, M) bool
        - returns: (..., C, T, V_target, M)

    Raises:
        InputError: ``x`` has another number of joints, or a joint has no counterpart.

    >>> import torch
    >>> from kinelex.skeleton import get_layout
    >>> x = torch.randn(2, 3, 8, 25, 1)
    >>> retarget(x, get_layout("ntu25"), get_layout("coco17")).shape
    torch.Size([2, 3, 8, 17, 1])
    """
    if x.ndim < 4 or x.shape[-2] != source.num_joints:
        raise InputError(
            f"expects {source.num_joints} joints ({source.name}) in the last but one dimension of "
            f"(..., C, T, V, M), got shape {tuple(x.shape)}"
        )
    import torch  # here: preparing data needs matrices of layouts and no torch

    x = x if x.is_floating_point() else x.float()  # whole numbers have no midpoints
    choices = torch.from_numpy(retarget_choices(source, target)).to(x)
    clips = x.reshape(-1, *x.shape[-4:])
    there = joint_presence(clips) if presence is None else presence.reshape(-1, 1, *x.shape[-3:])
    y, _ = retarget_present(clips, there, source, choices)
    return y.reshape(*x.shape[:-2], *y.shape[-2:])
