"""From features to scores of classes: a linear layer, the nearest labelled example, or the nearest text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch

from kinelex.inference.fusion import fuse, joined
from kinelex.inference.neighbours import distance_chunks
from kinelex.inference.vectors import unit_rows
from kinelex.methods.embedding_space import EmbeddingSpace

Features = Mapping[str, np.ndarray]  # (n, F) by stream


class Head(Protocol):
    """What scores classes by features: softmax of the scores gives probabilities."""

    classes: tuple[str, ...]

    def scores(self, features: Features) -> np.ndarray:
        """Scores (n, classes), higher is better."""
        ...


@dataclass
class LinearHead:
    """A linear layer for each stream; of several streams the mean of their softmax scores counts.

    Args:
        classes: their names.
        weights, biases: by stream.
        means, scales: what features are standardised by before, by stream; empty where they are not.

    Shape:
        - weights: (classes, F); biases: (classes,); means, scales: (F,)
    """

    classes: tuple[str, ...]
    weights: dict[str, np.ndarray]
    biases: dict[str, np.ndarray]
    means: dict[str, np.ndarray] = field(default_factory=dict)
    scales: dict[str, np.ndarray] = field(default_factory=dict)

    def scores(self, features: Features) -> np.ndarray:
        """Logits of one stream, or the logarithm of the streams' mean probabilities.

        Shape:
            - features: (n, F) by stream
            - returns: (n, classes)
        """
        alone = []
        for stream, weight in self.weights.items():
            x = features[stream]
            if stream in self.means:
                x = ((x - self.means[stream]) / self.scales[stream]).astype(x.dtype, copy=False)
            alone.append(x @ weight.T + self.biases[stream])
        if len(alone) == 1:
            return alone[0]
        return np.log(np.maximum(fuse("classify", alone), 1e-30))

    def arrays(self) -> dict[str, np.ndarray]:
        """All arrays by name, for a file."""
        return {
            f"{name}-{stream}": values
            for name in ("weights", "biases", "means", "scales")
            for stream, values in getattr(self, name).items()
        }

    @classmethod
    def of_arrays(cls, classes: tuple[str, ...], arrays: Mapping[str, np.ndarray]) -> LinearHead:
        """The head that :meth:`arrays` came from."""
        parts: dict[str, dict[str, np.ndarray]] = {n: {} for n in ("weights", "biases", "means", "scales")}
        for name, values in arrays.items():
            part, _, stream = name.partition("-")
            parts[part][stream] = values
        return cls(classes, **parts)


@dataclass
class NearestHead:
    """Each class scores by the cosine of its nearest labelled example.

    Args:
        classes: their names.
        bank: features of the examples, of all streams side by side.
        labels: their classes.
        streams: the streams, in their order.

    Shape:
        - bank: (n, F); labels: (n,)
    """

    classes: tuple[str, ...]
    bank: np.ndarray
    labels: np.ndarray
    streams: tuple[str, ...]

    def scores(self, features: Features) -> np.ndarray:
        """The highest cosine with an example of each class.

        Shape:
            - features: (n, F) by stream
            - returns: (n, classes)
        """
        return self.scores_among(joined([features[stream] for stream in self.streams]))

    def scores_among(self, query: np.ndarray, leave_out: bool = False) -> np.ndarray:
        """Scores of rows like those of ``bank``; ``leave_out``: row i is example i, left out itself.

        Shape:
            - query: (n, F)
            - returns: (n, classes)
        """
        scores = np.full((len(query), len(self.classes)), -np.inf)
        for first, distances in distance_chunks(self.bank, query):
            cosines = 1 - distances.cpu().numpy() / 2
            if leave_out:
                rows = np.arange(len(cosines))
                cosines[rows, first + rows] = -np.inf
            for label in np.unique(self.labels):
                scores[first : first + len(cosines), label] = cosines[:, self.labels == label].max(axis=1)
        return scores


@dataclass
class TextHead:
    """Each class scores by the cosine of its text and the clip, in the space that the run learned.

    Args:
        classes: their words.
        space: the run's space.
        texts: embeddings of the words in it.

    Shape:
        - texts: (classes, D), rows of length 1
    """

    classes: tuple[str, ...]
    space: EmbeddingSpace
    texts: np.ndarray

    def scores(self, features: Features) -> np.ndarray:
        """Cosines.

        Shape:
            - features: (n, F) of the one stream
            - returns: (n, classes)
        """
        (own,) = features.values()
        with torch.inference_mode():
            clips = self.space.embed("skeleton", torch.from_numpy(own)).numpy()
        return unit_rows(clips) @ unit_rows(self.texts).T
