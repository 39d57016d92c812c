"""From an action and a performer to joint positions without a camera: one take, played."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from kinelex.datasets.synthetic.arm_actions import ARM_ACTIONS
from kinelex.datasets.synthetic.body import ANGLES, LAYOUT, forward_kinematics, mirror_pose, pose_of
from kinelex.datasets.synthetic.leg_actions import LEG_ACTIONS
from kinelex.datasets.synthetic.pair_actions import PAIR_ACTIONS
from kinelex.datasets.synthetic.performers import CARRIAGES, Performer
from kinelex.datasets.synthetic.take import Action, Curves, Take

ACTIONS: tuple[Action, ...] = (*ARM_ACTIONS, *LEG_ACTIONS, *PAIR_ACTIONS)

FRAMES_PER_SECOND = 30
SHORTEST, LONGEST = 30, 110  # frames


@dataclass(frozen=True)
class Performance:
    """What happened on the stage.

    Args:
        coordinates: metres, y up from the ground, in the stage's frame: a single performer
            faces +z, two performers face each other along z.
        caption: what was simulated.

    Shape:
        - coordinates: (T, M, 25, 3)
    """

    coordinates: np.ndarray
    caption: str


def perform(
    action: Action, performer: Performer, rng: np.random.Generator, partner: Performer | None = None
) -> Performance:
    """Play one take of an action.

    Args:
        action: one of :data:`ACTIONS`.
        rng: decides how it is done this time; the same state gives the same take.
        partner: the second person, for actions that have one (the performer's double if missing).

    >>> from kinelex.datasets.synthetic.performers import Performer
    >>> shown = perform(ACTIONS[0], Performer(), np.random.default_rng(0))
    >>> shown.coordinates.shape[1:], shown.caption
    ((1, 25, 3), 'raises the right hand overhead and waves it five times')
    """
    take, speed = _draw_take(action, performer, rng)
    mirrored = _is_mirrored(action, performer, rng)
    first = _play(action.curves, take, performer, mirrored, rng)
    words = action.words if isinstance(action.words, str) else action.words(take)
    side, other = ("left", "right") if mirrored else ("right", "left")
    words = words.format(side=side, other=other, times=take.times, repeats=take.repeats)
    persons = [first - _middle(first)]
    if action.partner is not None:
        companion = partner or performer
        answer = replace(take, amplitude=companion.amplitude, manner=companion.manner)
        second = _play(action.partner, answer, companion, False, rng)
        persons = _face_to_face(first, second, action.contact)
    return Performance(np.stack(persons, axis=1), words + speed)


def _draw_take(action: Action, performer: Performer, rng: np.random.Generator) -> tuple[Take, str]:
    """The take without its resting pose, and the words for its speed."""
    repeats = int(rng.integers(action.repeats[0], action.repeats[1] + 1))
    tempo = performer.tempo * float(np.exp(rng.normal(0, 0.12)))
    seconds = (action.seconds + action.more * (repeats - action.repeats[0])) / tempo
    before, after = performer.patience * rng.uniform(0.05, 1.15, 2)
    frames = np.array([before, seconds, after]) * FRAMES_PER_SECOND
    frames *= np.clip(frames.sum(), SHORTEST, LONGEST) / frames.sum()
    course = np.clip((np.arange(round(frames.sum())) - frames[0]) / frames[1], 0, 1)
    first, second = rng.uniform(-0.45, 0.45, 2)  # hurries or hesitates on the way
    course = course + first * np.sin(2 * np.pi * course) / (2 * np.pi)
    course = course + second * np.sin(4 * np.pi * course) / (4 * np.pi)
    take = Take(
        u=np.clip(1 - course if action.reverse else course, 0, 1),
        amplitude=performer.amplitude * float(np.exp(rng.normal(0, 0.08))),
        repeats=repeats,
        manner=float(np.clip(0.7 * performer.manner + 0.3 * rng.uniform(-0.35, 1.35), 0, 1)),
        whims=tuple(rng.uniform(-1, 1, 6)),
    )
    return take, ", slowly" if tempo < 0.85 else ", quickly" if tempo > 1.18 else ""


def _is_mirrored(action: Action, performer: Performer, rng: np.random.Generator) -> bool:
    coin = rng.uniform() < 0.5  # drawn for every action, so that mirrored actions share their takes
    if action.side == "hand":
        return performer.left_handed
    return action.side == "left" or (action.side == "either" and bool(coin))


def _play(
    curves_of: Callable[[Take], Curves],
    take: Take,
    performer: Performer,
    mirrored: bool,
    rng: np.random.Generator,
) -> np.ndarray:
    """Joint positions (T, 25, 3) of one person."""
    frames = len(take.u)
    rest, later = (pose_of(_resting(performer, rng), 1, {})[0] for _ in range(2))
    centre, length, changes = rng.uniform(0, frames), rng.uniform(10, 25), rng.uniform() < 0.5
    if mirrored:
        rest, later = mirror_pose(rest[None])[0], mirror_pose(later[None])[0]
    # idle arms may find another place meanwhile
    moved = 1 / (1 + np.exp(-4 * (np.arange(frames) - centre) / length)) * changes
    idle = rest + moved[:, None] * (later - rest)
    take = replace(take, rest=dict(zip(ANGLES, idle[0].tolist(), strict=True)))
    pose = pose_of({**dict(zip(ANGLES, idle.T, strict=True)), **curves_of(take)}, frames, {})
    pose += _idle(frames, performer, rng)
    return forward_kinematics(performer.body, mirror_pose(pose) if mirrored else pose)


def _resting(performer: Performer, rng: np.random.Generator) -> Curves:
    """The pose between actions: posture, carriage of the arms, what differs between the sides."""
    other = str(rng.choice(tuple(CARRIAGES)))
    carriage = other if rng.uniform() < 0.25 else performer.carriage
    angles = dict(performer.posture)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        for name, value in CARRIAGES[carriage].items():
            angles[f"{side}_{name}"] = value
        for name, value in performer.asymmetry.items():
            key = f"{side}_{name}"
            angles[key] = angles.get(key, 2.0) + sign * value
        angles[f"{side}_knee"] = abs(angles.get(f"{side}_knee", 3.0))
    return {name: np.asarray(value) for name, value in angles.items()}


_SWAYING = {"bend": 1.2, "lean": 1.2, "twist": 5.0, "yaw": 6.0, "look": 5.0, "nod": 3.0}
_SWAYING |= {"left_raise": 2.0, "right_raise": 2.0, "left_elbow": 3.0, "right_elbow": 3.0}


def _idle(frames: int, performer: Performer, rng: np.random.Generator) -> np.ndarray:
    """Small slow movements that go on all the time, and now and then a look to the side."""
    seconds = np.arange(frames)[:, None, None] / FRAMES_PER_SECOND
    rates = rng.uniform(0.1, 0.6, (2, len(_SWAYING)))  # hertz
    waves = np.sin(2 * np.pi * (seconds * rates + rng.uniform(0, 1, rates.shape))).sum(axis=1)
    pose = np.zeros((frames, len(ANGLES)))
    pose[:, [ANGLES.index(n) for n in _SWAYING]] = performer.sway * np.array(list(_SWAYING.values())) * waves
    side, centre, chance = rng.uniform(-1, 1), rng.uniform(0, frames), rng.uniform()
    if chance < 0.4:
        glance = np.exp(-(((np.arange(frames) - centre) / 9.0) ** 2))
        pose[:, ANGLES.index("look")] += 40 * side * glance
        pose[:, ANGLES.index("twist")] += 9 * side * glance
    return pose


def _middle(x: np.ndarray) -> np.ndarray:
    """Half way along the path of the pelvis, on the ground."""
    path = x[:, LAYOUT.index("pelvis")]
    return (path.max(axis=0) + path.min(axis=0)) / 2 * np.array([1.0, 0.0, 1.0])


def _face_to_face(first: np.ndarray, second: np.ndarray, contact: str) -> list[np.ndarray]:
    hands = [LAYOUT.index(f"{side}_hand_tip") for side in ("left", "right")]
    reach = first[:, hands, 2].max()
    reach += second[:, hands, 2].max() - 0.1 if contact == "hand" else 0.12
    ahead = np.array([0.0, 0.0, reach / 2])
    return [first - ahead, second * np.array([-1.0, 1.0, -1.0]) + ahead]
