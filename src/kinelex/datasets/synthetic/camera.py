"""What a Kinect would make of the stage: three cameras, noise, hidden and lost joints."""

from __future__ import annotations

import numpy as np
from scipy.signal import lfilter

from kinelex.datasets.synthetic.body import LAYOUT

#: Azimuth, height and downward tilt of each camera (degrees, metres, degrees); camera 1 is the first.
CAMERAS = ((-45.0, 1.15, 6.0), (0.0, 1.30, 8.0), (45.0, 1.55, 12.0))

_TREMBLING = {
    "hand_tip": 2.6,
    "thumb": 2.6,
    "hand": 2.0,
    "wrist": 1.5,
    "foot": 2.0,
    "ankle": 1.5,
    "knee": 1.2,
}
_LIMB = np.array([_TREMBLING.get(name.partition("_")[2], 1.0) for name in LAYOUT.joints])
_TORSO = [LAYOUT.index(name) for name in ("pelvis", "shoulder_center")]
_LIMBS = ("left_arm", "right_arm", "left_leg", "right_leg")
_HIDEABLE = np.array([v for part in _LIMBS for v in LAYOUT.parts[part]])


def view(x: np.ndarray, camera: int, facing: float, rng: np.random.Generator) -> np.ndarray:
    """Stage coordinates as a camera sees them.

    As in Kinect's files the frame is right-handed: y up, z away from the camera, and a person who faces
    the camera has the right hand at larger x.

    Args:
        camera: 1, 2 or 3.
        rng: where the performer stands, and how exactly the camera was set up.

    Shape:
        - x: (T, M, V, 3), metres; returns: (T, M, V, 3), metres
    """
    azimuth, height, tilt = CAMERAS[camera - 1]
    angle = np.deg2rad(facing - azimuth + rng.normal(0, 3))
    deep = float(np.ptp(x[..., LAYOUT.index("pelvis"), :], axis=(0, 1)).max())
    away, aside = rng.uniform(2.6, 3.8) + max(deep / 2 - 0.9, 0.0), rng.normal(0, 0.25)  # stays in range
    cos, sin = np.cos(angle), np.sin(angle)
    turned_x = cos * x[..., 0] + sin * x[..., 2]
    turned_z = cos * x[..., 2] - sin * x[..., 0]
    right, up, depth = aside - turned_x, x[..., 1] - height, away - turned_z
    down = np.deg2rad(tilt + rng.normal(0, 1))
    y, z = np.cos(down) * up + np.sin(down) * depth, np.cos(down) * depth - np.sin(down) * up
    return np.stack([right, y, z], axis=-1)


def hidden_joints(x: np.ndarray) -> np.ndarray:
    """Joints of arms and legs that are behind a trunk, seen from the camera.

    Shape:
        - x: (T, M, V, 3), metres, camera frame; returns: (T, M, V), bool

    >>> x = np.zeros((1, 1, 25, 3)) + [0, 0, 3.0]
    >>> x[0, 0, LAYOUT.index("shoulder_center")] = [0, 0.5, 3.0]
    >>> x[0, 0, LAYOUT.index("left_hand")] = [0.05, 0.3, 3.2]
    >>> hidden_joints(x).sum().item()
    1
    """
    hidden = np.zeros(x.shape[:-1], dtype=bool)
    for person in range(x.shape[1]):
        low, high = (x[:, person, v, None, None] for v in _TORSO)  # (T, 1, 1, 3)
        axis = high - low
        along = ((x - low)[..., :2] * axis[..., :2]).sum(-1) / ((axis[..., :2] ** 2).sum(-1) + 1e-6)
        nearest = low + np.clip(along, -0.1, 1.0)[..., None] * axis
        gap = x - nearest
        hidden |= ((gap[..., :2] ** 2).sum(-1) < 0.15**2) & (gap[..., 2] > 0.06)
    shown = np.ones(x.shape[2], dtype=bool)
    shown[_HIDEABLE] = False
    hidden[:, :, shown] = False
    return hidden


def record(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Add what a Kinect adds: trembling, more of it far away, at hands and feet, and at hidden joints;
    joints that are lost for a while and stay at their last position; a second person who is found late.

    Shape:
        - x: (T, M, V, 3), metres, camera frame
        - returns: (T, M, V, 3), metres; all zeros while a person is not found
    """
    hidden = hidden_joints(x)
    far = (x[..., 2] / 3.0).clip(0.5, 2.0) ** 2
    size = 0.006 * far * _LIMB * np.where(hidden, 4.0, 1.0)
    noise = lfilter([0.71], [1, -0.7], rng.standard_normal(x.shape), axis=0)  # remembers about 3 frames
    noise[..., 2] *= 1.5
    offset = rng.normal(0, 0.012, x.shape[1:]) * _LIMB[:, None]  # this clip's bias of each joint
    # where a joint is hidden its place is guessed, and the guess is off by the same for a while
    guess = rng.normal(0, 0.045, x.shape[1:]) * _LIMB[:, None]
    offset = offset + guess * lfilter([0.2], [1, -0.8], hidden, axis=0)[..., None]
    out = _hold_lost(x + offset + noise * size[..., None], hidden, rng)
    if x.shape[1] == 2 and rng.uniform() < 0.2:
        out[: int(rng.integers(2, 8)), 1] = 0.0
    return out


def _hold_lost(x: np.ndarray, hidden: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Joints that get lost stay where they were last seen, for 3 to 12 frames."""
    frames = len(x)
    chance = np.where(hidden, 0.05, 0.0012 * _LIMB)
    lost = rng.uniform(size=hidden.shape) < chance
    lasting = int(rng.integers(3, 13))
    ages = np.where(lost, np.arange(frames)[:, None, None], -LAYOUT.num_joints * frames)
    lost = np.arange(frames)[:, None, None] - np.maximum.accumulate(ages, axis=0) < lasting
    lost[0] = False  # the first frame is always seen
    seen = np.where(lost, 0, np.arange(frames)[:, None, None])
    seen = np.maximum.accumulate(seen, axis=0)
    return np.take_along_axis(x, seen[..., None], axis=0)
