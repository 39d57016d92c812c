"""Actions of the arms, written for the right side where they have one."""

from __future__ import annotations

import numpy as np

from kinelex.datasets.synthetic.take import Action, Curves, Take

TAU = 2 * np.pi


def _wave(t: Take) -> Curves:
    up = t.during(0.22, 0.82)
    swing = np.sin(TAU * t.repeats * t.inner(0.15, 0.9)) * up * t.amplitude
    high = t.manner > 0.4
    raised, plane, elbow = (132, 62, 34) if high else (52, 48, 118)
    arm = {
        "right_raise": raised + 14 * t.whims[0],
        "right_plane": plane + 15 * t.whims[1] + (14 if high else 0) * swing,
        "right_elbow": elbow + 8 * t.whims[2] + (22 if high else 6) * swing,
        "right_twist": 10 + (8 if high else 30) * swing,
    }
    return t.toward(up, **arm, lean=t.rest.get("lean", 0) + 3 * up)


def _wave_words(t: Take) -> str:
    where = "raises the {side} hand overhead" if t.manner > 0.4 else "lifts the {side} hand beside the head"
    return where + " and waves it {times}"


def _raise_both(t: Take) -> Curves:
    plane = 82.0 if t.manner > 0.5 else 14.0
    top = 90 + 70 * min(t.amplitude, 1.15) + 8 * t.whims[0]
    c = t.cycle()
    out: Curves = {}
    for side in ("left", "right"):
        out[f"{side}_raise"] = t.path(f"{side}_raise", (0, None), (0.38, top), (0.62, top), (1, None), u=c)
        out[f"{side}_plane"] = t.path(f"{side}_plane", (0, None), (0.2, plane), (0.8, plane), (1, None), u=c)
        out[f"{side}_elbow"] = t.path(f"{side}_elbow", (0, None), (0.3, 12), (0.7, 12), (1, None), u=c)
        out[f"{side}_twist"] = t.path(f"{side}_twist", (0, None), (0.3, 0), (0.7, 0), (1, None), u=c)
    out["nod"] = t.path("nod", (0, None), (0.4, -8), (0.6, -8), (1, None), u=c)
    return out


def _raise_both_words(t: Take) -> str:
    how = "sideways" if t.manner > 0.5 else "forward"
    return f"raises both arms {how} above the head {{times}} and lowers them"


def _clap(t: Take) -> Curves:
    ready = t.during(0.2, 0.85)
    beat = 0.5 - 0.5 * np.cos(TAU * t.repeats * t.inner(0.15, 0.9))  # 0 apart, 1 together
    height = 20 + 45 * t.manner + 8 * t.whims[0]
    apart = -38 + 26 * min(t.amplitude, 1.2)
    elbow, twist = 78 - 20 * t.manner + 6 * t.whims[1], apart - beat * (apart + 46)
    return t.both(ready, **{"raise": height}, plane=22 - 16 * beat, elbow=elbow, twist=twist)


def _clap_words(t: Take) -> str:
    return f"claps the hands together {{times}} in front of the {'chest' if t.manner > 0.5 else 'belly'}"


def _punch(t: Take) -> Curves:
    guard = t.during(0.2, 0.82)
    hit = t.path("hit", (0, 0), (0.28, -0.12), (0.52, 1), (0.64, 0.95), (1, 0), u=t.cycle(0.2, 0.85))
    reach = min(t.amplitude, 1.15)
    angles = {
        "right_raise": 38 + (50 + 8 * t.whims[0]) * hit,
        "right_plane": 22 - 26 * hit,
        "right_twist": -18 * np.ones_like(guard),
        "twist": -12 + 42 * hit * reach,
        "bend": t.rest.get("bend", 0) + 6 + 8 * hit,
    }
    legs = {"left_hip": 18, "left_knee": 22, "right_hip": -10, "right_knee": 12}
    elbow = t.reach("right_elbow", 122 - 112 * reach * np.maximum(hit, -0.2), guard).clip(0)
    other = t.toward(
        guard * (t.manner > 0.35), left_raise=30 + 16 * t.whims[1], left_elbow=112, left_plane=18
    )
    return {**t.toward(guard, **angles, **legs), "right_elbow": elbow, **other}


def _throw(t: Take) -> Curves:
    far = min(t.amplitude, 1.2)
    side = 22 * t.manner  # a sling from the side, or over the shoulder
    return t.paths(
        (0.0, 0.34, 0.5, 0.6, 0.72, 1.0),
        right_raise=(None, 92 + 8 * t.whims[0], 112 - side, 102 - side, 45, None),
        right_plane=(None, 108, 84, 18, -28, None),
        right_elbow=(None, 96, 92, 22, 18, None),
        right_twist=(None, 12, -4, -6, -10, None),
        left_raise=(None, 52 * far, 44, 20, 14, None),
        twist=(None, -40 * far, -16, 20 * far, 32 * far, None),
        bend=(None, -8, -2, 14, 22 * far, None),
        left_hip=(None, 30 * far, 26, 24, 22, None),
        left_knee=(None, 28, 18, 24, 24, None),
        right_hip=(None, -4, -12, -16, -14, None),
        right_knee=(None, 16, 14, 16, 24, None),
        right_toe=(None, 0, -20, -35, -30, None),
    )


def _throw_words(t: Take) -> str:
    way = "from the side" if t.manner > 0.6 else "over the shoulder"
    return f"draws the {{side}} arm back and throws {way}"


def _drink(t: Take) -> Curves:
    sip = t.path("sip", (0, 0), (0.3, 1), (0.72, 1), (1, 0), u=t.cycle(0.12, 0.9))
    held = t.during(0.2, 0.86)
    arm = {
        "right_raise": 22 + (34 + 14 * t.manner + 5 * t.whims[0]) * sip,
        "right_plane": 18 + 18 * t.manner * sip,
        "right_elbow": 82 + 48 * sip + 5 * t.whims[1],
        "right_twist": -24 - 16 * sip,
        "right_wrist": 18 * sip,
    }
    nod, bend = t.rest.get("nod", 0) - 20 * t.amplitude * sip, t.rest.get("bend", 0) - 4 * sip
    return t.toward(held, **arm, nod=nod, bend=bend)


def _arm_circles(t: Take) -> Curves:
    up = t.during(0.16, 0.86)
    angle = TAU * t.repeats * t.inner(0.1, 0.92)
    radius = (16 + 22 * t.manner) * t.amplitude
    circle = {"raise": 84 + 6 * t.whims[0] - radius * np.cos(angle)}  # over the top towards the front
    circle["plane"] = 80 + 6 * t.whims[1] + radius * np.sin(angle)
    return t.both(up, **circle, elbow=10 + 6 * t.whims[2], twist=0.0)


def _forward_circle_words(t: Take) -> str:
    size = "large" if t.manner > 0.55 else "small"
    return f"stretches both arms out sideways and draws {{repeats}} {size} circles forward"


def _backward_circle_words(t: Take) -> str:
    return _forward_circle_words(t).replace("forward", "backward")


_DRINK = "lifts the {side} hand to the mouth and drinks {times}, tilting the head back"
ARM_ACTIONS = (
    Action("wave right hand", _wave, _wave_words, 1.3, 0.28, (2, 5), side="right"),
    Action("wave left hand", _wave, _wave_words, 1.3, 0.28, (2, 5), side="left"),
    Action("raise both arms", _raise_both, _raise_both_words, 1.7, 1.2, (1, 2)),
    Action("clap", _clap, _clap_words, 1.0, 0.32, (2, 5)),
    Action("punch", _punch, "punches forward with the {side} fist {times}", 1.2, 0.6, (1, 3), side="hand"),
    Action("throw", _throw, _throw_words, 1.7, side="hand"),
    Action("drink", _drink, _DRINK, 1.9, 1.0, (1, 2), side="hand"),
    Action("arm circles forward", _arm_circles, _forward_circle_words, 1.1, 0.5, (2, 4)),
    Action("arm circles backward", _arm_circles, _backward_circle_words, 1.1, 0.5, (2, 4), reverse=True),
)
