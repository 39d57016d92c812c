"""The words for the posture in single frames."""

from __future__ import annotations

import re

import numpy as np

from kinelex.prompts.engines.kinematic.body import FORWARD, RIGHT, UP, Body
from kinelex.prompts.engines.kinematic.moment import moment_sentences
from kinelex.prompts.engines.kinematic.tracked import LITTLE

_HEIGHTS = (
    "down at the floor",
    "down at the knee",
    "low beside the thigh",
    "at the waist",
    "at the chest",
    "at the shoulder",
    "beside the head",
    "high above the head",
)
_PLACES = ("", " behind the back", " across the body", " out to the side", " reaching forward")
_TRUNK = (
    "",
    "The upper body leans forward.",
    "The upper body bows forward.",
    "The upper body is bent deeply to the ground.",
    "The upper body leans back.",
    "The upper body leans to the left.",
    "The upper body leans to the right.",
)
_HIPS = (
    "The hips are very low.",
    "The hips are down at seat height.",
    "The hips are low.",
    "The hips are lowered.",
    "",
)
_DEPTH = re.compile(r" (forward|in front of the (body|chest)|sideways(?= to))")
_ELBOWS = ("folded", "bent", "slightly bent", "straight")


def hand_height(body: Body, side: str) -> np.ndarray:
    """Height of a hand by body part: 0 floor, knee, thigh, waist, chest, shoulder, head, 7 above it; (T,)."""
    hand = body.level(f"{side}_hand")
    shoulder, hip = body.level("shoulder_center"), body.level("pelvis")
    knee = (body.level("left_knee") + body.level("right_knee")) / 2
    bounds = [
        0.5 * knee,
        knee + 0.15 * (hip - knee),
        hip - 0.1,
        hip + 0.4 * (shoulder - hip),
        shoulder - 0.3,
        shoulder + 0.15,
        body.level("head") + 0.1,
    ]
    return (hand[:, None] > np.maximum.accumulate(np.stack(bounds, axis=1), axis=1)).sum(axis=1)


def hand_place(body: Body, side: str) -> np.ndarray:
    """Where a hand is around the trunk: 0 close, 1 behind, 2 across, 3 to the side, 4 forward; (T,)."""
    hand, shoulder = body[f"{side}_hand"], body[f"{side}_shoulder"]
    outward = body.outward(side, (hand - body["shoulder_center"])[:, RIGHT])
    ahead = (hand - (body["shoulder_center"] + body["pelvis"]) / 2)[:, FORWARD]
    beyond = body.outward(side, (hand - shoulder)[:, RIGHT])
    rules = [outward < -0.1, (beyond > 0.55) & (beyond > ahead - 0.2), ahead > 0.6, ahead < -0.3]
    return np.select(rules, [2, 3, 4, 1], 0)


def elbow_bend(body: Body, side: str) -> np.ndarray:
    """How bent an arm is: 0 folded, bent, slightly bent, 3 straight; (T,)."""
    angle = body.angle(f"{side}_shoulder", f"{side}_elbow", f"{side}_hand")
    return np.digitize(angle, [75, 115, 145])


def arm_sentences(body: Body, frames: np.ndarray) -> list[list[str]]:
    """One sentence per arm and frame."""
    out: list[list[str]] = []
    for side in ("left", "right"):
        columns = (hand_height(body, side), hand_place(body, side), elbow_bend(body, side))
        rows = np.stack(columns, axis=1)[frames].tolist()
        out.append([_arm_sentence(side, *row) for row in rows])
    return out


def _arm_sentence(side: str, height: int, place: int, bend: int) -> str:
    if height == 2 and place == 0 and bend >= 2:
        return f"The {side} arm hangs down."
    return f"The {side} hand is {_HEIGHTS[height]}{_PLACES[place]}, the {side} arm {_ELBOWS[bend]}."


def hands_sentences(body: Body, frames: np.ndarray) -> list[str]:
    """What the two hands do together, per frame; empty where there is nothing to say."""
    left, right = body["left_hand"], body["right_hand"]
    apart = np.linalg.norm(left - right, axis=1)
    crossed = body.outward("right", (left - right)[:, RIGHT]) > 0.15
    high = np.minimum(body.level("left_elbow"), body.level("right_elbow")) > body.level("pelvis") - 0.1
    raised = np.minimum(hand_height(body, "left"), hand_height(body, "right")) >= 3
    rules = [
        crossed & raised,
        (apart < 0.45) & raised,
        (apart < 0.45) & (body.facing != 0),  # from the side, hanging hands only seem to meet
        (apart > 2.4) & high & raised,
    ]
    words = [
        "",
        "The arms are crossed.",
        "The hands are together.",
        "Both hands meet low.",
        "The arms are spread wide.",
    ]
    codes = np.select(rules, [1, 2, 3, 4], 0)
    return [words[c] for c in codes[frames].tolist()]


def head_sentences(body: Body, frames: np.ndarray) -> list[str]:
    """A hand that touches the head or the face, per frame; empty where there is none."""
    near = [np.linalg.norm(body[f"{s}_hand"] - body["head"], axis=1) < 0.55 for s in ("left", "right")]
    codes = near[0] + 2 * near[1].astype(int)
    words = [
        "",
        "The left hand touches the head.",
        "The right hand touches the head.",
        "Both hands touch the head.",
    ]
    return [words[c] for c in codes[frames].tolist()]


def leg_bend(body: Body) -> np.ndarray:
    """How low the body is: 0 stands, 1 knees slightly bent, 2 half sitting, 3 sits or squats; (T,)."""
    knees = np.stack([body.angle(f"{s}_hip", f"{s}_knee", f"{s}_ankle") for s in ("left", "right")])
    legs = sum(
        np.linalg.norm(body[f"{s}_hip"] - body[f"{s}_knee"], axis=1)
        + np.linalg.norm(body[f"{s}_knee"] - body[f"{s}_ankle"], axis=1)
        for s in ("left", "right")
    )
    height = (body.level("pelvis") - np.minimum(body.level("left_ankle"), body.level("right_ankle"))) / (
        np.median(legs) / 2
    )
    bent = np.digitize(-knees.mean(axis=0), [-150, -130, -112])
    low = np.digitize(-height, [-0.9, -0.8, -0.68])
    return np.minimum(bent, low)


def leg_sentences(body: Body, frames: np.ndarray) -> list[str]:
    """Legs and feet, per frame."""
    low = leg_bend(body)
    left, right = body["left_ankle"], body["right_ankle"]
    ahead = (left - right)[:, FORWARD]
    lift = (left - right)[:, UP]
    wide = np.abs((left - right)[:, RIGHT]) > 1.1
    words = (
        "stands with straight legs",
        "stands with the knees slightly bent",
        "crouches with bent knees",
        "is low, sitting or squatting",
    )
    rules = [lift > 0.35, lift < -0.35, ahead > 0.7, ahead < -0.7, wide]
    feet = (
        "",
        ", the left foot lifted",
        ", the right foot lifted",
        ", the left foot far ahead",
        ", the right foot far ahead",
        ", the feet wide apart",
    )
    codes = np.stack([low, np.select(rules, [1, 2, 3, 4, 5], 0)], axis=1)[frames].tolist()
    return [f"The person {words[a]}{feet[b]}." for a, b in codes]


def trunk_lean(body: Body) -> np.ndarray:
    """0 upright, leans forward, bows, 3 bent deeply, leans back, to the left, 6 to the right; (T,)."""
    trunk = body["shoulder_center"] - body["pelvis"]
    trunk = trunk / np.maximum(np.linalg.norm(trunk, axis=1, keepdims=True), 1e-6)
    tilt = np.degrees(np.arccos(np.clip(trunk[:, UP], -1, 1)))
    ahead = np.degrees(np.arctan2(trunk[:, FORWARD], np.abs(trunk[:, UP])))
    aside = np.degrees(np.arctan2(trunk[:, RIGHT], np.abs(trunk[:, UP])))
    rules = [tilt > 60, ahead > 38, ahead > 20, aside > 17, aside < -17, ahead < -12]
    return np.select(rules, [3, 2, 1, 6, 5, 4], 0)


def hip_words(body: Body, frames: np.ndarray) -> list[str]:
    """How far the hips are lowered, against where the clip has them highest; empty where they are not."""
    height = body.level("pelvis")
    top = max(float(np.percentile(height, 95)), 1e-6)
    codes = np.digitize(height / top, [0.55, 0.7, 0.8, 0.9])
    return [_HIPS[c] for c in codes[frames].tolist()]


def frame_sentences(body: Body, indices: np.ndarray, second: bool = False) -> list[list[str]]:
    """All sentences about one person, or told of a second one, per frame of ``indices``."""
    columns = [
        *arm_sentences(body, indices),
        hands_sentences(body, indices),
        head_sentences(body, indices),
        leg_sentences(body, indices),
        [_TRUNK[c] for c in trunk_lean(body)[indices].tolist()],
        hip_words(body, indices),
        *moment_sentences(body, indices),
    ]
    columns = [
        [s if body.may_tell(s, t) else "" for s, t in zip(column, indices.tolist(), strict=True)]
        for column in columns
    ]
    if body.flat:
        columns = [[as_filmed(s) for s in column] for column in columns]
    if second:
        columns = [[other_person(s) for s in column] for column in columns]
    little = other_person(LITTLE) if second else LITTLE
    return [[s for s in row if s] or [little] for row in zip(*columns, strict=True)]


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
    return f"The other person: {sentence[:1].lower()}{sentence[1:]}" if sentence else ""
