"""Which landmarks are there, and what is told without the rest.

One that is missing for a few frames keeps its place. One that is missing for longer is neither told nor
drawn; what heights and distances need of it is taken as of a body that stands at ease.
"""

import re

import numpy as np

_BRIDGED = 5  # frames to either side: a joint that was lost for so short is where it was
_TRUNK = ("pelvis", "shoulder_center", "left_shoulder", "right_shoulder")
_ARM = ("elbow", "hand")
_LEGS = tuple(f"{side}_{joint}" for side in ("left", "right") for joint in ("hip", "knee", "ankle"))
_ARMS = tuple(f"{side}_{joint}" for side in ("left", "right") for joint in _ARM)
# What sentences speak of, and the landmarks that they are about. All of them need the trunk.
_ABOUT = (
    (re.compile(r"\bleft (arm|hand)\b"), tuple(f"left_{joint}" for joint in _ARM)),
    (re.compile(r"\bright (arm|hand)\b"), tuple(f"right_{joint}" for joint in _ARM)),
    (re.compile(r"\b(arms|hands)\b|^Only "), _ARMS),
    (re.compile(r"^The head\b|\btouch(es)? the head\b|\bat the head\b"), ("head",)),
    (
        re.compile(
            r"\b(stands?|crouch\w*|squat\w*|sits?|sitting|straight legs|knees?|feet|foot|hips|lunges)\b"
            r"|at the floor|to the floor|at the ground"
        ),
        _LEGS,
    ),
)
LITTLE = "Little of the person is seen."


def tracked_landmarks(seen: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Which landmarks (T, 19) are there: all joints (T, V) of theirs are, or were a few frames ago or after.

    >>> seen = np.arange(20)[:, None] < 8  # gone from frame 8 on
    >>> int(tracked_landmarks(seen, np.ones((1, 1))).sum())
    13
    """
    there: np.ndarray = (~seen).astype(float) @ (matrix != 0).T == 0
    padded = np.pad(there, ((_BRIDGED, _BRIDGED), (0, 0)))
    windows: np.ndarray = np.lib.stride_tricks.sliding_window_view(padded, 2 * _BRIDGED + 1, axis=0)
    return np.any(windows, axis=2)


def at_ease(points: np.ndarray, tracked: np.ndarray, index: dict[str, int]) -> np.ndarray:
    """Landmarks (T, 19, 3) that a clip never shows, put where a body has them that stands at ease."""
    gone = {name for name, j in index.items() if not tracked[:, j].any()}
    if not gone:
        return points
    points = points.copy()
    trunk = points[:, index["shoulder_center"]] - points[:, index["pelvis"]]
    places = {"head": ("shoulder_center", 0.5)}
    for side in ("left", "right"):
        places |= {f"{side}_{joint}": (f"{side}_shoulder", -down) for joint, down in _HANG.items()}
        places |= {f"{side}_{joint}": (f"{side}_hip", -down) for joint, down in _STAND.items()}
    for name, (start, share) in places.items():
        if name in gone:
            points[:, index[name]] = points[:, index[start]] + share * trunk
    return points


_HANG = {"elbow": 0.6, "wrist": 1.1, "hand": 1.2}  # torso lengths below the shoulder
_STAND = {"knee": 0.85, "ankle": 1.65, "foot": 1.75}  # and below the hip


def may_tell(sentence: str, tracked: np.ndarray, index: dict[str, int]) -> bool:
    """Whether all that a sentence is about is among the landmarks (19,) that are there."""
    if tracked.all():
        return True
    needed = set(_TRUNK).union(*(names for words, names in _ABOUT if words.search(sentence)))
    return all(tracked[index[name]] for name in needed)
