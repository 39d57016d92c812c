"""Actions of two persons who face each other; the partner's curves run over the same time."""

from __future__ import annotations

import numpy as np

from kinelex.datasets.synthetic.take import Action, Curves, Take


def _extend_right(t: Take, held: np.ndarray, raised: float | np.ndarray, elbow: float | np.ndarray) -> Curves:
    """The right arm stretched forward towards the middle."""
    return t.toward(held, right_raise=raised, right_plane=-14, right_elbow=elbow, right_twist=-10)


def _shake(t: Take) -> Curves:
    held = t.during(0.28, 0.74)
    shaking = np.sin(2 * np.pi * t.repeats * t.inner(0.28, 0.74)) * t.amplitude
    curves = _extend_right(t, held, 40 + 5 * t.whims[0], 44 + 18 * shaking)
    return {**curves, **t.toward(held, bend=t.rest.get("bend", 0) + 8 * t.manner, nod=8)}


def _push(t: Take) -> Curves:
    thrust = t.path("thrust", (0, 0), (0.28, 0), (0.46, 1), (0.58, 1), (1, 0))
    held = t.during(0.28, 0.72)
    legs = t.toward(thrust, bend=14 * t.amplitude, right_hip=-14, left_hip=20, left_knee=26)
    out: Curves = {**legs, "forward": 0.1 * t.amplitude * thrust}
    raised = 30 + (48 + 5 * t.whims[0]) * thrust
    return out | t.both(held, **{"raise": raised}, plane=20 - 16 * thrust, elbow=112 - 96 * thrust, twist=-16)


def _is_pushed(t: Take) -> Curves:
    hit = t.path("hit", (0, 0), (0.44, 0), (0.58, 1), (1, 0))
    back = t.path("back", (0, 0), (0.44, 0), (0.8, 1), (1, 1))
    out: Curves = {
        "bend": t.rest.get("bend", 0) - 16 * t.amplitude * hit,
        "nod": t.rest.get("nod", 0) + 10 * hit,
        "forward": -(0.22 + 0.14 * t.manner) * t.amplitude * back,
        **t.toward(hit, right_hip=-20, right_knee=20),
    }
    for side in ("left", "right"):
        out[f"{side}_raise"] = t.rest.get(f"{side}_raise", 0) + 36 * t.amplitude * hit
        out[f"{side}_elbow"] = t.rest.get(f"{side}_elbow", 0) + 24 * hit
    return out


def _hand_over(t: Take) -> Curves:
    carry = t.path("carry", (0, 1), (0.66, 1), (1, 0))
    out = t.path("out", (0, 0), (0.1, 0), (0.4, 1), (0.6, 1), (0.9, 0), (1, 0))
    elbow = 84 - 56 * out + 6 * t.whims[0]
    arm = t.toward(
        carry, right_raise=12 + 36 * out, right_plane=10 - 24 * out, right_elbow=elbow, right_twist=-14
    )
    return {**arm, "bend": t.rest.get("bend", 0) + 10 * t.amplitude * t.manner * out}


def _takes_over(t: Take) -> Curves:
    held = t.path("held", (0, 0), (0.2, 0), (0.46, 1), (1, 1))
    back = t.path("back", (0, 0), (0.6, 0), (0.92, 1), (1, 1))
    return {
        **_extend_right(t, held, 46 - 36 * back, 32 + 52 * back),
        "bend": t.rest.get("bend", 0) + 6 * t.manner * held * (1 - back),
    }


_SHAKE = "shakes right hands with the other person, up and down {times}"
_PUSH = "pushes the other person in the chest with both hands, who sways and steps back"
_HAND_OVER = "hands something to the other person with the {side} hand, who takes it and draws it back"
PAIR_ACTIONS = (
    Action("shake hands", _shake, _SHAKE, 1.6, 0.26, (2, 4), partner=_shake),
    Action("push the other", _push, _PUSH, 1.9, partner=_is_pushed, contact="chest"),
    Action("hand over", _hand_over, _HAND_OVER, 2.3, side="hand", partner=_takes_over),
)
