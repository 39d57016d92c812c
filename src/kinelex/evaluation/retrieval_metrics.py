"""Ranking a gallery by similarity: average precision and recall at k, exact, in bounded memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from kinelex.errors import InputError
from kinelex.evaluation.statistics import bootstrap_interval
from kinelex.inference.neighbours import distance_chunks

RECALL_AT = (1, 5, 10)


@dataclass
class Retrieval:
    """What each query found; NaN where the gallery has nothing that it asks for.

    Args:
        average_precision: the mean, over the entries that the query asks for, of the share of such entries
            among those at least as similar.
        hits: by k, 1 where one of the k most similar entries is of the kind asked for, else 0.

    Shape:
        - average_precision and each of hits: (queries,)
    """

    average_precision: np.ndarray
    hits: dict[int, np.ndarray]

    def numbers(self, seed: int = 0) -> dict[str, Any]:
        """Means over the queries: ``mAP`` with its ``ci95``, ``R@1``, ...; ``queries`` and ``unanswered``."""
        answered = ~np.isnan(self.average_precision)
        if not answered.any():
            raise InputError(
                "the gallery has nothing of what any query asks for, so nothing can be retrieved"
            )
        found: dict[str, Any] = {
            "mAP": float(self.average_precision[answered].mean()),
            "ci95": list(bootstrap_interval(self.average_precision, seed)),
        }
        found |= {f"R@{k}": float(hit[answered].mean()) for k, hit in self.hits.items()}
        return {**found, "queries": int(answered.sum()), "unanswered": int((~answered).sum())}


def retrieve(
    query: np.ndarray,
    query_labels: np.ndarray,
    gallery: np.ndarray,
    gallery_labels: np.ndarray,
    own: np.ndarray | None = None,
    recall_at: Sequence[int] = RECALL_AT,
    device: torch.device | str = "cpu",
) -> Retrieval:
    """Rank the gallery for each query by cosine similarity; entries of the query's label are asked for.

    Entries that are equally similar share a rank: all of them count as found before any of them is. So a
    space in which all is alike retrieves nothing by chance of order.

    Args:
        query, gallery: vectors.
        query_labels, gallery_labels: what they are.
        own: for each query the row of the gallery that is the query itself and is left out, -1 where none is.
        recall_at: the k of recall at k.
        device: where the products are computed.

    Shape:
        - query: (n, F); query_labels, own: (n,); gallery: (m, F); gallery_labels: (m,)

    Raises:
        InputError: an empty gallery, or k below 1.

    >>> gallery = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
    >>> found = retrieve(np.array([[1.0, 0.0]]), np.array([1]), gallery, np.array([0, 1, 1]))
    >>> found.average_precision.round(3), found.hits[1], found.hits[5]
    (array([0.583]), array([0.]), array([1.]))
    """
    if len(gallery) == 0 or min(recall_at, default=1) < 1:
        raise InputError(f"expects a gallery and k of at least 1, got {len(gallery)} and {tuple(recall_at)}")
    order = np.argsort(gallery_labels, kind="stable")  # a label is one slice of columns
    labels = np.asarray(gallery_labels)[order]
    first, last = (np.searchsorted(labels, query_labels, side=side) for side in ("left", "right"))
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    left_out = np.full(len(query), -1) if own is None else np.where(own >= 0, place[own], -1)
    precision = np.full(len(query), np.nan)
    hits = {k: np.full(len(query), np.nan) for k in recall_at}
    for start, part in distance_chunks(gallery[order], query, device=device):
        similarity = -part.cpu().numpy()  # of squared distances of unit vectors: the order of the cosines
        rows = np.arange(start, start + len(similarity))
        out = left_out[rows] >= 0
        similarity[out.nonzero()[0], left_out[rows][out]] = -np.inf
        ascending = np.sort(similarity, axis=1)
        for i, row in enumerate(rows):
            wanted = np.sort(similarity[i, first[row] : last[row]])
            wanted = wanted[wanted > -np.inf]
            if len(wanted):
                found = _found(wanted, ascending[i])
                precision[row] = found[0]
                for k, hit in hits.items():
                    hit[row] = found[1] < k
    return Retrieval(precision, hits)


def _found(wanted: np.ndarray, everything: np.ndarray) -> tuple[float, int]:
    """Average precision, and how many others are at least as similar as the best that is wanted.

    Args:
        wanted, everything: similarities, ascending.
    """
    of_wanted = len(wanted) - np.searchsorted(wanted, wanted)  # wanted ones that are at least as similar
    of_all = len(everything) - np.searchsorted(everything, wanted)
    return float((of_wanted / of_all).mean()), int(of_all[-1] - of_wanted[-1])
