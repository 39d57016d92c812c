"""The path of a hand as strokes, repeats and loops."""

import itertools

import numpy as np

from kinelex.prompts.engines.kinematic.body import FORWARD, RIGHT, UP, Body

_VERBS = ("swings {out}", "swings {in}", "rises", "drops", "reaches forward", "pulls back")
_ALSO = ("{out}", "{in}", "up", "down", "forward", "back")
_SHAKES = ("from side to side", "up and down", "forward and back")


def hand_path(body: Body, side: str) -> np.ndarray:
    """A hand relative to the middle of the shoulders, right / up / forward, (T, 3)."""
    return body[f"{side}_hand"] - body["shoulder_center"]


def _in_and_out(words: str, body: Body, side: str) -> str:
    """Fill in the words for right (out) and left (in) as they are for this hand, or in the picture."""
    away, across = ("outward", "inward") if side == "right" else ("inward", "outward")
    if body.flat:
        away, across = "to the right", "to the left"
    return words.format(**{"out": away, "in": across})


def corners(path: np.ndarray, tolerance: float) -> list[int]:
    """Frames of a polyline that stays within a tolerance of the path (T, d).

    Source: the algorithm of Ramer (1972) and of Douglas and Peucker (1973).

    >>> corners(np.array([[0.0, 0], [1, 0.1], [2, 0], [2, 1], [2, 2]]), 0.5)
    [0, 2, 4]
    """
    keep, stack = {0, len(path) - 1}, [(0, len(path) - 1)]
    while stack:
        a, b = stack.pop()
        if b - a < 2:
            continue
        chord = path[b] - path[a]
        inner = path[a + 1 : b] - path[a]
        along = np.clip(inner @ chord / max(chord @ chord, 1e-9), 0, 1)
        off = np.linalg.norm(inner - along[:, None] * chord, axis=1)
        worst = int(off.argmax())
        if off[worst] > tolerance:
            keep.add(a + 1 + worst)
            stack += [(a, a + 1 + worst), (a + 1 + worst, b)]
    return sorted(keep)


def strokes(body: Body, side: str, most: int = 6) -> list[str]:
    """The straight strokes of which a hand's path is made, in order: their directions in words."""
    path = hand_path(body, side)
    for tolerance in (0.3, 0.4, 0.5, 0.7, 1.0):
        at = corners(path, tolerance)
        if len(at) <= most + 1:
            break
    out = []
    for a, b in itertools.pairwise(at):
        way = path[b] - path[a]
        if np.linalg.norm(way) < 0.35:  # torso lengths
            continue
        first, second = np.argsort(-np.abs(way))[:2]
        words = _VERBS[2 * first + int(way[first] < 0)]
        if abs(way[second]) > 0.55 * abs(way[first]):
            words += (" " if first == UP else " and ") + _ALSO[2 * second + int(way[second] < 0)]
        out.append(_in_and_out(words, body, side))
    return out


def stroke_sentences(body: Body, side: str) -> list[str]:
    """A hand's strokes two by two, so that each sentence tells an order."""
    ways = strokes(body, side)
    if len(ways) == 1:
        return [f"The {side} hand {ways[0]}."]
    return [f"The {side} hand {one}, then {two}." for one, two in itertools.pairwise(ways)]


def reversals(x: np.ndarray, least: float) -> int:
    """How often a signal turns round by at least a given amount.

    >>> reversals(np.array([0.0, 1, 0.9, 0, 1, 0]), 0.5)
    3
    """
    turns, direction, low, high = 0, 0, x[0], x[0]
    for value in x.tolist():
        low, high = min(low, value), max(high, value)
        if direction >= 0 and value < high - least:
            turns, direction, low = turns + (direction > 0), -1, value
        elif direction <= 0 and value > low + least:
            turns, direction, high = turns + (direction < 0), 1, value
    return turns


def repeat_sentences(body: Body, side: str) -> list[str]:
    """To and fro along one of the body's axes, and how often."""
    path, out = hand_path(body, side), []
    for axis, words in enumerate(_SHAKES):
        turns = reversals(path[:, axis], max(0.15, 0.2 * float(np.ptp(path[:, axis]))))
        if turns >= 3:
            often = "many times" if turns >= 7 else "several times" if turns >= 5 else "twice"
            out.append(f"The {side} hand goes {words} {often}.")
    return out


def roundest_loop(path: np.ndarray, gap: float = 0.35, floor: float = -0.55) -> tuple[float, float]:
    """The loop in a planar path (T, 2) with the largest area times roundness, as (signed area, roundness).

    A loop leaves a point above ``floor`` and comes back to within ``gap`` of it; counter-clockwise ones have
    positive area; roundness is 1 for a circle, 0.6 for an even triangle.

    >>> angle = np.linspace(0, 2 * np.pi, 50)
    >>> area, roundness = roundest_loop(np.stack([np.cos(angle), np.sin(angle) + 1], axis=1))
    >>> round(area, 1), round(roundness, 1)
    (3.1, 1.0)
    """
    t = len(path)
    cross = path[:-1, 0] * path[1:, 1] - path[1:, 0] * path[:-1, 1]
    swept = np.concatenate([[0.0], np.cumsum(cross)])
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    apart = np.linalg.norm(path[:, None] - path[None], axis=2)
    closing = path[:, None, 0] * path[None, :, 1] - path[None, :, 0] * path[:, None, 1]
    area = (swept[None] - swept[:, None] - closing) / 2  # [a, b]: the loop from frame a to frame b
    high = path[:, 1] > floor
    allowed = (apart < gap) & high[:, None] & high[None] & (np.arange(t)[:, None] < np.arange(t))
    area = np.where(allowed, area, 0.0)
    roundness = 4 * np.pi * np.abs(area) / np.maximum(length[None] - length[:, None] + apart, 1e-6) ** 2
    best = (np.abs(area) * roundness).argmax()
    return float(area.flat[best]), float(roundness.flat[best])


def loop_sentences(body: Body, side: str) -> list[str]:
    """Loops of a hand in the body's frontal plane, as the person sees them, and seen from the side.

    Of a body in 2-D those in the picture, as filmed.
    """
    path, out = hand_path(body, side)[:: max(1, len(body.turn) // 150)], []  # T x T pairs: bounded
    area, roundness = roundest_loop(path[:, [RIGHT, UP]])
    if abs(area) > 0.3 and roundness > 0.3:
        shapes = ("flat loop", "triangle with corners", "round circle")
        shape = shapes[int(np.digitize(roundness, [0.5, 0.83]))]
        out.append(f"The {side} hand draws a {shape} {'counter-clockwise' if area > 0 else 'clockwise'}.")
    area, roundness = roundest_loop(path[:, [FORWARD, UP]], floor=-9.0)
    if abs(area) > 0.45 and roundness > 0.3:
        out.append(f"The {side} arm swings {'underhand' if area > 0 else 'overhand'} around the shoulder.")
    return out
