"""The words for the posture in single frames, and for what moves at that moment."""

import re

import numpy as np

from kinelex.prompts.engines.kinematic.body import FORWARD, RIGHT, UP, Body, gaussian
from kinelex.prompts.engines.kinematic.tracked import LITTLE

SIDES = ("left", "right")
PARTS = ("floor", "knee", "thigh", "waist", "chest", "shoulder", "head")
_AT = ("down at", "down at", "low beside", "at", "at", "at", "beside")
_HEIGHTS = (*(f"{at} the {part}" for at, part in zip(_AT, PARTS, strict=True)), "high above the head")
_ELBOWS = ("folded", "bent", "slightly bent", "straight")
_LEGS = (
    "stands with straight legs",
    "stands with the knees slightly bent",
    "crouches with bent knees",
    "is low, sitting or squatting",
)
_HIPS = ("are very low", "are down at seat height", "are low", "are lowered", "")
_MOVES = {
    "left": ("", "inward", "outward", "up", "down", "forward", "back"),
    "right": ("", "outward", "inward", "up", "down", "forward", "back"),
    "picture": ("", "to the right", "to the left", "up", "down", "", ""),
}
_DEPTH = re.compile(r" (forward|in front of the (body|chest)|sideways(?= to))")
_SLOW_HAND, _SLOW_BODY, _SLOW_HEAD = 0.035, 0.03, 0.02  # torso lengths per frame


def first_true(rules: dict[str, np.ndarray]) -> np.ndarray:
    """Per frame the first words whose rule holds, none where none does: (T,) str."""
    return np.select(list(rules.values()), list(rules), "")


def _said(sentence: str, words: np.ndarray, frames: np.ndarray) -> list[str]:
    """The sentence with the words of each frame, empty where there are none."""
    return [sentence.format(word) if word else "" for word in words[frames].tolist()]


def hand_height(body: Body, side: str) -> np.ndarray:
    """Height of a hand by body part: 0 floor, knee, thigh, waist, chest, shoulder, head, 7 above it; (T,)."""
    hand = body.level(f"{side}_hand")
    shoulder, hip = body.level("shoulder_center"), body.level("pelvis")
    knee = (body.level("left_knee") + body.level("right_knee")) / 2
    low = [0.5 * knee, knee + 0.15 * (hip - knee), hip - 0.1, hip + 0.4 * (shoulder - hip)]
    bounds = np.stack([*low, shoulder - 0.3, shoulder + 0.15, body.level("head") + 0.1], axis=1)
    return (hand[:, None] > np.maximum.accumulate(bounds, axis=1)).sum(axis=1)


def hand_place(body: Body, side: str) -> np.ndarray:
    """Where a hand is around the trunk, in words, none where it is close: (T,) str."""
    hand, shoulder = body[f"{side}_hand"], body[f"{side}_shoulder"]
    outward = body.outward(side, (hand - body["shoulder_center"])[:, RIGHT])
    ahead = (hand - (body["shoulder_center"] + body["pelvis"]) / 2)[:, FORWARD]
    beyond = body.outward(side, (hand - shoulder)[:, RIGHT])
    rules = {
        " across the body": outward < -0.1,
        " out to the side": (beyond > 0.55) & (beyond > ahead - 0.2),
        " reaching forward": ahead > 0.6,
        " behind the back": ahead < -0.3,
    }
    return first_true(rules)


def arm_sentences(body: Body, side: str, frames: np.ndarray) -> list[str]:
    """Where an arm is, per frame."""
    angle = body.angle(f"{side}_shoulder", f"{side}_elbow", f"{side}_hand")
    columns = hand_height(body, side), hand_place(body, side), np.digitize(angle, [75, 115, 145])
    rows = zip(*(column[frames].tolist() for column in columns), strict=True)
    return [
        f"The {side} arm hangs down."
        if height == 2 and not place and bend >= 2
        else f"The {side} hand is {_HEIGHTS[height]}{place}, the {side} arm {_ELBOWS[bend]}."
        for height, place, bend in rows
    ]


def hands_sentences(body: Body, frames: np.ndarray) -> list[str]:
    """What the two hands do together, per frame; empty where there is nothing to say."""
    left, right = body["left_hand"], body["right_hand"]
    apart = np.linalg.norm(left - right, axis=1)
    high = np.minimum(body.level("left_elbow"), body.level("right_elbow")) > body.level("pelvis") - 0.1
    raised = np.minimum(hand_height(body, "left"), hand_height(body, "right")) >= 3
    rules = {
        "The arms are crossed.": (body.outward("right", (left - right)[:, RIGHT]) > 0.15) & raised,
        "The hands are together.": (apart < 0.45) & raised,
        # from the side, hanging hands only seem to meet
        "Both hands meet low.": (apart < 0.45) & (body.facing != 0),
        "The arms are spread wide.": (apart > 2.4) & high & raised,
    }
    return first_true(rules)[frames].tolist()


def head_sentences(body: Body, frames: np.ndarray) -> list[str]:
    """A hand that touches the head or the face, per frame; empty where there is none."""
    left, right = (np.linalg.norm(body[f"{s}_hand"] - body["head"], axis=1) < 0.55 for s in SIDES)
    rules = {"Both hands touch": left & right, "The left hand touches": left, "The right hand touches": right}
    return _said("{} the head.", first_true(rules), frames)


def leg_bend(body: Body) -> np.ndarray:
    """How low the body is: 0 stands, 1 knees slightly bent, 2 half sitting, 3 sits or squats; (T,)."""
    knees = np.stack([body.angle(f"{s}_hip", f"{s}_knee", f"{s}_ankle") for s in SIDES])
    legs = sum(
        np.linalg.norm(body[f"{s}_hip"] - body[f"{s}_knee"], axis=1)
        + np.linalg.norm(body[f"{s}_knee"] - body[f"{s}_ankle"], axis=1)
        for s in SIDES
    )
    ankles = np.minimum(body.level("left_ankle"), body.level("right_ankle"))
    height = (body.level("pelvis") - ankles) / (np.median(legs) / 2)
    bent = np.digitize(-knees.mean(axis=0), [-150, -130, -112])
    return np.minimum(bent, np.digitize(-height, [-0.9, -0.8, -0.68]))


def leg_sentences(body: Body, frames: np.ndarray) -> list[str]:
    """Legs and feet, per frame."""
    apart = body["left_ankle"] - body["right_ankle"]
    ahead, lift = apart[:, FORWARD], apart[:, UP]
    rules = {
        ", the left foot lifted": lift > 0.35,
        ", the right foot lifted": lift < -0.35,
        ", the left foot far ahead": ahead > 0.7,
        ", the right foot far ahead": ahead < -0.7,
        ", the feet wide apart": np.abs(apart[:, RIGHT]) > 1.1,
    }
    feet = first_true(rules)[frames].tolist()
    low = leg_bend(body)[frames].tolist()
    return [f"The person {_LEGS[a]}{b}." for a, b in zip(low, feet, strict=True)]


def trunk_lean(body: Body) -> np.ndarray:
    """How the trunk leans, in words, none where it is upright: (T,) str."""
    trunk = body["shoulder_center"] - body["pelvis"]
    trunk = trunk / np.maximum(np.linalg.norm(trunk, axis=1, keepdims=True), 1e-6)
    tilt = np.degrees(np.arccos(np.clip(trunk[:, UP], -1, 1)))
    ahead = np.degrees(np.arctan2(trunk[:, FORWARD], np.abs(trunk[:, UP])))
    aside = np.degrees(np.arctan2(trunk[:, RIGHT], np.abs(trunk[:, UP])))
    rules = {
        "is bent deeply to the ground": tilt > 60,
        "bows forward": ahead > 38,
        "leans forward": ahead > 20,
        "leans to the right": aside > 17,
        "leans to the left": aside < -17,
        "leans back": ahead < -12,
    }
    return first_true(rules)


def hip_sentences(body: Body, frames: np.ndarray) -> list[str]:
    """How far the hips are lowered, against where the clip has them highest; empty where they are not."""
    height = body.level("pelvis")
    top = max(float(np.percentile(height, 95)), 1e-6)
    codes = np.digitize(height / top, [0.55, 0.7, 0.8, 0.9])
    return _said("The hips {}.", np.array(_HIPS)[codes], frames)


def moment_sentences(body: Body, frames: np.ndarray) -> list[list[str]]:
    """What moves: per kind of movement one sentence per frame, empty where there is none of it."""
    if len(body.turn) < 3:
        return []
    speed = gaussian(np.gradient(body.travel, axis=0), 3.0)
    across, ahead = speed[:, RIGHT], speed[:, FORWARD]
    walks, aside = np.hypot(across, ahead) > _SLOW_BODY, np.abs(across) > np.abs(ahead)
    ways = {
        "sideways to the right": walks & aside & (across > 0),
        "sideways to the left": walks & aside,
        "forward": walks & (ahead > 0),
        "backward": walks,
    }
    lift = np.gradient(gaussian(body.level("head"), 2.0))
    rises = first_true({"rises": lift > _SLOW_HEAD, "sinks": lift < -_SLOW_HEAD})
    return [
        *(_said(f"The {side} hand moves {{}}.", _hand_moves(body, side), frames) for side in SIDES),
        _said("The person walks {}.", first_true(ways), frames),
        _said("The body {}.", rises, frames),
    ]


def _hand_moves(body: Body, side: str) -> np.ndarray:
    """Main direction in which a hand travels: up and down against the floor, the rest against the trunk."""
    where = body[f"{side}_hand"] - body["shoulder_center"]
    where[:, UP] = body.level(f"{side}_hand")
    step = np.gradient(where, axis=0)
    axis = np.abs(step).argmax(axis=1)
    value = np.take_along_axis(step, axis[:, None], axis=1)[:, 0]
    codes = np.where(np.linalg.norm(step, axis=1) > _SLOW_HAND, 1 + 2 * axis + (value < 0), 0)
    return np.array(_MOVES["picture" if body.flat else side])[codes]


def frame_sentences(body: Body, indices: np.ndarray, second: bool = False) -> list[list[str]]:
    """All sentences about one person, or told of a second one, per frame of ``indices``."""
    columns = [
        *(arm_sentences(body, side, indices) for side in SIDES),
        hands_sentences(body, indices),
        head_sentences(body, indices),
        leg_sentences(body, indices),
        _said("The upper body {}.", trunk_lean(body), indices),
        hip_sentences(body, indices),
        *moment_sentences(body, indices),
    ]
    rows = []
    for frame, row in zip(indices.tolist(), zip(*columns, strict=True), strict=True):
        told = [s for s in row if s and body.may_tell(s, frame)]
        told = [as_filmed(s) for s in told] if body.flat else told
        rows.append([other_person(s) for s in told or [LITTLE]] if second else told or [LITTLE])
    return rows


def as_filmed(sentence: str) -> str:
    """The sentence, told of a body in 2-D: without what only depth can tell.

    >>> as_filmed("The hands stay together in front of the body.")
    'The hands stay together.'
    """
    return _DEPTH.sub("", sentence)


def other_person(sentence: str) -> str:
    """The sentence, told of the other person.

    >>> print(other_person("The left arm hangs down."))
    The other person's left arm hangs down.
    >>> print(other_person("Both hands touch the head."))
    The other person: both hands touch the head.
    """
    if sentence.startswith("The person"):
        return sentence.replace("The person", "The other person", 1)
    if sentence.startswith("The "):
        return "The other person's " + sentence.removeprefix("The ")
    return f"The other person: {sentence[:1].lower()}{sentence[1:]}"
