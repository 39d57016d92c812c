"""A task of ``evaluate``: ``kinelex evaluate RUN --tasks nearest_mean nearest_mean.metric=cosine``."""

from dataclasses import dataclass

import numpy as np

from kinelex.errors import InputError
from kinelex.evaluation import FrozenTask, Prediction, ProbeData, register


@dataclass(frozen=True)
class NearestMeanOptions:
    """Options of ``nearest_mean``.

    Args:
        metric: cosine or euclidean.
    """

    metric: str = "euclidean"

    def __post_init__(self) -> None:
        if self.metric not in ("cosine", "euclidean"):
            raise InputError(f"expects nearest_mean.metric=cosine or euclidean, got {self.metric!r}")


@register
class NearestMean(FrozenTask):
    """Test clips get the class whose training clips' mean is nearest, by frozen features."""

    name = "nearest_mean"
    title = "nearest class mean on features"
    rule = "Nothing is trained: a test clip gets the class whose training clips' mean is nearest; top-1."
    Options = NearestMeanOptions

    def judge(self, data: ProbeData, options: NearestMeanOptions) -> Prediction:
        """Scores (test clips, classes) of one stream: minus the distance to the class's mean."""
        train, test = data.train, data.test
        if options.metric == "cosine":
            train, test = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (train, test))
        scores = np.full((len(test), data.num_classes), -np.inf, np.float32)
        for c in np.unique(data.train_labels):
            scores[:, c] = -np.linalg.norm(test - train[data.train_labels == c].mean(axis=0), axis=1)
        return Prediction(scores)
