"""What a prompt store holds, in numbers: for ``kinelex info``."""

from pathlib import Path
from typing import Any

import numpy as np

from kinelex.data import WHOLE_CLIP, PromptStore, open_prompts
from kinelex.errors import InputError


def describe_prompts(path: str | Path) -> dict[str, Any]:
    """Counts, engines and missing clips of a prompt store.

    ``dataset``, ``clips``, ``store_fingerprint`` and per modality in ``modalities``: ``present``,
    ``missing``, ``frames`` (prompts per clip), ``whole_clip``, ``width``, ``engine``, ``encoder``; for
    language also the number of ``different_texts``, for vision the share ``flagged``.
    """
    store = open_prompts(path)
    return {
        "dataset": store.meta.dataset,
        "clips": len(store),
        "store_fingerprint": store.meta.store_fingerprint,
        "modalities": {m: _describe(store, m) for m in store.modalities},
    }


def _describe(store: PromptStore, modality: str) -> dict[str, Any]:
    present = store.present(modality)
    if not present.any():
        raise InputError(f"{store.path} has no {modality} prompts for any clip: make it again")
    rows = [getattr(store.clip(store.ids[r]), modality) for r in np.flatnonzero(present)]
    prompts, engines = rows[0], store.meta.engines.get(modality, {})
    out: dict[str, Any] = {
        "present": int(present.sum()),
        "missing": int((~present).sum()),
        "frames": int((prompts.frames != WHOLE_CLIP).sum()),
        "whole_clip": bool((prompts.frames == WHOLE_CLIP).any()),
        "width": store.meta.widths[modality],
        "engine": engines.get("engine"),
        "encoder": engines.get("encoder"),
    }
    if modality == "language":
        out["different_texts"] = len({text for row in rows for text in row.texts})
    else:
        out["flagged"] = float(np.mean([row.flags.mean() for row in rows]))
    return out
