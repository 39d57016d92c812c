"""Rows of numbers as directions."""

from __future__ import annotations

import numpy as np

from kinelex.errors import InputError


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


class NearestRows:
    """Rows to search by cosine: unit vectors without their mean, so that float32 tells near ones apart.

    Shape:
        - rows: (n, F)

    >>> places, cosines = NearestRows(np.eye(3)).nearest(np.array([1.0, 0.2, 0.0]), 2)
    >>> places.tolist(), cosines.round(2).tolist()
    ([0, 1], [0.98, 0.2])
    """

    def __init__(self, rows: np.ndarray) -> None:
        unit = unit_rows(rows)
        self.mean = unit.mean(axis=0)
        unit -= self.mean
        self.squares = (unit**2).sum(axis=1) + ~np.any(rows, axis=1)  # a row of zeros is like no other
        self.rows = unit.astype(np.float32)

    def cosines(self, query: np.ndarray) -> np.ndarray:
        """The cosine of every row and a query; those of zeros are like nothing.

        Shape:
            - query: (..., F); returns: (..., n)
        """
        apart = unit_rows(query) - self.mean
        squares = np.einsum("...f,...f->...", apart, apart) + ~np.any(query, axis=-1)
        return 1 - (self.squares + squares[..., None]) / 2 + apart.astype(np.float32) @ self.rows.T

    def nearest(self, query: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """The nearest rows, the most similar first, and their cosines.

        Shape:
            - query: (F,); returns: (count,) and (count,)
        """
        cosines = self.cosines(query)
        count = min(count, len(cosines))
        least = np.partition(cosines, -count)[-count]
        places = np.flatnonzero(cosines >= least)
        places = places[np.argsort(-cosines[places], kind="stable")][:count]
        return places, cosines[places]


def check_rows(
    rows: np.ndarray, what: str, labels: np.ndarray | None = None, width: int | None = None
) -> None:
    """Refuse what a search or a probe would answer wrongly, or with another library's message.

    Args:
        rows: features, one row per clip.
        what: what to call them.
        labels: their classes, where they have some.
        width: how many numbers a row has to have.

    Shape:
        - rows: (n, F); labels: (n,)

    Raises:
        InputError: not of this shape, or values that are not finite.

    >>> check_rows(np.zeros((2, 3)), "train", np.zeros(3))
    Traceback (most recent call last):
    kinelex.errors.InputError: train: expects a label per row, got 3 labels for 2 rows
    """
    rows = np.asarray(rows)
    if rows.ndim != 2:
        raise InputError(f"{what}: expects features of shape (clips, numbers), got {rows.shape}")
    if width is not None and rows.shape[1] != width:
        raise InputError(
            f"{what}: expects {width} numbers per row, as the other features have, got {rows.shape[1]}"
        )
    if labels is not None and np.shape(labels) != (len(rows),):
        raise InputError(f"{what}: expects a label per row, got {len(labels)} labels for {len(rows)} rows")
    wrong = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if len(wrong):
        more = f" (and {len(wrong) - 1} more rows)" if len(wrong) > 1 else ""
        raise InputError(f"{what}: row {wrong[0]}{more} holds numbers that are not finite")
