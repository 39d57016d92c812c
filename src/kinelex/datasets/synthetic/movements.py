"""Movements from parameters: a pose of arms, legs or trunk that is taken, held or repeated, and its sentence.

The 24 actions are written one by one; these are made of a table of poses: of one arm, the other or both, held
or several times, alone or together with a pose of the legs. What the sentence says is what the joints do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from kinelex.datasets.synthetic.take import Action, Curves, Take

SIDES = ("right", "left", "both")


@dataclass(frozen=True)
class Pose:
    """A pose that is reached from the resting one.

    Args:
        name, words: how it is called in a class's name, and in its sentence: a verb and what follows it.
        angles: degrees by name of an angle; ``~`` stands for the side, ``^`` for the other one.
        varied: how far each angle differs between takes, as a share of it.
    """

    name: str
    words: str
    angles: dict[str, float]
    varied: float = 0.08


_ARM = ("raise", "plane", "elbow", "twist")


def _arm(name: str, words: str, *angles: float) -> Pose:
    return Pose(name, words, {f"~_{key}": value for key, value in zip(_ARM, angles, strict=True)})


ARMS = (
    _arm("forward", "stretches {arm} forward at shoulder height", 90, 0, 5, 0),
    _arm("sideways", "stretches {arm} out to the side at shoulder height", 90, 88, 5, 0),
    _arm("overhead from the front", "raises {arm} forward and overhead", 172, 8, 6, 0),
    _arm("overhead from the side", "raises {arm} sideways and overhead", 168, 84, 6, 0),
    _arm("backward", "stretches {arm} backward", -48, 4, 6, 0),
    _arm("to the hip", "puts {hand} on the hip", 42, 95, 86, -150),
    _arm("behind the back", "puts {hand} behind the back", -26, 2, 96, -112),
    _arm("to the mouth", "brings {hand} to the mouth", 74, 20, 138, -44),
    _arm("to the other shoulder", "puts {hand} on the opposite shoulder", 66, -12, 118, -68),
    _arm("behind the head", "puts {hand} behind the head", 128, 74, 142, 28),
    _arm("bent up", "bends the elbow of {arm} until the hand is at the shoulder", 8, 20, 150, 0),
    _arm("like a goal post", "lifts {arm} to the side with the forearm upright", 90, 88, 90, 0),
)
LEGS = (
    Pose("knee up", "lifts the {side} knee", {"~_hip": 84, "~_knee": 92}),
    Pose("leg sideways", "lifts the {side} leg out to the side", {"~_spread": 40, "~_knee": 4, "lean": 8}),
    Pose("leg forward", "lifts the straight {side} leg forward", {"~_hip": 54, "~_knee": 4, "bend": -6}),
    Pose("leg backward", "swings the {side} leg backward", {"~_hip": -36, "~_knee": 8, "bend": 14}),
    Pose("heel up", "lifts the {side} heel behind the body", {"~_hip": -4, "~_knee": 112}),
    Pose(
        "lunge",
        "steps into a lunge with the {side} leg in front",
        {"~_hip": 68, "~_knee": 78, "^_hip": -22, "^_knee": 44, "^_toe": -30, "bend": 6},
    ),
)
_BOTH_LEGS = {"left_hip": 44.0, "right_hip": 44.0, "left_knee": 62.0, "right_knee": 62.0, "bend": 14.0}
BODY = (
    Pose("bend forward", "bends the upper body forward", {"bend": 52}),
    Pose("bend backward", "leans the upper body backward", {"bend": -22, "nod": -12}),
    Pose("nod", "lowers the head", {"nod": 32}),
    Pose("look up", "looks up", {"nod": -34}),
    Pose("half squat", "bends both knees a little", _BOTH_LEGS),
    Pose("on the toes", "rises on the toes", {"left_toe": -42, "right_toe": -42}),
    Pose("shrug", "shrugs both shoulders", {"left_shrug": 26, "right_shrug": 26}),
)
TURNS = (  # written to the right; mirrored to the left
    Pose("lean", "leans to the {side}", {"lean": -27}),
    Pose("twist", "turns the upper body to the {side}", {"twist": -46, "look": -12}),
    Pose("look", "turns the head to the {side}", {"look": -52}),
)


def _sided(name: str, side: str) -> list[str]:
    """The angles that a name of a pose stands for."""
    sides = ("right", "left") if side == "both" else ("right",)  # one-sided poses are mirrored as a whole
    other = {"right": "left", "left": "right"}
    names = [name.replace("~", one).replace("^", other[one]) for one in sides]
    return list(dict.fromkeys(names))


def _curves(poses: tuple[tuple[Pose, str], ...], repeated: bool) -> Callable[[Take], Curves]:
    """The curves of some poses, taken at once: held once, or several times."""

    def curves(take: Take) -> Curves:
        there = take.during(0.32, 0.7)
        if repeated:
            there = 0.5 - 0.5 * np.cos(2 * np.pi * take.cycle(0.02, 0.98))
        angles: dict[str, float] = {}
        for pose, side in poses:
            for number, (name, value) in enumerate(pose.angles.items()):
                size = 1 + pose.varied * take.whims[number % len(take.whims)]
                angles |= dict.fromkeys(_sided(name, side), value * size)
        return take.toward(there, **angles)

    return curves


def _action(name: str, words: str, side: str, repeated: bool, *poses: tuple[Pose, str]) -> Action:
    how = "{times}" if repeated else "and stays so"
    return Action(
        name=f"{name}, {'repeated' if repeated else 'held'}",
        curves=_curves(poses, repeated),
        words=f"{words} {how}",
        seconds=1.3 if repeated else 2.0,
        more=0.9 if repeated else 0.0,
        repeats=(2, 4) if repeated else (1, 1),
        side="" if side == "both" else side,
    )


def movements() -> Iterator[Action]:
    """All movements, each as an action.

    >>> names = [action.name for action in movements()]
    >>> len(names), names[0]
    (140, 'right arm forward, held')
    """
    for repeated in (False, True):
        for pose in ARMS:
            for side in SIDES:
                yield _action(
                    f"{_limbs(side)} {pose.name}", _arm_words(pose, side), side, repeated, (pose, side)
                )
        for pose in LEGS:
            for side in SIDES[:2]:
                yield _action(f"{side} {pose.name}", pose.words, side, repeated, (pose, side))
        for pose in TURNS:
            for side in SIDES[:2]:
                yield _action(f"{pose.name} {side}", pose.words, side, repeated, (pose, side))
        for pose in BODY:
            yield _action(pose.name, pose.words, "both", repeated, (pose, "both"))
    low = [(leg, side) for leg in (LEGS[0], LEGS[-1]) for side in SIDES[:2]]
    for arm in ARMS[:3]:
        for below, side in [*low, (BODY[4], "both"), (BODY[5], "both")]:
            words = f"{below.words} and {_arm_words(arm, 'both')}"
            name = f"{below.name} {'' if side == 'both' else side} with both arms {arm.name}"
            yield _action(" ".join(name.split()), words, side, False, (below, side), (arm, "both"))


def _limbs(side: str) -> str:
    return "both arms" if side == "both" else f"{side} arm"


def _arm_words(pose: Pose, side: str) -> str:
    if side == "both":
        return pose.words.format(arm="both arms", hand="both hands")
    return pose.words.replace("{arm}", "the {side} arm").replace("{hand}", "the {side} hand")
