"""Features of a store's clips, computed once: the run's cache keeps them, for ``kinelex evaluate`` too."""

from __future__ import annotations

import numpy as np

from kinelex.data import SkeletonStore
from kinelex.errors import InputError
from kinelex.inference.cache import Cache, digest, encoder_digest
from kinelex.inference.model import Model

_MANY = 500  # clips, from which on it is said that something is computed


def stored_features(model: Model, store: SkeletonStore, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Features of clips by stream, of any part of a store; another store or other weights are computed anew.

    Shape:
        - rows: (n,); returns: (n, F) by stream
    """
    encoders, cache = model.reading(store), Cache(model.run / "evaluation" / "cache")
    content = cache.file_digest(store.path)
    keys = {stream: digest(encoder_digest(e), content, "", None) for stream, e in encoders.items()}
    kept = {stream: cache.read(f"features-{stream}", key) or {} for stream, key in keys.items()}
    known = [found["rows"] for found in kept.values() if {"rows", "features"} <= found.keys()]
    complete = len(known) == len(encoders)
    missing = rows[~np.all([np.isin(rows, own) for own in known], axis=0)] if complete else rows
    if not len(missing):
        return {s: found["features"][np.searchsorted(found["rows"], rows)] for s, found in kept.items()}
    if len(missing) >= _MANY:
        _say(model, f"computes the features of {len(missing)} clips; the run keeps them")
    fresh = model.features(store, missing, encoders)
    found = {}
    for stream, features in fresh.items():
        own = kept[stream] if complete else {"rows": rows[:0], "features": features[:0]}
        old = ~np.isin(own["rows"], missing)
        together = np.concatenate([own["rows"][old], missing])
        order = np.argsort(together)
        values = np.concatenate([own["features"][old], features])[order]
        found[stream] = values[np.searchsorted(together[order], rows)]
        try:
            cache.write(f"features-{stream}", keys[stream], {"rows": together[order], "features": values})
        except InputError as error:
            _say(model, f"what was computed is not kept for the next time: {error}")
    return found


def _say(model: Model, text: str) -> None:
    model.console.print(text, markup=False, soft_wrap=True)
