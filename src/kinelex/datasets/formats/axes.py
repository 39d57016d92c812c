"""The order of an array's axes: frames T, persons M, joints V, coordinates C, and clips N before them."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import numpy as np

from kinelex.datasets.policy import MOST_PERSONS
from kinelex.errors import InputError

_USUAL = ("TMVC", "MTVC", "CTVM", "TVC", "CTV", "MCTV", "TVMC", "TCVM", "TVCM", "MTCV", "TCV")


def check_axes(axes: str | None, clips: bool = False) -> str | None:
    """The option ``--axes``, in capitals without what divides the letters.

    Args:
        axes: what was given, for example ``CTVM`` or ``(C, T, V, M)``.
        clips: whether the array has many clips: then an axis N.

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
        x: the array.
        axes: the order of its axes; None means (T, V, C) or (T, M, V, C), where that can be.
        joints: number of joints V, where it is known.
        path: the file, for messages.
    """
    if axes is not None:
        if x.ndim != len(axes):
            raise InputError(f"{path}: --axes {axes} has {len(axes)} axes, the array {x.ndim}: {x.shape}")
        return ordered(x, axes, "TMVC")
    if x.ndim not in (3, 4):
        raise InputError(f"{path}: expects shape (T, V, C) or (T, M, V, C) with C 2 or 3, got {x.shape}")
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
    raise InputError(
        f"{path}: expects shape (T, V, C) or (T, M, V, C) with C 2 or 3, got {x.shape}: {advice}"
    )


def _fits(shape: tuple[int, ...], axes: str, joints: int | None) -> bool:
    size = dict(zip(axes, shape, strict=True))
    persons = size.get("M", 1)
    few = persons <= min(MOST_PERSONS, size["T"])
    return 2 <= size["C"] <= 4 and few and (size["V"] == joints if joints else size["V"] > size["C"])
