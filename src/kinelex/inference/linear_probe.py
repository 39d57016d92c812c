"""Linear probes on features: logistic regression by L-BFGS with a chosen regularisation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from kinelex.errors import InputError
from kinelex.inference.logistic import SEARCH, LogisticPath
from kinelex.inference.threads import one_thread
from kinelex.inference.vectors import check_rows

# L2 strengths tried, the strongest first: loss = mean cross-entropy + strength / 2 * |W|^2.
STRENGTHS = (1.0, 0.3, 0.1, 0.03, 0.01, 3e-3, 1e-3, 3e-4)
_LARGE = 10**8  # multiplications in a product that more than one thread share


@dataclass
class LinearProbe:
    """A fitted linear classifier and how its regularisation was chosen.

    Args:
        mean, scale: (F,) standardisation of the features, from the training part, float64.
        weight: (classes, F) and bias (classes,) on standardised features.
        regularisation: the L2 strength chosen.
        fold_accuracy: per strength tried, the accuracy on held-out folds of the training part; empty where
            nothing was searched.
        folds_by: what the folds kept apart, see :class:`Folds`.
    """

    mean: np.ndarray
    scale: np.ndarray
    weight: np.ndarray
    bias: np.ndarray
    regularisation: float
    fold_accuracy: dict[float, float] = field(default_factory=dict)
    folds_by: str = "none"

    def scores(self, features: np.ndarray) -> np.ndarray:
        """Logits of features.

        Shape:
            - features: (N, F)
            - returns: (N, classes)
        """
        return _standardised(features, self.mean, self.scale) @ self.weight.T + self.bias


def linear_probe(
    features: np.ndarray,
    labels: np.ndarray,
    num_classes: int,
    groups: np.ndarray | None = None,
    strengths: tuple[float, ...] = STRENGTHS,
    folds: int = 5,
    crops: Sequence[np.ndarray] = (),
) -> LinearProbe:
    """Fit multinomial logistic regression by L-BFGS; choose its L2 strength inside the training part.

    The strength is the one with the best accuracy over cross-validation folds of the training part, see
    :func:`training_folds`, the strongest among equals. The test part is not an argument, so nothing of it can
    leak. All strengths are tried, from the strongest down, each fit starting at the last: where the curve is
    flat, rounding would decide when to give up. With one clip per class nothing can be held out, and the
    strongest is taken. Where all clips are of one class, that class is always predicted.

    Args:
        features: features of the training part, standardised here.
        labels: their classes.
        num_classes: number of classes; a class without a training clip is never predicted.
        groups: a group per row, for example the subject.
        strengths: L2 strengths to try; one alone is taken without cross-validation.
        folds: number of folds.
        crops: further features of the same clips, for example of other crops, that are learned beside the
            others; the held-out clips of a fold are judged without.

    Shape:
        - features and each of crops: (n, F); labels, groups: (n,)

    Raises:
        InputError: no clip, shapes that do not fit, or values that are not finite.

    >>> rng = np.random.default_rng(0)
    >>> labels = np.arange(60) % 3
    >>> x = rng.normal(size=(60, 8)) + 4 * np.eye(3, 8)[labels]
    >>> probe = linear_probe(x, labels, num_classes=3)
    >>> bool((probe.scores(x).argmax(axis=1) == labels).mean() > 0.9)
    True
    """
    if len(labels) == 0:
        raise InputError("a linear probe expects a clip or more in the training part")
    check_rows(features, "a linear probe's features", labels)
    tried = tuple(sorted(strengths, reverse=True))
    apart = training_folds(labels, groups, folds)
    if len(crops):
        starts = len(labels) * np.arange(1 + len(crops))
        parts = [((starts[:, None] + fit).ravel(), held) for fit, held in apart.parts]
        apart = apart._replace(parts=parts)
        features, labels = np.concatenate([features, *crops]), np.tile(labels, len(starts))
        check_rows(features, "a linear probe's crops", labels)
    mean, scale = standardisation(features)
    if len(np.unique(labels)) == 1:
        alone = np.where(np.arange(num_classes) == labels[0], 0.0, -np.inf)
        return LinearProbe(mean, scale, np.zeros((num_classes, len(mean))), alone, tried[0])
    accuracy: dict[float, float] = {}
    with one_thread(features.size * num_classes < _LARGE):
        if len(tried) > 1:
            accuracy = _fold_accuracy(features, labels, apart.parts, tried)
        # The strongest among equals: max() keeps the first, and they are in descending order.
        chosen = max(accuracy, key=accuracy.__getitem__) if accuracy else tried[0]
        path = LogisticPath(_standardised(features, mean, scale), labels, chosen)
        path.fit(chosen)
    weight = np.zeros((num_classes, len(mean)), np.float32)
    bias = np.full(num_classes, -np.inf, np.float32)  # of a class without a training clip
    weight[path.classes], bias[path.classes] = path.weights()
    return LinearProbe(mean, scale, weight, bias, chosen, accuracy, apart.by if accuracy else "none")


def standardisation(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation, 1 for constant features; float64, as features may share a large mean.

    Shape:
        - features: (n, F)
        - returns: (F,) and (F,)
    """
    mean, scale = features.mean(axis=0, dtype=np.float64), features.std(axis=0, dtype=np.float64)
    return mean, np.where(scale <= 1e-6 * max(float(scale.max()), 1e-12), 1.0, scale)


def _standardised(features: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    return ((features - mean) / scale).astype(features.dtype, copy=False)


class Folds(NamedTuple):
    """A training part cut for cross-validation.

    Args:
        parts: pairs of (fit, held out) rows.
        by: what is kept apart: ``subject``, ``class`` (the folds are stratified), or ``none`` without parts.
    """

    parts: list[tuple[np.ndarray, np.ndarray]]
    by: str


def training_folds(labels: np.ndarray, groups: np.ndarray | None, folds: int = 5) -> Folds:
    """Cut a training part so that clips that are held out can be recognised.

    Whole groups (subjects) are held out where two or more of them have a class in common; else the folds are
    stratified by class. Where every class has one clip there are none.

    >>> parts, by = training_folds(np.array([0, 1, 0, 1]), np.array([7, 7, 8, 8]))
    >>> sorted(held.tolist() for _, held in parts), by
    ([[0, 1], [2, 3]], 'subject')
    >>> training_folds(np.array([0, 1, 2]), None)
    Folds(parts=[], by='none')
    """
    if groups is not None and (count := len(np.unique(groups))) > 1:
        parts = _parts(_fold_of_groups(groups, min(folds, count)))
        if any(np.isin(labels[held], labels[fit]).any() for fit, held in parts):
            return Folds(parts, "subject")
    most = int(np.bincount(labels).max())
    if most < 2:
        return Folds([], "none")
    return Folds(_parts(_fold_by_class(labels, min(folds, most))), "class")


def _parts(fold: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(np.flatnonzero(fold != held), np.flatnonzero(fold == held)) for held in np.unique(fold)]


def _fold_of_groups(groups: np.ndarray, folds: int) -> np.ndarray:
    """The fold of each row: the largest group first, each into the fold with the fewest rows."""
    _, group, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    filled, fold = np.zeros(folds, np.int64), np.empty(len(sizes), np.int64)
    for largest in np.argsort(sizes, kind="stable")[::-1]:
        fold[largest] = filled.argmin()
        filled[fold[largest]] += sizes[largest]
    return fold[group]


def _fold_by_class(labels: np.ndarray, folds: int) -> np.ndarray:
    """The fold of each row: of every class as many in each fold as can be, drawn with seed 0."""
    _, first, known = np.unique(labels, return_index=True, return_inverse=True)
    known = np.argsort(np.argsort(first))[known]  # classes in the order in which they come
    rng, fold, ordered = np.random.RandomState(0), np.empty(len(labels), np.int64), np.sort(known)
    shares = [np.bincount(ordered[start::folds], minlength=len(first)) for start in range(folds)]
    for number, counts in enumerate(np.transpose(shares)):
        drawn = np.repeat(np.arange(folds), counts)
        rng.shuffle(drawn)
        fold[known == number] = drawn
    return fold


def _fold_accuracy(
    features: np.ndarray,
    labels: np.ndarray,
    folds: list[tuple[np.ndarray, np.ndarray]],
    strengths: tuple[float, ...],
) -> dict[float, float]:
    """Accuracy over all held-out rows per strength."""
    around = min(max(0.1, strengths[-1]), strengths[0])
    right, total = dict.fromkeys(strengths, 0), 0
    for fit, held in folds:
        if len(np.unique(labels[fit])) > 1:
            mean, scale = standardisation(features[fit])
            path = LogisticPath(_standardised(features[fit], mean, scale), labels[fit], around)
            held_out, truth = path.project(_standardised(features[held], mean, scale)), labels[held]
            total += len(truth)
            for strength in strengths:
                path.fit(strength, SEARCH)
                right[strength] += int((path.classes[path.scores(held_out).argmax(axis=1)] == truth).sum())
    return {strength: hits / total for strength, hits in right.items()} if total else {}
