"""Actions of the legs and of the whole body, written for the right side where they have one."""

from __future__ import annotations

import numpy as np

from kinelex.datasets.synthetic.take import Action, Curves, Take

TAU = 2 * np.pi


def _kick(t: Take) -> Curves:
    c = t.cycle(0.04, 0.96)
    high = (58 + 30 * t.manner) * min(t.amplitude, 1.2) + 5 * t.whims[0]
    body = t.paths(
        (0.0, 0.26, 0.4, 0.54, 0.64, 0.8, 1.0),
        c,
        right_hip=(None, -22, 20, high, high, 25, None),
        right_knee=(None, 48, 72, 12, 10, 50, None),
        right_toe=(None, -30, 0, 35, 35, 10, None),
        right_spread=(None, 6, 4, 2, 2, 4, None),
        left_knee=(None, 12, 14, 10, 10, 12, None),
        left_hip=(None, 6, 4, -4, -4, 4, None),
        bend=(None, 8, 2, -10, -10, 0, None),
        lean=(None, 4, 6, 6, 6, 4, None),
    )
    swing = np.sin(np.pi * c) ** 2
    left = t.rest.get("left_raise", 0) + 28 * t.amplitude * swing
    return {**body, "left_raise": left, "right_raise": t.rest.get("right_raise", 0) + 14 * t.whims[1] * swing}


def _squat(t: Take) -> Curves:
    down = 0.5 - 0.5 * np.cos(TAU * t.cycle(0.02, 0.98)) if t.repeats > 1 else t.during(0.42, 0.58)
    deep = (62 + 28 * t.manner) * t.amplitude
    legs = t.both(down, hip=deep, knee=deep * 1.38, spread=14 + 6 * t.whims[1])
    # the arms are stretched forward for balance
    arms = t.both(down, **{"raise": 78}, plane=5, elbow=12, twist=0) if t.whims[2] > -0.2 else {}
    return {"bend": t.reach("bend", 30 + 10 * t.whims[0], down), **legs, **arms}


def _squat_words(t: Take) -> str:
    arms = " with the arms stretched forward" if t.whims[2] > -0.2 else ""
    return f"squats down on both legs {{times}}{arms} and straightens up again"


def _jump(t: Take) -> Curves:
    c = t.cycle(0.02, 0.98)
    crouch = 40 + 22 * t.manner
    flight = np.clip((c - 0.4) / 0.24, 0, 1)
    out: Curves = {
        "lift": (0.16 + 0.12 * t.manner) * t.amplitude * 4 * flight * (1 - flight),
        "bend": t.path("bend", (0, None), (0.28, 30), (0.42, 2), (0.6, 4), (0.74, 26), (1, None), u=c),
    }
    swing = 60 + 90 * max(t.whims[0], -0.4)
    for side in ("left", "right"):
        legs = {f"{side}_hip": (None, crouch, 0, 8, crouch * 0.8, None)}
        legs[f"{side}_knee"] = (None, crouch * 1.6, 0, 14, crouch * 1.35, None)
        out |= t.paths((0, 0.28, 0.4, 0.62, 0.74, 1), c, **legs)
        out |= t.paths((0, 0.26, 0.46, 0.7, 1), c, **{f"{side}_raise": (None, -25, swing, 30, None)})
        out |= t.paths((0, 0.2, 0.7, 1), c, **{f"{side}_plane": (None, 15, 20, None)})
        out |= t.paths((0, 0.34, 0.46, 0.6, 0.68, 1), c, **{f"{side}_toe": (0, 0, -50, -35, 0, 0)})
    return out


def _gait(t: Take, stride: float, lift: float, arms: float, elbow: float, bend: float) -> Curves:
    """Legs that swing in turn, arms against them; one repetition is one step of either leg."""
    going = t.during(0.12, 0.88)
    angle = np.pi * t.repeats * t.u + (np.pi if t.whims[0] > 0 else 0)
    out: Curves = {
        "bend": t.reach("bend", t.rest.get("bend", 0) + bend, going),
        "twist": t.reach("twist", 5 * np.sin(angle), going),
    }
    for side, phase in (("left", angle), ("right", angle + np.pi)):
        swing = np.sin(phase)
        forward = np.clip(np.cos(phase), 0, None)  # while the leg swings forward
        out[f"{side}_hip"] = t.reach(f"{side}_hip", stride * swing + 0.35 * lift * forward + 4, going)
        out[f"{side}_knee"] = t.reach(f"{side}_knee", 8 + lift * forward, going)
        out[f"{side}_toe"] = t.reach(f"{side}_toe", 12 * swing - 0.4 * lift * forward, going)
        base = t.rest.get(f"{side}_raise", 0)
        out[f"{side}_raise"] = t.reach(f"{side}_raise", 0.5 * base - arms * swing, going)
        if elbow:
            out[f"{side}_elbow"] = t.reach(f"{side}_elbow", elbow, going)
            out[f"{side}_plane"] = t.reach(f"{side}_plane", 12, going)
    return out


def _walk(t: Take) -> Curves:
    return _gait(t, 22 * t.amplitude, 42, (8 + 22 * t.manner) * t.amplitude, 0, 1)


def _run(t: Take) -> Curves:
    a = t.amplitude
    curves = _gait(t, 25 * a, 68 + 20 * t.manner, (18 + 18 * t.manner) * a, 60 + 30 * t.manner, 9)
    angle = np.pi * t.repeats * t.u
    return {**curves, "lift": 0.05 * t.during(0.12, 0.88) * np.cos(angle) ** 2}


def _march(t: Take) -> Curves:
    going = t.during(0.1, 0.9)
    angle = np.pi * t.repeats * t.u + (np.pi if t.whims[0] > 0 else 0)
    high = (38 + 42 * t.manner) * t.amplitude
    out: Curves = {}
    for side, phase in (("left", angle), ("right", angle + np.pi)):
        lift = np.clip(np.sin(phase), 0, None) ** 1.3
        out[f"{side}_hip"] = t.reach(f"{side}_hip", high * lift, going)
        out[f"{side}_knee"] = t.reach(f"{side}_knee", high * 1.25 * lift, going)
        out[f"{side}_toe"] = t.reach(f"{side}_toe", -16 * lift, going)
        base = t.rest.get(f"{side}_raise", 0)
        out[f"{side}_raise"] = t.reach(f"{side}_raise", base - (6 + 26 * t.manner) * np.sin(phase), going)
    return out


def _turn(t: Take) -> Curves:
    steps = 4
    turned = t.path("yaw", (0, 0), (0.08, 0), (0.92, 180 + 12 * t.whims[1]), (1, 180 + 12 * t.whims[1]))
    lead = t.during(0.15, 0.6)
    out: Curves = {"yaw": turned, "look": t.reach("look", 24, lead), "twist": t.reach("twist", 12, lead)}
    angle = np.pi * steps * t.inner(0.06, 0.94)
    for side, phase in (("left", angle), ("right", angle + np.pi)):
        lift = np.clip(np.sin(phase), 0, None) * t.during(0.05, 0.95) * t.amplitude
        out[f"{side}_hip"] = t.reach(f"{side}_hip", 26, lift)
        out[f"{side}_knee"] = t.reach(f"{side}_knee", 44, lift)
        out[f"{side}_spread"] = t.rest.get(f"{side}_spread", 0) + 6 * lift
    return out


def _sit(t: Take) -> Curves:
    low = t.path("low", (0, 0), (0.15, 0.03), (0.8, 1), (1, 1))
    seat = 80 + 8 * t.whims[0]
    lean = 22 + 20 * t.manner
    after = 2 + 10 * t.whims[1]
    out: Curves = {
        "bend": t.path("bend", (0, None), (0.5, lean), (0.78, lean * 0.6), (1, after)),
        "nod": t.path("nod", (0, None), (0.45, 10), (1, None)),
    }
    out |= t.both(low, hip=seat, knee=seat + 6, spread=9)
    if t.whims[2] > 0:  # the hands end on the thighs
        out |= t.both(low, **{"raise": 24}, plane=12, elbow=58, twist=-12)
    return out


def _sit_words(t: Take) -> str:
    hands = ", hands on the thighs" if t.whims[2] > 0 else ""
    return f"leans forward, bends both knees and sits down{hands}"


def _stand_words(t: Take) -> str:
    start = "sits" + (" with the hands on the thighs" if t.whims[2] > 0 else "")
    return f"{start}, leans forward and stands up, straightening both knees"


def _bow(t: Take) -> Curves:
    deep = t.during(0.4, 0.62)
    far = (36 + 26 * t.manner) * t.amplitude
    limbs = {"hip": -0.16 * far, "knee": 3, "raise": (0.35 + 0.3 * t.whims[0]) * far, "plane": 10}
    return {"bend": t.reach("bend", far, deep), "nod": t.reach("nod", 16, deep), **t.both(deep, **limbs)}


def _bow_words(t: Take) -> str:
    return f"bends the upper body forward in a {'deep' if t.manner > 0.5 else 'slight'} bow and rises again"


def _pick_up(t: Take) -> Curves:
    down = t.path("down", (0, 0), (0.42, 1), (0.56, 1), (1, 0))
    hold = t.path("hold", (0, 0), (0.56, 0), (0.95, 1), (1, 1))
    squat = t.manner  # from the knees, or from the back
    elbow = (None, 8, 8, 74 + 10 * t.whims[1], 74)
    return {
        **t.toward(down, bend=95 - 36 * squat, nod=6, twist=8 + 8 * t.whims[0]),
        **t.toward(np.maximum(down, hold), right_plane=8, right_twist=-8),
        **t.paths((0, 0.42, 0.56, 0.95, 1), right_elbow=elbow),
        "right_raise": t.reach("right_raise", 84 - 22 * squat, down) + 14 * hold,
        "left_raise": t.reach("left_raise", 40, down * (t.whims[2] > 0)),
        **t.both(down, hip=92 * squat - 2, knee=126 * squat + 22),
    }


def _pick_up_words(t: Take) -> str:
    how = "squats" if t.manner > 0.5 else "bends down"
    return f"{how} and picks something up from the floor with the {{side}} hand"


_KICK = "kicks forward with the {side} leg {times}"
_MARCH = "marches on the spot, lifting the knees in turn {repeats} times"
_TURN = "turns around to the {other} with small steps and ends facing away"
LEG_ACTIONS = (
    Action("kick right leg", _kick, _KICK, 1.3, 0.9, (1, 2), side="right"),
    Action("kick left leg", _kick, _KICK, 1.3, 0.9, (1, 2), side="left"),
    Action("squat", _squat, _squat_words, 1.7, 1.1, (1, 2)),
    Action("jump", _jump, "crouches and jumps up with both feet {times}", 1.4, 1.1, (1, 2)),
    Action("walk", _walk, "walks forward, swinging the arms, {repeats} steps", 0.9, 0.46, (4, 6)),
    Action("run", _run, "runs forward with bent arms, {repeats} steps", 0.9, 0.28, (4, 6)),
    Action("march on the spot", _march, _MARCH, 0.5, 0.4, (3, 6)),
    Action("turn around", _turn, _TURN, 2.0, side="either"),
    Action("sit down", _sit, _sit_words, 1.6),
    Action("stand up", _sit, _stand_words, 1.6, reverse=True),
    Action("bow", _bow, _bow_words, 1.9),
    Action("pick up", _pick_up, _pick_up_words, 2.1, side="hand"),
)
