"""Arrays of clips: the order of their axes, and which numbers a joint has, told by them where nobody says it.

Frames T, persons M, joints V, coordinates C, and clips N before them.
"""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import numpy as np

from kinelex.datasets.policy import MOST_PERSONS
from kinelex.errors import InputError, unknown_name

_USUAL = ("TMVC", "MTVC", "CTVM", "TVC", "CTV", "MCTV", "TVMC", "TCVM", "TVCM", "MTCV", "TCV")


def check_axes(axes: str | None, clips: bool = False) -> str | None:
    """The option ``--axes``, in capitals without what divides the letters.

    Args:
        axes: what was given, for example ``CTVM`` or ``(C, T, V, M)``.

    >>> check_axes("(m, t, v, c)"), check_axes("NCTVM", clips=True)
    ('MTVC', 'NCTVM')
    """
    if axes is None:
        return None
    letters = "".join(a for a in axes.upper() if a.isalnum())
    wanted = "NTVC" if clips else "TVC"
    if sorted(letters) not in (sorted(wanted), sorted(wanted + "M")):
        raise InputError(
            f"--axes {axes}: expects each of {', '.join(wanted)} once, and M where there are several "
            f"persons, for example {'NCTVM' if clips else 'MTVC'}"
        )
    return letters


def ordered(x: np.ndarray, axes: str, target: str) -> np.ndarray:
    """A view with its axes in another order; an axis M that is lacking has length 1.

    >>> ordered(np.zeros((3, 60, 25)), "CTV", "TMVC").shape
    (60, 1, 25, 3)
    """
    if "M" not in axes:
        x, axes = x[..., None], axes + "M"
    return x.transpose([axes.index(a) for a in target])


def as_clip(x: np.ndarray, axes: str | None, joints: int | None, path: Path) -> np.ndarray:
    """An array of one clip as (T, M, V, C).

    Args:
        axes: the order of its axes; None means (T, V, C) or (T, M, V, C), where that can be.
    """
    if axes is not None:
        if x.ndim != len(axes):
            raise InputError(f"{path}: --axes {axes} has {len(axes)} axes, the array {x.ndim}: {x.shape}")
        return ordered(x, axes, "TMVC")
    expected = f"{path}: expects shape (T, V, C) or (T, M, V, C) with C 2 or 3, got {x.shape}"
    if x.ndim not in (3, 4):
        raise InputError(expected)
    own = "TVC" if x.ndim == 3 else "TMVC"
    size = dict(zip(own, x.shape, strict=True))
    persons = size.get("M", 1)
    if 2 <= size["C"] <= 4 and persons <= MOST_PERSONS and (persons <= size["T"] or 0 in x.shape):
        return ordered(x, own, "TMVC")
    others = [axes for axes in _USUAL if len(axes) == x.ndim and axes != own and _fits(x.shape, axes, joints)]
    others = others or [axes for axes in map("".join, permutations(own)) if _fits(x.shape, axes, joints)]
    advice = f"pass --axes {' or '.join(others[:3])}" if others else "pass --axes with the order of the axes"
    if 2 <= size["C"] <= 4:
        raise InputError(
            f"{path}: shape {x.shape} read as (T, M, V, C) is {size['T']} frames of {persons} persons: "
            f"{advice}, or --axes TMVC if that is right (--persons says how many of them are kept)"
        )
    raise InputError(f"{expected}: {advice}")


def _fits(shape: tuple[int, ...], axes: str, joints: int | None) -> bool:
    size = dict(zip(axes, shape, strict=True))
    persons = size.get("M", 1)
    few = persons <= min(MOST_PERSONS, size["T"])
    return 2 <= size["C"] <= 4 and few and (size["V"] == joints if joints else size["V"] > size["C"])


CHANNELS = ("xy", "xyz", "xyc", "xyzc")  # c is a confidence in [0, 1]
_PICTURE = (
    "coco17",
    "coco133",
    "openpose18",
    "body25",
    "halpe26",
    "penn13",
)  # layouts of detectors in pictures
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
        - x: (..., len(channels)); returns: (..., 2 or 3), and (...)
    """
    if x.shape[-1] != len(channels):
        names = ", ".join(channels)
        raise InputError(f"{where}: {x.shape[-1]} numbers per joint, expects {len(channels)} ({names})")
    return (x[..., :-1], x[..., -1]) if channels[-1] == "c" else (x, None)


def fit_width(x: np.ndarray, joints: int, channels: str | None, where: Path) -> np.ndarray:
    """Rows of numbers, person after person, joint after joint, as (T, M, V, C).

    Args:
        channels: what the numbers of a joint are; None takes three where that fits, else four where every
            fourth lies in [0, 1], else two.

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
