"""OpenPose's output: a folder with one JSON file per frame, as ``--write_json`` makes it.

Each file holds ``people``, with ``pose_keypoints_2d`` (x, y, confidence for each joint, in pixels) or
``pose_keypoints_3d`` (x, y, z, confidence): 25 joints of BODY_25, or 18 of the COCO model.

Source: OpenPose documentation, "Output Format".
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from kinelex.datasets.formats.clip import Clip, read_json
from kinelex.datasets.formats.people import Person, clip_of_people, frames_by_number, numbers_in
from kinelex.errors import InputError
from kinelex.skeleton import get_layout

_NAME = re.compile(r"(?P<video>.*?)_?(?P<number>\d{1,15})_keypoints")
_LAYOUTS = {25: "body25", 18: "openpose18"}
_KEYS = (("pose_keypoints_3d", 4), ("pose_keypoints_2d", 3), ("pose_keypoints", 3))


def frame_files(folder: Path) -> list[Path]:
    """The files of a folder that OpenPose made, by name."""
    return sorted(path for path in folder.glob("*_keypoints.json") if _NAME.fullmatch(path.stem))


def read_openpose(folder: Path) -> Clip:
    """A clip from a folder of frames; a frame whose number is missing has nobody in it."""
    files = frame_files(folder)
    if not files:
        raise InputError(f"{folder}: expects files NAME_000000000000_keypoints.json, as OpenPose makes them")
    names = [match for match in map(_NAME.fullmatch, (path.stem for path in files)) if match]
    videos = sorted({match["video"] for match in names})
    if len(videos) > 1:
        raise InputError(
            f"{folder}: holds frames of {len(videos)} videos ({', '.join(videos[:3])}): "
            "expects one folder each"
        )
    found = {int(m["number"]): _people(path) for m, path in zip(names, files, strict=True)}
    frames = frames_by_number(found, str(folder))
    clip = clip_of_people(frames, str(folder))
    joints = clip.coordinates.shape[2]
    if joints not in _LAYOUTS:
        raise InputError(f"{folder}: has {joints} joints, expects 25 (BODY_25) or 18 (COCO)")
    return Clip(clip.coordinates, clip.scores, layout=get_layout(_LAYOUTS[joints]))


def _people(path: Path) -> list[Person]:
    content = read_json(path)
    people = content.get("people") if isinstance(content, dict) else None
    if not isinstance(people, list) or not all(isinstance(person, dict) for person in people):
        raise InputError(f"{path}: expects the key 'people' with a list of persons")
    return [_person(person, f"{path}: person {i}") for i, person in enumerate(people)]


def _person(person: dict[str, Any], where: str) -> Person:
    key, width = next((pair for pair in _KEYS if person.get(pair[0])), (None, 0))
    if key is None:
        raise InputError(
            f"{where}: expects 'pose_keypoints_2d', the person has {', '.join(person) or 'nothing'}"
        )
    numbers = numbers_in(person[key], where)
    if numbers.ndim != 1 or numbers.size % width:
        raise InputError(f"{where}: {key!r} has {numbers.size} numbers, expects {width} for each joint")
    table = numbers.reshape(-1, width)
    given = person.get("person_id")
    number = given[0] if isinstance(given, list) and given else given
    known = isinstance(number, int) and number >= 0
    return Person(table[:, :-1], table[:, -1], number if known else None)
