"""What the report of a run shows of single clips."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kinelex.data import PromptStore, SkeletonStore
from kinelex.evaluation.context import Context
from kinelex.inference.cache import Cache, digest
from kinelex.inference.fusion import joined
from kinelex.inference.neighbours import Neighbours, knn

_SHOWN_NEIGHBOURS = 3  # of each example in the report
_ARRAYS = ("scores", "indices", "similarities")


@dataclass
class ReportInputs:
    """What the numbers were made of.

    Args:
        store: the skeleton store.
        train, test: its rows, with labels.
        features_test: the encoder's features of the test part.
        neighbours: of each test clip among the training clips, three or more where there are as many.
        cache: where the map of the features is kept.
        prompts: the prompt store, if one was given.

    Shape:
        - train: (n_train,); test: (n_test,); features_test: (n_test, F)
    """

    store: SkeletonStore
    train: np.ndarray
    test: np.ndarray
    features_test: np.ndarray
    neighbours: Neighbours
    cache: Cache
    prompts: PromptStore | None = None


def report_inputs(context: Context, metric: str) -> ReportInputs:
    """Features and neighbours of the clips of an evaluation, with ``metric`` of the nearest neighbours."""
    store, train, test = context.store, context.train, context.test
    query = joined([context.features(stream, test) for stream in context.encoders])
    key = digest(context.encoder_digests, context.clips_digest, metric, _SHOWN_NEIGHBOURS)
    found = context.cache.read("neighbours", key)
    if found is None or set(found) != set(_ARRAYS):
        bank = joined([context.features(stream, train) for stream in context.encoders])
        shown, classes = min(_SHOWN_NEIGHBOURS, len(train)), len(store.class_names)
        nearest = knn(bank, store.labels[train], query, classes, shown, metric, context.device)
        found = {name: getattr(nearest, name) for name in _ARRAYS}
        context.cache.write("neighbours", key, found)
    neighbours = Neighbours(*(found[name] for name in _ARRAYS))
    return ReportInputs(store, train, test, query, neighbours, context.cache, context.prompts)
