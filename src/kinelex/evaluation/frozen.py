"""Tasks on frozen features: the run's own classifier, neighbours, and linear probes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from kinelex.errors import InputError, unknown_name
from kinelex.evaluation.clips import subject_groups
from kinelex.evaluation.context import Context, TaskResult
from kinelex.evaluation.probe_data import Prediction, ProbeData
from kinelex.evaluation.protocols.knn import METRICS, knn, knn_scores
from kinelex.evaluation.protocols.linear import linear_probe, training_folds
from kinelex.evaluation.protocols.linear_sgd import linear_sgd_layers, linear_sgd_probe
from kinelex.evaluation.streams import softmax

_NO_CLASSIFIER = "classify needs a run that learned from labels; probe this one: --tasks knn,linear"


@dataclass(frozen=True)
class NoOptions:
    """The options of a task that has none."""


class FrozenTask(ABC):
    """A task that looks at each stream's features alone; the streams' scores are then fused."""

    name: ClassVar[str]
    title: ClassVar[str]
    rule: ClassVar[str]
    Options: ClassVar[type] = NoOptions

    @abstractmethod
    def judge(self, probe_data: ProbeData, options: Any) -> Prediction:
        """What one stream's features say of the test clips.

        Raises:
            InputError: an option, or features, that the task cannot use.
        """

    def run(self, context: Context, options: Any) -> TaskResult:
        """Judge the run.

        Raises:
            InputError: as :meth:`judge`.
        """
        alone = {stream: self.judge(m, options) for stream, m in context.probe_data().items()}
        result = context.judged(self.name, alone)
        result.numbers["rule"] = self.rule
        return result


class Classify(FrozenTask):
    """The classifier of a run that learned from labels."""

    name = "classify"
    title = "the run's own classifier"
    rule = "The classifier that the run learned with its encoder; top-1 over the test clips."

    def check(self, context: Context, options: Any) -> None:
        """Refuse a run without a classifier.

        Raises:
            InputError: it has none.
        """
        if any(encoder.classifier is None for encoder in context.encoders.values()):
            raise InputError(_NO_CLASSIFIER)

    def judge(self, probe_data: ProbeData, options: Any) -> Prediction:
        """Scores by the classifier.

        Raises:
            InputError: the run has none.
        """
        if probe_data.classifier is None:
            raise InputError(_NO_CLASSIFIER)
        weight, bias = probe_data.classifier
        return Prediction(probe_data.test @ weight.T + bias)


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
        """Refuse more neighbours than there are.

        Raises:
            InputError: more than the training part has, or than a fold of it leaves.
        """
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
        m, details = probe_data, dict[str, Any]()
        k = options.k
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


class Linear(FrozenTask):
    """A linear probe: multinomial logistic regression on frozen features."""

    name = "linear"
    title = "linear probe"
    rule = (
        "Logistic regression on frozen, standardised features of the training clips, its penalty chosen on "
        "folds of the training part; top-1 over the test clips."
    )

    def judge(self, probe_data: ProbeData, options: Any) -> Prediction:
        """Logits of the fitted probe."""
        probe = linear_probe(
            probe_data.train, probe_data.train_labels, probe_data.num_classes, probe_data.groups
        )
        details = {
            "regularisation": probe.regularisation,
            "fold_accuracy": {f"{strength:g}": rate for strength, rate in probe.fold_accuracy.items()},
            "folds_by": probe.folds_by,
        }
        return Prediction(probe.scores(probe_data.test), details)


@dataclass(frozen=True)
class LinearSGDOptions:
    """Options of ``linear_sgd``.

    Args:
        together: of several streams train one logit, the mean of their layers', as CMD publishes its three
            streams, instead of each stream's own.
    """

    together: bool = False


class LinearSGD(FrozenTask):
    """A linear probe by the papers' protocol: one layer on frozen features, trained by SGD."""

    name = "linear_sgd"
    title = "linear probe, papers' SGD"
    rule = (
        "One fully connected layer on frozen features of the training clips, trained by SGD for 80 epochs; "
        "top-1 over the test clips by the last epoch's weights."
    )
    Options = LinearSGDOptions

    def judge(self, probe_data: ProbeData, options: Any) -> Prediction:
        """Logits of the trained layer."""
        m = probe_data
        layer = linear_sgd_probe(m.train, m.train_labels, m.num_classes, seed=m.seed, device=m.device)
        return Prediction(_logits(layer, m.test))

    def run(self, context: Context, options: LinearSGDOptions) -> TaskResult:
        """Judge the run.

        Raises:
            InputError: as :meth:`judge`.
        """
        probe_data = context.probe_data()
        if not options.together or len(probe_data) == 1:
            return super().run(context, options)
        parts = list(probe_data.values())
        some = ([m.train for m in parts], parts[0].train_labels, parts[0].num_classes)
        layers = linear_sgd_layers(*some, seed=context.seed, device=context.device)
        logits = {s: _logits(layer, probe_data[s].test) for s, layer in zip(probe_data, layers, strict=True)}
        how = {"fused": "one logit, the mean of the streams', trained together"}
        whole = Prediction(softmax(np.mean(list(logits.values()), axis=0)), how)
        result = context.judged(self.name, {s: Prediction(scores) for s, scores in logits.items()}, whole)
        result.numbers["rule"] = self.rule
        return result


def _logits(layer: torch.nn.Linear, features: np.ndarray) -> np.ndarray:
    return np.asarray(layer(torch.as_tensor(features, dtype=torch.float32)))
