"""What a file with one clip says, whatever its format; and joints chosen from it by name."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from kinelex.errors import InputError, unknown_name
from kinelex.files.bounded import bounded_text, safe_json
from kinelex.skeleton import SkeletonLayout, common_names

METRES = "metres"  # the unit of clips whose files say theirs
MILLIMETRE = 0.001  # metres


@dataclass(frozen=True)
class Clip:
    """One clip as its file has it.

    Args:
        coordinates: places of the joints; a person or joint that is absent is all zeros.
        scores: confidences, where the file has them.
        names: the joints' names, where the file itself has them.
        layout: the layout that the file tells; None where it tells no more than the number of joints.
        fps: frames per second, where the file says it.
        units: unit of the coordinates, where it is not pixels for 2-D or metres for 3-D.
        image_size: (height, width) of the picture in pixels, where the file says it.
        notes: what was guessed or left out, in sentences.

    Shape:
        - coordinates: (T, M, V, C); scores: (T, M, V)
    """

    coordinates: np.ndarray
    scores: np.ndarray | None = None
    names: tuple[str, ...] | None = None
    layout: SkeletonLayout | None = None
    fps: float | None = None
    units: str | None = None
    image_size: tuple[int, int] | None = None
    notes: tuple[str, ...] = ()


def with_joints_of(clip: Clip, layout: SkeletonLayout, path: Path) -> Clip:
    """A clip whose file names its joints, with those of a layout, in its order.

    Names are compared as they are, or in the common vocabulary where that is needed.
    """
    if clip.names is None or clip.names == layout.joints:
        return clip
    own: list[str] = list(clip.names)
    if set(layout.joints) - set(own):
        own = common_names(own)
    for joint in layout.joints:
        if own.count(joint) > 1:
            raise InputError(f"{path}: has the joint {joint!r} {own.count(joint)} times: rename all but one")
        if joint not in own:
            error = unknown_name(f"joint of {layout.name} in this file", joint, clip.names)
            raise InputError(f"{path}: {error}")
    order = [own.index(joint) for joint in layout.joints]
    scores = None if clip.scores is None else clip.scores[:, :, order]
    return replace(clip, coordinates=clip.coordinates[:, :, order], scores=scores, names=layout.joints)


def read_json(path: Path) -> Any:
    """The content of a JSON file."""
    try:
        return safe_json(bounded_text(path, encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as JSON (truncated or damaged?): {error}") from error
