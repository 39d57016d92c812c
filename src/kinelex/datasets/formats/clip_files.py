"""Clips in files of one's own, one clip per file: which ending is read by what; .npy, .npz and .csv.

An .npz file may hold joints of the SMPL family, (T, J, 3) in metres, as made from AMASS. The body's joints
come first: 24 of SMPL, 22 of SMPL+H and SMPL-X, whose hands and face are left out. AMASS's own files hold
``poses`` only; joints need the body model, which is not here.

Source: Loper et al., SMPL, SIGGRAPH Asia 2015; Mahmood et al., AMASS, ICCV 2019.
"""

from __future__ import annotations

import zipfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from kinelex.datasets.formats.acclaim import read_amc
from kinelex.datasets.formats.arrays import as_clip, fit_width
from kinelex.datasets.formats.bvh import read_bvh
from kinelex.datasets.formats.clip import Clip, with_joints_of
from kinelex.datasets.formats.csv_clip import read_csv
from kinelex.datasets.formats.keypoint_json import frame_files, read_openpose
from kinelex.datasets.formats.landmark_json import read_json_clip
from kinelex.datasets.formats.markers import marker_layout, read_c3d, read_trc
from kinelex.errors import InputError
from kinelex.files.npy import open_zip, read_member, read_npy
from kinelex.skeleton import SkeletonLayout, get_layout

SMPL_JOINTS = ("joints", "joints3d", "joints_3d", "Jtr", "jtr", "j3d", "jts", "keypoints3d")
_RATES = ("mocap_framerate", "mocap_frame_rate", "fps", "framerate")
_SMPL_SIZES = (24, 45, 49)  # SMPL's own 24, alone or before those of other sets


def body_without_hands() -> SkeletonLayout:
    """The 22 joints that SMPL, SMPL+H and SMPL-X share.

    >>> body_without_hands().joints[-1]
    'right_wrist'
    """
    whole = get_layout("smpl24")
    return SkeletonLayout("smpl22", whole.joints[:22], whole.parents[:22])


def read_smpl(archive: zipfile.ZipFile, names: list[str], path: Path) -> Clip:
    """A clip of one person from the array of joints among an archive's members."""
    key = next((name for name in SMPL_JOINTS if name in names), None)
    if key is None:
        raise InputError(
            f"{path}: holds SMPL poses and no joints: run the body model over them (smplx, or AMASS's own "
            f"code) and save its joints (T, 22 or more, 3) in metres as the array {SMPL_JOINTS[0]!r}"
        )
    x = read_member(archive, key)
    if x.ndim == 4 and x.shape[1] == 1:
        x = x[:, 0]
    if x.ndim != 3 or x.shape[2] != 3 or x.shape[1] < 22:
        raise InputError(f"{path}: {key!r} has shape {x.shape}, expects (T, 22 or more, 3)")
    layout = get_layout("smpl24") if x.shape[1] in _SMPL_SIZES else body_without_hands()
    x = x[:, None, : layout.num_joints]
    return Clip(x, names=layout.joints, layout=layout, fps=_smpl_fps(archive, names))


def _smpl_fps(archive: zipfile.ZipFile, names: list[str]) -> float | None:
    for key in _RATES:
        if key in names:
            value = np.ravel(read_member(archive, key))
            return float(value[0]) if len(value) == 1 and 0 < value[0] < 1e6 else None
    return None


ENDINGS = (".npy", ".npz", ".csv", ".bvh", ".json", ".trc", ".c3d", ".amc")
_COORDINATES, _SCORES = "coordinates", "scores"


def read_clip(
    path: Path, layout: SkeletonLayout | None, channels: str | None = None, axes: str | None = None
) -> Clip:
    """One clip from a file, by its ending.

    Args:
        layout: the layout of the joints; None takes them as they come. Of a file that names its joints those
            of the layout are chosen.
        channels: what the numbers of a joint are, for files that do not say it; None leaves them together.
    """
    ending = path.suffix.lower()
    if path.is_dir():
        return read_openpose(path)
    if ending not in ENDINGS:
        raise InputError(f"{path}: expects a file ending in {', '.join(ENDINGS)}, or a folder of OpenPose's")
    if not path.is_file():
        raise InputError(f"{path}: does not exist, but the manifest lists it")
    if ending == ".csv":
        return read_csv(path, layout, channels)
    if ending == ".npy":
        return Clip(_array(read_npy(path), path, layout, channels, axes))
    if ending == ".npz":
        clip = _read_npz(path, layout, channels, axes)
    else:
        clip = _READERS[ending](path)
    if layout is not None:
        return with_joints_of(clip, layout, path)
    if clip.layout is None and clip.names is not None:
        tree = read_bvh(path).layout if ending == ".bvh" else partial(marker_layout, markers=clip.names)
        return replace(clip, layout=tree(path.stem))
    return clip


def is_clip(path: Path) -> bool:
    """Whether a path looks like a clip: a file by its ending, a folder by OpenPose's frames in it."""
    return bool(frame_files(path)) if path.is_dir() else path.suffix.lower() in ENDINGS


def files_of(path: Path) -> tuple[Path, ...]:
    """All files that decide what a clip is: the frames of a folder, the skeleton of an .amc file."""
    if path.is_dir():
        return tuple(frame_files(path))
    if path.suffix.lower() == ".amc":
        return (path, *sorted(path.parent.glob("*.asf")))
    return (path,)


def _read_bvh(path: Path) -> Clip:
    bvh = read_bvh(path)
    return Clip(bvh.positions()[:, None], names=tuple(joint.name for joint in bvh.joints), fps=bvh.fps)


def _array(
    x: np.ndarray, path: Path, layout: SkeletonLayout | None, channels: str | None, axes: str | None
) -> np.ndarray:
    """An array of a clip as (T, M, V, C); rows of numbers are read as those of a .csv."""
    if x.ndim == 2 and axes is None and layout is not None:
        return fit_width(x, layout.num_joints, channels, path)
    return as_clip(x, axes, None if layout is None else layout.num_joints, path)


def _read_npz(path: Path, layout: SkeletonLayout | None, channels: str | None, axes: str | None) -> Clip:
    with open_zip(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
        if _COORDINATES not in names and {"poses", *SMPL_JOINTS} & set(names):
            return read_smpl(archive, names, path)
        if _COORDINATES not in names:
            found = ", ".join(names[:8]) or "nothing"
            raise InputError(f"{path}: expects the array {_COORDINATES!r}, the file has {found}")
        x = _array(read_member(archive, _COORDINATES), path, layout, channels, axes)
        if _SCORES not in names:
            return Clip(x)
        scores = read_member(archive, _SCORES)
    if axes is not None and scores.ndim == len(axes) - 1:
        scores = as_clip(scores[..., None], axes.replace("C", "") + "C", None, path)[..., 0]
    scores = scores[:, None] if scores.ndim == 2 else scores
    if scores.shape != x.shape[:3]:
        raise InputError(f"{path}: expects {_SCORES!r} of shape (T, M, V) {x.shape[:3]}, got {scores.shape}")
    return Clip(x, scores)


_READERS = {".bvh": _read_bvh, ".json": read_json_clip, ".trc": read_trc, ".c3d": read_c3d, ".amc": read_amc}
