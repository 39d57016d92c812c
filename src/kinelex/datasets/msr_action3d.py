"""Reader of MSR Action3D's skeletons, 20 joints in metres.

One file per clip, ``aAA_sSS_eEE_skeleton3D.txt`` (action, subject, execution): 20 lines per frame, each x, y,
z and a confidence. A joint, or a whole frame, that was not seen is 0 0 0; that is how a store has it too. A
confidence of 0 beside other coordinates marks a joint that the tracker inferred, as it always does the neck:
such a joint stays, and the confidences, which would say that it is absent, are left out.

Source: Li, Zhang, Liu: Action recognition based on a bag of 3D points, CVPR workshops 2010.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from kinelex.data import Sequence
from kinelex.datasets.formats.numbers import read_table
from kinelex.datasets.reader import FilesReader, Item, class_names, parse_name
from kinelex.errors import InputError

CLASSES = class_names("msr_action3d")
_NAME = re.compile(r"a(?P<action>\d+)_s(?P<subject>\d+)_e(?P<execution>\d+)_skeleton3D")
_JOINTS = 20
_FPS = 15.0  # of the depth camera, as the paper says


def read_clip(path: Path) -> Sequence:
    """Read one clip ``aAA_sSS_eEE_skeleton3D.txt``; the execution becomes the store's ``replication``."""
    form = "aAA_sSS_eEE_skeleton3D.txt, for example a01_s01_e01_skeleton3D.txt"
    numbers = parse_name(path, _NAME, form)
    if not 1 <= numbers["action"] <= len(CLASSES):
        raise InputError(f"{path}: the name has action {numbers['action']}, expects 1 to {len(CLASSES)}")
    table = read_table(path, 4)
    if len(table) % _JOINTS:
        lines = f"has {len(table)} lines, expects {_JOINTS} per frame"
        raise InputError(f"{path}: {lines}: the last frame is not whole")
    return Sequence(
        id=path.stem.removesuffix("_skeleton3D"),
        coordinates=np.ascontiguousarray(table[:, :3], np.float32).reshape(-1, 1, _JOINTS, 3),
        label=numbers["action"] - 1,
        subject=numbers["subject"],
        replication=numbers["execution"],
        fps=_FPS,
    )


class MsrAction3dReader(FilesReader):
    """The files in metres under a folder; those in pixels (``_skeleton.txt``) are left alone."""

    dataset = "msr_action3d"
    expected = "the files aAA_sSS_eEE_skeleton3D.txt of MSRAction3DSkeletonReal3D"
    layout = "msr20"
    pattern = "*_skeleton3D.txt"

    def read(self, item: Item) -> Iterator[Sequence]:
        yield read_clip(item.path)
