"""Hand-made bodies: a standing person whose joints a test puts where it wants them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kinelex.data import Sequence, SkeletonStoreWriter, StoreMeta
from kinelex.skeleton import get_layout

LAYOUT = get_layout("kinect20")
# x to the person's right, y up, z so that the person looks along -z; metres.
STANDING = {
    "pelvis": (0, 0.95, 0),
    "spine": (0, 1.15, 0),
    "shoulder_center": (0, 1.45, 0),
    "head": (0, 1.65, 0),
    "right_shoulder": (0.18, 1.42, 0),
    "right_elbow": (0.22, 1.15, 0),
    "right_wrist": (0.24, 0.9, 0),
    "right_hand": (0.24, 0.82, 0),
    "right_hip": (0.1, 0.92, 0),
    "right_knee": (0.1, 0.5, 0),
    "right_ankle": (0.1, 0.08, 0),
    "right_foot": (0.1, 0.03, -0.12),
}


@pytest.fixture
def person() -> Callable[..., np.ndarray]:
    """Makes (T, 1, 20, 3): standing, with the named joints at a place or along a path (T, 3)."""

    def make(frames: int = 20, **moved: object) -> np.ndarray:
        x = np.zeros((frames, 1, LAYOUT.num_joints, 3), np.float32)
        for j, name in enumerate(LAYOUT.joints):
            place = np.array(STANDING[name.replace("left_", "right_")], np.float32)
            x[:, 0, j] = place * ((-1, 1, 1) if name.startswith("left_") else (1, 1, 1))
        for name, where in moved.items():
            x[:, 0, LAYOUT.index(name)] = np.asarray(where, np.float32)
        return x

    return make


@pytest.fixture
def lively(person: Callable[..., np.ndarray]) -> np.ndarray:
    """A clip with much going on: the right hand draws a circle, the left waves, the body walks and turns."""
    t = np.linspace(0, 1, 50)
    angle = 2 * np.pi * t
    right = np.stack([0.3 + 0.25 * np.cos(angle), 1.5 + 0.25 * np.sin(angle), -0.3 + 0 * t], axis=1)
    left = np.stack([-0.45 + 0.22 * np.sin(3 * angle), 1.7 + 0 * t, -0.1 + 0 * t], axis=1)
    x = person(50, right_hand=right, right_wrist=right, left_hand=left, left_wrist=left)
    x[..., 2] -= (1.5 * t)[:, None, None]
    return x + np.random.default_rng(3).normal(0, 0.004, x.shape)  # nothing sits exactly on a threshold


@pytest.fixture
def small_store(tmp_path: Path, lively: np.ndarray) -> Path:
    """A store of 70 clips of different lengths, enough for several shards."""
    path = tmp_path / "store.arrow"
    rng = np.random.default_rng(0)
    with SkeletonStoreWriter(path, StoreMeta("tiny", LAYOUT, ("a", "b"))) as writer:
        for i in range(70):
            frames = lively[: 1 + i % 50] + rng.normal(0, 0.03, lively[: 1 + i % 50].shape)
            writer.add(Sequence(f"clip{i}", frames, label=i % 2))
    return path
