"""Ensembles: the weighted sum of several classifiers' scores of the same clips.

Weights are equal, given, or searched on clips that were held out of training, never on the test part. The
published ensembles (CTR-GCN, MMCL) add logits, with weights that appear tuned on the test split; here softmax
scores are added unless ``combine="logits"`` is asked for.

Source: MMCL (Liu et al., ACM MM 2024), section 4; CTR-GCN (Chen et al., ICCV 2021), its public ensemble code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from kinelex.data import SkeletonStore, open_store
from kinelex.datasets import get_split
from kinelex.errors import InputError, unknown_name
from kinelex.evaluation.metrics import classification_metrics, top_k
from kinelex.evaluation.output import numbers_table
from kinelex.evaluation.rows import percent
from kinelex.evaluation.score_sets import files_of, held_out, in_order, read_scores
from kinelex.evaluation.scores import ScoreFile
from kinelex.evaluation.weights import OBJECTIVES, search_weights

COMBINATIONS = ("softmax", "logits")


def combined(scores: Sequence[np.ndarray], weights: Sequence[float]) -> np.ndarray:
    """The weighted mean of scores; those of weight 0 do not count.

    Shape:
        - scores: (N, classes) of each classifier
        - returns: (N, classes)

    >>> combined([np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])], [3.0, 1.0])
    array([[0.75, 0.25]])
    """
    total = sum(weights)
    return np.sum([w / total * s for s, w in zip(scores, weights, strict=True) if w], axis=0)


@dataclass(frozen=True)
class EnsembleOptions:
    """How scores are put together.

    Args:
        weights: one per score file; equal ones by default.
        search: ``holdout`` searches the weights on the clips of ``holdout``.
        holdout: scores of the same models, in the same order, of clips of the protocol's training part that
            were not trained on. A run directory stands for the scores of the part held out of its training.
        combine: ``softmax`` adds softmax scores, ``logits`` adds logits, as the published ensembles do.
        objective: what the search makes large: ``log_likelihood`` or ``accuracy``.
        task: which scores run directories stand for.
        order: names of the test clips in the order that pickles count them, where their names are numbers and
            the order is not known: a text file, JSON, or CTR-GCN's ``val_label.pkl``.

    Raises:
        InputError: options that do not fit together, or values that there are not.
    """

    weights: Sequence[float] | None = None
    search: str | None = None
    holdout: Sequence[str | Path] = ()
    combine: str = "softmax"
    objective: str = "log_likelihood"
    task: str = "classify"
    order: str | Path | None = None

    def __post_init__(self) -> None:
        if self.combine not in COMBINATIONS:
            raise unknown_name("way to combine", self.combine, COMBINATIONS)
        if self.objective not in OBJECTIVES:
            raise unknown_name("objective", self.objective, OBJECTIVES)
        if self.search not in (None, "holdout"):
            raise InputError(
                f"expects --search holdout, got {self.search!r}: weights are searched on clips held out of "
                "training, never on the test part"
            )
        if self.search is not None and self.weights is not None:
            raise InputError("expects --weights or --search, not both")
        if (self.search is None) != (not self.holdout):
            raise InputError(
                "--search holdout and --holdout SCORES... belong together: scores of the same models on "
                "clips of the training part that they did not learn, for example of xview:fold1of5"
            )


def ensemble(
    scores: Sequence[str | Path],
    data: str | Path,
    protocol: str,
    out: str | Path | None = None,
    console: Console | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Put the scores of several classifiers together and judge them on a protocol's test part.

    Args:
        scores: score files, pickles of CTR-GCN's or MMCL's code, or run directories, which stand for their
            score files of that protocol and task.
        data: the skeleton store.
        protocol: the split.
        out: write the ensemble's scores to this file too.
        console: where the table goes; the terminal by default.
        **options: of :class:`EnsembleOptions`.

    Returns:
        ``files`` (each one's ``name``, ``weight``, ``top1``, ``top5``), ``equal`` and ``ensemble`` (the rates
        with equal and with the chosen weights), ``how``, ``combine``, ``holdout``, ``dataset``, ``protocol``,
        ``counts``.

    Raises:
        InputError: files that cannot be read or are not of these clips and classes, weights that do not fit,
            or a search on clips of the test part, or on clips that a model learned.
    """
    asked = EnsembleOptions(**options)
    if out is not None and Path(out).suffix != ".npz":
        raise InputError(f"expects the name of a score file to end in .npz, got --out {out}")
    store = open_store(data)
    split = get_split(store, protocol)
    test = split.test[store.labels[split.test] >= 0]
    paths = [path for given in scores for path in files_of(Path(given), asked.task, protocol)]
    order = None if asked.order is None else Path(asked.order)
    files = [read_scores(path, store, split.test, protocol, order) for path in paths]
    tables = [_scores(f, asked.combine) for f in in_order(files, paths, store, test, protocol)]
    chosen, how = np.ones(len(files)), dict[str, Any](how="equal weights")
    if asked.weights is not None:
        chosen, how = _given(asked.weights, len(files)), {"how": "given weights"}
    if asked.search is not None:
        held = [path for given in asked.holdout for path in files_of(Path(given), asked.task)]
        clips = held_out(held, files, paths, store, split.train, split.test, protocol)
        chosen, how = _searched(clips, asked)
    chosen = chosen / chosen.sum()
    truth = store.labels[test]
    both, equal = combined(tables, list(chosen)), combined(tables, [1.0] * len(tables))
    rows = zip(files, paths, chosen, tables, strict=True)
    result = {
        "files": [
            {"name": f.name, "path": str(p), "task": f.task, "stream": f.stream, "weight": float(w)}
            | _rates(t, truth)
            for f, p, w, t in rows
        ],
        "equal": _rates(equal, truth),
        "ensemble": classification_metrics(both, truth, store.class_names),
        **how,
        "combine": asked.combine,
        "dataset": store.meta.dataset,
        "protocol": split.name,
        "counts": {"files": len(files), "test": len(test), "classes": len(store.class_names)},
    }
    console = console or Console()
    if out is not None:
        _together(files, both, store, test, split.name, asked.combine).save(Path(out))
    console.print(_table(result))
    if out is not None:
        console.print(f"scores in {out}", markup=False, soft_wrap=True)
    return result


def _given(weights: Sequence[float], files: int) -> np.ndarray:
    """Weights given by the user, checked."""
    values = np.array(weights, dtype=np.float64)
    if len(values) != files:
        raise InputError(f"expects one weight for each of the {files} score files, got {len(values)}")
    if not np.isfinite(values).all() or (values < 0).any() or not values.any():
        raise InputError(
            f"expects weights of at least 0, one of them above, got {', '.join(map(str, weights))}"
        )
    return values


def _scores(file: ScoreFile, combine: str) -> np.ndarray:
    """What is added of a file."""
    return file.probabilities() if combine == "softmax" else file.logits.astype(np.float64)


def _searched(clips: list[ScoreFile], asked: EnsembleOptions) -> tuple[np.ndarray, dict[str, Any]]:
    """The weights, and how they were found."""
    tables, truth = [_scores(f, asked.combine) for f in clips], clips[0].labels
    weights = search_weights(tables, truth, asked.objective, asked.combine)
    how = f"searched by {asked.objective.replace('_', ' ')} on {len(truth)} clips held out of training"
    holdout = {
        "clips": len(truth),
        "objective": asked.objective,
        "top1_equal": top_k(combined(tables, [1.0] * len(tables)), truth, 1),
        "top1": top_k(combined(tables, list(weights)), truth, 1),
        "not_known_whether_learned": [f.name for f in clips if f.learned is None],
    }
    return weights, {"how": how, "holdout": holdout}


def _together(
    files: Sequence[ScoreFile],
    scores: np.ndarray,
    store: SkeletonStore,
    rows: np.ndarray,
    protocol: str,
    combine: str,
) -> ScoreFile:
    """The ensemble as a score file."""
    tasks = {f.task for f in files}
    task = tasks.pop() if len(tasks) == 1 else ""
    if combine == "softmax" and task != "knn":
        with np.errstate(divide="ignore"):
            scores = np.log(scores)
    known = [f.learned for f in files]
    learned = None if None in known else tuple(sorted({part for parts in known for part in parts or ()}))
    name = f"ensemble of {len(files)}"
    return ScoreFile.of(store, protocol, rows, scores, task=task, run=name, learned=learned)


def _rates(scores: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    return {"top1": top_k(scores, truth, 1), "top5": top_k(scores, truth, 5)}


def _table(result: dict[str, Any]) -> Table:
    title = f"{result['dataset']} {result['protocol']}: {result['counts']['test']} test clips"
    table = numbers_table(title, "weight", "top-1 %", "top-5 %")
    for row in result["files"]:
        table.add_row(escape(row["name"]), f"{row['weight']:.3f}", percent(row["top1"]), percent(row["top5"]))
    if result["how"] != "equal weights":
        table.add_row("equal weights", "", percent(result["equal"]["top1"]), percent(result["equal"]["top5"]))
    name, rates = f"ensemble, {result['how'].partition(' by')[0]}", result["ensemble"]
    table.add_row(name, "", percent(rates["top1"]), percent(rates["top5"]), style="bold")
    table.caption = f"{result['combine']} scores added; {result['how']}"
    unknown = result.get("holdout", {}).get("not_known_whether_learned")
    if unknown:
        names = escape(", ".join(unknown))
        table.caption += f"; not known whether these learned the held-out clips: {names}"
    return table
