"""One page that sends pictures: poses and labels of each, whatever comes."""

from __future__ import annotations

import io
import json
import struct
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

from kinelex.errors import InputError
from kinelex.inference.stream import StreamModel
from kinelex.pose import PoseStream

MOST_BYTES = 1 << 19  # of a message
MOST_SIDE = 1280  # pixels
MOST_RATE = 40  # messages a second; those above are answered, but not looked at
RESTART = "restart"  # the one text that is known: another source begins
_TOP = 3
_SHOWN = 20  # events


class Refused(Exception):
    """A message that is none; its text is the answer."""


class Session:
    """Pictures in, answers out, in their order.

    Args:
        pose: finds and follows the persons.
        model: says what they do.
        clock: seconds.

    Every message has an answer, and none of them ends the session: wrong ones are said to be so, and change
    nothing of what is known.
    """

    def __init__(
        self, pose: PoseStream, model: StreamModel, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.pose, self.model, self.clock = pose, model, clock
        self._taken: deque[float] = deque(maxlen=MOST_RATE)
        self._first = clock()
        self._last = -1.0

    def reply(self, message: bytes | str | None) -> list[bytes | str]:
        """The messages that a page gets for its own."""
        return [self.answer(message)]

    def answer(self, message: bytes | str | np.ndarray | None) -> str:
        """What is said of a message, or of a picture (H, W, 3), as JSON."""
        try:
            return json.dumps(self._answer(message))
        except Refused as error:
            return json.dumps({"error": str(error)})
        except Exception as error:  # an engine that fails on one picture must not end the page
            return json.dumps({"error": f"this picture could not be looked at: {type(error).__name__}"})

    def close(self) -> None:
        """Let go of the pose engine."""
        self.pose.close()

    def _answer(self, message: bytes | str | np.ndarray | None) -> dict[str, Any]:
        now = self.clock()
        if len(self._taken) == MOST_RATE and now - self._taken[0] < 1:
            raise Refused(f"too fast: at most {MOST_RATE} messages a second")
        self._taken.append(now)
        if isinstance(message, str) and message == RESTART:
            self.model.restart()
            return {"restarted": True}
        if not isinstance(message, bytes | np.ndarray):
            raise Refused("expects a JPEG picture as a binary message")
        picture = read_jpeg(message) if isinstance(message, bytes) else message
        at = max(now - self._first, self._last + 2e-3)  # engines count in milliseconds
        self._last = at
        poses = self.pose.step(picture, at)
        posed = self.clock()
        channels = next(iter(self.model.model.encoders.values())).encoder.in_channels
        joints = poses.image if channels == 2 or poses.world is None else poses.world
        said = self.model.step(joints, at)
        done = self.clock()
        return {
            "people": [
                self._person(place, poses.image[place], poses.scores[place])
                for place in np.flatnonzero(poses.image.any(axis=(1, 2))).tolist()
            ],
            "size": [picture.shape[1], picture.shape[0]],
            "ready": said is not None,
            "now": [
                {"person": person, "class": name, "start": round(start, 2)}
                for person, name, start in self.model.going_on()
            ],
            "events": [event.numbers() for event in list(self.model.events)[-_SHOWN:]],
            "milliseconds": {
                "pose": round(1000 * (posed - now), 1),
                "answer": round(1000 * (done - posed), 1),
            },
        }

    def _person(self, place: int, image: np.ndarray, scores: np.ndarray) -> dict[str, Any]:
        joints = np.concatenate([image, scores[:, None]], axis=1).astype(float).round(2)
        said = self.model.said
        labels: list[tuple[str, float]] = []
        if said is not None:
            row = said.probabilities[place]
            order = np.argsort(-row, kind="stable")[:_TOP].tolist()
            labels = [(self.model.model.classes[k], round(float(row[k]), 3)) for k in order]
        return {"person": place, "joints": joints.tolist(), "labels": labels}


def read_jpeg(message: bytes) -> np.ndarray:
    """A picture from bytes that anybody may have sent.

    Shape:
        - returns: (H, W, 3) uint8

    Raises:
        Refused: too many bytes or pixels, or no whole JPEG.
    """
    from PIL import Image

    if len(message) > MOST_BYTES:
        raise Refused(f"expects at most {MOST_BYTES} bytes, got {len(message)}")
    try:
        with Image.open(io.BytesIO(message), formats=("JPEG",)) as image:
            if max(image.size) > MOST_SIDE or min(image.size) < 16:
                raise Refused(f"expects a picture of 16 to {MOST_SIDE} pixels a side, got {image.size}")
            return np.asarray(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError, LookupError, ArithmeticError, struct.error) as error:
        raise Refused("expects a whole JPEG picture") from error
    except Image.DecompressionBombError as error:
        raise Refused("expects a smaller picture") from error


def check_layout(model: StreamModel) -> None:
    """Raise an InputError where the run cannot read what the pose engine gives."""
    joints = model.layout.num_joints
    channels = next(iter(model.model.encoders.values())).encoder.in_channels
    try:
        x = np.random.default_rng(0).random((8, model.persons, joints, channels), np.float32)
        for number, frame in enumerate(x):
            model.step(frame, number / 8)
    except InputError as error:
        raise InputError(f"the run cannot read the joints of the pose engine: {error}") from error
    model.restart()
