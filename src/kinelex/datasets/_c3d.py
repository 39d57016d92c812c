"""Marker trajectories in .c3d files (Vicon, Qualisys and others), read by ezc3d; places become metres.

A point whose residual is negative was not seen: absent.

Source: The C3D File Format, Motion Lab Systems; ezc3d (Michaud and Begon, JOSS 2021).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kinelex.datasets._clip import Clip
from kinelex.errors import InputError

_METRES = {"m": 1.0, "cm": 0.01, "mm": 0.001, "": 0.001}
_BLOCK = 512  # bytes
_PROCESSORS = {84: "<", 85: "<", 86: ">"}  # of the numbers: Intel, DEC, MIPS
_HEAD_WORDS = 12


def read_c3d(path: Path) -> Clip:
    """A clip of one person, all points, in metres.

    Raises:
        InputError: ezc3d is not installed, the file cannot be read, is none, or truncated.
    """
    try:
        import ezc3d
    except ImportError as error:
        raise InputError(
            f"{path}: .c3d files are read by ezc3d, which is not installed: pip install 'kinelex[formats]'"
        ) from error
    _check_size(path)
    try:
        content = ezc3d.c3d(str(path))
        points = content["data"]["points"]
        unseen = content["data"]["meta_points"]["residuals"][0] < 0
        parameters = content["parameters"]["POINT"]
        labels = [str(label) for label in parameters["LABELS"]["value"][: points.shape[1]]]
        unit = str(next(iter(parameters.get("UNITS", {}).get("value", [])), "")).strip().lower()
        fps = float(content["header"]["points"]["frame_rate"])
    except Exception as error:  # a damaged file provokes errors of every kind in the library
        raise InputError(f"{path}: not a readable .c3d file (truncated or damaged): {error}") from error
    if points.shape[1] == 0 or len(labels) != points.shape[1] or unit not in _METRES:
        raise InputError(
            f"{path}: {points.shape[1]} points, {len(labels)} labels, unit {unit!r:.20}: expects points with "
            "a label each, in m, cm or mm"
        )
    x = points[:3].transpose(2, 1, 0) * _METRES[unit]  # (T, V, 3)
    x = np.where(unseen.T[..., None] | ~np.isfinite(x), 0, x)
    rate = fps if 0 < fps < 1e6 else None
    return Clip(x[:, None], names=tuple(label.split(":")[-1] for label in labels), fps=rate)


def _check_size(path: Path) -> None:
    """Refuse a file whose head claims more numbers than it holds: the library would trust it."""
    try:
        size = path.stat().st_size
        with open(path, "rb") as file:
            head = file.read(2 * _HEAD_WORDS)
            file.seek(_BLOCK * (head[0] - 1) if head[:1] and head[0] else 0)
            parameters = file.read(4)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    if (
        len(head) < 2 * _HEAD_WORDS
        or head[1] != 0x50
        or len(parameters) < 4
        or parameters[3] not in _PROCESSORS
    ):
        raise InputError(f"{path}: not a .c3d file, or truncated")
    words = np.frombuffer(head, f"{_PROCESSORS[parameters[3]]}u2").astype(np.int64)
    points, analog, first, last, data = (int(words[i]) for i in (1, 2, 3, 4, 8))
    width = 4 if np.frombuffer(head, f"{_PROCESSORS[parameters[3]]}f4", 1, 12)[0] < 0 else 2
    needed = (data - 1) * _BLOCK + max(last - first + 1, 1) * (4 * points + analog) * width
    if last < 65535 and needed > size:
        raise InputError(f"{path}: truncated or damaged: {size} bytes, its head asks for {needed}")
