"""k nearest neighbours by chunked matrix products: exact, in bounded memory, on any device.

The search multiplies in float32 and then computes in float64 whatever is so near that rounding could have
confused it: what it finds is what float64 finds. Rows of the bank that are the same are compared once, so
they are equally near to the last bit; of equally near rows the first one comes first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kinelex.errors import InputError, unknown_name
from kinelex.inference.distances import Bank, Nearest, Query, least_of
from kinelex.inference.threads import one_thread
from kinelex.inference.vectors import check_rows

METRICS = ("cosine", "euclidean")
_GROUP = 256  # columns that are looked at together
_LARGE = 10**10  # multiplications that more than one thread share


@dataclass
class Neighbours:
    """What :func:`knn` found.

    Args:
        scores: higher is better.
        indices: rows of the training part, the nearest first, of equals the lower row.
        similarities: the cosine, or the negative euclidean distance.

    Shape:
        - scores: (n_test, classes) float32; indices: (n_test, k) int64; similarities: (n_test, k) float32
    """

    scores: np.ndarray
    indices: np.ndarray
    similarities: np.ndarray


def knn(
    train: np.ndarray,
    train_labels: np.ndarray,
    test: np.ndarray,
    num_classes: int,
    k: int = 1,
    metric: str = "cosine",
    device: torch.device | str = "cpu",
) -> Neighbours:
    """Find each test row's k nearest training rows and score the classes by them.

    A class's score is its share of the k votes; among classes with as many votes the one whose nearest
    training row is nearer comes first, of equals the lower class. So the classes without a vote are ranked
    too (by their nearest training row), which is what top-5 at k = 1 means.

    Args:
        train: features of the training part.
        train_labels: their classes, 0 to ``num_classes`` - 1.
        test: features of the test part.
        num_classes: number of classes.
        k: neighbours that vote.
        metric: ``cosine`` or ``euclidean``.
        device: where the products are computed.

    Shape:
        - train: (n_train, F); train_labels: (n_train,); test: (n_test, F)

    Raises:
        InputError: an unknown metric, no training rows, k beyond their number, shapes that do not fit, or
            values that are not finite.

    >>> train, labels = np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([0, 1])
    >>> knn(train, labels, np.array([[2.0, 0.1]]), num_classes=2).scores.argmax(axis=1)
    array([1])
    """
    (scores,), indices, similarities = _voted(train, train_labels, test, num_classes, (k,), metric, device)
    return Neighbours(scores, indices, similarities)


def knn_scores(
    train: np.ndarray,
    train_labels: np.ndarray,
    test: np.ndarray,
    num_classes: int,
    ks: Sequence[int],
    metric: str = "cosine",
    device: torch.device | str = "cpu",
) -> list[np.ndarray]:
    """What :func:`knn` scores for several k, with one search.

    Shape:
        - returns: per k (n_test, classes)

    Raises:
        InputError: an unknown metric, no training rows, k beyond their number, shapes that do not fit, or
            values that are not finite.

    >>> train, labels = np.array([[0.0], [1.0], [1.2]]), np.array([0, 1, 1])
    >>> found = knn_scores(train, labels, np.array([[0.4]]), 2, (1, 3), metric="euclidean")
    >>> [int(scores.argmax()) for scores in found]
    [0, 1]
    """
    return _voted(train, train_labels, test, num_classes, ks, metric, device)[0]


def nearest(
    bank: np.ndarray,
    query: np.ndarray,
    k: int = 1,
    metric: str = "cosine",
    device: torch.device | str = "cpu",
) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest rows of ``bank`` for each row of ``query``, the nearest first, in bounded memory.

    Shape:
        - bank: (n, F); query: (m, F)
        - returns: indices (m, k) int64, similarities (m, k) float32: the cosine, or the negative distance

    Raises:
        InputError: an unknown metric, no row in the bank, k beyond their number, shapes that do not fit, or
            values that are not finite.

    >>> nearest(np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([[2.0, 0.1]]))[0]
    array([[1]])
    """
    _check(bank, query, k, metric)
    rows = Bank(bank, metric, device)
    groups = [min(_GROUP, len(bank) - start) for start in range(0, len(bank), _GROUP)]
    indices, similarities = np.empty((len(query), k), np.int64), np.empty((len(query), k), np.float32)
    with one_thread(bank.size * len(query) < _LARGE):
        for part in rows.queries(query, size=4):
            found = rows.nearest(part, rows.rough(part), groups, k)
            here = slice(part.first, part.first + len(part.rows))
            indices[here], similarities[here] = found.columns, _similarity(found.distances, metric)
    return indices, similarities


def distance_chunks(
    bank: np.ndarray,
    query: np.ndarray,
    metric: str = "cosine",
    device: torch.device | str = "cpu",
) -> Iterator[tuple[int, Tensor]]:
    """The squared distances of all pairs, some rows of ``query`` at a time: 32 MiB whatever the sizes.

    Yields:
        The first row of the part, and its squared distances to the whole bank, float64: those of unit vectors
        for the cosine, which is 1 - d / 2.

    Shape:
        - bank: (n, F); query: (m, F)
        - yields: (rows, n)

    >>> [(first, part.tolist()) for first, part in distance_chunks(np.eye(2), np.eye(2)[:1], "euclidean")]
    [(0, [[0.0, 2.0]])]
    """
    rows = Bank(bank, metric, device)
    for part in rows.queries(query):
        yield part.first, rows.distances(part)


def _similarity(distances: np.ndarray, metric: str) -> np.ndarray:
    """Cosines, or negative distances, from squared distances."""
    return 1 - distances / 2 if metric == "cosine" else -np.sqrt(distances)


def _voted(
    train: np.ndarray,
    train_labels: np.ndarray,
    test: np.ndarray,
    num_classes: int,
    ks: Sequence[int],
    metric: str,
    device: torch.device | str,
) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Scores by k; indices and similarities of the most neighbours."""
    most = max(ks)
    _check(train, test, most, metric, train_labels)
    order = np.argsort(train_labels, kind="stable")  # by class, so that a class is one slice of columns
    labels = np.asarray(train_labels, np.int64)[order]
    present, groups = (part.tolist() for part in np.unique(labels, return_counts=True))
    scores = [np.empty((len(test), num_classes), np.float32) for _ in ks]
    indices, similarities = np.empty((len(test), most), np.int64), np.empty((len(test), most), np.float32)
    bank = Bank(train[order], metric, device, order)
    with one_thread(train.size * len(test) < _LARGE):
        for part in bank.queries(test, size=4):
            rough = bank.rough(part)
            least = least_of(rough, groups)
            found = bank.nearest(part, rough, groups, most, least)
            best = np.full((len(least), num_classes), np.inf)
            best[:, present] = least.cpu().numpy()
            ranks, voters = _tie_break(best, part, found, labels), labels[found.columns]
            rows = slice(part.first, part.first + len(part.rows))
            for kept, k in zip(scores, ks, strict=True):
                cells = np.arange(len(voters))[:, None] * num_classes + voters[:, :k]
                votes = np.bincount(cells.ravel(), minlength=ranks.size).reshape(ranks.shape)
                kept[rows] = votes / k + ranks / (2 * k)
            indices[rows], similarities[rows] = order[found.columns], _similarity(found.distances, metric)
    return scores, indices, similarities


def _check(
    bank: np.ndarray, query: np.ndarray, k: int, metric: str, labels: np.ndarray | None = None
) -> None:
    if metric not in METRICS:
        raise unknown_name("metric", metric, METRICS)
    check_rows(bank, "the rows that are searched", labels)
    check_rows(query, "the rows that are looked for", width=bank.shape[1])
    if not 1 <= k <= len(bank):
        raise InputError(f"expects 1 to {len(bank)} neighbours (the training part's clips), got k = {k}")


def _tie_break(best: np.ndarray, query: Query, found: Nearest, labels: np.ndarray) -> np.ndarray:
    """Each class's smallest distance, ranked to values from 0 to 1 within a row: (m, classes).

    Of classes that may have one of the nearest in float64, of the others in float32, ``best``, as
    :meth:`~kinelex.inference.distances.Bank.rough` gives it.
    """
    best += query.squares[:, None]
    pairs = found.pairs[0], labels[found.pairs[1]]
    best[pairs] = np.inf
    np.minimum.at(best, pairs, found.pair_distances)
    farther = best.argsort(axis=1, kind="stable").argsort(axis=1)
    return (best.shape[1] - 1 - farther) / best.shape[1]
