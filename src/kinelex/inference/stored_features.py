"""Features of a store's clips, computed once: the run's cache keeps them, for ``kinelex evaluate`` too."""

from __future__ import annotations

import numpy as np

from kinelex.data import SkeletonStore
from kinelex.errors import InputError
from kinelex.inference.cache import Cache, digest, encoder_digest, read_table, with_rows
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
    tables = {s: read_table(cache, f"features-{s}", keys[s], e.num_features) for s, e in encoders.items()}
    missing = rows[~np.all([np.isin(rows, known) for known, _ in tables.values()], axis=0)]
    if len(missing) >= _MANY:
        model.say(f"computes the features of {len(missing)} clips; the run keeps them")
    fresh = model.features(store, missing, encoders) if len(missing) else {}
    for stream, features in fresh.items():
        known, values = tables[stream] = with_rows(tables[stream], missing, features)
        try:
            cache.write(f"features-{stream}", keys[stream], {"rows": known, "features": values})
        except InputError as error:
            model.say(f"what was computed is not kept for the next time: {error}")
    return {stream: values[np.searchsorted(known, rows)] for stream, (known, values) in tables.items()}
