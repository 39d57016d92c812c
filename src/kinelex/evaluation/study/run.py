"""Run a study: train and judge its trials, then compare them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from kinelex.data import SkeletonStore, open_prompts, open_store
from kinelex.datasets import get_split
from kinelex.errors import DivergenceError, InputError
from kinelex.evaluation.comparison import Comparison, Group, compare_groups
from kinelex.evaluation.evaluate import check_device, evaluate
from kinelex.evaluation.study.definition import Study, find_study
from kinelex.evaluation.study.search_run import SearchRun
from kinelex.evaluation.study.trials import Trial, trials_of
from kinelex.evaluation.task_runs import task_options
from kinelex.files.atomic import check_place, write_whole
from kinelex.files.bounded import safe_json
from kinelex.files.lock import InUseError, sole_writer
from kinelex.inference.cache import run_digest
from kinelex.training.recipe import Recipe
from kinelex.training.run_directory import RunDirectory
from kinelex.training.store_defaults import for_persons_of


@dataclass(frozen=True)
class StudyOptions:
    """What of a study is trained and judged.

    Args:
        prompts: the prompt store; several are an axis of the grid.
        changes: ``key=value`` for all recipes; a key that is an axis gives it other values.
        seeds, tasks: instead of the study's.
        share: do share i of n only (an array job); the last one to finish compares.
        device: where the runs are judged.
    """

    prompts: Sequence[str | Path] = ()
    changes: Sequence[str] = ()
    seeds: Sequence[int] | None = None
    tasks: Sequence[str] | None = None
    share: tuple[int, int] | None = None
    device: str = "cpu"


def run_study(
    name: str,
    data: str | Path,
    protocol: str,
    out: str | Path,
    console: Console | None = None,
    judge: Callable[..., Any] = evaluate,
    write: Callable[..., Path] | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Train and judge every recipe of a study and compare them.

    Each run has a directory of its own in ``out``; one that was killed is resumed, a finished one is left as
    it is, so that a study can be started again at any time, also with more seeds or values. They are compared
    when all are finished.

    Args:
        name: a study of :func:`kinelex.evaluation.study.study_names`, or a YAML file.
        data: the skeleton store.
        protocol: the split.
        out: the folder of the study.
        console: where to print.
        judge: judges a run, as :func:`kinelex.evaluation.evaluate` does.
        write: writes the page of the comparison; none by default (:func:`kinelex.reports.run_study` has one).
        **options: of :class:`StudyOptions`.

    Returns:
        Of a search what :meth:`~kinelex.evaluation.study.search_run.SearchRun.run` returns. Of a grid
        ``study``, ``runs`` (how many), ``finished``, ``failed`` (message by run), ``left_out`` and, when all
        runs are finished, ``table`` and ``comparison`` (the page, where there is one).

    Raises:
        InputError: no such study, something that does not fit together, a run in ``out`` that was made with
            other settings, or a run that failed (after all others were done).
    """
    asked, console, study = StudyOptions(**options), console or Console(), find_study(name)
    study = replace(study, seeds=tuple(asked.seeds or study.seeds), tasks=tuple(asked.tasks or study.tasks))
    task_options(study.tasks, {})  # before the first training: no such task, or one twice
    if "transfer" in study.tasks:
        raise InputError("transfer needs options, which a study does not give: leave it out of the tasks")
    check_device(asked.device)
    store, folder = open_store(data), Path(out)
    rows, prompts = get_split(store, protocol).train, [Path(path) for path in asked.prompts]
    for path in prompts:  # at once, not run by run
        open_prompts(path).must_belong_to(store)
    if study.search is not None:
        if len(prompts) > 1:
            raise InputError("a search trains with one prompt store, several are an axis of a grid")
        check_place(folder, f"the folder {folder} cannot be made")
        bank, changes = prompts[0] if prompts else None, tuple(asked.changes)
        return SearchRun(study, store, protocol, folder, bank, changes, asked.device, console).run()
    trials, left_out = trials_of(study, store.meta.dataset, prompts, asked.changes, store, rows)
    check_place(folder, f"the folder {folder} cannot be made")
    try:
        (folder / "runs").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"the folder {folder} cannot be made: {error.strerror}") from error
    work = _Work(study, store, protocol, folder, asked.device, console, judge)
    for trial in trials:
        work.check(trial)
    new = next((trial for trial in trials if not (work.path(trial) / "config.yaml").is_file()), None)
    if new is not None:  # what would fail in every run alike is told before the first
        from kinelex.training.train import rehearse  # here and below: it brings the trainer, slow to import

        rehearse(new.recipe, store, protocol, prompts=new.prompts)
    for text in left_out:
        console.print(f"left out: {text}", markup=False, soft_wrap=True)
    mine = trials if asked.share is None else trials[asked.share[0] - 1 :: asked.share[1]]
    console.print(f"study {study.name}: {len(trials)} runs, {len(mine)} of them here", markup=False)
    failed = _do(work, mine)
    if failed:
        lines = "; ".join(f"{run}: {message}" for run, message in failed.items())
        raise InputError(f"{len(failed)} of {len(mine)} runs failed, the others are done: {lines}")
    finished = sum(work.is_finished(trial) for trial in trials)
    result = {"study": study.name, "runs": len(trials), "finished": finished, "failed": failed}
    result["left_out"] = left_out
    if finished == len(trials):
        result |= compare_trials(study, protocol, folder, trials, left_out, write)
        if write is not None:
            console.print(f"comparison in {result['comparison']}", markup=False, soft_wrap=True)
    else:
        console.print(
            f"{finished} of {len(trials)} runs are finished; the comparison is written when all are "
            "(by the last share, or without --shard)"
        )
    return result


# Keys that may leave open what a run makes of them: its config says what it became, on its machine or store.
_BECOMES = (("training", "precision", "auto"), ("input", "persons", None), ("encoder", "person_norms", None))


@dataclass(frozen=True)
class _Work:
    """What all runs of a study have in common."""

    study: Study
    store: SkeletonStore
    protocol: str
    folder: Path
    device: str
    console: Console
    judge: Callable[..., Any]

    def path(self, trial: Trial) -> Path:
        return self.folder / "runs" / trial.name

    def check(self, trial: Trial) -> None:
        """Refuse a run that was made with other settings."""
        path = self.path(trial)
        if not (path / "config.yaml").is_file():
            return
        from kinelex.training.train import has_prompts, reopen

        recipe, config = reopen(path, self.store, self.protocol)
        prompts = None if trial.prompts is None else str(trial.prompts.resolve())
        different = _differences(*(for_persons_of(self.store, r) for r in (trial.recipe, recipe)))
        if config["prompts"] != prompts:
            different.append(f"prompts ({config['prompts']} there, {prompts} asked for)")
        elif not has_prompts(config, prompts):
            different.append(f"prompts ({prompts} has changed since)")
        if different:
            raise InputError(
                f"{path} was trained with other settings: {', '.join(different)}; pass another --out"
            )

    def is_finished(self, trial: Trial) -> bool:
        """Whether a run was trained and judged by all tasks, and is the same since."""
        try:
            mark = safe_json(self._mark(trial).read_text(encoding="utf-8"))
            same = mark["run"] == run_digest(self.path(trial))
            return same and set(self.study.tasks) <= set(mark["tasks"])
        except (OSError, ValueError, KeyError, TypeError, OverflowError):
            return False

    def finish(self, trial: Trial) -> None:
        """Train what is not trained yet and judge it."""
        from kinelex.training.train import train_or_resume

        path, console = self.path(trial), self.console
        train_or_resume(trial.recipe, self.store, self.protocol, path, trial.prompts, console=console)
        settings = {"device": self.device, "seed": trial.seed, "console": self.console}
        self.judge(path, self.store.path, self.protocol, self.study.tasks, trial.prompts, **settings)
        mark = {"run": run_digest(path), "tasks": list(self.study.tasks)}
        write_whole(self._mark(trial), json.dumps(mark))

    def _mark(self, trial: Trial) -> Path:
        return self.path(trial) / "evaluation" / "study.json"


def _do(work: _Work, trials: Sequence[Trial]) -> dict[str, str]:
    """Do runs one after the other; returns what failed by name, after all others were tried."""
    failed = {}
    for number, trial in enumerate(trials, 1):
        head = f"[{number}/{len(trials)}] {trial.name}"
        if work.is_finished(trial):
            work.console.print(f"{head}: finished before", markup=False, soft_wrap=True)
            continue
        work.console.print(head, markup=False, soft_wrap=True)
        with ExitStack() as stack:
            try:
                stack.enter_context(sole_writer(work.path(trial)))
            except InUseError:
                work.console.print("  another process works on it", markup=False)
                continue
            if work.is_finished(trial):  # by that process, meanwhile
                continue
            try:
                work.finish(trial)
            except (InputError, DivergenceError) as error:
                failed[trial.name] = str(error)
                work.console.print(f"  failed: {error}", markup=False, soft_wrap=True)
    return failed


def _differences(wanted: Recipe, trained: Recipe) -> list[str]:
    """The keys of a recipe in which a run differs from what is wanted."""
    first, second = wanted.to_dict(), trained.to_dict()
    for section, key, left_open in _BECOMES:
        if first[section].get(key, ...) == left_open:
            first[section][key] = second[section][key]
    values = [
        (f"{section}.{key}", keys.get(key), second[section].get(key))
        for section, keys in first.items()
        if isinstance(keys, dict)
        for key in keys.keys() | second[section].keys()
    ]
    return sorted(f"{key} ({b} there, {a} asked for)" for key, a, b in values if a != b)


def compare_trials(
    study: Study,
    protocol: str,
    folder: Path,
    trials: Sequence[Trial],
    left_out: Sequence[str] = (),
    write: Callable[[Comparison, Path, str, str, list[str]], Path] | None = None,
) -> dict[str, Any]:
    """Compare the runs of a study, which are all finished.

    The reference is the variant that is the recipe itself, else the first one.

    Returns:
        ``table``: means and standard deviations by variant and number; ``comparison``: the page, if written.
    """
    variants = list(dict.fromkeys(trial.variant for trial in trials))
    runs = [(trial.variant, RunDirectory(folder / "runs" / trial.name)) for trial in trials]
    groups = [Group(variant, tuple(run for of, run in runs if of == variant)) for variant in variants]
    own = next((trial.variant for trial in trials if trial.is_recipe), variants[0])
    comparison = compare_groups(groups, protocol, variants.index(own))
    seeds = ", ".join(map(str, study.seeds))
    notes = [f"Recipe {trials[0].recipe.name}; {trials[0].recipe.training.epochs} epochs; seeds {seeds}."]
    notes += [f"Left out: {text}." for text in left_out]
    table: dict[str, dict[str, Any]] = {variant: {} for variant in variants}
    for column in comparison.columns:
        for variant, number in zip(variants, column.numbers, strict=True):
            if number is not None:
                table[variant][column.name] = {"mean": number.mean, "sd": number.sd}
    if write is None:
        return {"table": table}
    return {"comparison": str(write(comparison, folder, study.title, study.question, notes)), "table": table}
