"""Language engine ``kinematic``: sentences about posture and movement, computed from the joints."""

from typing import Any

import numpy as np

from kinelex.data.sequence import Sequence, StoreMeta, check_sequence
from kinelex.errors import InputError
from kinelex.prompts.base import ClipTexts, EngineContext
from kinelex.prompts.engines.kinematic.body import find_bodies, landmark_matrix, y_points_down
from kinelex.prompts.engines.kinematic.movement import clip_sentences
from kinelex.prompts.engines.kinematic.persons import pair_clip_sentences, pair_frame_sentences
from kinelex.prompts.engines.kinematic.posture import frame_sentences
from kinelex.skeleton import SkeletonLayout


def describe_clip(frames: np.ndarray, layout: SkeletonLayout, indices: np.ndarray) -> ClipTexts:
    """Sentences about a clip in the body's own frame: they do not depend on camera or labels.

    Each frame's text tells the posture and what moves at that moment; the clip's text tells which limbs
    move, their strokes in order, repetition, loops, and what the whole body does. Clips in 2-D are told as
    filmed: left and right of limbs are the person's, of movements the picture's, and nothing is said of what
    only depth could tell.

    Shape:
        - frames: (T, M, V, C), C of 2 (y runs down) or 3; joints at exactly 0 count as not tracked.
        - indices: (P,), frames to describe

    Raises:
        InputError: the layout lacks joints that the words are about (head, arms, legs); frames of another
            form or with numbers that are none; no such frame.

    >>> from kinelex.skeleton import get_layout
    >>> layout = get_layout("kinect20")
    >>> y = {"head": 1.6, "shoulder": 1.4, "elbow": 1.1, "wrist": 0.8, "hand": 0.7, "hip": 0.9, "knee": 0.5}
    >>> pose = np.zeros((1, 1, 20, 3), np.float32)
    >>> for j, name in enumerate(layout.joints):
    ...     side, _, part = name.rpartition("_")
    ...     pose[0, 0, j] = ({"left": -0.2, "right": 0.2}.get(side, 0.01), y.get(part, 0.1), 0)
    >>> pose[0, 0, :3, 1] = 0.9, 1.2, 1.4
    >>> describe_clip(pose, layout, np.array([0])).frames[0]
    'The left arm hangs down. The right arm hangs down. The person stands with straight legs.'
    """
    frames, indices = np.asarray(frames), np.asarray(indices)
    matrix = landmark_matrix(layout)
    check_sequence(Sequence("the clip", frames), StoreMeta("clips", layout, ()))
    if not np.isin(indices, np.arange(len(frames))).all():
        raise InputError(f"expects frames from 0 to {len(frames) - 1}, got {indices.tolist()}")
    return _describe(frames, matrix, indices)


def _describe(frames: np.ndarray, matrix: np.ndarray, indices: np.ndarray, y_down: bool = True) -> ClipTexts:
    bodies = find_bodies(frames, matrix, y_down)
    posture = frame_sentences(bodies[0], indices)
    movement = clip_sentences(bodies[0])
    if len(bodies) == 2:
        pairs = pair_frame_sentences(bodies[0], bodies[1], indices)
        posture = [one + two for one, two in zip(posture, pairs, strict=True)]
        movement = pair_clip_sentences(bodies[0], bodies[1]) + movement
    return ClipTexts([" ".join(p) for p in posture], " ".join(movement))


class KinematicLanguage:
    """Sentences about posture and movement, computed from the joints."""

    name = "kinematic"
    version = "2"

    def __init__(self, context: EngineContext) -> None:
        self._store = context.clips("language engine kinematic")
        self._matrix = landmark_matrix(self._store.layout)
        self._y_down = self._store.channels == 2 and y_points_down(self._store, self._matrix)
        flat = {"plane": "as filmed", "y": "down" if self._y_down else "up"}
        self.settings: dict[str, Any] = flat if self._store.channels == 2 else {}

    def texts(self, row: int, indices: np.ndarray) -> ClipTexts:
        """Texts of one clip of the store."""
        return _describe(self._store.sequence(row), self._matrix, indices, self._y_down)
