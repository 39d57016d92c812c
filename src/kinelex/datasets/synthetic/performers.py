"""The performers: bodies, habits and manners, each drawn once per seed."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from kinelex.datasets.synthetic.body import Body

NUM_PERFORMERS = 10
LEFT_HANDED = (3, 8)

#: How the arms are carried while they have nothing to do: values by name of an arm's angle.
CARRIAGES: dict[str, dict[str, float]] = {
    "hanging": {"raise": 8, "plane": 70, "twist": -62, "elbow": 16},
    "bent": {"raise": 10, "plane": 40, "twist": -45, "elbow": 62},
    "on the hips": {"raise": 42, "plane": 95, "twist": -150, "elbow": 86},
    "in front": {"raise": 22, "plane": 8, "twist": -52, "elbow": 66},
    "behind": {"raise": -24, "plane": -12, "twist": -135, "elbow": 52},
}


@dataclass(frozen=True)
class Performer:
    """One performer's body and manner; the defaults are a symmetric, right-handed, average one.

    Args:
        number: 1, 2, ...
        body: bone lengths.
        left_handed: whether actions without a side of their own are done with the left hand.
        tempo: speed relative to the average.
        amplitude: size of the movements relative to the average.
        posture: resting value of trunk, head and leg angles, degrees.
        carriage: usual carriage of idle arms, a key of :data:`CARRIAGES`.
        asymmetry: added to the angles of the left limbs, subtracted from the right ones, degrees.
        sway: size of idle movements relative to the average.
        patience: length of the pauses before and after relative to the average.
        facing: how far the performer usually looks past the camera, degrees.
        manner: the usual way of doing an action that can be done in several, 0 to 1.
    """

    number: int = 0
    body: Body = field(default_factory=Body)
    left_handed: bool = False
    tempo: float = 1.0
    amplitude: float = 1.0
    posture: dict[str, float] = field(default_factory=dict)
    carriage: str = "hanging"
    asymmetry: dict[str, float] = field(default_factory=dict)
    sway: float = 1.0
    patience: float = 1.0
    facing: float = 0.0
    manner: float = 0.5


def make_performer(number: int, seed: int = 0) -> Performer:
    """One of the performers of a seed.

    >>> make_performer(3).left_handed, make_performer(4).left_handed
    (True, False)
    """
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0, number)))
    spread = float(rng.uniform(2, 9))
    posture = {
        "bend": float(rng.normal(5, 3.5)),
        "nod": float(rng.normal(0, 6)),
        "lean": float(rng.normal(0, 2)),
        "left_spread": spread,
        "right_spread": spread,
        "left_shrug": float(rng.normal(0, 4)),
        "right_shrug": float(rng.normal(0, 4)),
    }
    asymmetry = {
        "raise": float(rng.normal(0, 5)),
        "plane": float(rng.normal(0, 8)),
        "elbow": float(rng.normal(0, 8)),
        "hip": float(rng.normal(0, 2)),
        "knee": float(abs(rng.normal(0, 3))),
    }
    # tempo and amplitude step through the group, so that no part of it lacks the slow or the large
    rank = (3 * number + seed) % NUM_PERFORMERS / (NUM_PERFORMERS - 1)
    return Performer(
        number=number,
        body=_make_body(rng),
        left_handed=number in LEFT_HANDED,
        tempo=float(0.72 + 0.62 * rank + rng.normal(0, 0.04)),
        amplitude=float(0.78 + 0.4 * ((7 * number) % NUM_PERFORMERS) / 9 + rng.normal(0, 0.03)),
        posture=posture,
        carriage=tuple(CARRIAGES)[int(rng.choice(5, p=[0.4, 0.2, 0.14, 0.13, 0.13]))],
        asymmetry=asymmetry,
        sway=float(rng.uniform(0.4, 1.8)),
        patience=float(rng.uniform(0.3, 1.7)),
        facing=float(rng.normal(0, 9)),
        manner=float(rng.uniform()),
    )


def _make_body(rng: np.random.Generator) -> Body:
    arms, legs, trunk = rng.normal(1, 0.045, 3)
    return Body().scaled(
        all=float(np.clip(rng.normal(0.99, 0.065), 0.86, 1.13)),
        lower_spine=trunk,
        upper_spine=trunk,
        clavicle=float(rng.normal(1, 0.07)),
        upper_arm=arms,
        forearm=arms * float(rng.normal(1, 0.02)),
        hip=float(rng.normal(1, 0.08)),
        thigh=legs,
        shank=legs * float(rng.normal(1, 0.02)),
        foot=float(rng.normal(1, 0.05)),
    )
