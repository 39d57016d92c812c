"""k nearest neighbours by chunked matrix products: exact, in bounded memory, on any device."""

from __future__ import annotations

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
    if metric not in METRICS:
        raise unknown_name("metric", metric, METRICS)
    if not 1 <= k <= len(train):
        raise InputError(f"expects 1 to {len(train)} neighbours (the training part's clips), got k = {k}")
    order = np.argsort(train_labels, kind="stable")  # by class, so that a class is one slice of columns
    labels = torch.as_tensor(train_labels[order], dtype=torch.int64, device=device)
    bank = _prepare(train[order], metric, device)
    rows_per_chunk = max(1, _CHUNK_ELEMENTS // len(train))
    scores, indices, similarities = [], [], []
    for start in range(0, len(test), rows_per_chunk):
        query = _prepare(test[start : start + rows_per_chunk], metric, device)
        similarity = _similarity(query, bank, metric)  # (rows, n_train)
        top = similarity.topk(k, dim=1)
        votes = torch.zeros(len(query), num_classes, device=device)
        votes.scatter_add_(1, labels[top.indices], torch.ones_like(top.values))
        scores.append((votes / k + _tie_break(similarity, labels, num_classes) / (2 * k)).cpu())
        indices.append(top.indices.cpu())
        similarities.append(top.values.cpu())
    if not scores:
        empty = np.zeros((0, k), np.float32)
        return Neighbours(np.zeros((0, num_classes), np.float32), empty.astype(np.int64), empty)
    found = order[torch.cat(indices).numpy()]
    return Neighbours(torch.cat(scores).numpy(), found, torch.cat(similarities).numpy())


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
