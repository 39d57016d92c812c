"""Marker trajectories in .trc files (OpenSim, OpenCap, Motion Analysis).

Five lines of head: the third has rate, counts and unit, the fourth the markers' names, three columns each. A
cell that is empty is a marker that was not seen. Places become metres.

Source: OpenSim documentation, "Marker (.trc) Files".
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kinelex.datasets.formats.clip import METRES, Clip
from kinelex.errors import InputError

_TO_METRES = {"m": 1.0, "cm": 0.01, "mm": 0.001, "meters": 1.0, "metres": 1.0, "in": 0.0254}
_MOST_MARKERS = 1000


@dataclass(frozen=True)
class _Head:
    fps: float
    frames: int
    names: tuple[str, ...]
    metres: float


def read_trc(path: Path) -> Clip:
    """A clip of one person, all markers, in metres."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    lines = text.splitlines()
    head = _head(lines, path)
    rows = [(i, line) for i, line in enumerate(lines[5:], 6) if line.strip()]
    if len(rows) != head.frames or not rows:
        raise InputError(f"{path}: NumFrames is {head.frames}, but {len(rows)} rows follow (truncated?)")
    if not text.endswith(("\n", "\r")):
        raise InputError(f"{path}: line {len(lines)} is not ended, so the file may be truncated")
    table = np.array([_row(line, 3 * len(head.names), f"{path}: line {i}") for i, line in rows])
    x = table.reshape(len(rows), 1, -1, 3) * head.metres
    return Clip(np.nan_to_num(x, nan=0.0), names=head.names, fps=head.fps, units=METRES)


def _head(lines: list[str], path: Path) -> _Head:
    expected = "expects the head of a .trc file: PathFileType, DataRate, its values, names of markers, axes"
    if len(lines) < 5 or not lines[0].startswith("PathFileType"):
        raise InputError(f"{path}: {expected}")
    values = dict(zip(lines[1].split(), lines[2].split(), strict=False))
    try:
        fps, frames, markers = float(values["DataRate"]), int(values["NumFrames"]), int(values["NumMarkers"])
        unit = values["Units"].lower()
    except (KeyError, ValueError) as error:
        raise InputError(f"{path}: line 3: {expected}; {error}") from error
    if unit not in _TO_METRES or not 0 < fps < 1e6 or not 0 < markers <= _MOST_MARKERS:
        raise InputError(
            f"{path}: line 3: rate {fps:g}, {markers} markers, unit {unit!r:.20}: expects a positive rate, "
            f"1 to {_MOST_MARKERS} markers, and one of {', '.join(_TO_METRES)}"
        )
    names = tuple(name.strip() for name in lines[3].split("\t")[2:] if name.strip())
    if len(names) != markers:
        raise InputError(f"{path}: line 4: NumMarkers is {markers}, but {len(names)} names follow")
    return _Head(fps, frames, names, _TO_METRES[unit])


def _row(line: str, count: int, where: str) -> list[float]:
    """The numbers behind frame and time; NaN where a cell is empty."""
    cells = [cell.strip() for cell in (line.split("\t") if "\t" in line else line.split())]
    while len(cells) > count + 2 and not cells[-1]:
        cells.pop()
    if len(cells) != count + 2:
        raise InputError(f"{where}: has {len(cells) - 2} numbers behind frame and time, expects {count}")
    try:
        numbers = [float(cell) if cell else float("nan") for cell in cells[2:]]
    except ValueError as error:
        raise InputError(f"{where}: expects numbers: {error}") from error
    return numbers
