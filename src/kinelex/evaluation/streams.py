"""Runs with several streams: each stream is judged alone, and all together by the mean of their scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from kinelex.evaluation.metrics import classification_metrics
from kinelex.evaluation.probe_data import Prediction
from kinelex.evaluation.statistics import bootstrap_interval
from kinelex.inference.fusion import fuse

WHOLE_ONLY = ("per_class", "confusion")  # too long to keep of every single stream


def fused(task: str, alone: Mapping[str, Prediction]) -> Prediction:
    """What all streams found together; with one stream, what it found."""
    if len(alone) == 1:
        return next(iter(alone.values()))
    scores = fuse(task, [prediction.scores for prediction in alone.values()])
    how = "votes" if task == "knn" else "softmax scores"
    return Prediction(scores, {"fused": f"mean of the streams' {how}"})


def judged_numbers(
    whole: Prediction,
    alone: Mapping[str, Prediction],
    truth: np.ndarray,
    class_names: tuple[str, ...],
    copied: np.ndarray,
    seed: int = 0,
) -> dict[str, Any]:
    """The numbers of a task, ready for JSON; with several streams the fused ones, and each stream's beside.

    Shape:
        - truth: (n_test,) classes; copied: (n_test,) bool, which test clips are copies.
    """

    def numbers(prediction: Prediction) -> dict[str, Any]:
        rates = classification_metrics(prediction.scores, truth, class_names)
        hits = hits_of(prediction.scores, truth)
        interval = {"ci95": list(bootstrap_interval(hits, seed))}
        return {**rates, **interval, **without_copies(hits, copied), **prediction.details}

    result = numbers(whole)
    if len(alone) > 1:
        result["streams"] = {
            stream: {k: v for k, v in numbers(prediction).items() if k not in WHOLE_ONLY}
            for stream, prediction in alone.items()
        }
    return result


def hits_of(scores: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Per clip 1 where the highest score is the true class, else 0."""
    return (scores.argmax(axis=1) == truth).astype(float)


def without_copies(hits: np.ndarray | None, copied: np.ndarray) -> dict[str, float]:
    """Top-1 over the test clips that are no copies, where there are copies at all.

    >>> without_copies(np.array([1.0, 1.0, 0.0]), np.array([True, False, False]))
    {'top1_without_copies': 0.5}
    """
    if hits is None or not copied.any():
        return {}
    left = hits[~copied]
    left = left[~np.isnan(left)]
    return {"top1_without_copies": float(left.mean())} if len(left) else {}
