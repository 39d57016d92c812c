"""Evaluate a run: its tasks beside their baselines, written as JSON, as a table and as a report."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from kinelex._files import write_whole
from kinelex.datasets import get_split
from kinelex.errors import InputError
from kinelex.evaluation.baselines import Baseline, chance, copies, prompt_probe, raw_knn, subject_groups
from kinelex.evaluation.knn import knn
from kinelex.evaluation.metrics import classification_metrics
from kinelex.evaluation.report import Evidence, result_rows, write_report
from kinelex.evaluation.tasks import Material, check_tasks, run_task
from kinelex.store import PromptStore, SkeletonStore, open_prompts, open_store
from kinelex.training.inference import extract_features
from kinelex.training.run_directory import RunDirectory, load_encoder

_SHOWN_NEIGHBOURS = 3  # of each example in the report


def evaluate(
    run: str | Path,
    data: str | Path | None = None,
    protocol: str | None = None,
    tasks: Sequence[str] = ("knn", "linear"),
    prompts: str | Path | None = None,
    against: str | Path | None = None,
    json_path: str | Path | None = None,
    k: int = 1,
    metric: str = "cosine",
    batch_size: int = 256,
    device: str = "cpu",
    seed: int = 0,
    baselines: bool = True,
    console: Console | None = None,
) -> dict[str, Any]:
    """Judge a run's encoder on a protocol, beside chance, raw coordinates, prompts and no training.

    Writes ``evaluation/<task>.json``, ``evaluation/baselines.json`` and ``report.html`` into the run
    directory and prints a short table. Rates are fractions of 1.

    Args:
        run: the run directory.
        data: the skeleton store; the one the run was trained on by default.
        protocol: the split; the one the run was trained on by default.
        tasks: names of :data:`kinelex.evaluation.TASKS`.
        prompts: the prompt store; the run's own by default, when ``data`` is the run's too.
        against: another run (for example with hard targets) whose similarities the report shows beside.
        json_path: also write the returned dict to this file.
        k, metric: of the nearest neighbours.
        batch_size: clips per forward pass.
        device: where the encoder and the tasks run.
        seed: of the untrained encoder and of ``linear_sgd``.
        baselines: with them and the report; without, the tasks' numbers alone are made and written.
        console: where the table goes; the terminal by default.

    Returns:
        Per task ``top1``, ``top5``, ``mean_class``, ``per_class`` and ``confusion`` with the task's
        settings; ``baselines`` (name to top-1), ``baseline_details``, ``protocol``, ``counts``. Where
        test clips are copies of training clips, ``top1_without_copies`` too.

    Raises:
        InputError: no such task, a run of another layout than the store, a protocol the set does not
            have, prompts made for another store, no labels, no such device, or a
            run directory that cannot be written.
    """
    tasks = tuple(tasks)
    check_tasks(tasks)
    if not tasks:
        raise InputError("expects at least one task, for example --tasks knn,linear")
    directory = RunDirectory(run)
    compared = None if against is None else RunDirectory(against)
    store = open_store(_given(data, directory, "data", "--data STORE"))
    name = str(_given(protocol, directory, "protocol", "--protocol P"))
    bank = _prompts(prompts, directory, own_data=data is None or _same(data, directory.config.get("data")))
    if bank is not None and bank.meta.store_fingerprint != store.fingerprint:
        raise InputError(
            f"{bank.path} was made for another store ({bank.meta.dataset}) than {store.path}: make prompts "
            f"for this one with `kinelex prompts {store.path} --out PROMPTS ...`"
        )
    _check_device(device)
    if not os.access(directory.path, os.W_OK):
        raise InputError(f"{directory.path} is not writable: copy the run to where its report can be written")
    encoder = load_encoder(directory.path)
    _check_layout(encoder.layout, store, directory.path)
    split = get_split(store, name)
    train, test, unlabelled = labelled(store, split.train, split.test)

    def features(which: Any) -> tuple[np.ndarray, np.ndarray]:
        both = np.concatenate([train, test])
        found = extract_features(which, store, both, batch_size=batch_size, device=device)
        return found[: len(train)], found[len(train) :]

    def material(parts: tuple[np.ndarray, np.ndarray]) -> Material:
        classes, groups = len(store.class_names), subject_groups(store, train)
        return Material(parts[0], store.labels[train], parts[1], classes, groups, k, metric, device, seed)

    ours = material(features(encoder))
    copied = copies(store, train, test)
    result: dict[str, Any] = {}
    for task in tasks:
        outcome = run_task(task, ours)
        numbers = classification_metrics(outcome.scores, store.labels[test], store.class_names)
        hits = (outcome.scores.argmax(axis=1) == store.labels[test]).astype(float)
        result[task] = {**numbers, **without_copies(hits, copied), **outcome.details}
    if baselines:
        untrained = material(features(load_encoder(directory.path, untrained_seed=seed)))
        rows = _baselines(store, train, test, untrained, bank)
        result["baselines"] = {key: row.top1 for key, row in rows.items()}
        result["baseline_details"] = {
            key: {"top5": row.top5, "note": row.note, **without_copies(row.hits, copied), **row.details}
            for key, row in rows.items()
        }
    result["protocol"] = split.name
    result["dataset"] = store.meta.dataset
    result["counts"] = {
        "train": len(train),
        "test": len(test),
        "classes": len(store.class_names),
        "unlabelled": unlabelled,
        "copies": int(copied.sum()),
    }
    write_results(directory.evaluation_dir, result, tasks, json_path)
    console = console or Console()
    console.print(results_table(result))
    console.print(f"numbers in {directory.evaluation_dir}", markup=False, soft_wrap=True)
    if not baselines:
        return result
    shown = min(_SHOWN_NEIGHBOURS, len(train))
    nearest = knn(ours.train, ours.train_labels, ours.test, ours.num_classes, shown, metric, device)
    evidence = Evidence(store, train, test, ours.test, nearest, bank)
    report = write_report(directory, result, evidence, compared)
    console.print(f"report in {report}", markup=False, soft_wrap=True)
    return result


def _given(value: Any, run: RunDirectory, key: str, option: str) -> Any:
    """The caller's value, or the one the run was trained with."""
    found = value if value is not None else run.config.get(key)
    if found is None:
        raise InputError(f"{run.path} does not say which {key} it was trained on: pass {option}")
    return found


def _same(first: str | Path, second: str | Path | None) -> bool:
    return second is not None and Path(first).resolve() == Path(second).resolve()


def _prompts(path: str | Path | None, run: RunDirectory, own_data: bool) -> PromptStore | None:
    """The prompts asked for, or the run's own where they still exist and fit the data."""
    if path is not None:
        return open_prompts(path)
    own = run.config.get("prompts")
    return open_prompts(own) if own is not None and own_data and Path(own).is_file() else None


def _check_device(device: str) -> None:
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"device {device!r} cannot be used on this machine: {reason}") from error


def _check_layout(layout: Any, store: SkeletonStore, run: Path) -> None:
    if layout.joints != store.layout.joints:
        raise InputError(
            f"{run} expects {layout.num_joints} joints ({layout.name}), {store.path} has "
            f"{store.layout.num_joints} ({store.layout.name}): evaluate it on a store of its own layout"
        )


def labelled(store: SkeletonStore, train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """The rows that have a label, and how many were left out.

    Raises:
        InputError: a part without a labelled clip.
    """
    parts = [rows[store.labels[rows] >= 0] for rows in (train, test)]
    for name, rows in zip(("training", "test"), parts, strict=True):
        if len(rows) == 0:
            raise InputError(f"{store.path}: no clip of the {name} part has a label, nothing to evaluate")
    return parts[0], parts[1], len(train) + len(test) - len(parts[0]) - len(parts[1])


def _baselines(
    store: SkeletonStore,
    train: np.ndarray,
    test: np.ndarray,
    untrained: Material,
    prompts: PromptStore | None,
) -> dict[str, Baseline]:
    truth = store.labels[test]
    rows = chance(store.labels[train], truth, len(store.class_names))
    rows["raw_knn"] = raw_knn(store, train, test, aligned=False)
    if store.channels == 3:
        rows["raw_knn_aligned"] = raw_knn(store, train, test, aligned=True)
    else:
        rows["raw_knn_aligned"] = Baseline(None, note="needs 3-D coordinates")
    for task in ("knn", "linear"):
        outcome = run_task(task, untrained)
        rows[f"untrained_{task}"] = Baseline.of(outcome.scores, truth, outcome.details)
    if prompts is not None:
        rows |= prompt_probe(store, prompts, train, test)
    return rows


def without_copies(hits: np.ndarray | None, copied: np.ndarray) -> dict[str, float]:
    """Top-1 over the test clips that are no copies, where there are copies at all.

    >>> without_copies(np.array([1.0, 1.0, 0.0]), np.array([True, False, False]))
    {'top1_without_copies': 0.5}
    """
    if hits is None or not copied.any():
        return {}
    left = hits[~copied]
    left = left[~np.isnan(left)]
    return {"top1_without_copies": float(left.mean())} if len(left) else {}


def write_results(
    folder: Path, result: dict[str, Any], tasks: Sequence[str], json_path: str | Path | None
) -> None:
    """Write one JSON file per task, one for the baselines, and the whole where it was asked for."""
    about = {key: result[key] for key in ("dataset", "protocol", "counts")}
    folder.mkdir(parents=True, exist_ok=True)
    for task in tasks:
        _write_json(folder / f"{task}.json", {**result[task], **about})
    if "baselines" in result:
        baselines = {key: result[key] for key in ("baselines", "baseline_details")}
        _write_json(folder / "baselines.json", {**baselines, **about})
    if json_path is not None:
        Path(json_path).parent.mkdir(parents=True, exist_ok=True)
        _write_json(Path(json_path), result)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    write_whole(path, json.dumps(content, indent=1) + "\n")


def results_table(result: dict[str, Any]) -> Table:
    """The table that ``kinelex evaluate`` prints: the run's rows first, baselines below."""
    counts = result["counts"]
    title = f"{result['dataset']} {result['protocol']}: {counts['train']} train, {counts['test']} test clips"
    table = Table(title=title, title_justify="left")
    table.add_column("what")
    table.add_column("top-1 %", justify="right")
    table.add_column("top-5 %", justify="right")
    if counts["copies"]:
        table.add_column("top-1 %\nwithout copies", justify="right")
        table.caption = f"{counts['copies']} test clips are exact copies of training clips"
    for row in result_rows(result):
        style = "bold" if row.ours else None
        values = [row.top1, row.top5] + ([row.without_copies] if counts["copies"] else [])
        table.add_row(row.name, *(_percent(value) for value in values), style=style)
    return table


def _percent(rate: float | None) -> str:
    return "–" if rate is None else f"{100 * rate:.1f}"
