"""Private machinery of ``evaluate``: what the report shows of single clips, and drawings, from the cache."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kinelex.evaluation.cache import Cache, code_digest, digest
from kinelex.evaluation.context import Context
from kinelex.evaluation.protocols.knn import Neighbours, knn
from kinelex.evaluation.streams import joined
from kinelex.reports.run import Evidence
from kinelex.reports.run.kept import Keeper

_SHOWN_NEIGHBOURS = 3  # of each example in the report


def evidence_of(context: Context, metric: str) -> Evidence:
    """What the report shows of single clips.

    Args:
        context: the run and its clips.
        metric: of the nearest neighbours.
    """
    store, train, test = context.store, context.train, context.test
    parts = {
        stream: (context.features(stream, train), context.features(stream, test))
        for stream in context.encoders
    }
    query = joined([features for _, features in parts.values()])
    code = code_digest("kinelex.evaluation.protocols.knn", "kinelex.evaluation.streams")
    key = digest(code, context.encoder_digests, context.clips_digest, metric, _SHOWN_NEIGHBOURS)
    names = ("scores", "indices", "similarities")
    found = context.cache.read("neighbours", key)
    if found is None or set(found) != set(names):
        bank = joined([features for features, _ in parts.values()])
        shown, classes = min(_SHOWN_NEIGHBOURS, len(train)), len(store.class_names)
        nearest = knn(bank, store.labels[train], query, classes, shown, metric, context.device)
        found = {name: getattr(nearest, name) for name in names}
        context.cache.write("neighbours", key, found)
    return Evidence(store, train, test, query, Neighbours(*(found[name] for name in names)), context.prompts)


def drawings(cache: Cache) -> Keeper:
    """Reads what kept functions have made before from a cache, by their source and their arguments."""

    def keeper(make: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        key = digest(code_digest(make.__module__), make.__qualname__, args, kwargs)
        found = cache.read("drawing", key)
        if found is None or not found.keys() <= {"text", "array"}:
            value = make(*args, **kwargs)
            is_text = isinstance(value, str)
            found = {"text": np.frombuffer(value.encode(), np.uint8)} if is_text else {"array": value}
            cache.write("drawing", key, found)
        return found["text"].tobytes().decode() if "text" in found else found["array"]

    return keeper
