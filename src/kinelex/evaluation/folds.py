"""Judge the runs of all folds, and all clips that each of them tested, together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from kinelex.errors import InputError
from kinelex.evaluation.metrics import classification_metrics
from kinelex.evaluation.output import numbers_table, write_results
from kinelex.evaluation.rows import baseline_names, interval_text, percent, spread, task_titles
from kinelex.evaluation.scores import ScoreFile, load_scores, score_path
from kinelex.evaluation.statistics import bootstrap_interval, mean_sd
from kinelex.evaluation.streams import hits_of
from kinelex.training.run_directory import RunDirectory


def each_fold(
    judge: Callable[..., dict[str, Any]],
    run: str | Path,
    folds: Mapping[str, Path],
    protocol: str | None = None,
    *arguments: Any,
    **settings: Any,
) -> dict[str, Any]:
    """Judge the run of every fold, and end in one row for each task.

    Writes ``RUN/evaluation/<task>.json`` and score files as of an ordinary run, with the protocol that stands
    for all folds: ``kinelex compare`` reads them.

    Args:
        judge: :func:`kinelex.evaluation.evaluate`, or what takes its arguments.
        run: the run of all folds.
        folds: the run of each, by its protocol.
        protocol: must be None: each fold has its own.
        *arguments: the others of ``judge``, tasks first.
        **settings: its settings.

    Returns:
        Per task the rates over all test clips of all folds together (``top1``, ``ci95``, ``top5``,
        ``mean_class``, ``per_class``, ``confusion``), and ``folds``: ``mean``, ``sd`` and ``values`` of top-1
        by fold. ``baselines`` are means over the folds.

    Raises:
        InputError: a protocol, or what ``judge`` refuses.
    """
    if protocol is not None:
        raise InputError("every fold has its own protocol: leave out --protocol")
    results = {fold: judge(path, None, fold, *arguments, **settings) for fold, path in folds.items()}
    directory = RunDirectory(run)
    whole, first = str(directory.config["protocol"]), next(iter(results.values()))
    tasks = [task for task in task_titles(first) if all("top1" in found[task] for found in results.values())]
    found: dict[str, Any] = {task: _together(directory, whole, task, folds, results) for task in tasks}
    found |= {"protocol": whole, "dataset": first["dataset"], "counts": _counts(results)}
    if "baselines" in first:
        known = {name: [r["baselines"].get(name) for r in results.values()] for name in first["baselines"]}
        means = {name: float(np.mean(v)) for name, v in known.items() if None not in v}
        found |= {"baselines": means, "baseline_details": {}}
    write_results(directory.evaluation_dir, found, tasks)
    (settings.get("console") or Console()).print(_table(found, tasks, len(folds)))
    return found


def _together(
    run: RunDirectory, whole: str, task: str, folds: Mapping[str, Path], results: Mapping[str, Any]
) -> dict[str, Any]:
    """A task's rates over the clips of all folds, and the spread of the folds'."""
    values = {fold: float(results[fold][task]["top1"]) for fold in folds}
    about = {key: next(iter(results.values()))[task].get(key) for key in ("rule", "title")}
    spreads = {**mean_sd(tuple(values.values())), "values": values}
    paths = [score_path(path, fold, task) for fold, path in folds.items()]
    if not all(path.is_file() for path in paths):
        return {**about, "top1": spreads["mean"], "folds": spreads}
    files = [load_scores(path) for path in paths]
    labels, scores = (np.concatenate([getattr(file, key) for file in files]) for key in ("labels", "logits"))
    ids, first = tuple(name for file in files for name in file.ids), files[0]
    named: dict[str, Any] = {"dataset": first.dataset, "store_fingerprint": first.store_fingerprint}
    named |= {"protocol": whole, "task": task, "stream": first.stream, "run": run.path.resolve().name}
    if len(set(ids)) == len(ids):  # draws of one protocol test a clip several times
        ScoreFile(ids, labels, scores, first.classes, **named).save(score_path(run.path, whole, task))
    rates = classification_metrics(scores, labels, first.classes)
    interval = list(bootstrap_interval(hits_of(scores, labels)))
    return {**about, **rates, "ci95": interval, "folds": spreads}


def _counts(results: Mapping[str, Any]) -> dict[str, int]:
    """Clips of all folds together; the training clips are those of the first."""
    counts = [found["counts"] for found in results.values()]
    return {
        key: counts[0][key] if key in ("train", "classes") else sum(c[key] for c in counts)
        for key in counts[0]
    }


def _table(found: Mapping[str, Any], tasks: Sequence[str], folds: int) -> Table:
    title = f"{found['dataset']} {found['protocol']}: {folds} folds, {found['counts']['test']} test clips"
    columns = ("mean ± sd\nover folds, %", "worst and\nbest fold, %", "all clips\ntogether, %")
    table = numbers_table(title, *columns, "95 %\ninterval")
    for task in tasks:
        numbers = found[task]
        of = numbers["folds"]
        ends = sorted(of["values"].items(), key=lambda pair: pair[1])
        shown = "\n".join(
            f"{percent(rate)} ({fold.rpartition(':')[2]})" for fold, rate in (ends[0], ends[-1])
        )
        together = percent(numbers["top1"]), interval_text(numbers.get("ci95"))
        rates = spread(of["mean"], of["sd"]), escape(shown), *together
        table.add_row(escape(task_titles(found)[task]), *rates, style="bold")
    for name, rate in baseline_names(found.get("baselines", {})):
        table.add_row(name, percent(rate))
    return table
