"""Azure Kinect body tracking in JSON, as the SDK's offline processor writes it.

``frames``, each with ``bodies``, each with ``body_id`` and ``joint_positions``: 32 joints in millimetres, x
to the right of the picture, y down, z away from the camera; ``timestamp_usec`` gives the frame rate.

Source: Microsoft, Azure Kinect Body Tracking SDK, sample "offline_processor".
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kinelex.datasets.formats.clip import METRES, MILLIMETRE, Clip
from kinelex.datasets.formats.people import Person, clip_of_people, numbers_in
from kinelex.errors import InputError
from kinelex.skeleton import get_layout

_JOINTS = 32


def is_azure(content: dict[str, Any]) -> bool:
    """Whether an object has frames of bodies."""
    frames = content.get("frames")
    return isinstance(frames, list) and any(isinstance(frame, dict) and "bodies" in frame for frame in frames)


def read_azure(content: dict[str, Any], where: str) -> Clip:
    """A clip in metres; joints whose confidence level is 0 (out of range) are absent."""
    frames = content["frames"]
    people = []
    for t, frame in enumerate(frames):
        bodies = frame.get("bodies") if isinstance(frame, dict) else None
        if not isinstance(bodies, list):
            raise InputError(f"{where}: frame {t}: expects a list of 'bodies'")
        people.append([_body(body, f"{where}: frame {t}, body {i}") for i, body in enumerate(bodies)])
    return clip_of_people(people, where, layout=get_layout("azure32"), fps=_fps(frames), units=METRES)


def _body(body: Any, where: str) -> Person:
    if not isinstance(body, dict) or "joint_positions" not in body:
        raise InputError(f"{where}: expects 'joint_positions'")
    points = numbers_in(body["joint_positions"], where)
    if points.shape != (_JOINTS, 3):
        raise InputError(f"{where}: 'joint_positions' has shape {points.shape}, expects ({_JOINTS}, 3)")
    levels = next((body[key] for key in ("confidence_levels", "confidence_level") if key in body), None)
    scores = None if levels is None else numbers_in(levels, where)
    if scores is not None and scores.shape != (_JOINTS,):
        raise InputError(f"{where}: has {scores.size} confidence levels, expects {_JOINTS}")
    number = body.get("body_id")
    return Person(points * MILLIMETRE, scores, number if isinstance(number, int) else None)


def _fps(frames: list[dict[str, Any]]) -> float | None:
    times = [frame.get("timestamp_usec") for frame in frames]
    if len(times) < 2 or not all(isinstance(time, int) and abs(time) < 2**62 for time in times):
        return None
    step = float(np.median(np.diff(np.array(times, dtype=np.int64))))
    return round(1e6 / step, 3) if step > 0 else None
