"""Clips in files of one's own, one clip per file: which ending is read by what; .npy, .npz and .csv."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from kinelex.datasets._amc import read_amc
from kinelex.datasets._c3d import read_c3d
from kinelex.datasets._clip import Clip, with_joints_of
from kinelex.datasets._json_clips import read_json_clip
from kinelex.datasets._markers import marker_layout
from kinelex.datasets._npy import open_zip, read_member, read_npy
from kinelex.datasets._openpose import frame_files, read_openpose
from kinelex.datasets._smpl_npz import JOINTS, read_smpl
from kinelex.datasets._trc import read_trc
from kinelex.datasets.bvh import read_bvh
from kinelex.errors import InputError, unknown_name
from kinelex.skeleton import SkeletonLayout

ENDINGS = (".npy", ".npz", ".csv", ".bvh", ".json", ".trc", ".c3d", ".amc")
_BESIDE = ("frame", "time", "timestamp")  # columns of a .csv that are no coordinates
_COORDINATES, _SCORES = "coordinates", "scores"


def read_clip(path: Path, layout: SkeletonLayout | None) -> Clip:
    """One clip from a file, by its ending.

    Args:
        path: the file.
        layout: the layout of the joints; None takes them as they come (not for .csv). Of a file that names
            its joints those of the layout are chosen.

    Raises:
        InputError: another ending, no file, damaged, or it does not fit the layout.
    """
    ending = path.suffix.lower()
    if path.is_dir():
        return read_openpose(path)
    if ending not in ENDINGS:
        raise InputError(f"{path}: expects a file ending in {', '.join(ENDINGS)}, or a folder of OpenPose's")
    if not path.is_file():
        raise InputError(f"{path}: does not exist, but the manifest lists it")
    if ending == ".csv":
        if layout is None:
            raise InputError(
                f"{path}: a .csv does not tell its layout: pass --layout NAME or --layout FILE.yaml"
            )
        return Clip(read_csv(path, layout))
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


def _read_npy(path: Path) -> Clip:
    return Clip(with_persons(read_npy(path), path))


def _read_bvh(path: Path) -> Clip:
    bvh = read_bvh(path)
    return Clip(bvh.positions()[:, None], names=tuple(joint.name for joint in bvh.joints), fps=bvh.fps)


def with_persons(x: np.ndarray, path: Path) -> np.ndarray:
    """Coordinates (T, V, C) or (T, M, V, C) as (T, M, V, C)."""
    if x.ndim == 3:
        x = x[:, None]
    if x.ndim != 4 or x.shape[3] not in (2, 3):
        raise InputError(f"{path}: expects shape (T, V, C) or (T, M, V, C) with C 2 or 3, got {x.shape}")
    return x


def _read_npz(path: Path) -> Clip:
    with open_zip(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
        if _COORDINATES not in names and {"poses", *JOINTS} & set(names):
            return read_smpl(archive, names, path)
        if _COORDINATES not in names:
            found = ", ".join(names[:8]) or "nothing"
            raise InputError(f"{path}: expects the array {_COORDINATES!r}, the file has {found}")
        x = with_persons(read_member(archive, _COORDINATES), path)
        if _SCORES not in names:
            return Clip(x)
        scores = read_member(archive, _SCORES)
    scores = scores[:, None] if scores.ndim == 2 else scores
    if scores.shape != x.shape[:3]:
        raise InputError(f"{path}: expects {_SCORES!r} of shape (T, M, V) {x.shape[:3]}, got {scores.shape}")
    return Clip(x, scores)


def read_csv(path: Path, layout: SkeletonLayout) -> np.ndarray:
    """A clip of one row per frame, (T, M, V, C).

    With a header the columns are ``<joint>_x``, ``<joint>_y`` and maybe ``<joint>_z`` in any order; columns
    ``frame``, ``time`` and ``timestamp`` are passed over. Without one they are the coordinates in the
    layout's order, person after person, 3 to a joint where that fits, else 2.

    Raises:
        InputError: cannot be read, truncated, columns that do not fit the layout, or no numbers.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        raise InputError(f"{path}: is empty, expects one row per frame")
    if not text.endswith(("\n", "\r")):
        raise InputError(
            f"{path}: its last line is not ended, so it may be truncated: end it with a new line"
        )
    delimiter = next((d for d in ";\t" if d in lines[0]), ",")
    first = [cell.strip() for cell in next(csv.reader([lines[0]], delimiter=delimiter))]
    has_header = not all(_is_number(cell) for cell in first)
    values = _table(path, lines, delimiter, has_header)
    if has_header:
        return _by_header(path, values, first, layout)
    fitting = [c for c in (3, 2) if values.shape[1] % (layout.num_joints * c) == 0]
    if not fitting:
        raise InputError(
            f"{path}: {values.shape[1]} columns, expects {3 * layout.num_joints} (x, y, z of "
            f"{layout.num_joints} joints of {layout.name}) or {2 * layout.num_joints} (x, y) per person"
        )
    return values.reshape(len(values), -1, layout.num_joints, fitting[0])


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _table(path: Path, lines: Sequence[str], delimiter: str, has_header: bool) -> np.ndarray:
    body = lines[has_header:]
    if not body:
        raise InputError(f"{path}: has a header and no rows, expects one row per frame")
    try:
        text = io.StringIO("\n".join(body))
        return np.loadtxt(text, delimiter=delimiter, comments=None, quotechar='"', ndmin=2)
    except (ValueError, UnicodeError) as error:
        raise InputError(f"{path}: expects numbers, as many in each row: {error}") from error


def _by_header(path: Path, values: np.ndarray, names: list[str], layout: SkeletonLayout) -> np.ndarray:
    if len(names) != values.shape[1]:
        raise InputError(f"{path}: {len(names)} names in the header, {values.shape[1]} numbers in a row")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"{path}: columns twice in the header: {', '.join(twice[:4])}")
    axes = "xyz" if any(name.endswith("_z") for name in names) else "xy"
    expected = [f"{joint}_{axis}" for joint in layout.joints for axis in axes]
    for name in names:
        if name not in expected and name.lower() not in _BESIDE:
            raise InputError(f"{path}: {unknown_name(f'column for {layout.name}', name, expected)}")
    missing = [name for name in expected if name not in names]
    if missing:
        raise InputError(f"{path}: the header lacks {', '.join(missing[:4])} ({len(missing)} in all)")
    order = [names.index(name) for name in expected]
    return values[:, order].reshape(len(values), 1, layout.num_joints, len(axes))


_READERS = {
    ".npy": _read_npy,
    ".npz": _read_npz,
    ".bvh": _read_bvh,
    ".json": read_json_clip,
    ".trc": read_trc,
    ".c3d": read_c3d,
    ".amc": read_amc,
}
