"""Joints of the SMPL family in .npz files: arrays (T, J, 3) in metres, as made from AMASS.

The body's joints come first in all of them: 24 of SMPL, 22 of SMPL+H and SMPL-X, whose hands and face follow
and are left out. AMASS's own files hold ``poses`` only; joints need the body model, which is not here.

Source: Loper et al., SMPL, SIGGRAPH Asia 2015; Mahmood et al., AMASS, ICCV 2019.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from kinelex.datasets.formats.clip import Clip
from kinelex.errors import InputError
from kinelex.files.npy import read_member
from kinelex.skeleton import SkeletonLayout, get_layout

JOINTS = ("joints", "joints3d", "joints_3d", "Jtr", "jtr", "j3d", "jts", "keypoints3d")
_RATES = ("mocap_framerate", "mocap_frame_rate", "fps", "framerate")
_SMPL = (24, 45, 49)  # SMPL's own 24, alone or before those of other sets


def body_without_hands() -> SkeletonLayout:
    """The 22 joints that SMPL, SMPL+H and SMPL-X share.

    >>> body_without_hands().joints[-1]
    'right_wrist'
    """
    whole = get_layout("smpl24")
    return SkeletonLayout("smpl22", whole.joints[:22], whole.parents[:22])


def read_smpl(archive: zipfile.ZipFile, names: list[str], path: Path) -> Clip:
    """A clip of one person from the array of joints among an archive's members."""
    key = next((name for name in JOINTS if name in names), None)
    if key is None:
        raise InputError(
            f"{path}: holds SMPL poses and no joints: run the body model over them (smplx, or AMASS's own "
            f"code) and save its joints (T, 22 or more, 3) in metres as the array {JOINTS[0]!r}"
        )
    x = read_member(archive, key)
    if x.ndim == 4 and x.shape[1] == 1:
        x = x[:, 0]
    if x.ndim != 3 or x.shape[2] != 3 or x.shape[1] < 22:
        raise InputError(f"{path}: {key!r} has shape {x.shape}, expects (T, 22 or more, 3)")
    layout = get_layout("smpl24") if x.shape[1] in _SMPL else body_without_hands()
    return Clip(x[:, None, : layout.num_joints], names=layout.joints, layout=layout, fps=_fps(archive, names))


def _fps(archive: zipfile.ZipFile, names: list[str]) -> float | None:
    for key in _RATES:
        if key in names:
            value = np.ravel(read_member(archive, key))
            return float(value[0]) if len(value) == 1 and 0 < value[0] < 1e6 else None
    return None
