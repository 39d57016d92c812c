"""Task ``knn``: the nearest training clips vote, by frozen features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kinelex.data.labelled_clips import subject_groups
from kinelex.errors import InputError, unknown_name
from kinelex.evaluation.context import Context
from kinelex.evaluation.frozen import FrozenTask
from kinelex.evaluation.probe_data import Prediction, ProbeData
from kinelex.inference.linear_probe import training_folds
from kinelex.inference.neighbours import METRICS, knn, knn_scores


@dataclass(frozen=True)
class KnnOptions:
    """Options of ``knn``.

    Args:
        k: neighbours that vote.
        metric: cosine or euclidean.
        sweep: numbers of neighbours to choose from by the accuracy on five folds of the training part (whole
            subjects where the set names them), instead of k; for example 1,5,10,20.
    """

    k: int = 1
    metric: str = "cosine"
    sweep: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            raise unknown_name("metric", self.metric, METRICS)
        if min((self.k, *self.sweep)) < 1:
            raise InputError(f"expects knn.k and knn.sweep of at least 1, got {(self.k, *self.sweep)}")


class Knn(FrozenTask):
    """The nearest training clips vote, by frozen features."""

    name = "knn"
    title = "nearest neighbour on features"
    rule = (
        "Nothing is trained: each test clip gets the class that its nearest training clips vote for; top-1 "
        "over the test clips."
    )
    Options = KnnOptions

    def check(self, context: Context, options: KnnOptions) -> None:
        """Refuse more neighbours than there are."""
        if options.sweep:
            folds = training_folds(
                context.store.labels[context.train], subject_groups(context.store, context.train)
            )
            _check_sweep(options.sweep, folds.parts)
        elif options.k > len(context.train):
            raise InputError(
                f"expects knn.k of at most {len(context.train)}, the training clips, got {options.k}"
            )

    def judge(self, probe_data: ProbeData, options: KnnOptions) -> Prediction:
        """Votes of the nearest training clips."""
        m, details, k = probe_data, dict[str, Any](), options.k
        if options.sweep:
            details = swept(m, options)
            k = int(max(details["fold_accuracy"], key=details["fold_accuracy"].__getitem__))
        found = knn(m.train, m.train_labels, m.test, m.num_classes, k, options.metric, m.device)
        return Prediction(found.scores, {"k": k, "metric": options.metric, **details}, found)


def swept(probe_data: ProbeData, options: KnnOptions) -> dict[str, Any]:
    """How often each k of ``sweep`` is right on folds of the training part.

    Returns:
        ``fold_accuracy`` by k, the smallest first, over all clips held out, and ``folds_by``.

    Raises:
        InputError: more neighbours than a fold leaves.
    """
    m, ks = probe_data, sorted(set(options.sweep))
    folds = training_folds(m.train_labels, m.groups)
    _check_sweep(ks, folds.parts)
    right, total = np.zeros(len(ks)), 0
    for fit, held in folds.parts:
        some = (m.train[fit], m.train_labels[fit], m.train[held], m.num_classes)
        for i, scores in enumerate(knn_scores(*some, ks, options.metric, m.device)):
            right[i] += (scores.argmax(axis=1) == m.train_labels[held]).sum()
        total += len(held)
    accuracy = {str(k): float(rate) for k, rate in zip(ks, right / total, strict=True)}
    return {"fold_accuracy": accuracy, "folds_by": folds.by}


def _check_sweep(sweep: Sequence[int], folds: Sequence[tuple[np.ndarray, np.ndarray]]) -> None:
    if not folds:
        raise InputError(
            "knn.sweep expects two training clips of a class or more, got one of each: give knn.k"
        )
    fewest = min(len(fit) for fit, _ in folds)
    if max(sweep) > fewest:
        raise InputError(
            f"expects knn.sweep of at most {fewest}, the clips that a fold leaves, got {max(sweep)}"
        )
