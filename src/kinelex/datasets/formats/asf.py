"""Acclaim skeletons (.asf): bones with a rest pose, in the order in which they hang on each other.

A bone has a direction and a length in the rest pose, and axes of its own. A joint is the end of a bone, named
in the common vocabulary; the root is the pelvis.

Source: Acclaim Skeleton Format, University of Wisconsin.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kinelex.errors import InputError
from kinelex.skeleton import SkeletonLayout, common_names

if TYPE_CHECKING:
    from scipy.spatial.transform import Rotation

_INCH = 0.0254  # metres
_MOST_BONES = 1000
_ROOT = "root"
TURNS, MOVES = ("rx", "ry", "rz"), ("tx", "ty", "tz")
# What ends where: the joints of the skeleton that CMU and HDM05 use.
_ENDS = {
    "lowerback": "lower_spine",
    "upperback": "spine",
    "thorax": "shoulder_center",
    "lowerneck": "neck",
    "upperneck": "head",
    "head": "head_top",
    "root": "pelvis",
}
_ENDS_SIDED = {
    "clavicle": "shoulder",
    "humerus": "elbow",
    "radius": "wrist",
    "wrist": "hand",
    "hand": "hand_tip",
    "fingers": "fingers",
    "thumb": "thumb",
    "hipjoint": "hip",
    "femur": "knee",
    "tibia": "ankle",
    "foot": "foot",
    "toes": "toe_tip",
}


@dataclass(frozen=True)
class Bone:
    """One bone of a skeleton.

    Args:
        name: its name in the file.
        offset: from its beginning to its end in the rest pose, in the skeleton's unit.
        axes: turn from the world's axes to its own.
        dof: angles that the motion gives, in the file's order.
    """

    name: str
    offset: np.ndarray
    axes: Rotation
    dof: tuple[str, ...]


@dataclass(frozen=True)
class Skeleton:
    """A parsed .asf file.

    Args:
        bones: the bones; the root is the first, and parents come before children.
        parents: index of each bone's parent; the root is its own.
        metres: what a unit of length is in metres.
        degrees: whether angles are in degrees.
    """

    bones: tuple[Bone, ...]
    parents: tuple[int, ...]
    metres: float
    degrees: bool

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
    bones = [_root(sections.get("root", []), path, degrees)]
    text = " ".join(sections.get("bonedata", []))
    for number, body in enumerate(re.findall(r"\bbegin\b(.*?)\bend\b", text)):
        if number == _MOST_BONES:
            raise InputError(f"{path}: expects at most {_MOST_BONES} bones")
        bones.append(_bone(body.split(), f"{path}: bone {number + 1}", degrees))
    ordered, parents = _hierarchy(bones, sections.get("hierarchy", []), path)
    return Skeleton(ordered, parents, _INCH / length, degrees)


def _sections(path: Path) -> dict[str, list[str]]:
    """Lines of a file under each ``:keyword``."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
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
        raise InputError(
            f"{path}: expects the sections :root, :bonedata and :hierarchy: no .asf file, or cut"
        )
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


def _root(lines: list[str], path: Path, degrees: bool) -> Bone:
    entries = {line.split()[0].lower(): line.split()[1:] for line in lines}
    where = f"{path}: :root"
    order = tuple(word.lower() for word in entries.get("order", ["TX", "TY", "TZ", "RX", "RY", "RZ"]))
    place = floats(entries.get("position", ["0", "0", "0"]), where)
    angles = floats(entries.get("orientation", ["0", "0", "0"]), where)
    if place.shape != (3,) or angles.shape != (3,) or not set(order) <= {*TURNS, *MOVES}:
        raise InputError(f"{where}: expects order, position and orientation of three numbers each")
    axes = _axes(angles, entries.get("axis", ["XYZ"])[0], where, degrees)
    return Bone(_ROOT, place, axes, order)


def _axes(angles: np.ndarray, order: str, where: str, degrees: bool) -> Rotation:
    if sorted(order.lower()) != ["x", "y", "z"]:
        raise InputError(f"{where}: axis {order[:20]!r}: expects an order of X, Y and Z")
    from scipy.spatial.transform import Rotation  # here: help imports readers

    return Rotation.from_euler(order.lower(), angles, degrees=degrees)  # about fixed axes, the first first


def _bone(words: list[str], where: str, degrees: bool) -> Bone:
    keys = ("id", "name", "direction", "length", "axis", "dof", "limits", "bodymass", "cofmass")
    entries: dict[str, list[str]] = {}
    key = ""
    for word in words:
        if word.lower() in keys and not (key == "name" and not entries[key]):
            key = word.lower()
            entries[key] = []
        elif key:
            entries[key].append(word)
    try:
        name, length, axis = entries["name"][0], entries["length"][0], entries["axis"]
        way = floats(entries["direction"], where)
    except (KeyError, IndexError) as error:
        raise InputError(f"{where}: expects name, direction, length and axis") from error
    dof = tuple(word.lower() for word in entries.get("dof", []))
    angles = floats(axis[:3], where)
    if way.shape != (3,) or angles.shape != (3,) or not set(dof) <= {*TURNS, *MOVES}:
        raise InputError(
            f"{where} ({name}): expects a direction and an axis of three numbers, and dof of {TURNS}"
        )
    axes = _axes(angles, axis[3] if len(axis) > 3 else "XYZ", where, degrees)
    return Bone(name, way * floats([length], where)[0], axes, dof)


def _hierarchy(bones: list[Bone], lines: list[str], path: Path) -> tuple[tuple[Bone, ...], tuple[int, ...]]:
    """The bones with parents before children, and the index of each one's parent."""
    known = {bone.name: bone for bone in bones}
    rows = [line.split() for line in lines if line not in ("begin", "end")]
    order, parents = [_ROOT], [0]
    for row in rows:
        for child in row[1:]:
            if row[0] not in order or child not in known or child in order:
                raise InputError(
                    f"{path}: :hierarchy: {row[0][:40]} {child[:40]}: expects bones, parents first"
                )
            order.append(child)
            parents.append(order.index(row[0]))
    if len(order) != len(known):
        raise InputError(f"{path}: :hierarchy names {len(order)} of {len(known)} bones")
    return tuple(known[name] for name in order), tuple(parents)
