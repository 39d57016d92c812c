"""Reader of Northwestern-UCLA Multiview Action 3D, the JSON release with 20 joints of Kinect v1.

One file per clip, ``all_sqe/aXX_sYY_eZZ_vWW.json`` (action, subject, environment, view) with the keys
``file_name``, ``skeletons`` (T, 20, 3), in metres, and ``label``, counted from 1.

Source: Wang, Nie, Xia, Wu, Zhu: Cross-view action modeling, learning and recognition, CVPR 2014.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from kinelex.data import Sequence
from kinelex.datasets.reader import FilesReader, Item, class_names, parse_name
from kinelex.errors import InputError
from kinelex.files.bounded import safe_json

CLASSES = class_names("nw_ucla")
_ACTIONS = (1, 2, 3, 4, 5, 6, 8, 9, 11, 12)  # the action number in the file's name, in label order
_NAME = re.compile(r"a(?P<action>\d+)_s(?P<subject>\d+)_e(?P<environment>\d+)_v(?P<view>\d+)")
_JOINTS = 20


def read_clip(path: Path) -> Sequence:
    """Read one clip ``aXX_sYY_eZZ_vWW.json``; its environment number becomes the store's ``replication``."""
    numbers = parse_name(path, _NAME, "aXX_sYY_eZZ_vWW.json, for example a01_s01_e00_v01.json")
    if numbers["action"] not in _ACTIONS:
        known = ", ".join(str(a) for a in _ACTIONS)
        raise InputError(f"{path}: the name has action {numbers['action']}, expects one of {known}")
    content, truths = _load(path)
    label = content["label"]
    if not isinstance(label, int) or isinstance(label, bool) or not 1 <= label <= len(CLASSES):
        raise InputError(f"{path}: field 'label' is {label!r}, expects a number from 1 to {len(CLASSES)}")
    expected = _ACTIONS.index(numbers["action"]) + 1
    if label != expected:
        raise InputError(
            f"{path}: field 'label' is {label}, expects {expected} for action {numbers['action']} of the name"
        )
    return Sequence(
        id=path.stem,
        coordinates=_coordinates(path, content["skeletons"], truths)[:, None],
        label=label - 1,
        subject=numbers["subject"],
        camera=numbers["view"],
        replication=numbers["environment"],
    )


def _load(path: Path) -> tuple[dict[str, Any], bool]:
    """The object in a file, and whether truth values are among what it holds."""
    try:
        text = path.read_text(encoding="utf-8")
        content = safe_json(text)
    except json.JSONDecodeError as error:
        raise InputError(
            f"{path}: line {error.lineno}, column {error.colno}: not valid JSON ({error.msg}); "
            "the file is truncated or damaged"
        ) from error
    except (OSError, ValueError, RecursionError) as error:  # no UTF-8, endless digits, brackets in brackets
        raise InputError(f"{path}: cannot be read as a JSON text: {error}") from error
    missing = [k for k in ("skeletons", "label") if not isinstance(content, dict) or k not in content]
    if missing:
        expected = "expects an object with the fields 'skeletons' and 'label'"
        raise InputError(f"{path}: {expected}, has no {missing[0]!r}")
    return content, "true" in text or "false" in text


def _coordinates(path: Path, frames: Any, truths: bool) -> np.ndarray:
    """The field 'skeletons' as an array (T, 20, 3); ``truths``: numpy would take some of it for 0 and 1."""
    try:
        x = np.array(frames)
    except ValueError:
        x = np.zeros(0)  # ragged: the search below names the frame
    if x.shape[1:] == (_JOINTS, 3) and x.dtype.kind in "fi" and not truths:
        with np.errstate(over="ignore"):  # what is too large becomes infinite, and is told so
            return x.astype(np.float32)
    if not isinstance(frames, list) or not frames:
        raise InputError(f"{path}: field 'skeletons' has no frames, expects a list of {_JOINTS} joints each")
    for t, frame in enumerate(frames):
        joints = len(frame) if isinstance(frame, list) else 0
        if joints != _JOINTS:
            raise InputError(f"{path}: frame {t} of 'skeletons' has {joints} joints, expects {_JOINTS}")
        for v, joint in enumerate(frame):
            where = f"frame {t}, joint {v} of 'skeletons'"
            if not (isinstance(joint, list) and len(joint) == 3 and all(_is_number(c) for c in joint)):
                raise InputError(f"{path}: {where} is {joint!r}, expects 3 numbers")
    raise InputError(f"{path}: field 'skeletons' has numbers out of range, or 'true' or 'false' beside it")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


class NwUclaReader(FilesReader):
    """The JSON files under a folder."""

    dataset = "nw_ucla"
    expected = "the files all_sqe/aXX_sYY_eZZ_vWW.json"
    layout = "kinect20"
    pattern = "*.json"

    def read(self, item: Item) -> Iterator[Sequence]:
        yield read_clip(item.path)
