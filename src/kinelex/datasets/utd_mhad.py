"""Reader of UTD-MHAD's skeletons, 20 joints of Kinect v1 in the data set's own order.

One file per clip, ``Skeleton/aX_sY_tZ_skeleton.mat`` (action, subject, trial) with the variable
``d_skel`` (20, 3, T) in metres. The joints are put into the order of the layout ``kinect20``.

Source: Chen, Jafari, Kehtarnavaz: UTD-MHAD, ICIP 2015.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from kinelex.data import Sequence
from kinelex.datasets.reader import FilesReader, Item, class_names, parse_name
from kinelex.errors import InputError
from kinelex.files.mat_file import read_mat_frames
from kinelex.skeleton import get_layout

CLASSES = class_names("utd_mhad")
_NAME = re.compile(r"a(?P<action>\d+)_s(?P<subject>\d+)_t(?P<trial>\d+)_skeleton")
_OTHER_MODALITIES = ("_depth.mat", "_inertial.mat")
_FPS = 30.0


def read_clip(path: Path) -> Sequence:
    """Read one clip ``aX_sY_tZ_skeleton.mat``; the trial becomes the store's ``replication``."""
    numbers = parse_name(path, _NAME, "aX_sY_tZ_skeleton.mat, for example a1_s1_t1_skeleton.mat")
    if not 1 <= numbers["action"] <= len(CLASSES):
        raise InputError(f"{path}: the name has action {numbers['action']}, expects 1 to {len(CLASSES)}")
    skeleton = read_mat_frames(path, "d_skel", (20, 3))
    raw, common = get_layout("utd20"), get_layout("kinect20")
    order = [raw.index(joint) for joint in common.joints]
    frames = skeleton.transpose(2, 0, 1)[:, order]  # (T, V, 3)
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and the clip is skipped
        coordinates = np.ascontiguousarray(frames, dtype=np.float32)[:, None]
    return Sequence(
        id=path.stem.removesuffix("_skeleton"),
        coordinates=coordinates,
        label=numbers["action"] - 1,
        subject=numbers["subject"],
        replication=numbers["trial"],
        fps=_FPS,
    )


class UtdMhadReader(FilesReader):
    """The skeleton files under a folder; the .mat files of other modalities are left alone."""

    dataset = "utd_mhad"
    expected = "the files Skeleton/aX_sY_tZ_skeleton.mat"
    layout = "kinect20"
    pattern = "*.mat"

    def prepared(self) -> dict[str, Any]:
        return {"joint_order": "utd20 to kinect20"}

    def items(self) -> list[Item]:
        return [item for item in super().items() if not item.path.name.endswith(_OTHER_MODALITIES)]

    def read(self, item: Item) -> Iterator[Sequence]:
        yield read_clip(item.path)
