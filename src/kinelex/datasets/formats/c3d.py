"""Marker trajectories in .c3d files (Vicon, Qualisys and others), read by ezc3d; places become metres.

A point whose residual is negative was not seen: absent. A damaged file can end the whole process in ezc3d (a
segmentation fault) or ask for any amount of memory, so it runs in a process of its own, with a bound.

Source: The C3D File Format, Motion Lab Systems; ezc3d (Michaud and Begon, JOSS 2021).
"""

from __future__ import annotations

import importlib.util
import io
import subprocess
import sys
from pathlib import Path

import numpy as np

from kinelex.datasets.formats.clip import METRES, Clip
from kinelex.errors import InputError

_TO_METRES = {"m": 1.0, "cm": 0.01, "mm": 0.001, "": 0.001}
_SECONDS = 300  # for one file, on a busy machine
_BLOCK, _HEAD = 512, 24  # bytes
_MIPS = 86  # processor type: big end first
_READ = """
import io, sys
try:
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[2]),) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, (int(sys.argv[3]),) * 2)
except ImportError:
    pass
import ezc3d, numpy as np
content = ezc3d.c3d(sys.argv[1])
point = content["parameters"]["POINT"]
found = io.BytesIO()
np.savez(
    found,
    points=content["data"]["points"][:3],
    residuals=content["data"]["meta_points"]["residuals"][0],
    labels=np.array([str(label) for label in point["LABELS"]["value"]], dtype=str),
    units=np.array([str(unit) for unit in point["UNITS"]["value"]] if "UNITS" in point else [], dtype=str),
    fps=content["header"]["points"]["frame_rate"],
)
sys.stdout.buffer.write(found.getvalue())
"""


def read_c3d(path: Path) -> Clip:
    """A clip of one person, all points, in metres."""
    if importlib.util.find_spec("ezc3d") is None:
        raise InputError(
            f"{path}: .c3d files are read by ezc3d, which is not installed: pip install 'kinelex[formats]'"
        )
    _check_size(path)
    found = _content(path)
    points, labels = found["points"], [str(label) for label in found["labels"]][: found["points"].shape[1]]
    unit = str(found["units"][0]).strip().lower() if len(found["units"]) else ""
    if points.shape[1] == 0 or len(labels) != points.shape[1] or unit not in _TO_METRES:
        raise InputError(
            f"{path}: {points.shape[1]} points, {len(labels)} labels, unit {unit!r:.20}: expects points with "
            "a label each, in m, cm or mm"
        )
    x = points.transpose(2, 1, 0) * _TO_METRES[unit]  # (T, V, 3)
    x = np.where((found["residuals"].T < 0)[..., None] | ~np.isfinite(x), 0, x)
    fps = float(found["fps"])
    names = tuple(label.split(":")[-1] for label in labels)
    return Clip(x[:, None], names=names, fps=fps if 0 < fps < 1e6 else None, units=METRES)


def _check_size(path: Path) -> None:
    """Refuse a file that is shorter than its head says: ezc3d makes up the frames that are missing."""
    try:
        size = path.stat().st_size
        with open(path, "rb") as file:
            head = file.read(_HEAD)
            file.seek(_BLOCK * max(head[0] - 1, 0) + 3 if head else 0)
            processor = file.read(1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    if len(head) < _HEAD or head[1] != 0x50 or not processor:
        raise InputError(f"{path}: not a readable .c3d file (truncated or damaged): no head")
    order = ">" if processor[0] == _MIPS else "<"
    _, points, analog, first, last, _, _, _, data = (int(n) for n in np.frombuffer(head, f"{order}u2", 9))
    width = 4 if np.frombuffer(head, f"{order}f4", 1, 12)[0] < 0 else 2  # a negative scale: floats
    needed = (data - 1) * _BLOCK + (last - first + 1) * (4 * points + analog) * width
    if last < 65535 and needed > size:  # longer clips have their length elsewhere
        raise InputError(
            f"{path}: not a readable .c3d file (truncated or damaged): has {size} bytes, expects {needed}"
        )


def _content(path: Path) -> dict[str, np.ndarray]:
    """What ezc3d finds in a file."""
    try:
        size = path.stat().st_size
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    memory, seconds = (1 << 30) + 32 * size, 5 + (size >> 20)  # a damaged file can keep ezc3d busy for ever
    command = [sys.executable, "-c", _READ, str(path.absolute()), str(memory), str(seconds)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False)
        if done.returncode == 0:
            with np.load(io.BytesIO(done.stdout)) as arrays:
                return {name: arrays[name] for name in arrays.files}
        said = done.stderr.decode(errors="replace").strip().splitlines()
        reason = said[-1] if said else f"its reader ended with status {done.returncode}"
    except subprocess.TimeoutExpired:
        reason = f"not read in {_SECONDS} seconds"
    raise InputError(f"{path}: not a readable .c3d file (truncated or damaged): {reason[:300]}")
