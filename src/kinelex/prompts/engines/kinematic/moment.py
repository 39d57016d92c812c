"""The words for what moves at the moment of a frame."""

from __future__ import annotations

import numpy as np

from kinelex.prompts.engines.kinematic.body import FORWARD, RIGHT, UP, Body, gaussian

_DIRECTIONS = {
    "left": ("", "inward", "outward", "up", "down", "forward", "back"),
    "right": ("", "outward", "inward", "up", "down", "forward", "back"),
    "picture": ("", "to the right", "to the left", "up", "down", "", ""),
}
_WALKS = (
    "",
    "The person walks sideways to the right.",
    "The person walks sideways to the left.",
    "The person walks forward.",
    "The person walks backward.",
)
_RISES = ("", "The body rises.", "The body sinks.")
_SLOW_HAND, _SLOW_BODY, _SLOW_HEAD = 0.035, 0.03, 0.02  # torso lengths per frame


def moment_sentences(body: Body, frames: np.ndarray) -> list[list[str]]:
    """Per kind of movement one sentence per frame, empty where there is none of it."""
    if len(body.turn) < 3:
        return []
    hands = [_hand_words(body, side, frames) for side in ("left", "right")]
    return [*hands, _walk_words(body, frames), _rise_words(body, frames)]


def _hand_words(body: Body, side: str, frames: np.ndarray) -> list[str]:
    """Main direction in which a hand travels: up and down against the floor, the rest against the trunk."""
    where = body[f"{side}_hand"] - body["shoulder_center"]
    where[:, UP] = body.level(f"{side}_hand")
    step = np.gradient(where, axis=0)
    axis = np.abs(step).argmax(axis=1)
    value = np.take_along_axis(step, axis[:, None], axis=1)[:, 0]
    codes = np.where(np.linalg.norm(step, axis=1) > _SLOW_HAND, 1 + 2 * axis + (value < 0), 0)
    words = [_DIRECTIONS["picture" if body.flat else side][c] for c in codes[frames].tolist()]
    return [f"The {side} hand moves {w}." if w else "" for w in words]


def _walk_words(body: Body, frames: np.ndarray) -> list[str]:
    speed = gaussian(np.gradient(body.travel, axis=0), 3.0)
    walks = np.hypot(speed[:, RIGHT], speed[:, FORWARD]) > _SLOW_BODY
    aside = np.abs(speed[:, RIGHT]) > np.abs(speed[:, FORWARD])
    ways = [aside & (speed[:, RIGHT] > 0), aside, speed[:, FORWARD] > 0]
    codes = np.where(walks, np.select(ways, [1, 2, 3], 4), 0)
    return [_WALKS[c] for c in codes[frames].tolist()]


def _rise_words(body: Body, frames: np.ndarray) -> list[str]:
    lift = np.gradient(gaussian(body.level("head"), 2.0))
    codes = np.select([lift > _SLOW_HEAD, lift < -_SLOW_HEAD], [1, 2], 0)
    return [_RISES[c] for c in codes[frames].tolist()]
