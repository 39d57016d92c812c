"""How drawings look at a clip, from in front of the body or as it was filmed; its frames as small SVG."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from kinelex.skeleton import SkeletonLayout, has_landmarks, joint_presence, landmark_weights
from kinelex.transforms import normalise

SIDE_COLOURS = {"left": "#d9731a", "right": "#1f5fa8", "torso": "#3b4754"}
_CELL = 100  # width and height of one frame, in SVG units


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


def skeleton_strip(clip: np.ndarray, layout: SkeletonLayout, frames: int = 8) -> str:
    """A clip as a strip of drawings, uniformly over its time, as :func:`front_view` sees it.

    Every drawing is moved sideways so that the body is in the middle. Left limbs are orange, right ones blue.

    Shape:
        - clip: (T, M, V, C) with C 2 or 3
    """
    chosen = clip[np.linspace(0, len(clip) - 1, frames).round().astype(int)]
    cells = _drawn(chosen, layout)
    moved = [f'<g transform="translate({n * _CELL})">{cell}</g>' for n, cell in enumerate(cells)]
    return f'<svg class="strip" viewBox="0 0 {frames * _CELL} {_CELL}" role="img">{"".join(moved)}</svg>'


def skeleton_frames(clip: np.ndarray, layout: SkeletonLayout, frames: Sequence[int]) -> list[str]:
    """Chosen frames of a clip as drawings of their own, all to one scale; see :func:`skeleton_strip`.

    Shape:
        - clip: (T, M, V, C) with C 2 or 3
    """
    head = f'<svg class="strip" viewBox="0 0 {_CELL} {_CELL}" role="img">'
    return [f"{head}{cell}</svg>" for cell in _drawn(clip[list(frames)], layout)]


def _drawn(chosen: np.ndarray, layout: SkeletonLayout) -> list[str]:
    """The content of a square cell for every frame, to one scale."""
    flat = _middled(chosen, layout)
    seen: np.ndarray = (chosen != 0).any(axis=3)  # (frames, M, V)
    x, y = np.abs(flat[..., 0][seen]), flat[..., 1][seen]
    low, high = (float(y.min()), float(y.max())) if len(y) else (0.0, 1.0)
    size = 0.86 * _CELL / max(high - low, 2 * float(x.max()) if len(x) else 1.0, 1e-6)
    placed = (flat - [0, (low + high) / 2]) * size + _CELL / 2
    return [
        "".join(part for person, there in zip(*frame, strict=True) for part in _bones(person, there, layout))
        for frame in zip(placed, seen, strict=True)
    ]


def _middled(clip: np.ndarray, layout: SkeletonLayout) -> np.ndarray:
    """Image coordinates (frames, M, V, 2), y down, the bodies of each frame in the middle."""
    seen: np.ndarray = (clip != 0).any(axis=3)  # (frames, M, V)
    flat, has_middle = front_view(clip, layout)[..., :2], has_landmarks(layout, "spine")
    even = np.full(layout.num_joints, 1 / layout.num_joints)
    middle = landmark_weights(layout, "spine") if has_middle else even
    there = seen.any(axis=2)
    known = (flat[..., 0] * seen).sum(axis=2) / np.maximum(seen.sum(axis=2), 1)  # of the joints that are seen
    whole = seen[..., middle != 0].all(axis=2)
    centres = np.where(whole, np.einsum("fmvc,v->fmc", flat, middle)[..., 0], known)  # (frames, M)
    centre = (centres * there).sum(axis=1) / np.maximum(there.sum(axis=1), 1)
    flat[..., 0] -= centre[:, None, None]
    return flat


def _bones(points: np.ndarray, seen: np.ndarray, layout: SkeletonLayout) -> list[str]:
    lines: dict[str, list[str]] = {side: [] for side in SIDE_COLOURS}
    for joint, parent in layout.bones:
        if seen[joint] and seen[parent]:
            side = side_of(layout.joints[joint])
            (x0, y0), (x1, y1) = points[joint], points[parent]
            lines[side].append(f"M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}")
    parts = [
        f'<path d="{"".join(found)}" stroke="{SIDE_COLOURS[side]}"/>'
        for side, found in lines.items()
        if found
    ]
    if "head" in layout.joints and seen[layout.joints.index("head")]:
        x, y = points[layout.joints.index("head")]
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.6"/>')
    return parts
