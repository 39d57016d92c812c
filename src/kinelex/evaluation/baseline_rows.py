"""Private machinery of ``evaluate``: rows of baselines, each kind kept for all runs of a store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kinelex.data import PromptStore, SkeletonStore
from kinelex.evaluation.baselines import Baseline, chance, prompt_probe, raw_knn
from kinelex.evaluation.context import Context
from kinelex.evaluation.frozen import FrozenTask
from kinelex.evaluation.metrics import top_k
from kinelex.evaluation.protocols.knn import Knn, KnnOptions
from kinelex.evaluation.protocols.linear import Linear, LinearOptions
from kinelex.evaluation.streams import fused, without_copies
from kinelex.inference.cache import digest
from kinelex.progress import working
from kinelex.skeleton import has_landmarks
from kinelex.transforms.normalise import TORSO

Rows = dict[str, Baseline]


def baseline_rows(context: Context, neighbours: KnnOptions, linear: LinearOptions) -> dict[str, Any]:
    """``baselines`` and ``baseline_details`` of the result; the untrained encoder's by these options."""
    untrained, prompts = context.untrained(), context.prompts
    kinds: dict[str, tuple[tuple[Any, ...], Callable[[], Rows]]] = {
        "raw": ((), lambda: _raw(context)),
        "untrained": (
            (untrained.encoder_digests, neighbours, linear, context.seed),
            lambda: _untrained(untrained, neighbours, linear),
        ),
    }
    if prompts is not None:
        store, train, test = context.store, context.train, context.test
        parts = (context.file_digest(prompts.path),)
        kinds["prompts"] = (parts, lambda: _prompts(store, prompts, train, test))
    rows, computed = {}, False
    for kind, (parts, make) in kinds.items():
        key = digest(context.clips_digest, *parts)
        found = context.shared.read_json(f"baselines-{kind}", key)
        if found is None:
            computed = True
            content = {name: _written(row, context) for name, row in make().items()}
            context.shared.write_json(f"baselines-{kind}", key, content)
        else:
            content = found[0]
        rows.update(content)
    if not computed:
        context.console.print("baselines: cached")
    return {
        "baselines": {name: row["top1"] for name, row in rows.items()},
        "baseline_details": {name: row["details"] for name, row in rows.items()},
    }


def _written(row: Baseline, context: Context) -> dict[str, Any]:
    """A baseline as it stands in the cache."""
    copied = without_copies(row.hits, context.copied)
    return {"top1": row.top1, "details": {"top5": row.top5, "note": row.note, **copied, **row.details}}


def _raw(context: Context) -> Rows:
    """What needs no encoder: guessing, and neighbours of raw coordinates."""
    store, train, test = context.store, context.train, context.test
    rows = chance(store.labels[train], context.truth, len(store.class_names))
    with working("nearest neighbours of raw coordinates"):
        rows["raw_knn"] = raw_knn(store, train, test, aligned=False)
    if store.channels != 3:
        rows["raw_knn_aligned"] = Baseline(None, note="needs 3-D coordinates")
    elif not has_landmarks(store.layout, *TORSO):
        rows["raw_knn_aligned"] = Baseline(None, note=f"needs a torso, which {store.layout.name} lacks")
    else:
        rows["raw_knn_aligned"] = raw_knn(store, train, test, aligned=True)
    return rows


def _prompts(store: SkeletonStore, prompts: PromptStore, train: np.ndarray, test: np.ndarray) -> Rows:
    """Probes on prompts alone."""
    with working("linear probes on prompts"):
        return prompt_probe(store, prompts, train, test)


def _untrained(untrained: Context, neighbours: KnnOptions, linear: LinearOptions) -> Rows:
    """The run's architecture with random weights, all streams together."""
    truth, rows = untrained.truth, {}
    judges: tuple[tuple[FrozenTask, Any], ...] = ((Knn(), neighbours), (Linear(), linear))
    for task, options in judges:
        parts = untrained.probe_data(crops=getattr(options, "crops", 0))
        with working(f"untrained encoder, {task.title}"):
            alone, together = task.predictions(parts, options)
            whole = together or fused(task.name, alone)
        details, note = dict(whole.details), ""
        if len(alone) > 1:
            details["streams"] = {s: {"top1": top_k(o.scores, truth, 1)} for s, o in alone.items()}
            note = "all streams"
        rows[f"untrained_{task.name}"] = Baseline.of(whole.scores, truth, details, note)
    return rows
