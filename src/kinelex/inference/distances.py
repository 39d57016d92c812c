"""Distances of rows of numbers, roughly in float32 and exactly in float64: what a search is made of.

Features of a network often differ little around a large common mean (2e-4 around 4e-2 before any training):
products of such rows in float32 keep few of the digits that tell them apart. So the bank's mean is taken off
first, in float64; cosines are compared as distances of unit vectors, which is the same order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from kinelex.inference.vectors import unit_rows

_CHUNK_BYTES = 1 << 25  # of the distances held at once
_PAIR_ELEMENTS = 1 << 20  # numbers of pairs that are computed in float64 at once


@dataclass
class Query:
    """Some rows of a query as they are compared, float64.

    Args:
        first: the number of the first of them.
        rows: without the bank's mean.
        squares: their squared lengths.

    Shape:
        - rows: (m, F); squares: (m,)
    """

    first: int
    rows: np.ndarray
    squares: np.ndarray


@dataclass
class Nearest:
    """What a search found.

    Args:
        columns, distances: the bank's nearest rows, the nearest first, and their squared distances.
        pairs: row of the query and of the bank of all that were compared in float64.
        pair_distances: theirs.

    Shape:
        - columns, distances: (m, k); each of pairs, pair_distances: (pairs,)
    """

    columns: np.ndarray
    distances: np.ndarray
    pairs: tuple[np.ndarray, np.ndarray]
    pair_distances: np.ndarray


class Bank:
    """Rows to search as they are compared: of length 1 for the cosine, without their mean, each content once.

    Args:
        rows: the rows.
        metric: ``cosine`` or ``euclidean``.
        device: where products are computed.
        places: the places of the rows, of which the lowest comes first where rows are equally near; by
            default their order.

    Shape:
        - rows: (n, F); places: (n,)

    >>> bank = Bank(np.eye(2), "euclidean")
    >>> (query,) = bank.queries(np.array([[1.0, 0.0]]))
    >>> bank.distances(query)
    tensor([[0., 2.]], dtype=torch.float64)
    >>> bank.nearest(query, bank.rough(query), [2], k=1).columns
    array([[0]])
    """

    def __init__(
        self,
        rows: np.ndarray,
        metric: str,
        device: torch.device | str = "cpu",
        places: np.ndarray | None = None,
    ) -> None:
        self._unit, self._device = metric == "cosine", torch.device(device)
        self._places = np.arange(len(rows)) if places is None else places
        self._centre = np.zeros(rows.shape[1])
        compared = self._compared(rows)
        self._centre = _centre(compared)
        compared -= self._centre
        first, self._content = _distinct(compared)
        self._copied = None if len(first) == len(rows) else torch.as_tensor(self._content, device=device)
        self._rows = compared if self._copied is None else compared[first]
        self._squares = self._lengths(self._rows, rows[first])

    def queries(self, rows: np.ndarray, size: int = 8) -> Iterator[Query]:
        """Rows to search for, so many at a time that their distances, of ``size`` bytes each, are 32 MiB.

        Shape:
            - rows: (m, F)
        """
        step = max(1, _CHUNK_BYTES // size // max(1, len(self._places)))
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            compared = self._compared(part)
            yield Query(start, compared, self._lengths(compared, part))

    def distances(self, query: Query) -> Tensor:
        """Squared distances to the whole bank.

        Shape:
            - returns: (m, n) float64
        """
        found = torch.as_tensor(query.rows, device=self._device) @ self._exact_columns
        found.mul_(-2).add_(torch.as_tensor(self._squares, device=self._device))
        found.add_(torch.as_tensor(query.squares, device=self._device)[:, None]).clamp_(min=0)
        return found if self._copied is None else found[:, self._copied]

    def rough(self, query: Query) -> Tensor:
        """Squared distances to the whole bank but for the query's own squares, which change no order.

        On a CPU numpy multiplies, whose library is the faster one on many.

        Shape:
            - returns: (m, n) float32
        """
        wide = np.concatenate([-2 * query.rows, np.ones((len(query.rows), 1))], axis=1).astype(np.float32)
        if self._device.type == "cpu":
            found = torch.from_numpy(wide @ self._rough_columns.numpy())
        else:
            found = torch.as_tensor(wide, device=self._device) @ self._rough_columns
        return found if self._copied is None else found[:, self._copied]

    def nearest(
        self, query: Query, rough: Tensor, groups: Sequence[int], k: int, least: Tensor | None = None
    ) -> Nearest:
        """The k nearest of the bank, by distances in float64 of all that float32 may have confused.

        A sum of F products in float32 is off by less than F + 2 times the last digit of the products' sizes.

        Args:
            query: the rows to search for.
            rough: what :meth:`rough` gives of them.
            groups: how many columns of ``rough`` are looked at together.
            k: how many to find.
            least: the least of each group, (m, groups), where the caller knows it.
        """
        least = least_of(rough, groups) if least is None else least
        few = least.shape[1] < k  # else the k-th of the groups' least ones bounds the k nearest
        bound = (rough if few else least).topk(k, dim=1, largest=False).values[:, -1].cpu().numpy()
        longest = float(self._squares.max())
        sizes = 2 * np.sqrt(query.squares * longest) + longest
        bound = bound + 2 * (query.rows.shape[1] + 8) * 2.0**-24 * sizes
        rows, columns = _within(rough, groups, least, torch.as_tensor(bound, device=rough.device).float())
        distances = self._pair_distances(query, rows, columns)
        order = np.lexsort((self._places[columns], distances, rows))
        first = np.searchsorted(rows[order], np.arange(len(query.rows)))
        found = order[first[:, None] + np.arange(k)]
        return Nearest(columns[found], distances[found], (rows, columns), distances)

    def _pair_distances(self, query: Query, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        found, contents = np.empty(len(rows)), self._content[columns]
        step = max(1, _PAIR_ELEMENTS // query.rows.shape[1])
        for start in range(0, len(rows), step):
            row, content = rows[start : start + step], contents[start : start + step]
            products = np.einsum("pf,pf->p", query.rows[row], self._rows[content])
            found[start : start + step] = self._squares[content] - 2 * products + query.squares[row]
        return found.clip(min=0)

    @cached_property
    def _exact_columns(self) -> Tensor:
        return torch.as_tensor(self._rows, device=self._device).T

    @cached_property
    def _rough_columns(self) -> Tensor:
        """The bank's columns with their squares below, so that a product has both: (F + 1, n) float32."""
        both = np.empty((len(self._rows), self._rows.shape[1] + 1), np.float32)
        both[:, :-1], both[:, -1] = self._rows, self._squares
        return torch.as_tensor(both, device=self._device).T

    def _compared(self, rows: np.ndarray) -> np.ndarray:
        wide = unit_rows(rows) if self._unit else np.array(rows, dtype=np.float64)
        wide -= self._centre
        return wide

    def _lengths(self, compared: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Squared lengths; a row of zeros has the cosine 0 with all, so it lies 2 from all unit vectors."""
        squares = np.einsum("nf,nf->n", compared, compared)
        if self._unit:
            squares += ~rows.any(axis=1)
        return squares


def least_of(rough: Tensor, groups: Sequence[int]) -> Tensor:
    """The least number of each group of columns.

    Shape:
        - rough: (m, n)
        - returns: (m, groups)

    >>> least_of(torch.tensor([[3.0, 1.0, 2.0]]), [2, 1])
    tensor([[1., 2.]])
    """
    least = rough.new_empty(len(rough), len(groups))
    for number, part in enumerate(rough.split(list(groups), dim=1)):
        torch.amin(part, dim=1, out=least[:, number])
    return least


def _within(
    rough: Tensor, groups: Sequence[int], least: Tensor, bound: Tensor
) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of all numbers up to their row's bound, seen only in groups that have one."""
    found, start = list[tuple[Tensor, Tensor]](), 0
    for part, hit in zip(rough.split(list(groups), dim=1), (least <= bound[:, None]).T, strict=True):
        some = hit.nonzero()[:, 0]
        rows, columns = (part[some] <= bound[some, None]).nonzero(as_tuple=True)
        found.append((some[rows], columns + start))
        start += part.shape[1]
    rows, columns = (torch.cat(parts).cpu().numpy() for parts in zip(*found, strict=True))
    return rows, columns


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
    """The first row of each content, and for every row the place of its content among them.

    Only rows whose largest number another has, too, can be copies.
    """
    largest = rows.max(axis=1, initial=-np.inf)
    _, alike, counts = np.unique(largest, return_inverse=True, return_counts=True)
    names, known = np.arange(len(rows)), dict[bytes, int]()
    for row in np.flatnonzero(counts[alike] > 1).tolist():
        names[row] = known.setdefault(hashlib.blake2b(rows[row].data, digest_size=16).digest(), row)
    _, first, places = np.unique(names, return_index=True, return_inverse=True)
    return first, places
