"""Acclaim motion capture: .amc files, with the skeleton beside them in an .asf file (CMU, HDM05).

A bone's angles turn it about its own axes, the first angle first; what hangs on it turns along. The unit of
length, in inches as these files have it, becomes metres.

The libraries for this format on PyPI only parse; the kinematics are a dozen lines.

Source: Acclaim Skeleton Format, University of Wisconsin; CMU Graphics Lab Motion Capture Database, FAQ.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kinelex.datasets.formats.asf import MOVES, TURNS, Skeleton, floats, read_asf
from kinelex.datasets.formats.clip import METRES, Clip
from kinelex.errors import InputError

if TYPE_CHECKING:
    from scipy.spatial.transform import Rotation


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
    return Clip(
        positions(skeleton, motion)[:, None] * skeleton.metres,
        names=layout.joints,
        layout=layout,
        units=METRES,
    )


def positions(skeleton: Skeleton, motion: list[np.ndarray]) -> np.ndarray:
    """Place of every bone's end in every frame, in the skeleton's unit.

    Args:
        skeleton: the bones.
        motion: for each bone the values of its degrees of freedom, (T, dof).

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
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
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
            raise InputError(
                f"{where}: expects a frame's number, or a bone with as many numbers as it has dof"
            )
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
