"""Marker files, .c3d and .trc; a tree over their markers, which they do not have. Places become metres.

In a .c3d file a point whose residual is negative was not seen: absent. A damaged one can end the whole
process in ezc3d (a segmentation fault) or ask for any amount of memory, so that runs in a process of its
own, with a bound. A .trc file has five lines of head: rate, counts and unit, then the markers' names, three
columns each; an empty cell is a marker that was not seen.

Source: The C3D File Format, Motion Lab Systems; ezc3d (Michaud and Begon, JOSS 2021); OpenSim, "Marker
(.trc) Files".
"""

from __future__ import annotations

import importlib.util
import io
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kinelex.datasets.formats.clip import METRES, Clip
from kinelex.errors import InputError
from kinelex.files.bounded import read_text
from kinelex.skeleton import SkeletonLayout, common_names

# On whom a joint hangs: the first of these that is there. `{s}` is the side.
_PARENTS: dict[str, tuple[str, ...]] = {
    "lower_spine": ("pelvis",),
    "spine": ("lower_spine", "pelvis"),
    "chest": ("spine", "pelvis"),
    "shoulder_center": ("chest", "spine", "pelvis"),
    "neck": ("shoulder_center", "chest", "spine", "pelvis"),
    "head": ("neck", "shoulder_center", "pelvis"),
    "nose": ("head", "neck"),
    "{s}_eye": ("nose", "head"),
    "{s}_ear": ("{s}_eye", "nose", "head"),
    "{s}_clavicle": ("shoulder_center", "neck", "chest"),
    "{s}_shoulder": ("{s}_clavicle", "shoulder_center", "neck", "chest", "spine", "pelvis"),
    "{s}_elbow": ("{s}_shoulder",),
    "{s}_wrist": ("{s}_elbow", "{s}_shoulder"),
    "{s}_hand": ("{s}_wrist", "{s}_elbow"),
    "{s}_hip": ("pelvis", "spine", "neck"),
    "{s}_knee": ("{s}_hip",),
    "{s}_ankle": ("{s}_knee", "{s}_hip"),
    "{s}_foot": ("{s}_ankle", "{s}_knee"),
    "{s}_heel": ("{s}_ankle", "{s}_knee"),
    "{s}_big_toe": ("{s}_foot", "{s}_ankle"),
    "{s}_small_toe": ("{s}_foot", "{s}_big_toe", "{s}_ankle"),
}
_ROOTS = ("pelvis", "lower_spine", "spine", "chest", "shoulder_center", "neck", "head")


def marker_layout(name: str, markers: Sequence[str]) -> SkeletonLayout:
    """A layout of markers: those with a name of the vocabulary form a body, the others hang on its root.

    >>> layout = marker_layout("walk", ["Hip", "RHip", "RKnee", "LHip", "LKnee", "Neck", "Cup"])
    >>> [layout.joints[p] for p in layout.parents]
    ['pelvis', 'pelvis', 'right_hip', 'pelvis', 'left_hip', 'pelvis', 'pelvis']
    """
    joints = common_names(markers)
    if len(set(joints)) < len(joints):
        joints = list(markers)
    root = next((joint for joint in _ROOTS if joint in joints), joints[0])
    parents = []
    for joint in joints:
        side, _, rest = joint.partition("_")
        sided = side in ("left", "right")
        wanted = _PARENTS.get("{s}_" + rest if sided else joint, ())
        there = [parent for parent in (one.format(s=side) for one in wanted) if parent in joints]
        parents.append(root if joint == root or not there else there[0])
    return SkeletonLayout(name, tuple(joints), tuple(joints.index(parent) for parent in parents))


_C3D_METRES = {"m": 1.0, "cm": 0.01, "mm": 0.001, "": 0.001}
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
    if points.shape[1] == 0 or len(labels) != points.shape[1] or unit not in _C3D_METRES:
        raise InputError(
            f"{path}: {points.shape[1]} points, {len(labels)} labels, unit {unit!r:.20}: expects points with "
            "a label each, in m, cm or mm"
        )
    x = points.transpose(2, 1, 0) * _C3D_METRES[unit]  # (T, V, 3)
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
        sizes = f"has {size} bytes, expects {needed}"
        raise InputError(f"{path}: not a readable .c3d file (truncated or damaged): {sizes}")


def _content(path: Path) -> dict[str, np.ndarray]:
    """What ezc3d finds in a file."""
    try:
        size = path.stat().st_size
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    memory, seconds = (1 << 30) + 32 * size, 5 + (size >> 20)  # a damaged file can keep ezc3d busy for ever
    command = [sys.executable, "-P", "-c", _READ, str(path.absolute()), str(memory), str(seconds)]
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


_TRC_METRES = {"m": 1.0, "cm": 0.01, "mm": 0.001, "meters": 1.0, "metres": 1.0, "in": 0.0254}
_MOST_MARKERS = 1000


def read_trc(path: Path) -> Clip:
    """A clip of one person, all markers, in metres."""
    text = read_text(path)
    lines = text.splitlines()
    fps, frames, names, metres = _head(lines, path)
    rows = [(i, line) for i, line in enumerate(lines[5:], 6) if line.strip()]
    if len(rows) != frames or not rows:
        raise InputError(f"{path}: NumFrames is {frames}, but {len(rows)} rows follow (truncated?)")
    if not text.endswith(("\n", "\r")):
        raise InputError(f"{path}: line {len(lines)} is not ended, so the file may be truncated")
    table = np.array([_row(line, 3 * len(names), f"{path}: line {i}") for i, line in rows])
    x = table.reshape(len(rows), 1, -1, 3) * metres
    return Clip(np.nan_to_num(x, nan=0.0), names=names, fps=fps, units=METRES)


def _head(lines: list[str], path: Path) -> tuple[float, int, tuple[str, ...], float]:
    """Frames per second, number of frames, names of the markers, and the unit in metres."""
    expected = "expects the head of a .trc file: PathFileType, DataRate, its values, names of markers, axes"
    if len(lines) < 5 or not lines[0].startswith("PathFileType"):
        raise InputError(f"{path}: {expected}")
    values = dict(zip(lines[1].split(), lines[2].split(), strict=False))
    try:
        fps, frames, markers = float(values["DataRate"]), int(values["NumFrames"]), int(values["NumMarkers"])
        unit = values["Units"].lower()
    except (KeyError, ValueError) as error:
        raise InputError(f"{path}: line 3: {expected}; {error}") from error
    if unit not in _TRC_METRES or not 0 < fps < 1e6 or not 0 < markers <= _MOST_MARKERS:
        raise InputError(
            f"{path}: line 3: rate {fps:g}, {markers} markers, unit {unit!r:.20}: expects a positive rate, "
            f"1 to {_MOST_MARKERS} markers, and one of {', '.join(_TRC_METRES)}"
        )
    names = tuple(name.strip() for name in lines[3].split("\t")[2:] if name.strip())
    if len(names) != markers:
        raise InputError(f"{path}: line 4: NumMarkers is {markers}, but {len(names)} names follow")
    return fps, frames, names, _TRC_METRES[unit]


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
