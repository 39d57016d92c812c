"""How drawings look at a clip: from in front of the body, or as it was filmed."""

from __future__ import annotations

import numpy as np
import torch

from kinelex.skeleton import SkeletonLayout, has_landmarks, joint_presence
from kinelex.transforms import normalise


def seen_from(layout: SkeletonLayout, channels: int) -> str:
    """How drawings show a store's clips, in words for below them.

    >>> from kinelex.skeleton import get_layout
    >>> seen_from(get_layout("coco17"), 2), seen_from(get_layout("ntu25"), 3)
    ('as filmed', 'seen from in front of the body')
    """
    turned = channels == 3 and has_landmarks(layout, "spine", *normalise.TORSO)
    return "seen from in front of the body" if turned else "as filmed"


def front_view(clip: np.ndarray, layout: SkeletonLayout) -> np.ndarray:
    """A clip as a viewer in front of it sees it: x to the right, y down and, in 3-D, z away from the viewer.

    3-D clips are turned into the frame of the clip's mean torso; a layout without one, such as a hand, is
    seen by the camera. What missing joints become means nothing.

    Shape:
        - clip, returns: (T, M, V, C) with C 2 or 3

    >>> from kinelex.skeleton import get_layout
    >>> front_view(np.ones((2, 1, 17, 2)), get_layout("coco17")).shape
    (2, 1, 17, 2)
    """
    if clip.shape[3] == 2:
        return clip.astype(float)
    if not has_landmarks(layout, "spine", *normalise.TORSO):
        return clip.astype(float) * [1, -1, 1]
    x = torch.from_numpy(np.array(clip, np.float32)).permute(3, 0, 2, 1)[None]  # (1, C, T, V, M)
    presence = joint_presence(x)
    x = normalise.centre(x, layout, "mean", presence=presence)
    x = normalise.align_body(x, layout, "torso", presence)
    placed = x[0].permute(1, 3, 2, 0).numpy().astype(float)  # (T, M, V, C): to the body's left, back, up
    return np.stack([placed[..., 0], -placed[..., 2], placed[..., 1]], axis=3)


def side_of(joint: str) -> str:
    """Whose colour the bone from a joint to its parent has: left, right or torso.

    >>> side_of("left_knee"), side_of("head")
    ('left', 'torso')
    """
    side = joint.partition("_")[0]
    return side if side in ("left", "right") else "torso"
