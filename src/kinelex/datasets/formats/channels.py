"""Which numbers a joint has: x, y, z or x, y and a confidence; told by the numbers where nobody says it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kinelex.errors import InputError, unknown_name

CHANNELS = ("xy", "xyz", "xyc", "xyzc")  # c is a confidence in [0, 1]
_PICTURE = ("coco17", "openpose18", "body25", "halpe26", "penn13")  # layouts of detectors in pictures
_PIXELS = 10.0  # no body is that far from the camera's axis in metres


def check_channels(channels: str | None) -> str | None:
    """The option ``--channels``."""
    if channels is not None and channels not in CHANNELS:
        raise unknown_name("--channels", channels, CHANNELS)
    return channels


def guess_channels(x: np.ndarray, layout: str | None, where: Path) -> tuple[str, str]:
    """What the numbers of a joint are, and a sentence about the guess where it was one.

    A third number is a confidence where all of it lies in [0, 1], and either the layout is one of
    detectors in pictures, or x and y are too large for metres, or it is 0 exactly where x and y are.
    A fourth one is always a confidence.

    Args:
        x: coordinates as they came.
        layout: name of their layout, where it is known.
        where: the file, for messages.

    Shape:
        - x: (..., C)

    >>> guess_channels(np.array([[[310.0, 224.0, 0.9], [300.0, 220.0, 0.4]]]), None, Path("a.npy"))[0]
    'xyc'
    """
    count = x.shape[-1]
    last = x[..., -1]
    known = last[np.isfinite(last)]
    is_confidence = bool(len(known) and known.min() >= 0 and known.max() <= 1 and known.any())
    if count == 2:
        return "xy", ""
    if count == 4 and is_confidence:
        return "xyzc", f"the fourth number of each joint lies in [0, 1] ({where}): taken as its confidence"
    if count != 3:
        raise InputError(
            f"{where}: {count} numbers per joint, expects x, y or x, y, z, maybe with a confidence in [0, 1]"
        )
    if not is_confidence:
        return "xyz", ""
    zero = last == 0
    empty = ~x[..., :2].any(axis=-1)
    large = np.nanmax(np.abs(x[..., :2])) > _PIXELS
    if layout in _PICTURE or large or (zero.any() and np.array_equal(zero, empty)):
        return "xyc", (
            f"the third number of each joint lies in [0, 1] ({where}): taken as its confidence; pass "
            "--channels xyz if it is a coordinate"
        )
    return "xyz", (
        f"the third number of each joint lies in [0, 1] ({where}), and is taken as a coordinate; pass "
        "--channels xyc if it is a confidence"
    )


def split_channels(x: np.ndarray, channels: str, where: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Coordinates, and the confidences among the numbers.

    Shape:
        - x: (..., len(channels))
        - returns: (..., 2 or 3), and (...)
    """
    if x.shape[-1] != len(channels):
        raise InputError(
            f"{where}: {x.shape[-1]} numbers per joint, expects {len(channels)} ({', '.join(channels)})"
        )
    return (x[..., :-1], x[..., -1]) if channels[-1] == "c" else (x, None)


def fit_width(x: np.ndarray, joints: int, channels: str | None, where: Path) -> np.ndarray:
    """Rows of numbers, person after person, joint after joint, as (T, M, V, C).

    Args:
        x: a row per frame.
        joints: number of joints V.
        channels: what the numbers of a joint are; None takes three where that fits, else four where every
            fourth lies in [0, 1], else two.
        where: the file, for messages.

    Shape:
        - x: (T, M*V*C)

    >>> fit_width(np.ones((2, 132)), 33, None, Path("a.csv")).shape  # a row of MediaPipe
    (2, 1, 33, 4)
    """
    width = x.shape[1]
    fitting = [c for c in (3, 4, 2) if width and width % (joints * c) == 0]
    if channels is not None:
        fitting = [c for c in fitting if c == len(channels)]
    elif 4 in fitting and 2 in fitting and 3 not in fitting:
        fourth = x.reshape(len(x), -1, 4)[..., 3]
        known = fourth[np.isfinite(fourth)]
        if len(known) and not (known.min() >= 0 and known.max() <= 1):
            fitting = [2]
    if not fitting:
        each = [channels] if channels is not None else ["xyz", "xy"]
        shown = " or ".join(f"{len(c) * joints} ({', '.join(c)} of {joints} joints)" for c in each)
        raise InputError(f"{where}: {width} columns, expects {shown} per person")
    return x.reshape(len(x), -1, joints, fitting[0])
