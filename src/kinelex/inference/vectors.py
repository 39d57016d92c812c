"""Rows of numbers as directions."""

from __future__ import annotations

import numpy as np


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """Vectors of length 1; those of zeros stay.

    In float64: features that share a large mean differ in digits that float32 would round away.

    Shape:
        - vectors: (..., F)
        - returns: (..., F) float64

    >>> unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.6, 0.8], [0.0, 0.0]]
    """
    wide = np.array(vectors, dtype=np.float64)
    lengths = np.sqrt(np.einsum("...f,...f->...", wide, wide))
    wide /= np.where(lengths > 0, lengths, 1.0)[..., None]
    return wide
