"""Average precision of events: are they of the right class, at the right time?

Source: Caba Heilbron, Escorcia, Ghanem, Niebles: ActivityNet, CVPR 2015 (how events are matched); Everingham
et al.: The PASCAL visual object classes challenge, IJCV 2010 (average precision over all points).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kinelex.inference.events import overlaps

TIOUS = (0.1, 0.3, 0.5, 0.7)


@dataclass(frozen=True)
class Spans:
    """Events of one recording, true or found.

    Args:
        spans: begin and end, in one unit for all recordings.
        labels: class of each.
        confidence: of each; what is found is ranked by it over all recordings.

    Shape:
        - spans: (n, 2); labels, confidence: (n,)
    """

    spans: np.ndarray
    labels: np.ndarray
    confidence: np.ndarray


def matches(found: Spans, true: Spans, tiou: float) -> np.ndarray:
    """Which of the found events are right.

    In order of confidence, each takes of the true events of its class that nobody has taken the one that it
    overlaps most, where that is by ``tiou`` or more; who finds none left is wrong.

    Args:
        found, true: of one recording.
        tiou: least intersection over union in time.

    Shape:
        - returns: (n,) bool, in the order of ``found``

    >>> true = Spans(np.array([[0.0, 4.0]]), np.array([1]), np.ones(1))
    >>> found = Spans(np.array([[0, 4], [0, 4.0]]), np.array([1, 1]), np.array([0.2, 0.9]))
    >>> matches(found, true, 0.5).tolist()
    [False, True]
    """
    right = np.zeros(len(found.labels), bool)
    free = np.ones(len(true.labels), bool)
    for place in np.argsort(-found.confidence, kind="stable"):
        candidates = np.flatnonzero(free & (true.labels == found.labels[place]))
        if len(candidates):
            shared = overlaps(found.spans[place], true.spans[candidates])
            if shared.max() >= tiou:
                free[candidates[shared.argmax()]] = False
                right[place] = True
    return right


def average_precision(
    right: np.ndarray, confidence: np.ndarray, positives: float, weights: np.ndarray | None = None
) -> float:
    """Area under precision by recall, precision being the highest at this recall or any higher one.

    Args:
        right: whether each found event of a class is right.
        confidence: what they are ranked by; of equals all are counted at once, so that their order is no
            matter.
        positives: how many true events there are.
        weights: how often each found event counts, once by default.

    Shape:
        - right, confidence, weights: (n,)

    >>> average_precision(np.array([True, False, True]), np.array([0.9, 0.8, 0.7]), positives=2)
    0.8333333333333333
    """
    if positives <= 0 or not len(right):
        return 0.0
    order = np.argsort(-confidence, kind="stable")
    weight = np.ones(len(right)) if weights is None else weights[order].astype(float)
    last = np.append(np.flatnonzero(np.diff(confidence[order])), len(order) - 1)
    hits, all_of = np.cumsum(weight * right[order])[last], np.cumsum(weight)[last]
    precision = np.maximum.accumulate((hits / np.maximum(all_of, 1e-12))[::-1])[::-1]
    return float(np.sum(np.diff(np.append(0.0, hits / positives)) * precision))


class Detection:
    """The events found in some recordings, against the true ones.

    Args:
        found, true: by recording.
        classes: how many classes there are; those without a true event do not count.

    >>> true = [Spans(np.array([[0.0, 4.0], [6.0, 9.0]]), np.array([0, 1]), np.ones(2))]
    >>> Detection(true, true, classes=3).mean_ap(0.7)
    1.0
    """

    def __init__(self, found: Sequence[Spans], true: Sequence[Spans], classes: int) -> None:
        self.found, self.true, self.classes = list(found), list(true), classes
        self._labels = np.concatenate([one.labels for one in self.found])
        self._confidence = np.concatenate([one.confidence for one in self.found])
        self._recording = np.repeat(np.arange(len(self.found)), [len(one.labels) for one in self.found])
        self._positives = np.array([np.bincount(one.labels, minlength=classes) for one in self.true])
        self._right: dict[float, np.ndarray] = {}

    def class_ap(self, tiou: float, times: np.ndarray | None = None) -> np.ndarray:
        """Average precision of each class; NaN of one without a true event.

        Args:
            tiou: least intersection over union in time.
            times: how often each recording counts, once by default.

        Shape:
            - times: (recordings,); returns: (classes,)
        """
        if tiou not in self._right:
            pairs = zip(self.found, self.true, strict=True)
            self._right[tiou] = np.concatenate([matches(found, true, tiou) for found, true in pairs])
        times = np.ones(len(self.found)) if times is None else times
        positives, weights = times @ self._positives, times[self._recording]
        found = np.full(self.classes, np.nan)
        for label in np.flatnonzero(positives):
            own = self._labels == label
            found[label] = average_precision(
                self._right[tiou][own], self._confidence[own], float(positives[label]), weights[own]
            )
        return found

    def mean_ap(self, tiou: float, times: np.ndarray | None = None) -> float:
        """Mean average precision over the classes that have a true event (mAP)."""
        return float(np.nanmean(self.class_ap(tiou, times)))

    def interval(self, tiou: float, seed: int = 0, draws: int = 500) -> tuple[float, float]:
        """The 95 % percentile bootstrap interval of mAP, recordings drawn anew with replacement."""
        rng, n = np.random.default_rng(seed), len(self.true)
        times = rng.multinomial(n, np.full(n, 1 / n), draws).astype(float)
        low, high = np.quantile([self.mean_ap(tiou, one) for one in times], [0.025, 0.975])
        return float(low), float(high)
