"""How alike prompts are: within a clip, within a class, between classes.

All prompts of an engine share much: what it always says, where an encoder puts everything. So the mean of all
is taken off before two are compared: 0 is unrelated, 1 is the same, whatever the encoder.
"""

from dataclasses import dataclass

import numpy as np

from kinelex.inference.vectors import unit_rows

MOST_CLIPS = 3000  # whose pairs are looked at: more are drawn from by seed
_CHUNK = 1 << 23  # numbers held at once


def centred(features: np.ndarray) -> np.ndarray:
    """Rows (n, F) without their mean, of length 1; a row that is the mean stays 0.

    >>> centred(np.array([[1.0, 5.0], [3.0, 5.0]])).tolist()
    [[-1.0, 0.0], [1.0, 0.0]]
    """
    return unit_rows(features - features.mean(axis=0, dtype=np.float64))


def mean_prompt(embeddings: np.ndarray) -> np.ndarray:
    """Mean of all prompts of all clips: (n, P, F) -> (F,)."""
    return embeddings.mean(axis=(0, 1), dtype=np.float64)


def agreement(embeddings: np.ndarray) -> np.ndarray:
    """Mean cosine similarity of each clip's prompts (n, P, F) with each other, the mean of all taken off.

    >>> agreement(np.array([[[1.0, 0.0], [2.0, 0.0]], [[-1.0, 0.0], [-2.0, 0.0]]])).tolist()
    [1.0, 1.0]
    """
    n, count, width = embeddings.shape
    result = np.full(n, np.nan)
    if count < 2:
        return result
    step, middle = max(1, _CHUNK // (count * width)), mean_prompt(embeddings)
    for start in range(0, n, step):
        rows = unit_rows(embeddings[start : start + step] - middle)  # (rows, P, F)
        own = np.square(rows).sum(axis=(1, 2))
        whole = np.square(rows.sum(axis=1)).sum(axis=1)
        result[start : start + step] = (whole - own) / (count * (count - 1))
    return result


def strangers(embeddings: np.ndarray, seed: int = 0) -> np.ndarray:
    """Cosine similarity (n,) of a prompt of one clip, drawn by seed, and one of the next in a drawn order.

    What :func:`agreement` is to be compared with; none for a single clip.
    """
    n, count, _ = embeddings.shape
    if n < 2 or count < 1:
        return np.zeros(0)
    rng = np.random.default_rng(seed)
    one_each = embeddings[np.arange(n), rng.integers(count, size=n)]
    drawn = unit_rows(one_each - mean_prompt(embeddings))[rng.permutation(n)]
    return (drawn * np.roll(drawn, 1, axis=0)).sum(axis=1)


def class_similarity(features: np.ndarray, labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Mean cosine similarity of two different clips, one of each of two classes; on the diagonal of one.

    It is (classes, classes), NaN where there are no two such clips, for features (n, F) and labels (n,).

    >>> class_similarity(np.array([[2.0], [2.0], [-4.0]]), np.array([0, 0, 1]), 2).round(2).tolist()
    [[1.0, -1.0], [-1.0, nan]]
    """
    rows = centred(features)
    counts = np.bincount(labels, minlength=num_classes).astype(float)
    sums = np.zeros((num_classes, rows.shape[1]))
    np.add.at(sums, labels, rows)
    own = np.bincount(labels, np.square(rows).sum(axis=1), minlength=num_classes)
    total = sums @ sums.T - np.diag(own)
    pairs = np.outer(counts, counts) - np.diag(counts)
    return np.where(pairs > 0, total / np.maximum(pairs, 1), np.nan)


@dataclass(frozen=True)
class PairSimilarity:
    """Cosine similarities of pairs of so many clips, each with each: of one class, and of two classes."""

    within: np.ndarray
    between: np.ndarray
    clips: int

    @property
    def separation(self) -> float:
        """Chance that a pair of one class is more alike than a pair of two: 1 is perfect, 0.5 is none."""
        if not len(self.within) or not len(self.between):
            return float("nan")
        others = np.sort(self.between)
        below = np.searchsorted(others, self.within, "left") + np.searchsorted(others, self.within, "right")
        return float(below.mean() / 2 / len(others))  # as many equal ones count half


def pair_similarity(features: np.ndarray, labels: np.ndarray, seed: int = 0) -> PairSimilarity:
    """Cosine similarities of all pairs of clips, of :data:`MOST_CLIPS` drawn by seed where there are more.

    >>> alike = pair_similarity(np.array([[2.0], [2.0], [-4.0]]), np.array([0, 0, 1]))
    >>> alike.within.tolist(), alike.between.tolist(), alike.separation
    ([1.0], [-1.0, -1.0], 1.0)
    """
    if len(features) > MOST_CLIPS:
        drawn = np.random.default_rng(seed).choice(len(features), MOST_CLIPS, replace=False)
        features, labels = features[drawn], labels[drawn]
    rows = centred(features)
    first, second = np.triu_indices(len(rows), 1)
    cosine = (rows @ rows.T)[first, second]
    same = labels[first] == labels[second]
    return PairSimilarity(cosine[same], cosine[~same], len(rows))
