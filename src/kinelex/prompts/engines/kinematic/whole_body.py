"""Sitting, bowing, stepping, walking, turning."""

import numpy as np

from kinelex.prompts.engines.kinematic.body import FORWARD, RIGHT, UP, Body, gaussian
from kinelex.prompts.engines.kinematic.posture import leg_bend, trunk_lean
from kinelex.prompts.engines.kinematic.strokes import reversals

_LEGS = ("stands", "stands with bent knees", "crouches", "sits low")
_SINKS = ("sink far down and the person sits down", "sink down", "end a little lower")
_RISES = ("end a little higher", "rise up", "rise far up and the person stands up")
_HIPS = (*_SINKS, "end as high as they began", *_RISES)
_BENDS = ("bows forward", "bends far down", "folds down to the ground")
_TRUNK = ("stays upright", "leans slightly", "leans forward", *_BENDS)
_WALKS = ("stays on the spot", "shifts a little", "takes a step", "walks some steps", "walks a long way")
_WAYS = ("sideways to the right", "sideways to the left", "up", "down", "forward", "backward")
_TURNS = ("The body turns a little", "The body turns", "The body turns right around")


def _word(value: float, bounds: list[float], words: tuple[str, ...]) -> str:
    return words[int(np.digitize(value, bounds))]


def _ends(x: np.ndarray) -> tuple[float, float]:
    """Mean over the first and the last sixth of a clip."""
    part = max(1, len(x) // 6)
    return float(x[:part].mean()), float(x[-part:].mean())


def hip_sentences(body: Body) -> list[str]:
    """Whether the body sits down, stands up, or goes down and up again."""
    hips, head = body.level("pelvis"), body.level("head")
    start, stop = _ends(hips)
    out = [f"The hips {_word(stop - start, [-0.5, -0.25, -0.12, 0.12, 0.25, 0.5], _HIPS)}."]
    dip = min(start, stop) - float(np.percentile(hips, 10))
    if dip > 0.15:
        how = _word(dip, [0.3, 0.5], ("dip a little", "dip", "dip deeply"))
        out.append(f"The hips {how} and come back up.")
    start, stop = _ends(head)
    duck = min(start, stop) - float(np.percentile(head, 5))
    if duck > 0.3:
        how = _word(duck, [0.7, 1.2], ("down", "deep down", "very deep down"))
        out.append(f"The head ducks {how} and comes up again.")
    if abs(stop - start) > 0.3:
        much = "much " if abs(stop - start) > 0.8 else ""
        out.append(f"The head ends {much}{'higher' if stop > start else 'lower'} than it began.")
    thirds = [int(np.bincount(part).argmax()) for part in np.array_split(leg_bend(body), 3)]
    one, two, three = (_LEGS[t] for t in thirds)
    course = f"first {one}, then {two}, at the end {three}" if len(set(thirds)) > 1 else f"{one} all the time"
    return [*out, f"The person {course}."]


def bend_sentences(body: Body) -> list[str]:
    """How far the trunk bends, when, for how long, and what the hands do down there."""
    trunk = body["shoulder_center"] - body["pelvis"]
    ahead = np.abs(trunk[:, RIGHT]) if body.flat else trunk[:, FORWARD]  # as filmed, to either side
    bow = np.degrees(np.arctan2(ahead, trunk[:, UP]))
    deep = float(np.percentile(bow, 95))
    out = [f"The trunk {_word(deep, [10, 20, 32, 50, 70], _TRUNK)}."]
    if deep > 20:
        bent = bow > 0.6 * deep
        place, share = float(np.flatnonzero(bent).mean()) / len(bow), float(bent.mean())
        out.append(f"The bow comes {_word(place, [0.33, 0.66], ('early', 'in the middle', 'late'))}.")
        out.append(f"The bow {_word(share, [0.2, 0.5], ('is short', 'lasts a while', 'lasts long'))}.")
        start, stop = (value < deep - 15 for value in _ends(bow))
        if start or stop:
            ways = {(True, True): "bends and straightens up again", (True, False): "ends bent forward"}
            out.append(f"The trunk {ways.get((start, stop), 'straightens up from a bow')}.")
        out += _hands_below(body, int(bow.argmax()))
    lean, leans = trunk_lean(body), ("leans back", "leans to the left", "leans to the right")
    return out + [f"The upper body {way}." for way in leans if (lean == way).mean() > 0.15]


def _hands_below(body: Body, deepest: int) -> list[str]:
    """How low each hand comes in the moment of the deepest bow, and whether both go to one spot."""
    moment = slice(max(0, deepest - 2), deepest + 3)
    left, right = (float(body.level(f"{s}_hand")[moment].mean()) for s in ("left", "right"))
    knee = float(body.level("left_knee")[moment].mean() + body.level("right_knee")[moment].mean()) / 2
    only = f"Only the {'right' if left > right else 'left'} hand reaches"
    who = "Both hands reach" if abs(left - right) < 0.35 else only
    low = min(left, right) / max(knee, 1e-6)
    where = _word(low, [0.7, 1.25], ("to the ground", "to the knees", "to the thighs"))
    gap = float(np.linalg.norm(body["left_hand"] - body["right_hand"], axis=1)[moment].mean())
    spot = _word(gap, [0.6, 1.1], ("at the same spot", "side by side below", "far apart below"))
    return [f"{who} down {where}.", f"The hands are {spot}."]


def step_sentences(body: Body) -> list[str]:
    """Steps, lifted feet and lunges."""
    apart = body["left_ankle"] - body["right_ankle"]
    ahead, above = apart[:, FORWARD], apart[:, UP]
    out = []
    steps = reversals(apart[:, RIGHT] if body.flat else ahead, 0.45)
    if steps >= 2:
        out.append(f"The feet take {_word(steps, [3, 5], ('two', 'several', 'many'))} steps.")
    if reversals(above, 0.3) >= 3:
        out.append("The feet are lifted in turn.")
    if np.abs(above).max() > 0.7:
        out.append(f"The {'left' if above[np.abs(above).argmax()] > 0 else 'right'} foot is lifted high.")
    for side, value in (("left", ahead), ("right", -ahead)):
        if (value > 0.8).mean() > 0.2:
            out.append(f"The {side} foot lunges far forward.")
    return out


def _steps(body: Body) -> np.ndarray:
    """How far the pelvis moves from frame to frame, in torso lengths, (T - 1,)."""
    return np.linalg.norm(np.diff(gaussian(body.world, 3.0), axis=0), axis=1) / body.size


def walked(body: Body) -> float:
    """Length of the pelvis' path in torso lengths."""
    return float(_steps(body).sum())


def walk_sentences(body: Body) -> list[str]:
    """How far the body travels, which way, when, and how it turns."""
    step = _steps(body)
    path = float(step.sum())
    out = [f"The person {_word(path, [0.5, 1.2, 2.5, 4.5], _WALKS)}."]
    way = body.travel[-1] - body.travel[0]
    if np.hypot(way[RIGHT], way[FORWARD]) > 0.8:
        axis = RIGHT if abs(way[RIGHT]) > abs(way[FORWARD]) else FORWARD
        out.append(f"The person moves {_WAYS[2 * axis + int(way[axis] < 0)]}.")
    if path > 1.2:
        early = float(step[: len(step) // 2].sum()) / path
        when = ("stands first and walks later", "walks all the time", "walks first and stands later")
        out.append(f"The person {_word(early, [0.3, 0.7], when)}.")
    if body.flat:
        start, stop = _ends(body.facing)
        return [*out, "The body turns." if abs(stop - start) > 0.6 else "The body keeps its direction."]
    turned, swing = float(body.turn[-1] - body.turn[0]), float(np.ptp(body.turn))
    if abs(turned) > 0.5:
        out.append(f"{_word(abs(turned), [1.2, 2.2], _TURNS)} to the {'left' if turned > 0 else 'right'}.")
    elif swing > 0.6:
        way_back = "left" if body.turn.max() > -body.turn.min() else "right"
        out.append(f"The body twists to the {way_back} and back.")
    else:
        out.append("The body keeps its direction.")
    return out
