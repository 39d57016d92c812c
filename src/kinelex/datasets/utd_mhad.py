"""Reader of UTD-MHAD's skeletons, 20 joints of Kinect v1 in the data set's own order.

One file per clip, ``Skeleton/aX_sY_tZ_skeleton.mat`` (action, subject, trial) with the variable
``d_skel`` (20, 3, T) in metres. The joints are put into the order of the layout ``kinect20``.

Source: Chen, Jafari, Kehtarnavaz: UTD-MHAD, ICIP 2015.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from kinelex.data import Sequence, StoreMeta
from kinelex.datasets.reader import Item, Reader, parse_name
from kinelex.errors import InputError
from kinelex.files.mat_file import read_mat
from kinelex.skeleton import get_layout

CLASSES = (
    "right arm swipe to the left",
    "right arm swipe to the right",
    "right hand wave",
    "two hand front clap",
    "right arm throw",
    "cross arms in the chest",
    "basketball shooting",
    "draw x",
    "draw circle (clockwise)",
    "draw circle (counter clockwise)",
    "draw triangle",
    "bowling (right hand)",
    "front boxing",
    "baseball swing from right",
    "tennis forehand swing",
    "arm curl (two arms)",
    "tennis serve",
    "two hand push",
    "knock on door",
    "hand catch",
    "pick up and throw",
    "jogging",
    "walking",
    "sit to stand",
    "stand to sit",
    "forward lunge (left foot forward)",
    "squat",
)
_NAME = re.compile(r"a(?P<action>\d+)_s(?P<subject>\d+)_t(?P<trial>\d+)_skeleton")
_OTHER_MODALITIES = ("_depth.mat", "_inertial.mat")
_JOINTS = 20
_FPS = 30.0


def read_clip(path: Path) -> Sequence:
    """Read one clip; the trial becomes the store's ``replication``.

    Args:
        path: a file ``aX_sY_tZ_skeleton.mat``.

    Raises:
        InputError: the name does not parse, its action is out of range, no readable .mat file, no
            variable ``d_skel``, or one that is not (20, 3, T).
    """
    numbers = parse_name(path, _NAME, "aX_sY_tZ_skeleton.mat, for example a1_s1_t1_skeleton.mat")
    if not 1 <= numbers["action"] <= len(CLASSES):
        raise InputError(f"{path}: the name has action {numbers['action']}, expects 1 to {len(CLASSES)}")
    content = read_mat(path)
    if "d_skel" not in content:
        raise InputError(
            f"{path}: expects the variable 'd_skel', the file has {', '.join(content) or 'none'}"
        )
    skeleton = content["d_skel"]
    if skeleton.ndim == 2:  # MATLAB drops a last dimension of 1
        skeleton = skeleton[:, :, None]
    if skeleton.ndim != 3 or skeleton.shape[:2] != (_JOINTS, 3):
        raise InputError(f"{path}: variable 'd_skel' has shape {skeleton.shape}, expects ({_JOINTS}, 3, T)")
    raw, common = get_layout("utd20"), get_layout("kinect20")
    order = [raw.index(joint) for joint in common.joints]
    frames = skeleton.transpose(2, 0, 1)[:, order]  # (T, V, 3)
    return Sequence(
        id=path.stem.removesuffix("_skeleton"),
        coordinates=np.ascontiguousarray(frames, dtype=np.float32)[:, None],
        label=numbers["action"] - 1,
        subject=numbers["subject"],
        replication=numbers["trial"],
        fps=_FPS,
    )


class UtdMhadReader(Reader):
    """The skeleton files under a folder; the .mat files of other modalities are left alone."""

    dataset = "utd_mhad"
    expected = "the files Skeleton/aX_sY_tZ_skeleton.mat"

    def meta(self) -> StoreMeta:
        """What the store says about itself."""
        return StoreMeta(
            dataset=self.dataset,
            layout=get_layout("kinect20"),
            class_names=CLASSES,
            source=str(self.source),
            prepared={"reader": self.dataset, "joint_order": "utd20 to kinect20"},
        )

    def items(self) -> list[Item]:
        """One for every file, by path."""
        files = sorted(self.source.rglob("*.mat"))
        return [Item(path) for path in files if not path.name.endswith(_OTHER_MODALITIES)]

    def read(self, item: Item) -> Iterator[Sequence]:
        """The clip of one file."""
        yield read_clip(item.path)
