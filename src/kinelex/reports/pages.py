"""Evaluation with its pages: numbers come from ``kinelex.evaluation``, what is drawn of them from here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from kinelex.errors import InputError
from kinelex.evaluation.comparison import Comparison, Group, compare_groups, write_tables
from kinelex.evaluation.comparison.compare import compare as compare_numbers
from kinelex.evaluation.evaluate import each_store, open_evaluation, show_results
from kinelex.evaluation.folds import each_fold
from kinelex.evaluation.rows import classifying_tasks, spread
from kinelex.evaluation.study import run_study as run_numbers
from kinelex.progress import working
from kinelex.reports.comparison import Folds, write_comparison
from kinelex.reports.run.maps import check_map
from kinelex.reports.run.write import write_report
from kinelex.training.folds import fold_runs
from kinelex.training.run_directory import RunDirectory
from kinelex.training.run_sources import run_folder
from kinelex.training.store_runs import store_runs


def evaluate(
    run: str | Path,
    data: str | Path | None = None,
    protocol: str | None = None,
    tasks: Sequence[str] | None = None,
    prompts: str | Path | None = None,
    baselines: bool = True,
    against: str | Path | None = None,
    map_by: str = "tsne",
    **settings: Any,
) -> dict[str, Any]:
    """Judge a run as :func:`kinelex.evaluation.evaluate` does, and write its report.

    ``report.html`` and its table as ``report.csv``, ``.md`` and ``.tex`` appear in the run directory, unless
    no task classifies the test clips.

    Args:
        run, data, protocol, tasks, prompts, baselines: see :func:`kinelex.evaluation.evaluate`.
        against: another run (for example with hard targets) whose similarities the report shows beside.
        map_by: how the report's map makes two dimensions of features: ``tsne``, or ``umap`` (extra ``umap``).
        **settings: of :func:`kinelex.evaluation.evaluate.open_evaluation`.

    Returns:
        The numbers of :func:`kinelex.evaluation.evaluate`.

    Raises:
        InputError: what that function refuses, no such map, or UMAP without umap-learn.
    """
    check_map(map_by)
    others = {"against": against, "map_by": map_by, **settings}
    run = run_folder(run)  # loaded or unpacked once
    if data is None and (parts := store_runs(run)):
        return each_store(evaluate, parts, protocol, tasks, prompts, baselines, **others)
    if data is None and (folds := fold_runs(run)):
        found = each_fold(evaluate, run, folds, protocol, tasks, prompts, baselines, **others)
        return _report_of_folds(run, folds, found)
    compared = None if against is None else RunDirectory(against)
    evaluation = open_evaluation(run, data, protocol, tasks, prompts, **settings)
    result = evaluation.numbers(baselines)
    show_results(evaluation, result)
    context = evaluation.context
    if not classifying_tasks(result):
        context.console.print("no report: none of the tasks classifies the test clips (add --tasks knn,...)")
        return result
    group = Group(context.run.path.resolve().name, (context.run,))
    comparison = compare_groups([group], context.protocol, tasks=tuple(evaluation.tasks))
    write_tables(comparison, context.run.path, "report")
    metric = getattr(evaluation.tasks.get("knn"), "metric", "cosine")
    with working("report"):
        report = write_report(context, result, metric, compared, map_by)
    context.console.print(f"report in {report}", markup=False, soft_wrap=True)
    return result


def _report_of_folds(run: str | Path, folds: Mapping[str, Path], result: dict[str, Any]) -> dict[str, Any]:
    """Write the page of a run of several folds: its row, every fold, and the confusion of all clips."""
    directory, tasks = RunDirectory(run), classifying_tasks(result)
    if not tasks:
        return result
    group = Group(directory.path.resolve().name, (directory,))
    comparison = compare_groups([group], result["protocol"], tasks=tasks)
    of = {task: result[task]["folds"] for task in tasks}
    notes = [
        f"{result[task]['title']}: {spread(of[task]['mean'], of[task]['sd'])} % over the {len(folds)} folds; "
        "the table is of their clips together."
        for task in tasks
    ]
    parts = Folds(
        [result[task]["title"] for task in tasks],
        [(path, [of[task]["values"][fold] for task in tasks]) for fold, path in folds.items()],
        {t: (np.array(result[t]["confusion"]), list(result[t]["per_class"])) for t in tasks},
    )
    title = f"{group.name}: {result['protocol']}"
    write_comparison(comparison, directory.path, title, notes=notes, name="report", folds=parts)
    return result


def compare(
    runs: Sequence[str | Path],
    protocol: str | None = None,
    out: str | Path | None = None,
    console: Console | None = None,
) -> dict[str, Any]:
    """Compare runs as :func:`kinelex.evaluation.compare` does, and write the page.

    Args:
        runs, protocol, console: see :func:`kinelex.evaluation.compare`.
        out: a folder for ``comparison.html`` and the table as CSV, Markdown and LaTeX; none by default.

    Raises:
        InputError: what that function refuses, or a folder that cannot be written.
    """
    console = console or Console()
    if out is not None and Path(out).suffix in (".html", ".csv", ".md", ".tex"):
        raise InputError(f"--out {out}: expects a folder, for comparison.html and the table in three forms")

    def write(comparison: Comparison) -> None:
        if out is not None:
            page = write_comparison(comparison, out)
            console.print(f"comparison in {page}", markup=False, soft_wrap=True)

    return compare_numbers(runs, protocol, console, write)


def run_study(name: str, data: str | Path, protocol: str, out: str | Path, **settings: Any) -> dict[str, Any]:
    """Run a study as :func:`kinelex.evaluation.study.run_study` does, with all its pages.

    Args:
        name, data, protocol, out: see :func:`kinelex.evaluation.study.run_study`.
        **settings: its other arguments.

    Returns:
        Its numbers; when all runs are finished ``comparison`` is the page's path.
    """
    return run_numbers(name, data, protocol, out, judge=evaluate, write=write_comparison, **settings)
