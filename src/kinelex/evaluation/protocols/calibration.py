"""Whether a classifier is right as often as it is sure: calibration error and reliability diagram."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kinelex.errors import InputError, unknown_name
from kinelex.evaluation.context import Context, TaskResult
from kinelex.evaluation.frozen_classifier import SAID, FrozenClassifier, chosen_way
from kinelex.evaluation.metrics import check_labels
from kinelex.evaluation.statistics import bootstrap_interval
from kinelex.evaluation.streams import hits_of
from kinelex.inference.fusion import softmax

_WAYS = ("auto", "classify", "linear")


def reliability(probabilities: np.ndarray, truth: np.ndarray, bins: int = 15) -> dict[str, Any]:
    """How the share of right guesses goes with the probability of the guessed class.

    Clips are put into bins of equal width by the probability of their most probable class; the right edge
    belongs to a bin. ``ece`` is the mean over clips of their bin's gap between mean confidence and share of
    right guesses, ``mce`` the largest gap of any bin.

    Args:
        probabilities: rows sum to 1.
        truth: the clips' classes.
        bins: number of bins.

    Shape:
        - probabilities: (N, classes); truth: (N,)

    Returns:
        ``ece``, ``mce``, ``confidence`` and ``accuracy`` (means over all clips), ``nll`` (nats), ``brier``
        (sum of squares over the classes, 0 to 2) and ``bins``: of each bin its edges, clips, mean
        confidence and accuracy (None where it is empty).

    Raises:
        InputError: no clip, other lengths, fewer than one bin, rows that are no probabilities, or a class
            that is no column.

    Source: Guo, Pleiss, Sun, Weinberger: On calibration of modern neural networks, ICML 2017, sections 2
        and 4; Naeini, Cooper, Hauskrecht: Obtaining well calibrated probabilities, AAAI 2015.

    >>> found = reliability(np.array([[0.9, 0.1], [0.7, 0.3]]), np.array([0, 1]), bins=2)
    >>> round(found["ece"], 6), found["accuracy"], [b["clips"] for b in found["bins"]]
    (0.3, 0.5, [0, 2])
    """
    if len(probabilities) == 0 or len(probabilities) != len(truth):
        raise InputError(f"expects one class per row, got {len(truth)} for {len(probabilities)} rows")
    if bins < 1:
        raise InputError(f"expects one bin or more, got {bins}")
    if (probabilities < 0).any() or not np.allclose(probabilities.sum(axis=1), 1, atol=1e-4):
        raise InputError("expects rows of probabilities, which sum to 1")
    check_labels(truth, probabilities.shape[1])
    sure, hits = probabilities.max(axis=1), hits_of(probabilities, truth)
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.searchsorted(edges, sure, side="left") - 1, 0, bins - 1)
    clips = np.bincount(place, minlength=bins)
    confidence, right = (
        np.bincount(place, weights=w, minlength=bins) / np.maximum(clips, 1) for w in (sure, hits)
    )
    gaps = np.abs(confidence - right)
    own = probabilities[np.arange(len(truth)), truth].astype(np.float64)
    return {
        "ece": float((clips * gaps).sum() / len(truth)),
        "mce": float(gaps[clips > 0].max()),
        "confidence": float(sure.mean()),
        "accuracy": float(hits.mean()),
        "nll": float(-np.log(own.clip(min=np.finfo(np.float64).tiny)).mean()),
        "brier": float(((probabilities**2).sum(axis=1) - 2 * own + 1).mean()),
        "bins": [
            {
                "low": float(edges[b]),
                "high": float(edges[b + 1]),
                "clips": int(clips[b]),
                "confidence": float(confidence[b]) if clips[b] else None,
                "accuracy": float(right[b]) if clips[b] else None,
            }
            for b in range(bins)
        ],
    }


@dataclass(frozen=True)
class CalibrationOptions:
    """Options of ``calibration``.

    Args:
        by: whose scores: classify (the run's own classifier), linear (a probe), or auto: the run's own
            where it has one, else a probe.
        bins: bins of the reliability diagram.
    """

    by: str = "auto"
    bins: int = 15

    def __post_init__(self) -> None:
        if self.by not in _WAYS:
            raise unknown_name("classifier with probabilities (calibration.by)", self.by, _WAYS)
        if self.bins < 1:
            raise InputError(f"expects calibration.bins of at least 1, got {self.bins}")


class Calibration:
    """Expected calibration error and reliability diagram."""

    name = "calibration"
    title = "calibration"
    Options = CalibrationOptions

    def check(self, context: Context, options: CalibrationOptions) -> None:
        """Refuse a classifier that the run does not have."""
        chosen_way(context, options.by)

    def run(self, context: Context, options: CalibrationOptions) -> TaskResult:
        """Judge the probabilities of the test clips."""
        fitted = FrozenClassifier(context, options.by, instead="linear")
        features = {stream: context.features(stream, context.test) for stream in context.encoders}
        alone = {stream: softmax(o.scores) for stream, o in fitted(features).items()}
        whole = np.mean(list(alone.values()), axis=0)
        found = reliability(whole, context.truth, options.bins)
        bins = [b for b in found["bins"] if b["clips"]]
        numbers = {
            "rule": f"Softmax of {SAID[fitted.by]}, temperature 1"
            + (", the mean of the streams'" if len(alone) > 1 else "")
            + "; the mean gap between confidence and share of right guesses over the test clips (ECE, "
            f"{options.bins} bins of equal width).",
            "by": fitted.by,
            **found,
            "accuracy_ci95": list(bootstrap_interval(hits_of(whole, context.truth), context.seed)),
        }
        if len(alone) > 1:
            judged = {s: reliability(p, context.truth, options.bins) for s, p in alone.items()}
            numbers["streams"] = {s: {k: v for k, v in r.items() if k != "bins"} for s, r in judged.items()}
        curve = {
            "x": [b["confidence"] for b in bins],
            "y": [b["accuracy"] for b in bins],
            "clips": [b["clips"] for b in bins],
            "label": "share of right guesses by confidence",
            "xlabel": "confidence",
        }
        return TaskResult(numbers, curves={"reliability": curve})
