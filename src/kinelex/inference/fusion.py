"""Several streams, one answer: the mean of their scores, or their features side by side."""

from __future__ import annotations

import numpy as np

from kinelex.inference.vectors import unit_rows


def fuse(task: str, scores: list[np.ndarray]) -> np.ndarray:
    """The streams' common scores: the mean of their votes (``knn``) or of their softmax scores (probes).

    Votes keep the tie break of :func:`~kinelex.inference.neighbours.knn`: where each stream votes for
    another class, the one comes first whose nearest training clip is near in all streams.

    Shape:
        - scores: (N, classes) of each stream
        - returns: (N, classes)

    Source: the "3s" ensembles of CMD and CrosSCLR, with equal weights.

    >>> fuse("linear", [np.array([[0.0, 0.0]]), np.array([[0.0, np.log(3)]])])
    array([[0.375, 0.625]])
    """
    if task == "knn":
        return np.mean(scores, axis=0)
    return np.mean([softmax(s) for s in scores], axis=0)


def softmax(scores: np.ndarray) -> np.ndarray:
    """Softmax over the classes.

    Shape:
        - scores: (N, classes)
        - returns: (N, classes), rows sum to 1

    >>> softmax(np.array([[0.0, -np.inf]])).tolist()
    [[1.0, 0.0]]
    """
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def joined(features: list[np.ndarray]) -> np.ndarray:
    """The streams' features side by side, each of length 1: their cosine is the mean of the streams'.

    One stream's are left as they are.

    Shape:
        - features: (N, F) of each stream
        - returns: (N, sum of F), float64 of several
    """
    return features[0] if len(features) == 1 else np.concatenate([unit_rows(f) for f in features], axis=1)
