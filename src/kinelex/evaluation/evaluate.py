"""Evaluate a run: its tasks beside their baselines, as numbers, in JSON and in a table."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape

from kinelex.data import PromptStore, open_prompts, open_store
from kinelex.data.persons import say_crowded
from kinelex.datasets import get_split
from kinelex.errors import InputError
from kinelex.evaluation.baseline_rows import baseline_rows
from kinelex.evaluation.context import Context
from kinelex.evaluation.folds import each_fold
from kinelex.evaluation.output import numbers_table, results_table, write_results
from kinelex.evaluation.protocols.registry import find_task
from kinelex.evaluation.protocols.supervision import check_classes, check_unseen, retargeted
from kinelex.evaluation.rows import percent, result_rows
from kinelex.evaluation.task_runs import run_tasks, task_options
from kinelex.inference.features import check_device
from kinelex.training.encoder_files import load_encoders
from kinelex.training.folds import fold_runs
from kinelex.training.run_directory import RunDirectory
from kinelex.training.run_sources import run_folder
from kinelex.training.store_runs import check_one_store, store_runs


@dataclass(frozen=True)
class Evaluation:
    """A run, the clips that it is judged on, and the tasks that judge it."""

    context: Context
    tasks: Mapping[str, Any]
    unlabelled: int

    def numbers(self, baselines: bool = True) -> dict[str, Any]:
        """What :func:`evaluate` returns; with ``baselines`` False without them."""
        context, result = self.context, dict[str, Any](run_tasks(self.context, self.tasks))
        if baselines and context.labelled:
            options = {**task_options(["knn", "linear"], {}), **self.tasks}
            result |= baseline_rows(context, options["knn"], options["linear"])
        result["protocol"] = context.protocol
        result["dataset"] = context.store.meta.dataset
        result["counts"] = {
            "train": len(context.train),
            "test": len(context.test),
            "classes": len(context.class_names),
            "unlabelled": self.unlabelled,
            "copies": int(context.copied.sum()),
        }
        return result


def evaluate(
    run: str | Path,
    data: str | Path | None = None,
    protocol: str | None = None,
    tasks: Sequence[str] | None = None,
    prompts: str | Path | None = None,
    baselines: bool = True,
    **settings: Any,
) -> dict[str, Any]:
    """Judge a run's encoder on a protocol, beside chance, raw coordinates, prompts and no training.

    A run with several streams (CMD) is judged by each stream alone and by all of them: the mean of their
    votes (``knn``) or softmax scores (probes), see :func:`kinelex.inference.fusion.fuse`.

    Writes into the run directory ``evaluation/<task>.json``, ``evaluation/baselines.json`` and the scores of
    every test clip under ``evaluation/scores`` (:mod:`kinelex.evaluation.scores`), and prints a short table;
    :func:`kinelex.reports.evaluate` writes the pages too. Rates are fractions of 1. What was computed is kept
    under ``evaluation/cache``, by a digest of all that it depends on, so that a second call reads it.

    Args:
        run: the run directory.
        data: the skeleton store; the one the run was trained on by default. A run that was trained on several
            is judged on each, see :func:`each_store`; one of several folds on each fold, see
            :func:`~kinelex.evaluation.folds.each_fold`.
        protocol: the split; the one the run was trained on by default.
        tasks: names of :data:`kinelex.evaluation.TASKS`; by default ``classify`` for a run that learned from
            labels, else ``knn`` and ``linear``.
        prompts: the prompt store; the run's own by default, when ``data`` is the run's too.
        baselines: also judge what the run is measured against.
        **settings: of :func:`open_evaluation`.

    Returns:
        Per task its numbers: ``rule``, ``title``, and where it classifies ``top1`` with its bootstrap
        interval ``ci95``, ``top5``, ``mean_class``, ``per_class`` and ``confusion``, with the settings;
        with several streams those of all together, and under ``streams`` each one's rates.
        ``baselines`` (name to top-1), ``baseline_details``, ``protocol``, ``counts``. Where test clips
        are copies of training clips, ``top1_without_copies`` too.

    Raises:
        InputError: see :func:`open_evaluation`.
    """
    run = run_folder(run)  # loaded or unpacked once
    if data is None and (parts := store_runs(run)):
        return each_store(evaluate, parts, protocol, tasks, prompts, baselines, **settings)
    if data is None and (folds := fold_runs(run)):
        return each_fold(evaluate, run, folds, protocol, tasks, prompts, baselines, **settings)
    evaluation = open_evaluation(run, data, protocol, tasks, prompts, **settings)
    result = evaluation.numbers(baselines)
    show_results(evaluation, result)
    return result


class UnlabelledError(InputError):
    """No clip of a part has a label, and a task needs them."""


def each_store(
    judge: Callable[..., dict[str, Any]],
    runs: Sequence[Path],
    protocol: str | None = None,
    tasks: Sequence[str] | None = None,
    prompts: str | Path | None = None,
    *arguments: Any,
    **settings: Any,
) -> dict[str, Any]:
    """Judge the runs of several stores one after the other, and print a table of all.

    A store whose clips have no labels is left out of tasks that need them, and that is said.

    Args:
        judge: :func:`evaluate`, or what takes its arguments.
        runs: as :func:`~kinelex.training.store_runs.store_runs` gives them.
        protocol, prompts: must be None: each store has its own.

    Returns:
        ``stores``: by name the numbers of each; ``mean``: the mean top-1 of each task.

    Raises:
        InputError: a protocol or prompts for all, no store with labels, or what else ``judge`` refuses.
    """
    for option, value in (("--protocol", protocol), ("--prompts", prompts)):
        if value is not None:
            raise InputError(f"every store has its own: leave out {option}, or name one store with --data")
    results, console = dict[str, dict[str, Any]](), settings.get("console") or Console()
    for run in runs:
        try:
            results[run.name] = judge(run, None, None, tasks, None, *arguments, **settings)
        except UnlabelledError as error:
            if run == runs[-1] and not results:
                raise
            console.print(f"left out: {error}", markup=False, soft_wrap=True)
    rates = {name: {row.name: row.top1 for row in result_rows(found)} for name, found in results.items()}
    whole = [row for row in next(iter(rates.values())) if all(row in found for found in rates.values())]
    table, means = numbers_table("all stores, top-1 %", *results, "mean"), {}
    for row in whole:
        values = [found[row] for found in rates.values()]
        if all(value is not None for value in values):
            means[row] = float(np.mean([value for value in values if value is not None]))
        table.add_row(escape(row), *map(percent, values), percent(means.get(row)))
    console.print(table)
    return {"stores": results, "mean": means}


def show_results(evaluation: Evaluation, result: dict[str, Any]) -> None:
    """Write an evaluation's numbers into the run directory and print them."""
    folder, console = evaluation.context.run.evaluation_dir, evaluation.context.console
    write_results(folder, result, tuple(evaluation.tasks))
    console.print(results_table(result))
    console.print(f"numbers in {folder}", markup=False, soft_wrap=True)


def open_evaluation(
    run: str | Path,
    data: str | Path | None = None,
    protocol: str | None = None,
    tasks: Sequence[str] | None = None,
    prompts: str | Path | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    **settings: Any,
) -> Evaluation:
    """A run and everything that it is judged on and by, checked before anything is computed.

    Args:
        run, data, protocol, tasks, prompts: see :func:`evaluate`.
        options: options of the tasks by name, values or their text: ``{"knn": {"k": 5}}``.
        **settings: ``device``, ``seed``, ``batch_size``, ``console`` and ``fresh`` of
            :class:`~kinelex.evaluation.context.Context`.

    Raises:
        InputError: no such task or option, a store whose joints the run's cannot be made from, or of other
            classes than the run's, test clips whose labels the run learned, a protocol the set does not
            have, prompts made for another store, no labels, no such device, or a run directory that cannot
            be written.
    """
    if tasks is not None and not tasks:
        raise InputError("expects at least one task, for example --tasks knn,linear")
    chosen = task_options(tasks or (), options or {})
    directory = RunDirectory(run)
    if data is None:
        check_one_store(directory)
    store = open_store(_given(data, directory, "data", "--data STORE"))
    name = str(_given(protocol, directory, "protocol", "--protocol P"))
    bank = _prompts(prompts, directory, data)
    if bank is not None:
        bank.must_belong_to(store)
    check_device(settings.get("device", "cpu"))
    check_report_place(directory)
    trained = load_encoders(directory.path)
    split = get_split(store, name)
    if not chosen:
        has_classifier = all(encoder.classifier is not None for encoder in trained.values())
        chosen = task_options(("classify",) if has_classifier else ("knn", "linear"), options or {})
    if "classify" in chosen:
        check_classes(trained, store, directory.path)
    train, test = split.train, split.test
    if (store.labels >= 0).any() or any(getattr(find_task(name), "needs_labels", True) for name in chosen):
        train, test = (rows[store.labels[rows] >= 0] for rows in (train, test))
    for part, rows in (("training", train), ("test", test)):
        if len(rows) == 0:
            raise UnlabelledError(
                f"{store.path}: no clip of the {part} part has a label, nothing to evaluate; by prompts "
                "judges --tasks retrieval"
            )
    check_unseen(directory, store, test)
    trained = {stream: encoder.for_store(store) for stream, encoder in trained.items()}
    context = Context(directory, trained, store, split.name, train, test, bank, **settings)
    persons = next(iter(trained.values())).pipeline.config.persons
    if change := retargeted(store, next(iter(trained.values()))):
        context.console.print(f"clips are brought from {change}", markup=False, soft_wrap=True)
    say_crowded(context.console, store, np.concatenate([train, test]), persons)
    unlabelled = len(split.train) + len(split.test) - len(train) - len(test)
    return Evaluation(context, chosen, unlabelled)


def _given(value: Any, run: RunDirectory, key: str, option: str) -> Any:
    """The caller's value, or the one the run was trained with."""
    if value is not None:
        return value
    own = run.config.get(key)
    if own is None:
        raise InputError(f"{run.path} does not say which {key} it was trained on: pass {option}")
    if key == "data" and not Path(own).exists():
        raise InputError(f"the store that {run.path} was trained on is not there ({own}): pass {option}")
    return own


def _prompts(path: str | Path | None, run: RunDirectory, data: str | Path | None) -> PromptStore | None:
    """The prompts asked for, or the run's where they still exist and the data is the run's too."""
    if path is not None:
        return open_prompts(path)
    prompts, trained_on = run.config.get("prompts"), run.config.get("data")
    if data is not None and (trained_on is None or Path(data).resolve() != Path(trained_on).resolve()):
        return None
    return open_prompts(prompts) if prompts is not None and Path(prompts).is_file() else None


def check_report_place(run: RunDirectory) -> None:
    """Refuse a run directory that nothing can be written to."""
    if not os.access(run.path, os.W_OK):
        raise InputError(f"{run.path} is not writable: copy the run to where its report can be written")
