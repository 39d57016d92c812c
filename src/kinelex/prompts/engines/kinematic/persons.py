"""The words for two persons."""

import numpy as np

from kinelex.prompts.engines.kinematic.body import FORWARD, INDEX, RIGHT, UP, Body
from kinelex.prompts.engines.kinematic.movement import clip_sentences
from kinelex.prompts.engines.kinematic.posture import SIDES, frame_sentences, other_person

_DISTANCE = ("very close together", "within reach of each other", "a step apart", "far apart")
_FACING = ("face each other", "look the same way", "stand with their backs to each other", "stand sideways")
_BESIDE = ("stand side by side, the second on the right", "stand side by side, the second on the left")


def seen_by(one: Body, two: Body) -> np.ndarray:
    """The second person's landmarks in the first person's frame, (T, 19, 3)."""
    world = np.einsum("tja,tac->tjc", two.local * two.size, two.axes) + two.world[:, None]
    return np.einsum("tjc,tac->tja", world - one.world[:, None], one.axes) / one.size


def _relation(one: Body, two: Body) -> tuple[np.ndarray, np.ndarray]:
    """Distance between the persons in torso lengths, and how they stand to each other, each (T,).

    The latter are places in ``_FACING``, or of bodies in 2-D in ``_BESIDE``.
    """
    between = two.world - one.world
    flat = between - (between * one.axes[:, UP]).sum(1, keepdims=True) * one.axes[:, UP]
    distance = np.linalg.norm(flat, axis=1)
    if one.flat:
        return distance / one.size, (between[:, RIGHT] < 0).astype(int)
    towards = flat / np.maximum(distance, 1e-6)[:, None]
    first = (one.axes[:, FORWARD] * towards).sum(1)
    second = -(two.axes[:, FORWARD] * towards).sum(1)
    same = (one.axes[:, FORWARD] * two.axes[:, FORWARD]).sum(1)
    rules = [(first > 0.4) & (second > 0.4), same > 0.6, (first < -0.4) & (second < -0.4)]
    return distance / one.size, np.select(rules, [0, 1, 2], 3)


def _touches(one: Body, two: Body) -> list[tuple[str, np.ndarray]]:
    """What a hand or foot of each person is near to on the other, per frame (T,)."""
    out = []
    for actor, other, who, whom in ((one, two, "first", "second"), (two, one, "second", "first")):
        seen = seen_by(actor, other)
        hands = np.stack([actor[f"{s}_hand"] for s in SIDES])
        for part, word in (("head", "head"), ("shoulder_center", "shoulder"), ("pelvis", "waist")):
            near = np.linalg.norm(hands - seen[:, INDEX[part]], axis=2).min(axis=0) < 0.7
            out.append((f"A hand of the {who} person is at the {word} of the {whom} person.", near))
        foot = np.stack([actor[f"{s}_foot"] for s in SIDES])
        knee = np.linalg.norm(foot - seen[:, INDEX["left_knee"]], axis=2).min(axis=0)
        lifted = np.abs(actor.level("left_ankle") - actor.level("right_ankle")) > 0.4
        out.append((f"A foot of the {who} person is kicked at the {whom} person.", lifted & (knee < 2.0)))
    seen = seen_by(one, two)
    theirs = np.stack([seen[:, INDEX[f"{s}_hand"]] for s in SIDES])
    mine = np.stack([one[f"{s}_hand"] for s in SIDES])
    gap = np.linalg.norm(mine[:, None] - theirs[None], axis=3).min(axis=(0, 1))
    out.append(("The hands of the two persons meet.", gap < 0.5))
    return out


def pair_frame_sentences(one: Body, two: Body, indices: np.ndarray) -> list[list[str]]:
    """How two persons stand to each other and what the second one does, per frame."""
    distance, facing = _relation(one, two)
    stands = _BESIDE if one.flat else _FACING
    apart = np.digitize(distance, [1.0, 2.0, 3.2])[indices].tolist()
    touches = [(text, near[indices]) for text, near in _touches(one, two)]
    second = frame_sentences(two, indices, second=True)
    out = []
    for p, t in enumerate(indices.tolist()):
        words = f"The two persons are {_DISTANCE[apart[p]]} and {stands[facing[t]]}."
        both = [words, *(text for text, near in touches if near[p])]
        out.append([*(both if one.may_tell("", t) and two.may_tell("", t) else []), *second[p]])
    return out


def pair_clip_sentences(one: Body, two: Body) -> list[str]:
    """What two persons do with each other over the clip."""
    distance, facing = _relation(one, two)
    ends = max(1, len(distance) // 6)
    change = distance[-ends:].mean() - distance[:ends].mean()
    out = []
    if change < -0.5:
        out.append("The two persons come closer to each other.")
    elif change > 0.5:
        out.append("The two persons move away from each other.")
    else:
        near = int(np.digitize(np.median(distance), [1.0, 2.0, 3.2]))
        out.append(f"The two persons stay {_DISTANCE[near]}.")
    stands = _BESIDE if one.flat else _FACING
    out.append(f"The two persons {stands[int(np.bincount(facing).argmax())]}.")
    out += [text for text, near in _touches(one, two) if near.mean() > 0.1]
    return out + [other_person(s) for s in clip_sentences(two)]
