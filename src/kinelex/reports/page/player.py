"""Clips as players in a page: coordinates as 16-bit numbers, beside the strip of stills that is printed."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np

from kinelex.reports.page.view import front_view, side_of, skeleton_strip
from kinelex.skeleton import SkeletonLayout

MOST_BYTES = 80_000  # of a clip in a report: 28 of them and the figures stay below 5 MB
_MISSING, _LARGEST = -32768, 32767
_OUTLIER = 1.5  # a joint farther from the middle than this many 99th percentiles may leave the picture


def clip_player(
    clip: np.ndarray,
    layout: SkeletonLayout,
    name: str,
    fps: float | None = None,
    most_bytes: int = MOST_BYTES,
) -> str:
    """A clip as HTML: a figure with a strip of stills, which ``player.js`` makes a player of.

    Args:
        clip: its coordinates; missing joints are zeros and are not drawn.
        layout: the layout of its joints.
        name: what the clip is called.
        fps: frames per second; None or NaN where it is not known.
        most_bytes: what its coordinates may take in the page; of a longer clip every n-th frame is shown.

    Shape:
        - clip: (T, M, V, C) with C 2 or 3

    >>> from kinelex.skeleton import get_layout
    >>> clip_player(np.ones((2, 1, 17, 2)), get_layout("coco17"), "a")[:23]
    '<figure class="player">'
    """
    content = json.dumps(player_content(clip, layout, name, fps, most_bytes), separators=(",", ":"))
    content = content.replace("<", "\\u003c")  # a name must not end the script
    return (
        f'<figure class="player">{skeleton_strip(clip, layout)}'
        f'<script type="application/json">{content}</script></figure>'
    )


def player_content(
    clip: np.ndarray, layout: SkeletonLayout, name: str, fps: float | None, most_bytes: int
) -> dict[str, Any]:
    """What ``player.js`` reads: the clip around its middle, as shares of its largest distance from there.

    Shape:
        - clip: (T, M, V, C) with C 2 or 3
    """
    clip = clip[:, clip.any(axis=(0, 2, 3))] if clip.any() else clip[:, :1]
    step = frame_step(clip, most_bytes)
    view, seen = front_view(clip, layout)[::step], (clip != 0).any(axis=3)[::step]  # (T, M, V, C); (T, M, V)
    around, sizes = around_middle(view, seen)
    values = np.rint(around.clip(-1, 1) * _LARGEST).astype("<i2")
    values[~seen] = _MISSING
    return {
        "name": name,
        "frames": len(view),
        "length": len(clip),
        "step": step,
        "fps": None if fps is None or np.isnan(fps) else round(float(fps), 3),
        "persons": clip.shape[1],
        "joints": clip.shape[2],
        "channels": clip.shape[3],
        "bones": [[j, p, side_of(layout.joints[j])] for j, p in layout.bones],
        "head": layout.joints.index("head") if "head" in layout.joints else None,
        **sizes,
        "values": base64.b64encode(values.tobytes()).decode(),
    }


def frame_step(clip: np.ndarray, most_bytes: int) -> int:
    """Every how manieth frame fits.

    Shape:
        - clip: (T, M, V, C)

    >>> frame_step(np.zeros((100, 1, 25, 3)), 10_000)
    2
    """
    return max(1, -(-(clip.size * 2 * 4 // 3) // most_bytes))  # 16 bits a number, four letters for 3 bytes


def around_middle(view: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, dict[str, float]]:
    """Coordinates around the middle of a clip as shares of 1, and how large the clip is in the same measure.

    ``across`` and ``down`` are how far joints go from the middle to the sides, however the clip is turned,
    and up or down; ``reach`` is the larger one, ``floor`` the height of the feet. Single joints far off,
    which engines invent, do not count.

    Shape:
        - view: (T, M, V, C); seen: (T, M, V) bool; returns: (T, M, V, C)
    """
    joints = view[seen] if seen.any() else np.zeros((1, view.shape[3]))
    middle = np.quantile(joints, (0.01, 0.99), axis=0).mean(axis=0)
    joints = joints - middle
    far = [_far(np.hypot(joints[:, 0], joints[:, -1] if view.shape[3] == 3 else 0)), _far(joints[:, 1])]
    unit = float(min(np.abs(joints).max(), 8 * max(far))) or 1.0
    floor = np.quantile(joints[:, 1], 0.99)
    across, down, floor = (round(max(float(v) / unit, 1e-3), 4) for v in (*far, floor))
    sizes = {"across": across, "down": down, "reach": max(across, down), "floor": floor}
    return (view - middle) / unit, sizes


def _far(distances: np.ndarray) -> float:
    apart = np.abs(distances)
    return float(min(apart.max(), _OUTLIER * np.quantile(apart, 0.99)))
