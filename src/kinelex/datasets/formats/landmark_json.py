"""Clips in JSON, told by their content: detectors' key points, Azure Kinect's bodies, MediaPipe's landmarks.

MediaPipe has no file format; what its results become when written as JSON is read: lists of ``{x, y, z,
visibility}`` or of numbers, alone or under the names that the APIs give them (``pose_landmarks``,
``worldLandmarks``, ...). World landmarks (metres, origin between the hips) are taken where there are any;
else the picture's, x and y, pixels where the file says ``width`` and ``height``. Azure Kinect's offline
processor writes ``frames`` of ``bodies`` of 32 joints in millimetres, with ``timestamp_usec``.

Source: MediaPipe, Pose landmark detection, "Handle and display results"; Azure Kinect Body Tracking SDK,
sample "offline_processor".
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from kinelex.datasets.formats.clip import METRES, MILLIMETRE, Clip, read_json
from kinelex.datasets.formats.keypoint_json import (
    is_detection,
    read_annotations,
    read_detections,
    read_instances,
    size_of,
)
from kinelex.datasets.formats.people import Person, clip_of_people, numbers_in
from kinelex.errors import InputError
from kinelex.skeleton import get_layout

_WORLD = ("poseworldlandmarks", "handworldlandmarks", "multihandworldlandmarks", "worldlandmarks")
_PICTURE = ("poselandmarks", "handlandmarks", "multihandlandmarks", "landmarks", "landmark")
_FRAMES = ("frames", "data", "results", "landmarks", "poses")
_LAYOUTS = {33: "mediapipe33", 21: "hand21"}
_HIPS = (23, 24)


def read_landmarks(content: Any, where: str) -> Clip:
    """A clip from a list of frames, or an object with one and maybe ``fps``, ``width`` and ``height``."""
    top = content if isinstance(content, dict) else {}
    frames = content if isinstance(content, list) else next((top[k] for k in _FRAMES if top.get(k)), None)
    if not isinstance(frames, list) or not frames:
        raise InputError(f"{where}: expects a list of frames with landmarks, or a known format of key points")
    people = [_people(_named(frame, _WORLD), f"{where}: frame {t}") for t, frame in enumerate(frames)]
    named = any(people)
    if not named:
        people = [_people(frame, f"{where}: frame {t}") for t, frame in enumerate(frames)]
    fps = top.get("fps")
    rate = float(fps) if isinstance(fps, int | float) and 0 < fps < 1e4 else None
    clip = clip_of_people(people, where, fps=rate)
    joints, channels = clip.coordinates.shape[2:]
    layout = get_layout(_LAYOUTS[joints]) if joints in _LAYOUTS else None
    if named or layout is None or channels == 3 and _between_hips(clip.coordinates):
        return Clip(clip.coordinates, clip.scores, layout=layout, fps=rate)
    size = size_of(top)
    scale = (1.0, 1.0) if size is None else (size[1], size[0])
    pixels = (clip.coordinates[..., :2] * scale).astype(np.float32)
    units = "fractions of the picture" if size is None else None
    return Clip(pixels, clip.scores, layout=layout, fps=rate, units=units, image_size=size)


def _between_hips(x: np.ndarray) -> bool:
    """Whether the origin lies between the hips, as in world landmarks, and not in a corner of the picture."""
    there = x[x.any(axis=(2, 3))]
    if there.shape[1] <= max(_HIPS):
        return bool((there < 0).any())
    middle = there[:, _HIPS].mean(axis=1)
    return bool(np.median(np.abs(middle).max(axis=1)) < 0.02)


def _named(frame: Any, names: tuple[str, ...]) -> Any:
    """What an object holds under one of some names, however they are written; None where it is no object."""
    if not isinstance(frame, dict):
        return None
    plain = {str(key).lower().replace("_", ""): value for key, value in frame.items()}
    return next((plain[name] for name in names if plain.get(name)), None)


def _people(frame: Any, where: str) -> list[Person]:
    """The persons of a frame; nobody where it is empty."""
    if isinstance(frame, dict):
        frame = _named(frame, _PICTURE)
        if isinstance(frame, dict):
            return _people(frame, where)
    if frame is None or frame == []:
        return []
    if not isinstance(frame, list):
        raise InputError(f"{where}: expects a list of landmarks, got {str(frame)[:40]!r}")
    first = frame[0]
    if isinstance(first, dict) and not {"x", "y"} <= first.keys():  # a person each, as objects
        return [person for one in frame for person in _people(one, where)]
    if isinstance(first, list) and first and isinstance(first[0], list | dict):
        return [_person(one, where) for one in frame if one]
    return [_person(frame, where)]


def _person(landmarks: Any, where: str) -> Person:
    if not isinstance(landmarks, list):
        raise InputError(f"{where}: expects a list of landmarks, got {str(landmarks)[:40]!r}")
    if all(isinstance(one, dict) for one in landmarks):
        keys = [key for key in ("x", "y", "z") if all(key in one for one in landmarks)]
        if keys[:2] != ["x", "y"]:
            raise InputError(f"{where}: expects landmarks with x and y, got {str(landmarks[0])[:60]}")
        points = numbers_in([[one[key] for key in keys] for one in landmarks], where)
        seen = next((k for k in ("visibility", "score") if all(k in one for one in landmarks)), None)
        scores = None if seen is None else numbers_in([one[seen] for one in landmarks], where)
    else:
        points, scores = numbers_in(landmarks, where), None
        if points.ndim == 2 and points.shape[1] == 4:
            points, scores = points[:, :3], points[:, 3]
    if points.ndim != 2 or points.shape[1] not in (2, 3):
        raise InputError(f"{where}: expects x, y, z for each landmark, got an array of shape {points.shape}")
    return Person(points, scores)


_AZURE_JOINTS = 32


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
    return clip_of_people(people, where, layout=get_layout("azure32"), fps=_azure_fps(frames), units=METRES)


def _body(body: Any, where: str) -> Person:
    if not isinstance(body, dict) or "joint_positions" not in body:
        raise InputError(f"{where}: expects 'joint_positions'")
    points = numbers_in(body["joint_positions"], where)
    if points.shape != (_AZURE_JOINTS, 3):
        raise InputError(f"{where}: 'joint_positions' has shape {points.shape}, expects ({_AZURE_JOINTS}, 3)")
    levels = next((body[key] for key in ("confidence_levels", "confidence_level") if key in body), None)
    scores = None if levels is None else numbers_in(levels, where)
    if scores is not None and scores.shape != (_AZURE_JOINTS,):
        raise InputError(f"{where}: has {scores.size} confidence levels, expects {_AZURE_JOINTS}")
    number = body.get("body_id")
    return Person(points * MILLIMETRE, scores, number if isinstance(number, int) else None)


def _azure_fps(frames: list[dict[str, Any]]) -> float | None:
    times = [frame.get("timestamp_usec") for frame in frames]
    if len(times) < 2 or not all(isinstance(time, int) and abs(time) < 2**62 for time in times):
        return None
    step = float(np.median(np.diff(np.array(times, dtype=np.int64))))
    return round(1e6 / step, 3) if step > 0 else None


def read_json_clip(path: Path) -> Clip:
    """One clip from a JSON file."""
    content, where = read_json(path), str(path)
    if isinstance(content, dict):
        if is_azure(content):
            return read_azure(content, where)
        if isinstance(content.get("instance_info"), list):
            return read_instances(content["instance_info"], where)
        if "images" in content and "annotations" in content:
            return read_annotations(content, where)
        if "people" in content:
            raise InputError(f"{path}: is one frame of OpenPose: a clip is the folder of all its frames")
    if isinstance(content, list) and content:
        if is_detection(content[0]):
            return read_detections(content, where)
        if isinstance(content[0], dict) and "instances" in content[0]:
            return read_instances(content, where)
        if isinstance(content[0], dict) and {"keypoints", "keypoint_scores"} <= content[0].keys():
            return read_instances([{"instances": content}], where)  # of one picture
    return read_landmarks(content, where)
