"""Private machinery of ensembles: the search for weights, deterministic, with ties toward equal weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kinelex.inference.fusion import softmax

OBJECTIVES = ("log_likelihood", "accuracy")
_TRIED = tuple(round(0.1 * i, 1) for i in range(31))  # weights tried for one file, before they are normalised
_PASSES = 20
_LEAST_GAIN = 1e-9  # of the objective: less is a tie
_LEAST = 1e-12  # probability that a class counts with when it got none


def objective_of(scores: np.ndarray, labels: np.ndarray, objective: str, combine: str) -> float:
    """What the search makes large.

    >>> round(objective_of(np.array([[0.5, 0.5]]), np.array([0]), "log_likelihood", "softmax"), 3)
    -0.693
    """
    if objective == "accuracy":
        return float((scores.argmax(axis=1) == labels).mean())
    probabilities = softmax(scores) if combine == "logits" else scores
    return float(np.log(np.clip(probabilities[np.arange(len(labels)), labels], _LEAST, None)).mean())


def search_weights(
    tables: Sequence[np.ndarray], labels: np.ndarray, objective: str, combine: str
) -> np.ndarray:
    """Weights that make an objective large, by turns over one weight at a time from equal ones.

    Each turn tries 0 to 3 in steps of 0.1 for one file, the others as they are, and takes the best; among
    equally good ones the nearest to where it is. It ends when a round changes nothing. At last the weights
    move back toward equal ones as far as that costs nothing.

    Shape:
        - tables: (N, classes) of each file; labels: (N,)
        - returns: (files,), sum 1

    >>> good, bad = np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([[0.1, 0.9], [0.8, 0.2]])
    >>> search_weights([good, bad], np.array([0, 1]), "log_likelihood", "softmax").tolist()
    [1.0, 0.0]
    >>> search_weights([good, good], np.array([0, 1]), "accuracy", "softmax").tolist()
    [0.5, 0.5]
    """

    def value(weights: np.ndarray, total: np.ndarray) -> float:
        return objective_of(total / weights.sum(), labels, objective, combine)

    def total_of(weights: np.ndarray) -> np.ndarray:
        return np.sum([w * t for w, t in zip(weights, tables, strict=True) if w], axis=0)

    weights = np.ones(len(tables))
    best = value(weights, total_of(weights))
    for _ in range(_PASSES):
        before = weights.copy()
        for i, table in enumerate(tables):
            alone, now = weights.copy(), weights[i]
            alone[i] = 0
            rest = total_of(alone) if alone.any() else np.zeros_like(table)
            for _, tried in sorted((abs(weight - now), weight) for weight in _TRIED):
                other = alone.copy()
                other[i] = tried
                if other.any():
                    reached = value(other, rest + tried * table if tried else rest)
                    if reached > best + _LEAST_GAIN:
                        best, weights = reached, other
        if (weights == before).all():
            break
    shares = weights / weights.sum()
    equal = np.full(len(tables), 1 / len(tables))
    for step in range(10, 0, -1):  # the furthest toward equal weights that is as good
        nearer = shares + step / 10 * (equal - shares)
        if value(nearer, total_of(nearer)) > best - _LEAST_GAIN:
            return nearer
    return shares
