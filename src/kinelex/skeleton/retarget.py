"""From one layout to another: each joint copied, or the midpoint of the nearest named ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kinelex.errors import InputError
from kinelex.skeleton.layout import SkeletonLayout

if TYPE_CHECKING:
    from torch import Tensor

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


def _resolve(layout: SkeletonLayout, joint: str, visited: frozenset[str]) -> np.ndarray | None:
    if joint in layout.joints:
        weights = np.zeros(layout.num_joints, dtype=np.float32)
        weights[layout.joints.index(joint)] = 1.0
        return weights
    if joint in visited:
        return None
    side, _, rest = joint.partition("_")
    sided = side in ("left", "right")
    for names in _SUBSTITUTES.get("{s}_" + rest if sided else joint, ()):
        found = [_resolve(layout, name.format(s=side), visited | {joint}) for name in names]
        present = [w for w in found if w is not None]
        if len(present) == len(names):
            return np.mean(present, axis=0)
    return None


def retarget_matrix(source: SkeletonLayout, target: SkeletonLayout) -> np.ndarray:
    """Matrix that turns source joints into target joints.

    Shape:
        - returns: (V_target, V_source), rows sum to 1.

    Raises:
        InputError: a target joint has no counterpart in the source.
    """
    return np.stack([landmark_weights(source, joint) for joint in target.joints])


def retarget(x: Tensor, source: SkeletonLayout, target: SkeletonLayout) -> Tensor:
    """Coordinates in another layout: joints copied by name, midpoints where one has no counterpart.

    Args:
        x: coordinates in the source layout.
        source: layout of ``x``.
        target: layout wanted.

    Shape:
        - x: (..., V_source, M)
        - returns: (..., V_target, M)

    Raises:
        InputError: ``x`` has another number of joints, or a joint has no counterpart.

    >>> import torch
    >>> from kinelex.skeleton import get_layout
    >>> x = torch.randn(2, 3, 8, 25, 1)
    >>> retarget(x, get_layout("ntu25"), get_layout("coco17")).shape
    torch.Size([2, 3, 8, 17, 1])
    """
    if x.shape[-2] != source.num_joints:
        raise InputError(
            f"expects {source.num_joints} joints ({source.name}) in the last but one dimension, "
            f"got shape {tuple(x.shape)}"
        )
    import torch  # here: preparing data needs matrices of layouts and no torch

    matrix = torch.from_numpy(retarget_matrix(source, target)).to(x)
    return matrix @ x
