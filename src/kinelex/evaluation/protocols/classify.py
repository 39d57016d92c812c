"""Task ``classify``: the classifier that a run learned with its encoder."""

from __future__ import annotations

from typing import Any

from kinelex.errors import InputError
from kinelex.evaluation.context import Context
from kinelex.evaluation.frozen import FrozenTask
from kinelex.evaluation.probe_data import Prediction, ProbeData

_NO_CLASSIFIER = "classify needs a run that learned from labels; probe this one: --tasks knn,linear"


class Classify(FrozenTask):
    """The classifier of a run that learned from labels."""

    name = "classify"
    title = "the run's own classifier"
    rule = "The classifier that the run learned with its encoder; top-1 over the test clips."

    def check(self, context: Context, options: Any) -> None:
        """Refuse a run without a classifier."""
        if any(encoder.classifier is None for encoder in context.encoders.values()):
            raise InputError(_NO_CLASSIFIER)

    def judge(self, probe_data: ProbeData, options: Any) -> Prediction:
        """Scores by the classifier."""
        if probe_data.classifier is None:
            raise InputError(_NO_CLASSIFIER)
        weight, bias = probe_data.classifier
        return Prediction(probe_data.test @ weight.T + bias)
