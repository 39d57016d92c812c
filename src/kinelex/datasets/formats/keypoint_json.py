"""Key points of image detectors in JSON: COCO's results and annotations, AlphaPose, MMPose, OpenPose.

One file is one clip, its images are the frames; OpenPose writes a folder of files, one per frame, each with
``people`` of 25 joints (BODY_25) or 18 (COCO). Numbers are pixels; a joint of confidence 0 is absent.

Source: COCO, "Results Format" and "Data Format"; AlphaPose, docs/output.md; MMPose, inferencers; OpenPose,
"Output Format".
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from kinelex.datasets.formats.clip import Clip, read_json
from kinelex.datasets.formats.people import Person, clip_of_people, frames_by_number, numbers_in
from kinelex.errors import InputError
from kinelex.skeleton import get_layout

_BODY_OF = {133: 17, 136: 26}  # whole-body sets begin with the body
# What the formats call 17 and 26 joints; MMPose's 3-D models give Human3.6M's.
_LAYOUTS = {(17, 2): "coco17", (26, 2): "halpe26", (17, 3): "h36m17"}
_IDS = ("track_id", "idx", "person_id")


def read_detections(entries: list[Any], where: str) -> Clip:
    """COCO's results or AlphaPose's: a list of persons, each with ``image_id`` and ``keypoints``."""
    images: dict[Any, list[Person]] = {}
    for i, entry in enumerate(entries):
        at = f"{where}: entry {i}"
        if not isinstance(entry, dict) or "image_id" not in entry or "keypoints" not in entry:
            raise InputError(f"{at}: expects 'image_id' and 'keypoints'")
        if not isinstance(entry["image_id"], int | str):
            raise InputError(f"{at}: image_id is {str(entry['image_id'])[:40]!r}, expects a number or a name")
        images.setdefault(entry["image_id"], []).append(_person(entry, at))
    return _clip(_in_order(images, where), where)


def read_annotations(content: dict[str, Any], where: str) -> Clip:
    """COCO's annotations: ``images`` with their sizes, ``annotations`` with key points (x, y, visibility)."""
    images, entries = content["images"], content["annotations"]
    listed = isinstance(images, list) and isinstance(entries, list)
    if not listed or not all(isinstance(image, dict) and "id" in image for image in images):
        raise InputError(f"{where}: expects lists of 'images', each with an 'id', and of 'annotations'")
    order = {str(image["id"]): number for number, image in enumerate(images)}
    found: dict[int, list[Person]] = {number: [] for number in range(len(images))}
    for i, entry in enumerate(entries):
        image = str(entry.get("image_id")) if isinstance(entry, dict) else ""
        if image not in order or "keypoints" not in entry:
            raise InputError(f"{where}: annotation {i}: expects 'keypoints', and the 'image_id' of an image")
        person = _person(entry, f"{where}: annotation {i}")
        seen = None if person.scores is None else person.scores / 2  # 0 not labelled, 1 hidden, 2 visible
        found[order[image]].append(Person(person.points, seen, person.id))
    sizes = {size_of(image) for image in images}
    return _clip(list(found.values()), where, image_size=sizes.pop() if len(sizes) == 1 else None)


def read_instances(frames: list[Any], where: str) -> Clip:
    """MMPose's frames: ``instances`` of ``keypoints`` and ``keypoint_scores``, and a ``frame_id``."""
    found: dict[int, list[Person]] = {}
    for i, frame in enumerate(frames):
        instances = frame.get("instances") if isinstance(frame, dict) else None
        number = frame.get("frame_id", i) if isinstance(frame, dict) else i
        if not isinstance(instances, list) or not isinstance(number, int) or number in found:
            expected = "expects a list of 'instances', and a 'frame_id' of its own"
            raise InputError(f"{where}: frame {i}: {expected}")
        found[number] = [_person(one, f"{where}: frame {i}, person {j}") for j, one in enumerate(instances)]
    if not found:
        raise InputError(f"{where}: has no frames")
    return _clip(frames_by_number(found, where), where)


def _clip(frames: list[list[Person]], where: str, image_size: tuple[int, int] | None = None) -> Clip:
    clip = clip_of_people(frames, where, image_size=image_size)
    name = _LAYOUTS.get(clip.coordinates.shape[2:])
    return replace(clip, layout=get_layout(name) if name else None)


def _person(entry: Any, where: str) -> Person:
    if not isinstance(entry, dict) or "keypoints" not in entry:
        raise InputError(f"{where}: expects 'keypoints'")
    points = numbers_in(entry["keypoints"], where)
    scores = None
    if entry.get("keypoint_scores") is not None:
        scores = numbers_in(entry["keypoint_scores"], where).ravel()
    if points.ndim == 1 and scores is not None and len(scores) and points.size % len(scores) == 0:
        points = points.reshape(len(scores), -1)
    elif points.ndim == 1 and points.size % 3 == 0:
        points = points.reshape(-1, 3)
    if scores is None and points.ndim == 2 and points.shape[1] == 3:
        points, scores = points[:, :2], points[:, 2]
    if points.ndim != 2 or points.shape[1] not in (2, 3) or scores is not None and len(scores) != len(points):
        count = f"{points.size} numbers in 'keypoints'"
        raise InputError(f"{where}: {count}, expects x, y and a confidence for each joint")
    body = _BODY_OF.get(len(points), len(points))
    return Person(points[:body], None if scores is None else scores[:body], _identity(entry))


def _identity(entry: dict[str, Any]) -> Any:
    """Who a person is, from a tracker; lists of one number are taken for it."""
    given = next((entry[key] for key in _IDS if entry.get(key) is not None), None)
    while isinstance(given, list) and len(given) == 1:
        given = given[0]
    return given if isinstance(given, int | float | str) and given not in (-1, "") else None


def _in_order(images: dict[Any, list[Person]], where: str) -> list[list[Person]]:
    """Frames in the order of the numbers in their names, else of their names."""
    if not images:
        raise InputError(f"{where}: is empty, expects a list of persons")
    numbers = {image: _number(image) for image in images}
    if None in numbers.values() or len(set(numbers.values())) < len(numbers):
        return [images[image] for image in sorted(images, key=str)]
    ordered = {int(numbers[image] or 0): images[image] for image in images}
    span = max(ordered) - min(ordered) + 1
    if span <= 2 * len(ordered) + 30:
        return frames_by_number(ordered, where)
    return [ordered[number] for number in sorted(ordered)]


def _number(image: Any) -> int | None:
    if isinstance(image, int):
        return image
    digits = re.findall(r"\d{1,15}", image.rsplit(".", 1)[0])
    return int(digits[-1]) if digits else None


def is_detection(entry: Any) -> bool:
    """Whether an entry of a list is a person of COCO's results or AlphaPose's."""
    return isinstance(entry, dict) and "image_id" in entry and "keypoints" in entry


def size_of(content: dict[str, Any]) -> tuple[int, int] | None:
    """(height, width) in pixels, where a file says it."""
    height, width = content.get("height"), content.get("width")
    if isinstance(height, int) and isinstance(width, int) and 0 < height < 2**31 and 0 < width < 2**31:
        return height, width
    return None


_FRAME_FILE = re.compile(r"(?P<video>.*?)_?(?P<number>\d{1,15})_keypoints")
_OPENPOSE = {25: "body25", 18: "openpose18"}
_OPENPOSE_KEYS = (("pose_keypoints_3d", 4), ("pose_keypoints_2d", 3), ("pose_keypoints", 3))


def frame_files(folder: Path) -> list[Path]:
    """The files of a folder that OpenPose made, by name."""
    return sorted(path for path in folder.glob("*_keypoints.json") if _FRAME_FILE.fullmatch(path.stem))


def read_openpose(folder: Path) -> Clip:
    """A clip from a folder of frames; a frame whose number is missing has nobody in it."""
    files = frame_files(folder)
    if not files:
        raise InputError(f"{folder}: expects files NAME_000000000000_keypoints.json, as OpenPose makes them")
    names = [match for match in map(_FRAME_FILE.fullmatch, (path.stem for path in files)) if match]
    videos = sorted({match["video"] for match in names})
    if len(videos) > 1:
        raise InputError(
            f"{folder}: holds frames of {len(videos)} videos ({', '.join(videos[:3])}): "
            "expects one folder each"
        )
    found = {int(m["number"]): _openpose_people(path) for m, path in zip(names, files, strict=True)}
    frames = frames_by_number(found, str(folder))
    clip = clip_of_people(frames, str(folder))
    joints = clip.coordinates.shape[2]
    if joints not in _OPENPOSE:
        raise InputError(f"{folder}: has {joints} joints, expects 25 (BODY_25) or 18 (COCO)")
    return Clip(clip.coordinates, clip.scores, layout=get_layout(_OPENPOSE[joints]))


def _openpose_people(path: Path) -> list[Person]:
    content = read_json(path)
    people = content.get("people") if isinstance(content, dict) else None
    if not isinstance(people, list) or not all(isinstance(person, dict) for person in people):
        raise InputError(f"{path}: expects the key 'people' with a list of persons")
    return [_openpose_person(person, f"{path}: person {i}") for i, person in enumerate(people)]


def _openpose_person(person: dict[str, Any], where: str) -> Person:
    key, width = next((pair for pair in _OPENPOSE_KEYS if person.get(pair[0])), (None, 0))
    if key is None:
        names = ", ".join(person) or "nothing"
        raise InputError(f"{where}: expects 'pose_keypoints_2d', the person has {names}")
    numbers = numbers_in(person[key], where)
    if numbers.ndim != 1 or numbers.size % width:
        raise InputError(f"{where}: {key!r} has {numbers.size} numbers, expects {width} for each joint")
    table = numbers.reshape(-1, width)
    given = person.get("person_id")
    number = given[0] if isinstance(given, list) and given else given
    known = isinstance(number, int) and number >= 0
    return Person(table[:, :-1], table[:, -1], number if known else None)
