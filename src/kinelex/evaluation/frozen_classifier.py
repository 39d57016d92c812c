"""What tells classes by a run's frozen features: fitted once, asked of clean clips and of changed ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from kinelex.errors import InputError, unknown_name
from kinelex.evaluation.context import Context
from kinelex.evaluation.probe_data import Prediction, ProbeData
from kinelex.evaluation.protocols.supervision import check_classes
from kinelex.evaluation.streams import fused
from kinelex.inference.known_clips import TrainingClips
from kinelex.inference.linear_probe import linear_probe
from kinelex.inference.load_model import load_model
from kinelex.inference.model import Model
from kinelex.inference.neighbours import knn
from kinelex.inference.own_head import fitted_probe

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


def learned_labels(context: Context) -> bool:
    """Whether the run has a classifier of its own."""
    return all(encoder.classifier is not None for encoder in context.encoders.values())


def known_model(context: Context, train: np.ndarray) -> Model:
    """The run's own classifier, else a logistic regression on training clips; calibrated.

    Args:
        context: the run and its clips.
        train: the training clips of the regression.

    Shape:
        - train: (n,)
    """
    if learned_labels(context):
        own = load_model(context.run.path, console=context.console, device=context.device)
        told = own.head, own.calibration, own.known_clips
    else:
        clips = TrainingClips(context.store, context.protocol, train, train[:0])
        told = fitted_probe(clips, train, {s: context.features(s, train) for s in context.encoders})
    head, calibration, known = told
    return Model(
        context.run.path, context.encoders, head, "", calibration, device=context.device, known_clips=known
    )
