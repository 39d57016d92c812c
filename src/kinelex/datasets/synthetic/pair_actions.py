"""Actions of two persons who face each other; the partner's curves run over the same time."""

from __future__ import annotations

import numpy as np

from kinelex.datasets.synthetic.take import Action, Curves, Take


def _extend_right(t: Take, held: np.ndarray, raised: float, elbow: float | np.ndarray) -> Curves:
    """The right arm stretched forward towards the middle."""
    return {
        "right_raise": t.reach("right_raise", raised, held),
        "right_plane": t.reach("right_plane", -14, held),
        "right_elbow": t.reach("right_elbow", elbow, held),
        "right_twist": t.reach("right_twist", -10, held),
    }


def _shake(t: Take) -> Curves:
    held = t.during(0.28, 0.74)
    shaking = np.sin(2 * np.pi * t.repeats * t.inner(0.28, 0.74)) * t.amplitude
    curves = _extend_right(t, held, 40 + 5 * t.whims[0], 44 + 18 * shaking)
    return {
        **curves,
        "bend": t.reach("bend", t.rest.get("bend", 0) + 8 * t.manner, held),
        "nod": t.reach("nod", 8, held),
    }


def _shake_words(t: Take) -> str:
    return f"shakes right hands with the other person, up and down {t.times}"


def _push(t: Take) -> Curves:
    thrust = t.path("thrust", (0, 0), (0.28, 0), (0.46, 1), (0.58, 1), (1, 0))
    held = t.during(0.28, 0.72)
    out: Curves = {
        "bend": t.reach("bend", 14 * t.amplitude, thrust),
        "forward": 0.1 * t.amplitude * thrust,
        "right_hip": t.reach("right_hip", -14, thrust),
        "left_hip": t.reach("left_hip", 20, thrust),
        "left_knee": t.reach("left_knee", 26, thrust),
    }
    raised = 30 + (48 + 5 * t.whims[0]) * thrust
    return out | t.both(held, **{"raise": raised}, plane=20 - 16 * thrust, elbow=112 - 96 * thrust, twist=-16)


def _is_pushed(t: Take) -> Curves:
    hit = t.path("hit", (0, 0), (0.44, 0), (0.58, 1), (1, 0))
    back = t.path("back", (0, 0), (0.44, 0), (0.8, 1), (1, 1))
    out: Curves = {
        "bend": t.rest.get("bend", 0) - 16 * t.amplitude * hit,
        "nod": t.rest.get("nod", 0) + 10 * hit,
        "forward": -(0.22 + 0.14 * t.manner) * t.amplitude * back,
        "right_hip": t.reach("right_hip", -20, hit),
        "right_knee": t.reach("right_knee", 20, hit),
    }
    for side in ("left", "right"):
        out[f"{side}_raise"] = t.rest.get(f"{side}_raise", 0) + 36 * t.amplitude * hit
        out[f"{side}_elbow"] = t.rest.get(f"{side}_elbow", 0) + 24 * hit
    return out


def _push_words(t: Take) -> str:
    return "pushes the other person in the chest with both hands, who sways and steps back"


def _hand_over(t: Take) -> Curves:
    carry = t.path("carry", (0, 1), (0.66, 1), (1, 0))
    out = t.path("out", (0, 0), (0.1, 0), (0.4, 1), (0.6, 1), (0.9, 0), (1, 0))
    return {
        "right_raise": t.reach("right_raise", 12 + 36 * out, carry),
        "right_plane": t.reach("right_plane", 10 - 24 * out, carry),
        "right_elbow": t.reach("right_elbow", 84 - 56 * out + 6 * t.whims[0], carry),
        "right_twist": t.reach("right_twist", -14, carry),
        "bend": t.rest.get("bend", 0) + 10 * t.amplitude * t.manner * out,
    }


def _takes_over(t: Take) -> Curves:
    held = t.path("held", (0, 0), (0.2, 0), (0.46, 1), (1, 1))
    back = t.path("back", (0, 0), (0.6, 0), (0.92, 1), (1, 1))
    return {
        **_extend_right(t, held, 0.0, 0.0),
        "right_raise": t.reach("right_raise", 46 - 36 * back, held),
        "right_elbow": t.reach("right_elbow", 32 + 52 * back, held),
        "bend": t.rest.get("bend", 0) + 6 * t.manner * held * (1 - back),
    }


def _hand_over_words(t: Take) -> str:
    return "hands something to the other person with the {side} hand, who takes it and draws it back"


PAIR_ACTIONS = (
    Action("shake hands", _shake, _shake_words, 1.6, 0.26, (2, 4), partner=_shake),
    Action("push the other", _push, _push_words, 1.9, partner=_is_pushed, contact="chest"),
    Action("hand over", _hand_over, _hand_over_words, 2.3, side="hand", partner=_takes_over),
)
