"""Top-1, top-5, per-class accuracy and the confusion matrix from scores and labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kinelex.errors import InputError


def top_k(scores: np.ndarray, labels: np.ndarray, k: int) -> float:
    """Fraction of rows whose class is among the k highest scores.

    With k or fewer classes it is 1 by definition.

    Shape:
        - scores: (N, classes); labels: (N,)

    Raises:
        InputError: no rows, not one label per row, or a label that is no column.

    >>> top_k(np.array([[0.1, 0.9, 0.0], [0.5, 0.4, 0.1]]), np.array([1, 1]), k=1)
    0.5
    """
    if len(scores) == 0 or len(scores) != len(labels):
        raise InputError(f"expects one label per row of scores, got {len(labels)} for {len(scores)} rows")
    check_labels(labels, scores.shape[1])
    best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return float((best == labels[:, None]).any(axis=1).mean())


def confusion_matrix(predictions: np.ndarray, labels: np.ndarray, num_classes: int) -> np.ndarray:
    """How many clips of each class (row) were taken for each class (column).

    Shape:
        - predictions, labels: (N,) class indices
        - returns: (classes, classes) int64

    Raises:
        InputError: a class below 0, or beyond the classes.

    >>> confusion_matrix(np.array([0, 1, 1]), np.array([0, 0, 1]), 2)
    array([[1, 1],
           [0, 1]])
    """
    check_labels(labels, num_classes)
    check_labels(predictions, num_classes)
    flat = np.bincount(labels * num_classes + predictions, minlength=num_classes**2)
    return flat.reshape(num_classes, num_classes)


def classification_metrics(
    scores: np.ndarray, labels: np.ndarray, class_names: Sequence[str]
) -> dict[str, Any]:
    """The numbers of one classifier on one test part, ready for JSON.

    Args:
        scores: higher is better.
        labels: true classes.
        class_names: one name per column of ``scores``.

    Shape:
        - scores: (N, classes); labels: (N,)

    Returns:
        ``top1``, ``top5``, ``mean_class`` (mean over the classes that the test part has), ``per_class``
        (by name; None for a class without a test clip) and ``confusion`` (rows are true classes).

    Raises:
        InputError: no rows, lengths that do not fit, or a label that is no column.

    >>> numbers = classification_metrics(np.eye(3), np.array([0, 1, 1]), ["walk", "sit", "wave"])
    >>> numbers["per_class"]
    {'walk': 1.0, 'sit': 0.5, 'wave': None}
    """
    if scores.shape[1] != len(class_names):
        raise InputError(f"expects a name for each of {scores.shape[1]} columns, got {len(class_names)}")
    top1, top5 = top_k(scores, labels, 1), top_k(scores, labels, 5)
    confusion = confusion_matrix(scores.argmax(axis=1), labels, len(class_names))
    counts = confusion.sum(axis=1)
    rates = [float(confusion[c, c] / n) if n else None for c, n in enumerate(counts)]
    return {
        "top1": top1,
        "top5": top5,
        "mean_class": float(np.mean([r for r in rates if r is not None])),
        "per_class": dict(zip(class_names, rates, strict=True)),
        "confusion": confusion.tolist(),
    }


def check_labels(labels: np.ndarray, classes: int) -> None:
    """Refuse labels that are none of the classes: as an index, -1 would stand for the last one.

    Shape:
        - labels: (N,)
    """
    if len(labels) and not 0 <= np.min(labels) <= np.max(labels) < classes:
        raise InputError(
            f"expects classes from 0 to {classes - 1}, got {np.min(labels)} to {np.max(labels)}: leave out "
            "clips without a label"
        )
