"""Reader of SBU Kinect Interaction: two persons, 15 joints each, in every frame.

One file per clip, ``sAAsBB/CC/RRR/skeleton_pos.txt`` (the two subjects, the class, the run): per line the
frame's number and 2 x 15 x 3 normalised coordinates, divided by commas.

Source: Yun, Honorio, Chattopadhyay, Berg, Samaras: Two-person interaction detection using body-pose
features and multiple instance learning, CVPR workshops 2012.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from kinelex.data import Sequence
from kinelex.datasets.formats.numbers import read_table
from kinelex.datasets.reader import FilesReader, Item, class_names
from kinelex.errors import InputError

CLASSES = class_names("sbu")
_PERSONS, _JOINTS = 2, 15
_FPS = 15.0
_FIELDS = 1 + _PERSONS * _JOINTS * 3
_FILE = "skeleton_pos.txt"
_FOLDERS = re.compile(r"s(?P<first>[0-9]{2})s(?P<second>[0-9]{2})/(?P<label>[0-9]{2})/(?P<run>[0-9]{3})")
# Millimetres from the file's numbers: x = 1280 - 2560 x', y = 960 - 1920 y', z = z' 10000 / 7.8125.
_OFFSET = np.array([1.280, 0.960, 0.0])  # metres
_SCALE = np.array([-2.560, -1.920, 1.280])  # metres


def read_clip(path: Path) -> Sequence:
    """Read one clip; the run becomes the store's ``replication``, the pair s01s02 its subject 102."""
    folders = path.absolute().parent.parts[-3:]
    match = _FOLDERS.fullmatch("/".join(folders))
    if match is None:
        raise InputError(
            f"{path}: the folders' names do not parse, expects sAAsBB/CC/RRR/{_FILE}, "
            f"for example s01s02/01/001/{_FILE}"
        )
    numbers = {name: int(text) for name, text in match.groupdict().items()}
    if not 1 <= numbers["label"] <= len(CLASSES):
        raise InputError(f"{path}: the class {numbers['label']} is out of range, expects 1 to {len(CLASSES)}")
    return Sequence(
        id="_".join(folders),
        coordinates=_coordinates(path),
        label=numbers["label"] - 1,
        subject=100 * numbers["first"] + numbers["second"],
        replication=numbers["run"],
        fps=_FPS,
    )


def _coordinates(path: Path) -> np.ndarray:
    """The frames of a file in metres, (T, 2, 15, 3)."""
    table = read_table(path, _FIELDS, comma=True)
    for row in np.flatnonzero(np.diff(table[:, 0]) != 1)[:1]:
        numbers = f"expects frame {table[row, 0] + 1:g}, got {table[row + 1, 0]:g}"
        raise InputError(f"{path}: line {row + 2}: {numbers}; lines are missing or out of order")
    raw = table[:, 1:].reshape(-1, _PERSONS, _JOINTS, 3)
    for person in range(_PERSONS):
        for row in np.flatnonzero(~raw[:, person].any(axis=(1, 2)))[:1]:
            where = f"{path}: line {row + 1}: person {person + 1}"
            raise InputError(f"{where} is all zeros, expects two persons")
    return (_OFFSET + _SCALE * raw).astype(np.float32)


class SbuReader(FilesReader):
    """Reader of SBU Kinect Interaction.

    Args:
        source: the folder that holds the folders ``sAAsBB``.
    """

    dataset = "sbu"
    expected = f"the files sAAsBB/CC/RRR/{_FILE}"
    layout = "sbu15"
    pattern = _FILE

    def prepared(self) -> dict[str, Any]:
        return {"coordinates": "metres, from the normalised ones"}

    def read(self, item: Item) -> Iterator[Sequence]:
        yield read_clip(item.path)
