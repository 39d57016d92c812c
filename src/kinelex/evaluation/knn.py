"""k nearest neighbours by chunked matrix products: exact, in bounded memory, on any device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kinelex.errors import InputError, unknown_name

METRICS = ("cosine", "euclidean")
_CHUNK_ELEMENTS = 1 << 23  # similarities held at once: 32 MiB of float32


@dataclass
class Neighbours:
    """What :func:`knn` found.

    Args:
        scores: (n_test, classes) float32, higher is better.
        indices: (n_test, k) int64, rows of the training part, the nearest first.
        similarities: (n_test, k) float32: the cosine, or the negative euclidean distance.
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
    training row is nearer comes first. So the classes without a vote are ranked too (by their nearest
    training row), which is what top-5 at k = 1 means.

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
    for first, part in similarity_chunks(bank, query, metric, device):
        top = part.topk(k, dim=1)
        rows = slice(first, first + len(part))
        indices[rows], similarities[rows] = top.indices.cpu().numpy(), top.values.cpu().numpy()
    return indices, similarities


def similarity_chunks(
    bank: np.ndarray,
    query: np.ndarray,
    metric: str = "cosine",
    device: torch.device | str = "cpu",
) -> Iterator[tuple[int, Tensor]]:
    """The similarities of all pairs, some rows of ``query`` at a time: 32 MiB whatever the sizes.

    Yields:
        The first row of the part, and its similarities to the whole bank: cosines, or negative distances.

    Shape:
        - bank: (n, F); query: (m, F)
        - yields: (rows, n)

    >>> [(first, tuple(part.shape)) for first, part in similarity_chunks(np.eye(3), np.eye(3)[:2])]
    [(0, (2, 3))]
    """
    columns = _prepare(bank, metric, device)
    step = max(1, _CHUNK_ELEMENTS // max(1, len(bank)))
    for start in range(0, len(query), step):
        yield start, _similarity(_prepare(query[start : start + step], metric, device), columns, metric)


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
    labels = torch.as_tensor(train_labels[order], dtype=torch.int64, device=device)
    # Results are copied into arrays that are there already: small tensors kept between the large ones of the
    # chunks would leave holes in the memory, 2 GB of them for 20 000 queries.
    scores = [np.empty((len(test), num_classes), np.float32) for _ in ks]
    indices, similarities = np.empty((len(test), most), np.int64), np.empty((len(test), most), np.float32)
    for first, similarity in similarity_chunks(train[order], test, metric, device):
        rows = slice(first, first + len(similarity))
        top = similarity.topk(most, dim=1)
        ranks = _tie_break(similarity, labels, num_classes)
        voters = labels[top.indices]
        for kept, k in zip(scores, ks, strict=True):
            votes = torch.zeros(len(similarity), num_classes, device=device)
            votes.scatter_add_(1, voters[:, :k], torch.ones_like(top.values[:, :k]))
            kept[rows] = (votes / k + ranks / (2 * k)).cpu().numpy()
        indices[rows] = order[top.indices.cpu().numpy()]
        similarities[rows] = top.values.cpu().numpy()
    return scores, indices, similarities


def _check(bank: np.ndarray, k: int, metric: str) -> None:
    if metric not in METRICS:
        raise unknown_name("metric", metric, METRICS)
    if not 1 <= k <= len(bank):
        raise InputError(f"expects 1 to {len(bank)} neighbours (the training part's clips), got k = {k}")


def _prepare(features: np.ndarray, metric: str, device: torch.device | str) -> Tensor:
    x = torch.as_tensor(np.ascontiguousarray(features, dtype=np.float32), device=device)
    return torch.nn.functional.normalize(x, dim=1) if metric == "cosine" else x


def _similarity(query: Tensor, bank: Tensor, metric: str) -> Tensor:
    """Cosine, or the negative euclidean distance: (rows, n_train)."""
    product = query @ bank.T
    if metric == "cosine":
        return product
    squares = query.square().sum(1, keepdim=True) + bank.square().sum(1)
    return -(squares - 2 * product).clamp_min(0).sqrt()


def _tie_break(similarity: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Each class's best similarity, ranked to values from 0 to 1 within a row: (rows, classes)."""
    best = torch.full((len(similarity), num_classes), -torch.inf, device=similarity.device)
    present, counts = labels.unique_consecutive(return_counts=True)
    for label, columns in zip(present.tolist(), similarity.split(counts.tolist(), dim=1), strict=True):
        best[:, label] = columns.amax(dim=1)
    rank = best.argsort(dim=1).argsort(dim=1)
    return rank / num_classes
