"""Evaluate a run: its tasks beside their baselines, written as JSON, as a table and as a report."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from kinelex.datasets import get_split
from kinelex.errors import InputError
from kinelex.evaluation.baselines import Baseline, chance, copies, prompt_probe, raw_knn, subject_groups
from kinelex.evaluation.knn import knn
from kinelex.evaluation.metrics import top_k
from kinelex.evaluation.output import results_table, write_results
from kinelex.evaluation.report import Evidence, write_report
from kinelex.evaluation.scores import write_scores
from kinelex.evaluation.streams import joined, judge, judged_numbers, without_copies
from kinelex.evaluation.supervision import check_classes, check_unseen
from kinelex.evaluation.tasks import Material, check_tasks
from kinelex.skeleton import has_landmarks
from kinelex.store import PromptStore, SkeletonStore, open_prompts, open_store
from kinelex.training.encoder_files import SkeletonEncoder, load_encoders
from kinelex.training.inference import extract_all
from kinelex.training.run_directory import RunDirectory
from kinelex.transforms.normalise import TORSO

_SHOWN_NEIGHBOURS = 3  # of each example in the report


def evaluate(
    run: str | Path,
    data: str | Path | None = None,
    protocol: str | None = None,
    tasks: Sequence[str] | None = None,
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

    A run with several streams (CMD) is judged by each stream alone and by all of them: the mean of their
    votes (``knn``) or softmax scores (probes), see :func:`kinelex.evaluation.streams.fuse`.

    Writes ``evaluation/<task>.json``, ``evaluation/baselines.json``, the scores of every test clip under
    ``evaluation/scores`` (:mod:`kinelex.evaluation.scores`) and ``report.html`` into the run directory and
    prints a short table. Rates are fractions of 1.

    Args:
        run: the run directory.
        data: the skeleton store; the one the run was trained on by default.
        protocol: the split; the one the run was trained on by default.
        tasks: names of :data:`kinelex.evaluation.TASKS`; by default ``classify`` for a run that learned from
            labels, else ``knn`` and ``linear``.
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
        settings; with several streams those of all together, and under ``streams`` each one's rates.
        ``baselines`` (name to top-1), ``baseline_details``, ``protocol``, ``counts``. Where test clips
        are copies of training clips, ``top1_without_copies`` too.

    Raises:
        InputError: no such task, a run of another layout or other classes than the store, test clips whose
            labels the run learned, a protocol the set does not have, prompts made for another store, no
            labels, no such device, or a run directory that cannot be written.
    """
    check_tasks(tuple(tasks or ()))
    if tasks is not None and not tasks:
        raise InputError("expects at least one task, for example --tasks knn,linear")
    directory = RunDirectory(run)
    compared = None if against is None else RunDirectory(against)
    store = open_store(_given(data, directory, "data", "--data STORE"))
    name = str(_given(protocol, directory, "protocol", "--protocol P"))
    bank = _prompts(prompts, directory, own_data=data is None or _same(data, directory.config.get("data")))
    if bank is not None and not bank.belongs_to(store):
        raise InputError(
            f"{bank.path} was made for another store ({bank.meta.dataset}) than {store.path}: make prompts "
            f"for this one with `kinelex prompts {store.path} --out PROMPTS ...`"
        )
    check_device(device)
    check_report_place(directory)
    trained = load_encoders(directory.path)
    _check_layout(next(iter(trained.values())).source, store, directory.path)
    split = get_split(store, name)
    tasks = tuple(tasks or _own_tasks(trained))
    if "classify" in tasks:
        check_classes(trained, store, directory.path)
    train, test, unlabelled = labelled(store, split.train, split.test)
    check_unseen(directory, store, test)
    truth = store.labels[test]

    def materials(which: dict[str, SkeletonEncoder]) -> dict[str, Material]:
        classes, groups = len(store.class_names), subject_groups(store, train)
        both = np.concatenate([train, test])
        found = extract_all(which, store, both, batch_size=batch_size, device=device)
        parts = {stream: (f[: len(train)], f[len(train) :]) for stream, f in found.items()}
        more = (classes, groups, k, metric, device, seed)
        return {
            s: Material(a, store.labels[train], b, *more, classifier=which[s].last_layer())
            for s, (a, b) in parts.items()
        }

    ours = materials(trained)
    copied = copies(store, train, test)
    found = {task: judge(task, ours) for task in tasks}
    result: dict[str, Any] = {}
    for task, outcomes in found.items():
        result[task] = judged_numbers(*outcomes, truth, store.class_names, copied)
    if baselines:
        untrained = materials(load_encoders(directory.path, untrained_seed=seed))
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
    for task, outcomes in found.items():
        scores = write_scores(directory, store, split.name, test, task, *outcomes)
    console.print(f"scores in {scores}", markup=False, soft_wrap=True)
    if not baselines:
        return result
    shown = min(_SHOWN_NEIGHBOURS, len(train))
    bank_features = joined([m.train for m in ours.values()])
    test_features = joined([m.test for m in ours.values()])
    classes = len(store.class_names)
    nearest = knn(bank_features, store.labels[train], test_features, classes, shown, metric, device)
    evidence = Evidence(store, train, test, test_features, nearest, bank)
    report = write_report(directory, result, evidence, compared)
    console.print(f"report in {report}", markup=False, soft_wrap=True)
    return result


def _own_tasks(trained: dict[str, SkeletonEncoder]) -> tuple[str, ...]:
    """What suits the run when nothing is asked for."""
    has_classifier = all(encoder.classifier is not None for encoder in trained.values())
    return ("classify",) if has_classifier else ("knn", "linear")


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


def check_report_place(run: RunDirectory) -> None:
    """Refuse a run directory that nothing can be written to."""
    if not os.access(run.path, os.W_OK):
        raise InputError(f"{run.path} is not writable: copy the run to where its report can be written")


def check_device(device: str) -> None:
    """Refuse a device that this machine does not have."""
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"device {device!r} cannot be used on this machine: {reason}") from error


def _check_layout(layout: Any, store: SkeletonStore, run: Path) -> None:
    if layout.joints != store.layout.joints:
        raise InputError(
            f"{run} expects {layout.num_joints} joints ({layout.name}), {store.path} has "
            f"{store.layout.num_joints} ({store.layout.name}): evaluate it on a store of its own layout, or "
            "adapt it (`kinelex adapt`)"
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
    untrained: dict[str, Material],
    prompts: PromptStore | None,
) -> dict[str, Baseline]:
    truth = store.labels[test]
    rows = chance(store.labels[train], truth, len(store.class_names))
    rows["raw_knn"] = raw_knn(store, train, test, aligned=False)
    if store.channels != 3:
        rows["raw_knn_aligned"] = Baseline(None, note="needs 3-D coordinates")
    elif not has_landmarks(store.layout, *TORSO):
        rows["raw_knn_aligned"] = Baseline(None, note=f"needs a torso, which {store.layout.name} lacks")
    else:
        rows["raw_knn_aligned"] = raw_knn(store, train, test, aligned=True)
    for task in ("knn", "linear"):
        outcome, alone = judge(task, untrained)
        details, note = dict(outcome.details), ""
        if len(alone) > 1:
            details["streams"] = {s: {"top1": top_k(o.scores, truth, 1)} for s, o in alone.items()}
            note = "all streams"
        rows[f"untrained_{task}"] = Baseline.of(outcome.scores, truth, details, note)
    if prompts is not None:
        rows |= prompt_probe(store, prompts, train, test)
    return rows
