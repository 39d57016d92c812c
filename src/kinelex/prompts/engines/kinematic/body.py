"""A clip in the body's own frame, or in the picture's plane."""

from dataclasses import dataclass

import numpy as np

from kinelex.data import SkeletonStore
from kinelex.prompts.engines.kinematic.tracked import at_ease, may_tell, tracked_landmarks
from kinelex.skeleton import SkeletonLayout, landmark_weights

_LIMBS = ("shoulder", "elbow", "wrist", "hand", "hip", "knee", "ankle", "foot")
LANDMARKS = ("pelvis", "shoulder_center", "head", *(f"{s}_{j}" for s in ("left", "right") for j in _LIMBS))
INDEX = {name: j for j, name in enumerate(LANDMARKS)}
RIGHT, UP, FORWARD = 0, 1, 2  # the body's axes, in the order of the last dimension of Body.local


@dataclass(frozen=True)
class Body:
    """One person of a clip in the body's own frame; lengths in torso lengths (pelvis to shoulders).

    Of a body in 2-D (``flat``) the axes are the picture's: right and up as filmed, and nothing lies forward.

    Shape:
        - local: (T, 19, 3), right / up / forward of the pelvis.
        - height: (T, 19), above the floor on which the clip's feet stand.
        - turn: (T,), heading relative to the first frame, radians, positive to the person's left.
        - travel: (T, 3), path of the pelvis, summed up along the axes of each moment.
        - world: (T, 3), pelvis in the axes of the file.
        - axes: (T, 3, 3), the unit vectors right, up, forward in the axes of the file.
        - facing: (T,), which way the person's right side lies along the first axis: 1; of a body in 2-D -1
          where it faces the camera, 0 where it is seen from the side.
        - tracked: (T, 19) bool, which landmarks are there.
    """

    local: np.ndarray
    height: np.ndarray
    turn: np.ndarray
    travel: np.ndarray
    world: np.ndarray
    axes: np.ndarray
    size: float
    facing: np.ndarray
    flat: bool
    tracked: np.ndarray

    def may_tell(self, sentence: str, frame: int | None = None) -> bool:
        """Whether a sentence is about landmarks that are there: in a frame, or in half of the clip."""
        known = self.tracked.mean(axis=0) >= 0.5 if frame is None else self.tracked[frame]
        return may_tell(sentence, known, INDEX)

    def __getitem__(self, landmark: str) -> np.ndarray:
        return self.local[:, INDEX[landmark]]

    def level(self, landmark: str) -> np.ndarray:
        """Height of a landmark above the floor, (T,)."""
        return self.height[:, INDEX[landmark]]

    def angle(self, a: str, b: str, c: str) -> np.ndarray:
        """Angle at landmark b between a and c in degrees, (T,); 180 is straight."""
        u, v = self[a] - self[b], self[c] - self[b]
        lengths = np.linalg.norm(u, axis=1) * np.linalg.norm(v, axis=1)
        return np.degrees(np.arccos(np.clip((u * v).sum(1) / np.maximum(lengths, 1e-6), -1, 1)))

    def outward(self, side: str, across: np.ndarray) -> np.ndarray:
        """How far a distance along the first axis leads away from the body on one side, (T,).

        Of a body in 2-D that is seen from the side nothing can be told: 0.
        """
        return self.facing * across * (1 if side == "right" else -1)


def landmark_matrix(layout: SkeletonLayout) -> np.ndarray:
    """Weights that turn a layout's joints into :data:`LANDMARKS`, (19, V).

    The hand is taken half-way between wrist and hand: depth cameras place its tip badly. Where the arms of a
    layout end at the wrist, the forearm is made longer by a quarter.
    """
    rows = np.stack([landmark_weights(layout, name) for name in LANDMARKS])
    for side in ("left", "right"):
        hand, wrist, elbow = (INDEX[f"{side}_{joint}"] for joint in ("hand", "wrist", "elbow"))
        ends = np.array_equal(rows[hand], rows[wrist])
        beyond = 1.25 * rows[wrist] - 0.25 * rows[elbow]
        rows[hand] = beyond if ends else (rows[hand] + rows[wrist]) / 2
    return rows


def y_points_down(store: SkeletonStore, matrix: np.ndarray, clips: int = 32) -> bool:
    """Which way y runs in a 2-D store: down, as in pictures, unless most bodies stood on their heads then.

    So many clips are looked at, spread over the store.
    """
    feet = (matrix[INDEX["left_ankle"]] + matrix[INDEX["right_ankle"]]) / 2
    weights, votes = feet - matrix[INDEX["shoulder_center"]], 0
    for row in np.unique(np.linspace(0, len(store) - 1, clips).astype(int)):
        person = store.sequence(row)[:, 0]
        seen = person[(person != 0).any(axis=2)[:, weights != 0].all(axis=1)]
        votes += int(np.sign((seen[..., 1] @ weights).sum()))
    return votes >= 0


def find_bodies(frames: np.ndarray, matrix: np.ndarray, y_down: bool = True) -> list[Body]:
    """The persons of a clip who are there in at least a tenth of its frames, the first two.

    Shape:
        - frames: (T, M, V, C), C of 2 or 3; in 2-D y runs down, as in pictures, or up.
        - matrix: (19, V), of :func:`landmark_matrix`
    """
    x = np.asarray(frames, dtype=np.float64)
    flat = x.shape[3] == 2
    if flat:
        depth = np.zeros_like(x[..., :1])
        x = np.concatenate([x[..., :1], -x[..., 1:] if y_down else x[..., 1:], depth], axis=3)
    seen = np.any(x != 0, axis=3)  # (T, M, V): a joint at exactly 0 was not tracked
    share = np.any(seen, axis=2).mean(axis=0)
    persons = [m for m in range(len(share)) if share[m] > 0.1][:2]
    if not persons:
        persons = [int(share.argmax())]
    tracked = [tracked_landmarks(seen[:, m], matrix) for m in persons]
    placed = [_smooth(matrix @ _fill(x[:, m], seen[:, m])) for m in persons]
    points = [at_ease(p, known, INDEX) for p, known in zip(placed, tracked, strict=True)]
    up = np.array([0.0, 1.0, 0.0]) if flat else _up_axis(points[0])
    return [_body(p, up, flat, known) for p, known in zip(points, tracked, strict=True)]


def _fill(x: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Untracked joints take their place in the nearest frame that has them, or the body's centre."""
    if seen.all():
        return x
    t = len(x)
    now = np.arange(t)[:, None]
    before = np.maximum.accumulate(np.where(seen, now, -t), axis=0)  # (T, V): the last frame that has it
    after = np.minimum.accumulate(np.where(seen, now, 2 * t)[::-1], axis=0)[::-1]
    nearest = np.where(now - before <= after - now, before, after)
    nearest[:, ~seen.any(axis=0)] = 0
    filled = np.take_along_axis(x, nearest[..., None], axis=0)
    never = ~seen.any(axis=0)
    if never.any() and not never.all():
        filled[:, never] = filled[:, ~never].mean(axis=1, keepdims=True)
    return filled


def _smooth(points: np.ndarray, sigma: float = 1.2) -> np.ndarray:
    """Take out spikes of one frame, then a Gaussian along the frames.

    Of each frame and its neighbours the point is kept that is nearest to the two others: a median that,
    unlike that of each coordinate, turns with the camera.
    """
    if len(points) < 5:
        return points
    padded = np.concatenate([points[:1], points, points[-1:]])
    three = np.stack([padded[1:-1], padded[:-2], padded[2:]])
    apart = np.linalg.norm(three - np.roll(three, 1, axis=0), axis=3)  # [k]: from point k to k - 1
    total = apart + np.roll(apart, -1, axis=0)
    total[0] *= 0.999  # the frame itself, where there is nothing to choose
    best = total.argmin(axis=0)
    return gaussian(np.take_along_axis(three, best[None, :, :, None], axis=0)[0], sigma)


def gaussian(x: np.ndarray, sigma: float) -> np.ndarray:
    """Smooth along the first axis, ends repeated; the window never exceeds the clip."""
    reach = min(int(np.ceil(2.5 * sigma)), len(x) - 1)
    if reach < 1:
        return x
    offsets = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * (offsets / sigma) ** 2)
    rows = np.clip(np.arange(len(x))[:, None] + offsets, 0, len(x) - 1)
    return np.tensordot(weights / weights.sum(), x[rows], axes=(0, 1))


def _up_axis(points: np.ndarray) -> np.ndarray:
    """Which way is up: from ankles to shoulders where the body is most stretched, (3,)."""
    ankles = (points[:, INDEX["left_ankle"]] + points[:, INDEX["right_ankle"]]) / 2
    stretch = points[:, INDEX["shoulder_center"]] - ankles
    length = np.linalg.norm(stretch, axis=1)
    stretch = stretch[length >= 0.95 * np.percentile(length, 95)]
    return _unit(_unit(stretch).sum(axis=0))


def _unit(v: np.ndarray) -> np.ndarray:
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-9)


def _floor(feet: np.ndarray, reach: int = 15) -> np.ndarray:
    """Height of the floor: median of the lower foot over half a second to either side, (T,).

    Moving along, so that an up axis that is a few degrees wrong tilts no floor under a walking body.
    """
    rows = np.clip(np.arange(len(feet))[:, None] + np.arange(-reach, reach + 1), 0, len(feet) - 1)
    return gaussian(np.median(feet[rows], axis=1), 4.0)


def _body(points: np.ndarray, up: np.ndarray, flat: bool, tracked: np.ndarray) -> Body:
    at = {name: points[:, j] for name, j in INDEX.items()}
    torso = np.linalg.norm(at["shoulder_center"] - at["pelvis"], axis=1)
    size = max(float(np.median(torso)), 1e-6)
    side = at["right_shoulder"] - at["left_shoulder"] + at["right_hip"] - at["left_hip"]
    side = gaussian(side - (side @ up)[:, None] * up, 2.5)
    if flat:
        facing = np.where(np.abs(side[:, 0]) > 0.35 * size, np.sign(side[:, 0]), 0.0)
        right = np.broadcast_to(np.array([1.0, 0.0, 0.0]), side.shape)
    else:
        facing = np.ones(len(side))
        weak = np.linalg.norm(side, axis=1) < 0.15 * size  # seen edge-on: borrow the clip's direction
        side[weak] = side[weak] + 0.3 * size * _unit(side.mean(axis=0))
        right = _unit(side)
    axes = np.stack([right, np.broadcast_to(up, right.shape), np.cross(up, right)], axis=1)  # (T, 3, 3)
    local = np.einsum("tjc,tac->tja", points - at["pelvis"][:, None], axes) / size
    height = points @ up / size
    feet = np.minimum(height[:, INDEX["left_ankle"]], height[:, INDEX["right_ankle"]])
    step = np.diff(at["pelvis"], axis=0, prepend=at["pelvis"][:1])
    travel = np.cumsum(np.einsum("tc,tac->ta", step, axes), axis=0) / size
    before = np.concatenate([right[:1], right[:-1]])
    turned = np.arctan2(np.cross(before, right) @ up, (before * right).sum(1))
    above, turn = height - _floor(feet)[:, None], np.cumsum(turned)
    return Body(local, above, turn, travel, at["pelvis"], axes, size, facing, flat, tracked)
