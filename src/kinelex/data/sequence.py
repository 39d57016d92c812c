"""What goes into a skeleton store: a clip, what the store says about itself, and the check of a clip."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from kinelex.data.arrow import StoreKind
from kinelex.errors import InputError
from kinelex.skeleton import SkeletonLayout

FORMAT_VERSION = 3
ARRAYS = ("coordinates", "image_coordinates", "scores")
SKELETONS = StoreKind(
    name="skeleton store",
    made_by="kinelex prepare",
    versions=(2, FORMAT_VERSION),  # version 2 had no frame rates and no checksums
    checked_from=3,
    about=("dataset", "layout", "class_names", "units"),
    checksums={"checksum": ARRAYS},
)
NUMBERS = ("label", "subject", "camera", "setup", "replication")


@dataclass(frozen=True)
class StoreMeta:
    """What a skeleton store says about itself.

    Args:
        dataset: name of the data set, for example ``nw_ucla``.
        layout: the layout of the coordinates.
        class_names: one name per label.
        units: unit of the coordinates, ``metres`` unless the raw files have another.
        source: where the raw files came from.
        prepared: how they were read (reader options and versions).
    """

    dataset: str
    layout: SkeletonLayout
    class_names: tuple[str, ...]
    units: str = "metres"
    source: str = ""
    prepared: dict[str, Any] = field(default_factory=dict)

    def header(self) -> dict[str, Any]:
        own = {"layout": self.layout.to_yaml(), "kind": SKELETONS.name, "format_version": FORMAT_VERSION}
        return {**asdict(self), **own}

    @classmethod
    def from_header(cls, header: dict[str, Any]) -> StoreMeta:
        texts = [header[name] for name in ("dataset", "layout", "units", "source")]
        names, prepared = header["class_names"], header["prepared"]
        if not isinstance(names, list) or not all(isinstance(text, str) for text in (*texts, *names)):
            raise ValueError("data set, layout, unit, source and class names are not all text")
        if not isinstance(prepared, dict):
            raise ValueError("how it was prepared is no JSON object")
        layout = SkeletonLayout.from_yaml(header["layout"], "its layout")
        return cls(header["dataset"], layout, tuple(names), header["units"], header["source"], prepared)


@dataclass
class Sequence:
    """One clip on its way into a store.

    Args:
        id: unique name of the clip.
        coordinates: metres; an absent person or joint is all zeros.
        label: class index, or None.
        subject, camera, setup, replication: numbers as the data set gives them, or None.
        image_coordinates: pixels, where the raw files have them.
        caption: a sentence that describes the clip, where the data set has one.
        scores: confidence per joint, where the raw files have it.
        splits: tags such as ``xsub:train``: the splits that came with the files and this clip's side.
        image_size: (height, width) in pixels of the picture that 2-D coordinates refer to.
        fps: frames per second, or None where it is not known.
        changes: how much of what was done to it on its way (for the summary of ``prepare``; not stored).

    Shape:
        - coordinates: (T, M, V, C); image_coordinates: (T, M, V, 2); scores: (T, M, V)
    """

    id: str
    coordinates: np.ndarray
    label: int | None = None
    subject: int | None = None
    camera: int | None = None
    setup: int | None = None
    replication: int | None = None
    image_coordinates: np.ndarray | None = None
    caption: str | None = None
    scores: np.ndarray | None = None
    splits: tuple[str, ...] = ()
    image_size: tuple[int, int] | None = None
    fps: float | None = None
    changes: dict[str, int] = field(default_factory=dict)


def check_sequence(sequence: Sequence, meta: StoreMeta) -> None:
    """Refuse a clip that does not fit its store.

    Raises:
        InputError: names what is wrong with it.
    """
    name, x, v = sequence.id, sequence.coordinates, meta.layout.num_joints
    if x.ndim != 4 or x.shape[3] not in (2, 3):
        raise InputError(f"{name}: expects coordinates (T, M, V, C), got shape {x.shape}")
    if x.shape[2] != v:
        raise InputError(f"{name}: expects {v} joints ({meta.layout.name}), got {x.shape[2]}")
    if x.shape[0] == 0 or x.shape[1] == 0:
        raise InputError(f"{name}: has no frames")
    with np.errstate(over="ignore"):
        x = x.astype(np.float32, copy=False)  # as it is stored: 1e300 is infinite there
    if not np.isfinite(x).all():
        frame = int(np.argwhere(~np.isfinite(x))[0][0])
        raise InputError(f"{name}: coordinates of frame {frame} are not finite numbers")
    if not x.any():
        raise InputError(f"{name}: no frame has a body (all coordinates are 0)")
    _check_beside(sequence)
    if sequence.label is not None and not 0 <= sequence.label < len(meta.class_names):
        most = len(meta.class_names) - 1
        raise InputError(f"{name}: class {sequence.label} is out of range, expects 0 to {most}")


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_beside(sequence: Sequence) -> None:
    """What comes beside coordinates and label: pixels, scores, picture size, numbers."""
    name, shape = sequence.id, sequence.coordinates.shape[:3]
    if not _is_text(name) or not all(map(_is_text, (sequence.caption or "", *sequence.splits))):
        raise InputError(f"{name!r}: id, caption and splits expect text that can be stored as UTF-8")
    pixels, scores, size = sequence.image_coordinates, sequence.scores, sequence.image_size
    if pixels is not None and pixels.shape != (*shape, 2):
        raise InputError(f"{name}: expects image coordinates {(*shape, 2)}, got {pixels.shape}")
    if scores is not None and scores.shape != shape:
        raise InputError(f"{name}: expects scores {shape}, got {scores.shape}")
    if scores is not None and not np.isfinite(scores).all():
        frame = int(np.argwhere(~np.isfinite(scores))[0][0])
        raise InputError(f"{name}: scores of frame {frame} are not finite numbers")
    if size is not None and (len(size) != 2 or not all(0 < side < 2**31 for side in size)):
        raise InputError(f"{name}: expects an image size (height, width) in pixels, got {size}")
    if sequence.fps is not None and not 0 < sequence.fps < np.inf:
        raise InputError(f"{name}: expects a positive number of frames per second, got {sequence.fps}")
    for number in NUMBERS[1:]:
        value = getattr(sequence, number)
        if value is not None and not 0 <= value < 2**31:
            raise InputError(f"{name}: {number} {value} is out of range, expects 0 to {2**31 - 1}")
