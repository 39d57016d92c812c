"""k nearest neighbours by chunked matrix products: exact, in bounded memory, on any device.

Features of a network often differ little around a large common mean (2e-4 around 4e-2 before any training):
products of such rows in float32 keep few of the digits that tell them apart. So the bank's mean is taken off
first, and all products are float64; cosines are compared as distances of unit vectors, which is the same
order. Rows of the bank that are the same are compared once, so they are equally near to the last bit; of
equally near rows the first one comes first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kinelex.errors import InputError, unknown_name
from kinelex.inference.vectors import unit_rows

METRICS = ("cosine", "euclidean")
_CHUNK_ELEMENTS = 1 << 22  # distances held at once: 32 MiB


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
        InputError: an unknown metric, no training rows, or k beyond their number.

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
        InputError: an unknown metric, no training rows, or k beyond their number.

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
        InputError: an unknown metric, no row in the bank, or k beyond their number.

    >>> nearest(np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([[2.0, 0.1]]))[0]
    array([[1]])
    """
    _check(bank, k, metric)
    indices, similarities = np.empty((len(query), k), np.int64), np.empty((len(query), k), np.float32)
    places = torch.arange(len(bank), device=device)
    for first, distances in distance_chunks(bank, query, metric, device):
        rows = slice(first, first + len(distances))
        values, found = _smallest(distances, k, places)
        indices[rows], similarities[rows] = found.cpu().numpy(), _similarity(values, metric)
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
    space = _Space(bank, metric, device)
    step = max(1, _CHUNK_ELEMENTS // max(1, len(bank)))
    for start in range(0, len(query), step):
        yield start, space.distances(query[start : start + step])


class _Space:
    """A bank as it is compared: float64, of length 1 for the cosine, without its mean, each content once."""

    def __init__(self, bank: np.ndarray, metric: str, device: torch.device | str) -> None:
        self._unit, self._device = metric == "cosine", device
        self._centre = np.zeros(bank.shape[1])
        rows = self._rows(bank)
        self._centre = _centre(rows)
        rows -= self._centre
        first, places = _distinct(rows)
        self._copied = None if len(first) == len(rows) else torch.as_tensor(places, device=device)
        if self._copied is not None:
            rows = rows[first]
        self._columns = torch.as_tensor(rows, device=device).T
        self._squares = self._lengths(rows, bank[first])

    def distances(self, query: np.ndarray) -> Tensor:
        """Squared distances of some rows to the whole bank: (rows, n)."""
        rows = self._rows(query)
        squares = self._lengths(rows, query)[:, None]
        found = torch.as_tensor(rows, device=self._device) @ self._columns
        found.mul_(-2).add_(self._squares).add_(squares).clamp_(min=0)
        return found if self._copied is None else found[:, self._copied]

    def _rows(self, features: np.ndarray) -> np.ndarray:
        rows = unit_rows(features) if self._unit else np.array(features, dtype=np.float64)
        rows -= self._centre
        return rows

    def _lengths(self, rows: np.ndarray, features: np.ndarray) -> Tensor:
        """Squared lengths; a row of zeros has the cosine 0 with all, so it lies 2 from all unit vectors."""
        squares = np.einsum("nf,nf->n", rows, rows)
        if self._unit:
            squares += ~features.any(axis=1)
        return torch.as_tensor(squares, device=self._device)


def _centre(rows: np.ndarray) -> np.ndarray:
    """The mean, rounded to the size of the spread: taken off, it leaves short numbers short."""
    if not rows.size:
        return np.zeros(rows.shape[1])
    mean = rows.mean(axis=0)
    spread = max((rows.max(axis=0) - mean).max(), (mean - rows.min(axis=0)).max())
    if spread <= 0:
        return mean
    grid = 2.0 ** np.floor(np.log2(spread))
    return np.round(mean / grid) * grid


def _distinct(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first row of each content, and for every row the place of its content among them."""
    known: dict[bytes, int] = {}
    digests = (hashlib.blake2b(row.data, digest_size=16).digest() for row in rows)
    places = np.array([known.setdefault(name, len(known)) for name in digests], np.int64)
    return np.unique(places, return_index=True)[1], places


def _smallest(distances: Tensor, k: int, places: Tensor) -> tuple[Tensor, Tensor]:
    """The k smallest distances of each row and where they are; of equal ones the lowest places.

    Shape:
        - distances: (rows, n); places: (n,), of the columns
        - returns: (rows, k) distances and places
    """
    values, columns = distances.topk(min(k + 1, distances.shape[1]), dim=1, largest=False)
    found, last = places[columns], values[:, k - 1 : k]
    for row in (values[:, k:] == last).any(dim=1).nonzero()[:, 0].tolist():  # more are as near as the k-th
        nearer = int((values[row] < last[row]).sum())
        equal = places[distances[row] == last[row]].sort().values
        found[row, nearer:k] = equal[: k - nearer]
    values, found = values[:, :k], found[:, :k]
    order = found.argsort(dim=1)
    order = order.gather(1, values.gather(1, order).argsort(dim=1, stable=True))
    return values.gather(1, order), found.gather(1, order)


def _similarity(distances: Tensor, metric: str) -> np.ndarray:
    """Cosines, or negative distances, from squared distances."""
    similarity = 1 - distances / 2 if metric == "cosine" else -distances.sqrt()
    return similarity.cpu().numpy()


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
    _check(train, most, metric)
    order = np.argsort(train_labels, kind="stable")  # by class, so that a class is one slice of columns
    places = torch.as_tensor(order, device=device)
    labels = torch.as_tensor(train_labels, dtype=torch.int64, device=device)
    # Results are copied into arrays that are there already: small tensors kept between the large ones of the
    # chunks would leave holes in the memory, 2 GB of them for 20 000 queries.
    scores = [np.empty((len(test), num_classes), np.float32) for _ in ks]
    indices, similarities = np.empty((len(test), most), np.int64), np.empty((len(test), most), np.float32)
    for first, distances in distance_chunks(train[order], test, metric, device):
        rows = slice(first, first + len(distances))
        values, found = _smallest(distances, most, places)
        ranks = _tie_break(distances, labels[places], num_classes)
        voters = labels[found]
        for kept, k in zip(scores, ks, strict=True):
            votes = torch.zeros(len(distances), num_classes, device=device)
            votes.scatter_add_(1, voters[:, :k], votes.new_ones(len(voters), k))
            kept[rows] = (votes / k + ranks / (2 * k)).cpu().numpy()
        indices[rows], similarities[rows] = found.cpu().numpy(), _similarity(values, metric)
    return scores, indices, similarities


def _check(bank: np.ndarray, k: int, metric: str) -> None:
    if metric not in METRICS:
        raise unknown_name("metric", metric, METRICS)
    if not 1 <= k <= len(bank):
        raise InputError(f"expects 1 to {len(bank)} neighbours (the training part's clips), got k = {k}")


def _tie_break(distances: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Each class's smallest distance, ranked to values from 0 to 1 within a row: (rows, classes)."""
    best = torch.full(
        (len(distances), num_classes), torch.inf, device=distances.device, dtype=distances.dtype
    )
    present, counts = labels.unique_consecutive(return_counts=True)
    for label, columns in zip(present.tolist(), distances.split(counts.tolist(), dim=1), strict=True):
        best[:, label] = columns.amin(dim=1)
    farther = best.argsort(dim=1, stable=True).argsort(dim=1)
    return (num_classes - 1 - farther) / num_classes
