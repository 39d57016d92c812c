"""Classifiers on frozen features, fitted once and asked of clean clips, then of changed ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from kinelex.errors import InputError, unknown_name
from kinelex.evaluation.context import Context
from kinelex.evaluation.probe_data import Prediction, ProbeData
from kinelex.evaluation.protocols.supervision import check_classes
from kinelex.evaluation.streams import fused
from kinelex.inference.linear_probe import linear_probe
from kinelex.inference.neighbours import knn

WAYS = ("auto", "classify", "knn", "linear")
SAID = {
    "classify": "the run's own classifier",
    "knn": "the nearest clean training clip",
    "linear": "a logistic regression fitted on clean training clips",
}
_Scores = Callable[[np.ndarray], np.ndarray]


class FrozenClassifier:
    """One classifier per stream.

    Args:
        context: the run and its clips.
        by: ``classify``, ``knn``, ``linear``, or ``auto``: the run's own classifier where it has one of the
            store's classes, else ``instead``.
        instead: what ``auto`` takes where there is none.

    Attributes:
        by: what was taken, never ``auto``.

    Raises:
        InputError: no such way, or a classifier that the run does not have.
    """

    def __init__(self, context: Context, by: str = "auto", instead: str = "knn") -> None:
        self.by = chosen_way(context, by, instead)
        self._scores = {stream: _scoring(self.by, m) for stream, m in context.probe_data().items()}

    def __call__(self, features: Mapping[str, np.ndarray]) -> dict[str, Prediction]:
        """What the classifiers say of clips, by stream."""
        return {stream: Prediction(score(features[stream])) for stream, score in self._scores.items()}

    def fused(self, features: Mapping[str, np.ndarray]) -> np.ndarray:
        """The scores of all streams together.

        Shape:
            - features: (N, F) by stream
            - returns: (N, classes)
        """
        return fused(self.by, self(features)).scores


def chosen_way(context: Context, by: str, instead: str = "knn") -> str:
    """What ``auto`` is for a run, or the way that was asked for, where the run can go it."""
    if by not in WAYS:
        raise unknown_name("way to classify", by, WAYS)
    encoders = context.encoders.values()
    if by == "auto":
        names = {e.class_names if e.classifier is not None else () for e in encoders}
        return "classify" if names == {context.class_names} else instead
    if by == "classify":
        if any(encoder.classifier is None for encoder in encoders):
            raise InputError(f"{context.run.path} learned no classifier: take by=knn or by=linear")
        check_classes(context.encoders, context.store, context.run.path)
    return by


def _scoring(by: str, m: ProbeData) -> _Scores:
    """From features to scores; what can be fitted is fitted here."""
    if by == "classify" and m.classifier is not None:
        weight, bias = m.classifier
        return lambda x: x @ weight.T + bias
    if by == "linear":
        return linear_probe(m.train, m.train_labels, m.num_classes, m.groups).scores
    return lambda x: knn(m.train, m.train_labels, x, m.num_classes, device=m.device).scores
