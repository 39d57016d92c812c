"""How PYSKL prepares clips, to the number: for its checkpoints, and to compare with its results.

Source: Duan et al., "PYSKL: Towards Good Practices for Skeleton Action Recognition", ACM MM 2022,
arXiv 2205.09443, and its published code.
"""

from __future__ import annotations

import numpy as np
import torch

from kinelex.errors import InputError
from kinelex.skeleton import SkeletonLayout
from kinelex.transforms.normalise import align_body, centre


def pyskl_normalise_3d(clip: np.ndarray, layout: SkeletonLayout) -> np.ndarray:
    """Turn a clip of one or two persons into the body's frame of its first frame.

    Frames without the person who is seen more often are left out; that person comes first. Then the middle of
    the spine in the first frame is the origin, hip to spine points to +z and left to right shoulder to +x.

    Args:
        clip: coordinates in metres; absent joints are zeros.

    Shape:
        - clip: (M, T, V, 3), M at most 2; returns: (M, T', V, 3) float64

    Raises:
        InputError: another shape, or more than two persons.

    >>> from kinelex.skeleton import get_layout
    >>> clip = np.random.default_rng(0).normal(size=(1, 4, 25, 3))
    >>> np.abs(pyskl_normalise_3d(clip, get_layout("ntu25"))[0, 0, 1]).max().item()
    0.0
    """
    if clip.ndim != 4 or not 1 <= len(clip) <= 2 or clip.shape[2:] != (layout.num_joints, 3):
        raise InputError(
            f"expects (M, T, {layout.num_joints}, 3) of one or two persons of {layout.name}, got {clip.shape}"
        )
    seen = ~np.isclose(clip, 0).all(axis=(2, 3))  # (M, T)
    if not seen.any():
        return clip.astype(np.float64)
    first = int(len(clip) == 2 and seen[1].sum() > seen[0].sum())
    persons = clip[::-1] if first else clip
    x = torch.from_numpy(persons[:, seen[first]].transpose(3, 1, 2, 0).copy())[None]
    x = align_body(centre(x, layout, "first").double(), layout, "body")
    return x[0].permute(3, 1, 2, 0).numpy()  # (1, 3, T', V, M) → (M, T', V, 3)


def pyskl_normalise_2d(
    clip: np.ndarray, scores: np.ndarray, size: tuple[int, int] = (1080, 1920), threshold: float = 0.01
) -> np.ndarray:
    """Pixels as shares of half the picture from its middle, with scores; joints hardly seen are zeros.

    Args:
        clip: pixels x, y.
        scores: confidence of each joint, from 0 to 1.
        size: height and width of the picture, pixels.
        threshold: joints with no more than this score lie at 0.

    Shape:
        - clip: (M, T, V, 2); scores: (M, T, V); returns: (M, T, V, 3) float32: x, y, score

    >>> pyskl_normalise_2d(np.array([[[[960.0, 0.0]]]]), np.ones((1, 1, 1)))[0, 0, 0].tolist()
    [0.0, -1.0, 1.0]
    """
    half = np.array([size[1] / 2, size[0] / 2], np.float32)
    x = (clip.astype(np.float32) - half) / half
    x[scores <= threshold] = 0
    return np.concatenate([x, scores.astype(np.float32)[..., None]], axis=-1)


def pyskl_test_frames(length: int, frames: int = 100, clips: int = 10, seed: int = 255) -> np.ndarray:
    """The frames that PYSKL takes of a clip at test time: one at random of each of ``frames`` equal parts.

    Its seed is fixed, so that every clip of a length is sampled alike. A clip shorter than ``frames`` is
    repeated, each time from another start.

    Args:
        length: frames of the clip.
        clips: how often the clip is sampled.

    Shape:
        - returns: (clips, frames) int64

    Raises:
        InputError: fewer than one frame.

    >>> pyskl_test_frames(150, frames=4, clips=2).tolist()
    [[31, 42, 96, 121], [0, 44, 92, 129]]
    """
    if min(length, frames, clips) < 1:
        raise InputError(f"expects a length, frames and clips of at least 1, got {length}, {frames}, {clips}")
    draw = np.random.RandomState(seed)  # noqa: NPY002  (the published generator: its numbers count)
    sampled = []
    for clip in range(clips):
        draw.rand()  # a share of the clip, which is always the whole
        draw.randint(1)  # and its offset
        if length < frames:
            start = clip if length < clips else clip * length // clips
            chosen = start + np.arange(frames)
        elif length < 2 * frames:
            skipped = np.zeros(frames + 1, np.int64)
            skipped[draw.choice(frames + 1, length - frames, replace=False)] = 1
            chosen = np.arange(frames) + skipped.cumsum()[:-1]
        else:
            bounds = np.arange(frames + 1) * length // frames
            chosen = bounds[:-1] + draw.randint(np.diff(bounds))
        sampled.append(chosen % length)
    return np.stack(sampled)
