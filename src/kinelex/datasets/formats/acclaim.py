"""Acclaim motion capture: .amc files, with the skeleton beside them in an .asf file (CMU, HDM05).

A bone has a direction and a length in the rest pose, and axes of its own, about which its angles turn it,
the first angle first; what hangs on it turns along. A joint is the end of a bone; the root is the pelvis.
The unit of length, in inches as these files have it, becomes metres.

Source: Acclaim Skeleton Format, University of Wisconsin; CMU Graphics Lab Motion Capture Database, FAQ.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kinelex.datasets.formats.clip import METRES, Clip
from kinelex.errors import InputError
from kinelex.files.bounded import read_text
from kinelex.skeleton import SkeletonLayout, common_names

if TYPE_CHECKING:
    from scipy.spatial.transform import Rotation

_INCH = 0.0254  # metres
_MOST_BONES = 1000
_ROOT = "root"
TURNS, MOVES = ("rx", "ry", "rz"), ("tx", "ty", "tz")
# What ends where: the joints of the skeleton that CMU and HDM05 use.
_ENDS = {"lowerback": "lower_spine", "upperback": "spine", "thorax": "shoulder_center", "root": "pelvis"}
_ENDS |= {"lowerneck": "neck", "upperneck": "head", "head": "head_top"}
_ENDS_SIDED = {"clavicle": "shoulder", "humerus": "elbow", "radius": "wrist", "wrist": "hand"}
_ENDS_SIDED |= {"fingers": "fingers", "thumb": "thumb", "hipjoint": "hip", "femur": "knee", "tibia": "ankle"}
_ENDS_SIDED |= {"hand": "hand_tip", "foot": "foot", "toes": "toe_tip"}


@dataclass(frozen=True)
class Bone:
    """One bone of a skeleton."""

    name: str  # its name in the file
    offset: np.ndarray  # from its beginning to its end in the rest pose, in the skeleton's unit
    axes: Rotation  # turn from the world's axes to its own
    dof: tuple[str, ...]  # angles that the motion gives, in the file's order


@dataclass(frozen=True)
class Skeleton:
    """A parsed .asf file."""

    bones: tuple[Bone, ...]  # the bones; the root is the first, and parents come before children
    parents: tuple[int, ...]  # index of each bone's parent; the root is its own
    metres: float  # what a unit of length is in metres
    degrees: bool  # whether angles are in degrees

    def layout(self, name: str) -> SkeletonLayout:
        """The joints at the bones' ends, and the tree of them."""
        return SkeletonLayout(name, tuple(_joint_names([bone.name for bone in self.bones])), self.parents)


def _joint_names(bones: list[str]) -> list[str]:
    known = []
    for bone in bones:
        side = {"l": "left_", "r": "right_"}.get(bone[:1], "")
        end = _ENDS_SIDED.get(bone[1:]) if side else None
        known.append(side + end if end else _ENDS.get(bone))
    if all(known):
        return [str(name) for name in known]
    own = common_names(bones)
    names = [name or other for name, other in zip(known, own, strict=True)]
    return names if len(set(names)) == len(names) else bones


def read_asf(path: Path) -> Skeleton:
    """Parse a skeleton."""
    sections = _sections(path)
    units = dict(line.split()[:2] for line in sections.get("units", []) if len(line.split()) >= 2)
    length = floats([units.get("length", "1")], f"{path}: :units length")[0]
    degrees = units.get("angle", "deg").startswith("deg")
    if not 0 < length < 1e6:
        raise InputError(f"{path}: :units: length is {length:g}, expects a positive number")
    bones = [_bone(_root_entries(sections["root"]), f"{path}: :root", degrees)]
    text = " ".join(sections.get("bonedata", []))
    for number, body in enumerate(re.findall(r"\bbegin\b(.*?)\bend\b", text)):
        if number == _MOST_BONES:
            raise InputError(f"{path}: expects at most {_MOST_BONES} bones")
        bones.append(_bone(_bone_entries(body.split()), f"{path}: bone {number + 1}", degrees))
    ordered, parents = _hierarchy(bones, sections.get("hierarchy", []), path)
    return Skeleton(ordered, parents, _INCH / length, degrees)


def _sections(path: Path) -> dict[str, list[str]]:
    """Lines of a file under each ``:keyword``."""
    text = read_text(path)
    found: dict[str, list[str]] = {}
    name = ""
    for line in text.splitlines():
        bare = line.split("#")[0].strip()
        if bare.startswith(":"):
            name, _, rest = bare[1:].partition(" ")
            found[name.lower()] = [rest] if rest else []
        elif bare and name:
            found[name.lower()].append(bare)
    if not {"root", "bonedata", "hierarchy"} <= found.keys():
        expected = "the sections :root, :bonedata and :hierarchy"
        raise InputError(f"{path}: expects {expected}: no .asf file, or cut")
    return found


def floats(words: list[str], where: str) -> np.ndarray:
    """Words as finite numbers."""
    try:
        values = np.array([float(word) for word in words])
    except ValueError as error:
        raise InputError(f"{where}: expects numbers: {error}") from error
    if not np.isfinite(values).all():
        raise InputError(f"{where}: expects finite numbers")
    return values


def _root_entries(lines: list[str]) -> dict[str, list[str]]:
    """The section :root in the words of a bone."""
    found = {line.split()[0].lower(): line.split()[1:] for line in lines}
    return {
        "name": [_ROOT],
        "direction": found.get("position", ["0", "0", "0"]),
        "length": ["1"],
        "axis": [*found.get("orientation", ["0", "0", "0"]), *found.get("axis", ["XYZ"])],
        "dof": found.get("order", [*MOVES, *TURNS]),
    }


def _bone_entries(words: list[str]) -> dict[str, list[str]]:
    keys = ("id", "name", "direction", "length", "axis", "dof", "limits", "bodymass", "cofmass")
    entries: dict[str, list[str]] = {}
    key = ""
    for word in words:
        if word.lower() in keys and not (key == "name" and not entries[key]):
            key = word.lower()
            entries[key] = []
        elif key:
            entries[key].append(word)
    return entries


def _bone(entries: dict[str, list[str]], where: str, degrees: bool) -> Bone:
    from scipy.spatial.transform import Rotation  # here: help imports readers

    try:
        name, length, axis = entries["name"][0], entries["length"][0], entries["axis"]
        way = floats(entries["direction"], where)
    except (KeyError, IndexError) as error:
        raise InputError(f"{where}: expects name, direction, length and axis") from error
    dof = tuple(word.lower() for word in entries.get("dof", []))
    angles, order = floats(axis[:3], where), "".join(axis[3:4] or ["xyz"]).lower()
    if way.shape != (3,) or angles.shape != (3,) or not set(dof) <= {*TURNS, *MOVES}:
        expected = f"expects a direction and an axis of three numbers, and dof of {TURNS}"
        raise InputError(f"{where} ({name}): {expected}")
    if sorted(order) != ["x", "y", "z"]:
        raise InputError(f"{where}: axis {order[:20]!r}: expects an order of X, Y and Z")
    axes = Rotation.from_euler(order, angles, degrees=degrees)  # about fixed axes, the first first
    return Bone(name, way * floats([length], where)[0], axes, dof)


def _hierarchy(bones: list[Bone], lines: list[str], path: Path) -> tuple[tuple[Bone, ...], tuple[int, ...]]:
    """The bones with parents before children, and the index of each one's parent."""
    known = {bone.name: bone for bone in bones}
    rows = [line.split() for line in lines if line not in ("begin", "end")]
    order, parents = [_ROOT], [0]
    for row in rows:
        for child in row[1:]:
            if row[0] not in order or child not in known or child in order:
                pair = f"{row[0][:40]} {child[:40]}"
                raise InputError(f"{path}: :hierarchy: {pair}: expects bones, parents first")
            order.append(child)
            parents.append(order.index(row[0]))
    if len(order) != len(known):
        raise InputError(f"{path}: :hierarchy names {len(order)} of {len(known)} bones")
    return tuple(known[name] for name in order), tuple(parents)


def skeleton_file(path: Path) -> Path:
    """The .asf file of an .amc file: of its name up to its end or last ``_``, or the folder's only one."""
    for stem in (path.stem, path.stem.rpartition("_")[0]):
        if stem and (path.with_name(f"{stem}.asf")).is_file():
            return path.with_name(f"{stem}.asf")
    found = sorted(path.parent.glob("*.asf"))
    if len(found) != 1:
        raise InputError(
            f"{path}: expects its skeleton beside it, {path.stem}.asf or the only .asf of the folder; "
            f"there are {len(found)}"
        )
    return found[0]


def read_amc(path: Path) -> Clip:
    """A clip of one person in metres, by forward kinematics."""
    skeleton = read_asf(skeleton_file(path))
    motion = _read_motion(path, skeleton)
    layout = skeleton.layout(path.stem)
    x = positions(skeleton, motion)[:, None] * skeleton.metres
    return Clip(x, names=layout.joints, layout=layout, units=METRES)


def positions(skeleton: Skeleton, motion: list[np.ndarray]) -> np.ndarray:
    """Place of every bone's end in every frame, in the skeleton's unit.

    Shape:
        - returns: (T, bones, 3)
    """
    frames = len(motion[0])
    places = np.zeros((frames, len(skeleton.bones), 3))
    from scipy.spatial.transform import Rotation  # here: help imports readers

    turns: list[Rotation] = []
    for b, (bone, parent) in enumerate(zip(skeleton.bones, skeleton.parents, strict=True)):
        turn = Rotation.identity(frames)
        moved = np.zeros((frames, 3))
        for c, kind in enumerate(bone.dof):
            if kind in TURNS:  # the first is applied first
                turn = Rotation.from_euler(kind[1], motion[b][:, [c]], degrees=skeleton.degrees) * turn
            elif kind in MOVES:
                moved[:, MOVES.index(kind)] = motion[b][:, c]
        local = bone.axes * turn * bone.axes.inv()
        if b == 0:
            turns.append(local)
            places[:, 0] = bone.offset + moved
            continue
        turns.append(turns[parent] * local)
        places[:, b] = places[:, parent] + turns[b].apply(bone.offset)
    return places


def _read_motion(path: Path, skeleton: Skeleton) -> list[np.ndarray]:
    """For each bone the values of its degrees of freedom, (T, dof)."""
    text = read_text(path)
    if not text.endswith("\n"):
        raise InputError(f"{path}: its last line is not ended, so the file may be truncated")
    widths = {bone.name: len(bone.dof) for bone in skeleton.bones}
    frames: list[dict[str, np.ndarray]] = []
    for i, line in enumerate(text.splitlines(), 1):
        words = line.split("#")[0].split()
        if not words or words[0].startswith(":"):
            continue
        if len(words) == 1 and words[0].isdecimal():
            frames.append({})
            continue
        where = f"{path}: line {i}"
        if not frames or words[0] not in widths or len(words) != widths[words[0]] + 1:
            raise InputError(f"{where}: expects a frame's number, or a bone with as many numbers as its dof")
        frames[-1][words[0]] = floats(words[1:], where)
    moving = [bone for bone in skeleton.bones if bone.dof]
    for t, frame in enumerate(frames):
        lacking = [bone.name for bone in moving if bone.name not in frame]
        if lacking:
            raise InputError(f"{path}: frame {t + 1} lacks {', '.join(lacking[:4])} (truncated?)")
    if not frames:
        raise InputError(f"{path}: has no frames")
    empty = np.zeros((len(frames), 0))
    return [
        np.array([frame[bone.name] for frame in frames]) if bone.dof else empty for bone in skeleton.bones
    ]
