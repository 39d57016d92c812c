"""Units of length, and whether a body has the size of one in metres."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kinelex.errors import InputError

# Every word for a unit of length: the word for the record, and how many metres it is.
_LENGTHS = {
    "metres": (1.0, "m metre metres meter meters"),
    "centimetres": (0.01, "cm centimetre centimetres centimeter centimeters"),
    "millimetres": (0.001, "mm millimetre millimetres millimeter millimeters"),
    "inches": (0.0254, "in inch inches"),
    "feet": (0.3048, "ft foot feet"),
}
_LARGEST = 5.0  # metres across all joints of a body; 2.4 with arms stretched out
_BODY = (0.6, 3.0)  # metres across a body in what the message proposes


def in_metres(units: str | None, channels: int) -> tuple[str, float]:
    """The unit for the record, and what coordinates are multiplied with to be in it.

    Lengths of 3-D coordinates become metres; other words stay for the record, with nothing converted.

    Args:
        units: the unit of the files; None means pixels for 2-D and metres for 3-D.

    >>> in_metres("cm", 3), in_metres(None, 2), in_metres("cm", 2), in_metres("heads", 3)
    (('metres', 0.01), ('pixels', 1.0), ('cm', 1.0), ('heads', 1.0))
    """
    if units is None:
        return ("pixels" if channels == 2 else "metres"), 1.0
    known = (factor for factor, words in _LENGTHS.values() if units.strip().lower() in words.split())
    factor = next(known, None)
    return ("metres", factor) if factor is not None and channels == 3 else (units, 1.0)


def check_body_size(x: np.ndarray, where: str | Path) -> None:
    """Refuse coordinates said to be metres in which no body can be.

    Shape:
        - x: (T, M, V, 3)
    """
    there = (x != 0).any(axis=3, keepdims=True)
    present = np.asarray(there.any(axis=(2, 3)))
    if not present.any():
        return
    with np.errstate(over="ignore", invalid="ignore"):
        low = np.where(there, x, np.inf).min(axis=2)[present].astype(np.float64)
        high = np.where(there, x, -np.inf).max(axis=2)[present].astype(np.float64)
        size = float(np.median(np.linalg.norm(high - low, axis=-1)))
    if not size > _LARGEST:
        return
    found = [
        f"--units {name} (then {size * factor:.2g} m)"
        for name, (factor, _) in _LENGTHS.items()
        if factor < 1 and _BODY[0] <= size * factor <= _BODY[1]
    ]
    advice = " or ".join([*found, "--units pixels where x and y are pixels"])
    raise InputError(
        f"{where}: its joints are {size:.4g} apart, which is no body in metres: pass {advice}; --units "
        "metres takes it as it is"
    )
