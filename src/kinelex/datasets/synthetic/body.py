"""A body that moves: bone lengths, joint-angle curves, and forward kinematics on ntu25.

The frame is right-handed: x to the body's left, y up, z forward, the ground y = 0. A pose has one column of
degrees per name of :data:`ANGLES`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from kinelex.skeleton import get_layout

LAYOUT = get_layout("ntu25")
_ARM = ("raise", "plane", "twist", "elbow", "wrist", "shrug")
_LEG = ("hip", "spread", "knee", "toe")
_TRUNK = ("bend", "lean", "twist", "nod", "look", "yaw", "lift", "forward")

#: Columns of a pose. Trunk: ``bend`` forward, ``lean`` to the left, ``twist`` of the shoulders to the left,
#: head ``nod`` and ``look`` to the left, ``yaw`` of the whole body to the left (degrees); ``lift`` off the
#: ground and ``forward`` shift (metres). Arms (``left_``, ``right_``): ``raise`` from hanging (0) to overhead
#: (180), the vertical ``plane`` it happens in (0 forward, 90 outward), ``twist`` of the upper arm (positive:
#: forearm outward), bent ``elbow``, ``wrist``, ``shrug``. Legs: ``hip`` forward, ``spread`` outward, bent
#: ``knee``, ``toe`` up.
ANGLES: tuple[str, ...] = (
    *_TRUNK,
    *(f"{side}_{name}" for side in ("left", "right") for name in (*_ARM, *_LEG)),
)
_COLUMN = {name: i for i, name in enumerate(ANGLES)}
_MIRROR = [_COLUMN[n.replace("left_", "?").replace("right_", "left_").replace("?", "right_")] for n in ANGLES]
_SIGN = np.array([-1.0 if n in ("lean", "twist", "look", "yaw") else 1.0 for n in ANGLES])


@dataclass(frozen=True)
class Body:
    """Bone lengths in metres; the defaults are those of an adult of about 1.72 m."""

    lower_spine: float = 0.29
    upper_spine: float = 0.22
    neck: float = 0.07
    head: float = 0.15
    clavicle: float = 0.18
    upper_arm: float = 0.27
    forearm: float = 0.24
    hand: float = 0.08
    hand_tip: float = 0.08
    thumb: float = 0.05
    hip: float = 0.085
    thigh: float = 0.42
    shank: float = 0.39
    foot: float = 0.12

    def scaled(self, **factors: float) -> Body:
        """The body with some bones longer or shorter; ``all`` multiplies every bone.

        >>> round(Body().scaled(all=1.1, thigh=0.9).thigh, 4)
        0.4158
        """
        whole = factors.pop("all", 1.0)
        lengths = {f.name: getattr(self, f.name) * whole * factors.get(f.name, 1.0) for f in fields(self)}
        return replace(self, **lengths)


def pose_of(curves: dict[str, np.ndarray], frames: int, rest: dict[str, float]) -> np.ndarray:
    """Put named curves on top of a resting pose.

    Args:
        curves: values by name of :data:`ANGLES`, each (T,) or a number.
        frames: number of frames T.
        rest: resting value by name; names that are missing rest at 0.

    Shape:
        - returns: (T, len(ANGLES)), degrees (metres for ``lift`` and ``forward``).

    >>> pose_of({"bend": np.array([0.0, 30.0])}, 2, {"right_elbow": 10.0})[:, [0, 21]].tolist()
    [[0.0, 10.0], [30.0, 10.0]]
    """
    pose = np.zeros((frames, len(ANGLES)))
    for name, value in (rest | curves).items():
        pose[:, _COLUMN[name]] = value
    return pose


def mirror_pose(pose: np.ndarray) -> np.ndarray:
    """The pose in a mirror: left and right limbs swap, turns change their sign.

    Shape:
        - pose: (T, len(ANGLES)); returns: (T, len(ANGLES))

    >>> pose = pose_of({"left_elbow": 90.0, "yaw": 20.0}, 1, {})
    >>> mirror_pose(pose)[0, [ANGLES.index("right_elbow"), ANGLES.index("yaw")]].tolist()
    [90.0, -20.0]
    """
    return (pose * _SIGN)[:, _MIRROR]


def _rotate(v: np.ndarray, axis: int, angle: np.ndarray) -> np.ndarray:
    """Rotate vectors (..., 3) about a coordinate axis; ``angle`` in degrees, broadcast to (...)."""
    a, b = (axis + 1) % 3, (axis + 2) % 3
    radians = np.deg2rad(angle)
    cos, sin = np.cos(radians), np.sin(radians)
    out = np.empty(np.broadcast_shapes(v.shape[:-1], cos.shape) + (3,))
    out[..., axis] = v[..., axis]
    out[..., a] = cos * v[..., a] - sin * v[..., b]
    out[..., b] = sin * v[..., a] + cos * v[..., b]
    return out


def forward_kinematics(body: Body, pose: np.ndarray) -> np.ndarray:
    """Joint positions of a pose, all frames at once.

    The feet carry the body: the lower foot stands on the ground and stays where it is, so that walking
    moves the body on, and a body that sits down moves behind its feet.

    Args:
        pose: joint angles as :func:`pose_of` makes them.

    Shape:
        - pose: (T, len(ANGLES))
        - returns: (T, 25, 3), metres, in the body's frame; the path starts at x = z = 0.

    >>> x = forward_kinematics(Body(), pose_of({}, 1, {}))
    >>> round(float(x[0, LAYOUT.index("head"), 1]), 2)  # height of the head's centre
    1.65
    """
    p = {name: pose[:, i] for name, i in _COLUMN.items()}
    x = np.zeros((len(pose), LAYOUT.num_joints, 3))
    at = LAYOUT.index
    _place_trunk(x, body, p)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        _place_arm(x, body, p, side, sign)
        _place_leg(x, body, p, side, sign)
    x = _rotate(x, 1, p["yaw"][:, None])
    feet = x[:, [at("left_ankle"), at("right_ankle")]]
    lowest = np.minimum(feet[..., 1] - 0.08, x[:, [at("left_foot"), at("right_foot")], 1] - 0.03)
    carries = 1 / (1 + np.exp((lowest[:, :1] - lowest[:, 1:]) / 0.012))  # (T, 1): share of the left foot
    steps = np.diff(feet, axis=0)
    share = 0.5 * (carries[1:] + carries[:-1])
    travel = np.zeros((len(pose), 3))
    travel[1:] = -np.cumsum(share * steps[:, 0] + (1 - share) * steps[:, 1], axis=0)
    travel[:, 1] = p["lift"] - lowest.min(axis=1)
    ahead = _rotate(np.array([0.0, 0.0, 1.0]), 1, p["yaw"]) * p["forward"][:, None]
    return x + (travel + ahead)[:, None]


def _place_trunk(x: np.ndarray, body: Body, p: dict[str, np.ndarray]) -> None:
    up = np.array([0.0, 1.0, 0.0])
    lower = _rotate(_rotate(up, 0, 0.6 * p["bend"]), 2, -0.6 * p["lean"])
    x[:, LAYOUT.index("spine")] = body.lower_spine * lower
    top = x[:, LAYOUT.index("spine")] + body.upper_spine * _chest(up[None, None], p)[:, 0]
    x[:, LAYOUT.index("shoulder_center")] = top
    # the head stays more upright than the chest
    neck = _rotate(_rotate(_rotate(up, 0, 0.65 * p["bend"] + 8), 2, -0.5 * p["lean"]), 1, p["twist"])
    ahead = _rotate(np.array([0.0, 1.0, 0.12]), 0, p["nod"] + 0.45 * p["bend"])
    face = _rotate(ahead, 1, p["twist"] + p["look"])
    x[:, LAYOUT.index("neck")] = top + body.neck * neck
    x[:, LAYOUT.index("head")] = x[:, LAYOUT.index("neck")] + body.head * face / np.hypot(1, 0.12)


def _chest(v: np.ndarray, p: dict[str, np.ndarray]) -> np.ndarray:
    """From the frame of the chest to that of the body, vectors (T, n, 3)."""
    v = _rotate(v, 1, p["twist"][:, None])
    return _rotate(_rotate(v, 0, p["bend"][:, None]), 2, -p["lean"][:, None])


def _place_arm(x: np.ndarray, body: Body, p: dict[str, np.ndarray], side: str, sign: float) -> None:
    raised, plane, twist, elbow, wrist, shrug = (p[f"{side}_{name}"] for name in _ARM)
    down = np.array([0.0, -1.0, 0.0])
    tilt = np.deg2rad(shrug - 12)
    clavicle = np.stack([np.cos(tilt), np.sin(tilt), np.zeros_like(tilt)], axis=-1)
    forearm = _rotate(down, 0, -elbow)
    hand = _rotate(down, 0, -elbow - wrist)
    thumb = _rotate(np.array([-0.8, -0.6, 0.0]), 0, -elbow - wrist)
    # (T, 4, 3) in the frame of the upper arm, then of the chest
    arm = np.stack([np.broadcast_to(down, hand.shape), forearm, hand, thumb], axis=1)
    arm = _rotate(_rotate(_rotate(arm, 1, twist[:, None]), 0, -raised[:, None]), 1, plane[:, None])
    arm = np.concatenate([clavicle[:, None], arm], axis=1) * np.array([sign, 1.0, 1.0])
    arm = _chest(arm, p)
    joint = x[:, LAYOUT.index("shoulder_center")]
    chain = (body.clavicle, body.upper_arm, body.forearm, body.hand, body.hand_tip)
    names = ("shoulder", "elbow", "wrist", "hand", "hand_tip")
    for name, length, direction in zip(names, chain, (0, 1, 2, 3, 3), strict=True):
        joint = joint + length * arm[:, direction]
        x[:, LAYOUT.index(f"{side}_{name}")] = joint
    x[:, LAYOUT.index(f"{side}_thumb")] = x[:, LAYOUT.index(f"{side}_hand")] + body.thumb * arm[:, 4]


def _place_leg(x: np.ndarray, body: Body, p: dict[str, np.ndarray], side: str, sign: float) -> None:
    hip, spread, knee, toe = (p[f"{side}_{name}"] for name in _LEG)
    down = np.array([0.0, -1.0, 0.0])
    foot = _rotate(np.array([0.25, -0.3, 0.92]), 0, -toe)
    leg = np.stack([_rotate(down, 0, -hip), _rotate(down, 0, knee - hip), foot], axis=1)
    leg[:, :2] = _rotate(leg[:, :2], 2, spread[:, None])
    leg = leg * np.array([sign, 1.0, 1.0])
    socket = _rotate(np.array([sign * body.hip, -0.03, 0.0]), 2, -0.3 * p["lean"])
    socket = _rotate(socket, 1, 0.25 * p["twist"])
    joint = socket * (body.hip / np.hypot(body.hip, 0.03))
    x[:, LAYOUT.index(f"{side}_hip")] = joint
    lengths = (body.thigh, body.shank, body.foot / np.linalg.norm([0.25, 0.3, 0.92]))
    for i, (name, length) in enumerate(zip(("knee", "ankle", "foot"), lengths, strict=True)):
        joint = joint + length * leg[:, i]
        x[:, LAYOUT.index(f"{side}_{name}")] = joint
