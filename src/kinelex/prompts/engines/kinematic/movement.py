"""The words for the movement of a whole clip."""

import numpy as np

from kinelex.prompts.engines.kinematic.body import FORWARD, RIGHT, Body
from kinelex.prompts.engines.kinematic.posture import PARTS, SIDES, as_filmed, hand_height
from kinelex.prompts.engines.kinematic.strokes import (
    hand_path,
    loop_sentences,
    repeat_sentences,
    stroke_sentences,
)
from kinelex.prompts.engines.kinematic.tracked import LITTLE
from kinelex.prompts.engines.kinematic.whole_body import (
    bend_sentences,
    hip_sentences,
    step_sentences,
    walk_sentences,
    walked,
)

_TO = (*(f"to the {part}" for part in PARTS), "above the head")
_STILL = 0.5  # torso lengths: a hand that moves less than that keeps still
_FAST = 0.22  # torso lengths per frame, about 2.5 m/s at 30 frames a second
_WAYS = ("to the right", "to the left", "up", "down", "forward", "back")


def clip_sentences(body: Body) -> list[str]:
    """All sentences about what one person does in the clip."""
    if len(body.turn) < 3:
        return ["The person holds still."]
    active = [s for s in SIDES if _reach(body, s) >= _STILL]
    busy = [s for s in active if not _swings_along(body, s)]
    out = _arms_together(body)
    out += [f"The {side} arm only swings along." for side in active if side not in busy]
    for side in busy:
        out += _arm_sentences(body, side)
    for side in busy:
        out += stroke_sentences(body, side) + repeat_sentences(body, side) + loop_sentences(body, side)
    out += _hands_meet(body) + _hands_at_head(body)
    out += hip_sentences(body) + bend_sentences(body) + step_sentences(body) + walk_sentences(body)
    out = [s for s in out if body.may_tell(s)] or [LITTLE]
    return [as_filmed(s) for s in out] if body.flat else out


def _swings_along(body: Body, side: str) -> bool:
    """Whether an arm just hangs while the person walks: its strokes tell nothing then."""
    return walked(body) > 1.2 and float(np.percentile(hand_height(body, side), 95)) <= 2


def _reach(body: Body, side: str) -> float:
    return float(np.ptp(hand_path(body, side), axis=0).max())


def _arms_together(body: Body) -> list[str]:
    """Which arms work, and whether they do the same."""
    left, right = _reach(body, "left"), _reach(body, "right")
    if max(left, right) < _STILL:
        return ["Both arms keep still."]
    if min(left, right) <= 0.55 * max(left, right):
        side, far = ("left", left) if left > right else ("right", right)
        how = " a little" if far < 1.0 else " a lot" if far > 2.0 else ""
        return [f"Only the {side} arm moves{how}."]
    a, b = (np.gradient(hand_path(body, s), axis=0) for s in SIDES)
    b = b * np.array([-1, 1, 1])  # mirrored, so that a clap counts as the same
    same = (a * b).sum() / max(float(np.sqrt((a**2).sum() * (b**2).sum())), 1e-9)
    if same > 0.5:
        return ["Both arms move together."]
    return ["The two arms take turns." if same < -0.1 else "Both arms move, each in its own way."]


def _arm_sentences(body: Body, side: str) -> list[str]:
    """How far a hand comes, and its fastest stroke."""
    path = hand_path(body, side)
    outward, ahead = body.outward(side, path[:, RIGHT]), path[:, FORWARD]
    far = {
        "across the body": outward.min() < -0.05,
        "far out to the side": outward.max() > 1.15,
        "far forward": ahead.max() > 1.0,
        "back behind the body": ahead.min() < -0.45,
    }
    out = [f"The {side} hand reaches {words}." for words, yes in far.items() if yes]
    out.append(f"The {side} hand comes up {_TO[int(np.percentile(hand_height(body, side), 95))]}.")
    velocity = np.gradient(path, axis=0)
    fastest = velocity[np.linalg.norm(velocity, axis=1).argmax()]
    if np.linalg.norm(fastest) > _FAST:
        axis = int(np.abs(fastest).argmax())
        out.append(f"The {side} hand strikes fast {_WAYS[2 * axis + int(fastest[axis] < 0)]}.")
    return out


def _how_long(share: float, short: float, long: float) -> str:
    return ("for a moment", "for a while", "most of the time")[int(np.digitize(share, [short, long]))]


def _hands_meet(body: Body) -> list[str]:
    """Clapping, holding, crossing: what the hands do with each other."""
    apart = np.linalg.norm(body["left_hand"] - body["right_hand"], axis=1)
    raised = (hand_height(body, "left") >= 3) & (hand_height(body, "right") >= 3)
    touching = (apart < 0.5) & raised
    meets = int((np.diff(touching.astype(int), prepend=0) == 1).sum())
    out = []
    if meets >= 2:
        out.append("The hands clap together again and again.")
    elif touching.mean() > 0.4:
        out.append("The hands stay together in front of the body.")
    elif meets == 1:
        out.append("The hands come together once.")
    crossed = (body.outward("right", (body["left_hand"] - body["right_hand"])[:, RIGHT]) > 0.15) & raised
    if crossed.mean() > 0.08:
        out.append("The arms cross in front of the chest.")
    high = np.minimum(hand_path(body, "left")[:, 1], hand_path(body, "right")[:, 1]) > -0.9
    if high.mean() > 0.15:
        out.append(f"Both hands are busy in front of the body {_how_long(float(high.mean()), 0.35, 0.7)}.")
    near = (apart < 0.6) & high
    if near.mean() > 0.1:
        out.append(f"The hands hold something together {_how_long(float(near.mean()), 0.35, 0.7)}.")
    return out


def _hands_at_head(body: Body) -> list[str]:
    near = {s: np.linalg.norm(body[f"{s}_hand"] - body["head"], axis=1) < 0.75 for s in SIDES}
    shares = {side: float(rows.mean()) for side, rows in near.items()}
    return [f"The {s} hand is at the head {_how_long(x, 0.2, 0.5)}." for s, x in shares.items() if x > 0.08]
