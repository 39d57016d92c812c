"""How sure a model is: the temperature of its probabilities, and from where on a clip is known.

Both are chosen on clips whose classes are known and that the model did not learn.
Source: Guo, Pleiss, Sun, Weinberger: On calibration of modern neural networks, ICML 2017; Hendrycks, Gimpel:
A baseline for detecting misclassified and out-of-distribution examples in neural networks, ICLR 2017.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from kinelex.inference.fusion import softmax

KEEP = 0.95  # share of the clips of known classes that are to be called known
_COLDEST, _HOTTEST = 0.02, 50.0
_FEWEST = 20  # clips: fewer say nothing of a share of 5 %


@dataclass(frozen=True)
class Calibration:
    """Temperature and thresholds, and where they are from.

    Args:
        temperature: scores are divided by it before they become probabilities.
        threshold: the highest score of a class that a known clip has at least; None where nothing tells.
        neighbour: the same of its cosine with a near one of the clips that the model knows (see
            :class:`~kinelex.inference.known_clips.KnownClips`), which is used where these are at hand.
        source: what they were chosen on, in words.
        clips: how many clips these were.
        accuracy: share of them that was told right.
        held_out: whether the model had not learned them.
    """

    temperature: float = 1.0
    threshold: float | None = None
    neighbour: float | None = None
    source: str = "none"
    clips: int = 0
    accuracy: float | None = None
    held_out: bool = True

    def probabilities(self, scores: np.ndarray) -> np.ndarray:
        """Probabilities of the classes.

        Shape:
            - scores: (n, classes), as a head gives them
            - returns: (n, classes), rows sum to 1
        """
        return softmax(scores.astype(np.float64) / self.temperature)

    def numbers(self) -> dict[str, Any]:
        """What can stand in JSON."""
        return asdict(self)


def known_scores(scores: np.ndarray) -> np.ndarray:
    """How well clips are known: the highest score of any class, before the softmax.

    Shape:
        - scores: (n, classes)
        - returns: (n,)
    """
    return scores.max(axis=1).astype(np.float64)


def calibrate(
    scores: np.ndarray,
    labels: np.ndarray,
    source: str,
    held_out: bool = True,
    least: float = _COLDEST,
    cosines: np.ndarray | None = None,
) -> Calibration:
    """Choose temperature and thresholds on clips whose classes are known.

    The temperature makes the true classes' mean log probability largest. A threshold leaves 5 % of the clips
    below it; of fewer than 20 clips there is none.

    Args:
        scores: of the classes.
        labels: the true classes.
        source: where the clips are from, in words.
        held_out: whether the model did not learn them.
        least: the lowest temperature.
        cosines: with a near one of the clips that the model knows.

    Shape:
        - scores: (n, classes); labels: (n,); cosines: (n,)

    >>> rng = np.random.default_rng(0)
    >>> labels = rng.integers(0, 3, 400)
    >>> scores = 10 * (np.eye(3)[labels] + rng.normal(size=(400, 3)))
    >>> found = calibrate(scores, labels, "drawn")
    >>> 8 < found.temperature < 12, round(float((known_scores(scores) >= found.threshold).mean()), 2)
    (True, 0.95)
    """
    right = float((scores.argmax(axis=1) == labels).mean())

    def threshold(values: np.ndarray | None) -> float | None:
        return None if values is None or len(labels) < _FEWEST else float(np.quantile(values, 1 - KEEP))

    return Calibration(
        temperature_of(scores, labels, least),
        threshold(known_scores(scores)),
        threshold(cosines),
        source,
        len(labels),
        right,
        held_out,
    )


def temperature_of(scores: np.ndarray, labels: np.ndarray, least: float = _COLDEST) -> float:
    """The temperature that makes the true classes' mean log probability largest.

    Shape:
        - scores: (n, classes); labels: (n,)

    >>> round(temperature_of(np.array([[2.0, 0.0], [2.0, 0.0], [2.0, 0.0]]), np.array([0, 0, 1])), 2)
    2.89
    """
    from scipy.optimize import minimize_scalar

    wide = np.maximum(scores.astype(np.float64), -1e9)
    own = wide[np.arange(len(labels)), labels]
    top = wide.max(axis=1)

    def loss(log_temperature: float) -> float:
        heat = np.exp(log_temperature)
        total = np.log(np.exp((wide - top[:, None]) / heat).sum(axis=1))
        return float(np.mean(total - np.maximum((own - top) / heat, -1e3)))

    found = minimize_scalar(loss, bounds=(np.log(least), np.log(_HOTTEST)), method="bounded")
    return float(np.exp(found.x))
