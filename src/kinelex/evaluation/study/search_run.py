"""Run a search: Optuna proposes settings, folds of the training part judge them."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from kinelex.data import SkeletonStore
from kinelex.data.splits.files import as_file_name
from kinelex.data.splits.folds import fold_names
from kinelex.datasets import get_split
from kinelex.errors import DivergenceError, InputError
from kinelex.evaluation.evaluate import evaluate
from kinelex.evaluation.output import numbers_table
from kinelex.evaluation.rows import percent
from kinelex.evaluation.study.definition import Study
from kinelex.evaluation.study.search import Search
from kinelex.evaluation.study.trials import value_text
from kinelex.files.atomic import write_whole
from kinelex.files.bounded import safe_json
from kinelex.files.lock import InUseError, sole_writer
from kinelex.training.recipe import Recipe, find_recipe
from kinelex.training.store_defaults import resolve_for


@dataclass(frozen=True)
class SearchRun:
    """A search in a folder: ``search.log`` is Optuna's journal, ``runs/`` holds a run of each trial and fold.

    Several processes may work in one folder, on one machine or on many.
    """

    study: Study
    store: SkeletonStore
    protocol: str
    folder: Path
    prompts: Path | None
    changes: tuple[str, ...]
    device: str
    console: Console

    @property
    def search(self) -> Search:
        """Its ranges and its budget."""
        assert self.study.search is not None
        return self.study.search

    def run(self) -> dict[str, Any]:
        """Try settings until the budget is used, and write what came out.

        Returns:
            ``study``, ``trials`` (each with ``values``, ``state``, ``score`` and ``folds``), ``own`` (the
            recipe's score), ``best`` (score), ``values`` and ``recipe`` (the file of the best).

        Raises:
            InputError: a search that does not fit recipe, store or folder, or no trial that could be trained.
        """
        try:
            import optuna
            from optuna.pruners import MedianPruner, NopPruner
            from optuna.storages import JournalStorage
            from optuna.storages.journal import JournalFileBackend
        except ImportError as error:
            raise InputError("a search needs optuna: pip install 'kinelex[search]'") from error
        folds = fold_names(self.store, f"{self.protocol}:fold*of{self.search.folds}")
        own = self.search.own(self._recipe({}))
        from kinelex.training.train import rehearse

        rehearse(self._recipe({}), self.store, folds[0], prompts=self.prompts)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        (self.folder / "runs").mkdir(parents=True, exist_ok=True)
        journal = JournalStorage(JournalFileBackend(str(self.folder / "search.log")))
        median = self.search.pruning == "median"
        found = optuna.create_study(
            study_name=self.study.name,
            storage=journal,
            direction="maximize",
            pruner=MedianPruner(n_startup_trials=3) if median else NopPruner(),
            load_if_exists=True,
        )
        self._check_same(found)
        if not found.trials:
            found.enqueue_trial(own)
        while (trial := self._next(found, optuna)) is not None:
            self._try(found, trial, folds, optuna)
        return self._result(found, optuna)

    def _recipe(self, values: dict[str, Any], seed: int | None = None) -> Recipe:
        """The recipe with other values, settled for the whole training part."""
        name, content = find_recipe(self.study.recipe, self.store.meta.dataset)
        keys = [*self.changes, *(f"{key}={value_text(value)}" for key, value in values.items())]
        recipe = resolve_for(self.store, name, content, keys, rows=get_split(self.store, self.protocol).train)
        return recipe if seed is None else replace(recipe, training=replace(recipe.training, seed=seed))

    def _check_same(self, found: Any) -> None:
        """Refuse a folder of another search: only its budget may have changed."""
        asked = {
            "store": self.store.fingerprint,
            "protocol": self.protocol,
            "recipe": self._recipe({}).to_dict(),
            "search": repr(replace(self.search, trials=0)),
            "tasks and seeds": [list(self.study.tasks), list(self.study.seeds)],
            "prompts": None if self.prompts is None else str(self.prompts.resolve()),
        }
        before = found.user_attrs.get("asked")
        if before is None:
            found.set_user_attr("asked", asked)
        elif different := [key for key, value in asked.items() if before.get(key) != value]:
            raise InputError(
                f"{self.folder} holds a search with another {' and '.join(different)}: pass another --out"
            )

    def _next(self, found: Any, optuna: Any) -> Any:
        """A trial that nobody works on, or a new one; None when the budget is used."""
        trials = found.get_trials(deepcopy=False)
        for one in trials:
            if one.state == optuna.trial.TrialState.RUNNING and not self._is_in_use(one.number):
                return optuna.trial.Trial(found, one._trial_id)
        if sum(t.state != optuna.trial.TrialState.WAITING for t in trials) >= self.search.trials:
            return None
        # a process that takes over proposes what its predecessor would have
        found.sampler = optuna.samplers.TPESampler(
            seed=self.study.seeds[0] + len(trials), n_startup_trials=max(3, self.search.trials // 3)
        )
        return found.ask()

    def _is_in_use(self, number: int) -> bool:
        try:
            with sole_writer(self._path(number)):
                return False
        except InUseError:
            return True

    def _path(self, number: int) -> Path:
        return self.folder / "runs" / f"trial-{number:03d}"

    def _try(self, found: Any, trial: Any, folds: Sequence[str], optuna: Any) -> None:
        """Train and judge a trial, fold by fold."""
        values = {key: one.draw(trial, key) for key, one in self.search.ranges.items()}
        shown = ", ".join(f"{key}={value_text(value)}" for key, value in values.items())
        self.console.print(f"[{trial.number + 1}/{self.search.trials}] {shown}", markup=False, soft_wrap=True)
        state, rates = optuna.trial.TrialState, list[float]()
        told = found.get_trials(deepcopy=False)[trial.number].intermediate_values  # of one that is taken up
        pairs = [(fold, seed) for seed in self.study.seeds for fold in folds]
        with ExitStack() as stack:
            try:
                stack.enter_context(sole_writer(self._path(trial.number)))
                for step, (fold, seed) in enumerate(pairs):
                    rates.append(self._rate(self._recipe(values, seed), fold, self._path(trial.number)))
                    trial.set_user_attr("folds", rates)
                    if step not in told:
                        trial.report(float(np.mean(rates)), step)
                    if step + 1 < len(pairs) and trial.should_prune():
                        found.tell(trial, state=state.PRUNED)
                        return
            except InUseError:
                return
            except (InputError, DivergenceError) as error:
                trial.set_user_attr("failed", str(error))
                self.console.print(f"  failed: {error}", markup=False, soft_wrap=True)
                found.tell(trial, state=state.FAIL)
                return
            found.tell(trial, float(np.mean(rates)))

    def _rate(self, recipe: Recipe, fold: str, folder: Path) -> float:
        """The top-1 of the study's first task on a fold, trained before or now."""
        from kinelex.training.train import train_or_resume

        path = folder / as_file_name(f"{fold}+seed={recipe.training.seed}")
        judged = path / "evaluation" / f"{self.study.tasks[0]}.json"
        if not judged.is_file():
            train_or_resume(recipe, self.store, fold, path, self.prompts, console=self.console)
            settings = {"device": self.device, "seed": recipe.training.seed, "console": self.console}
            tasks = self.study.tasks
            evaluate(path, self.store.path, fold, tasks, self.prompts, baselines=False, **settings)
        numbers = safe_json(judged.read_text(encoding="utf-8"))
        if "top1" not in numbers:
            raise InputError(f"a search chooses by top-1, the task {self.study.tasks[0]} has none")
        return float(numbers["top1"])

    def _result(self, found: Any, optuna: Any) -> dict[str, Any]:
        """Write ``best.yaml`` and ``trials.csv`` and print the trials, the best first."""
        complete = optuna.trial.TrialState.COMPLETE
        trials = [
            {
                "trial": t.number,
                "values": {key: t.params.get(key) for key in self.search.ranges},
                "state": t.state.name.lower(),
                "score": t.value if t.state == complete else None,
                "folds": t.user_attrs.get("folds", []),
            }
            for t in found.trials
            if t.state != optuna.trial.TrialState.WAITING
        ]
        done = sorted((t for t in trials if t["score"] is not None), key=lambda t: -t["score"])
        if not done:
            raise InputError(f"no trial of {self.study.name} could be trained: see what is said above")
        best, path = done[0], self.folder / "best.yaml"
        sections = {k: v for k, v in self._recipe(best["values"]).to_dict().items() if k != "name"}
        of, task, folds = self.protocol, self.study.tasks[0], self.search.folds
        head = (
            f"# The best of {len(trials)} trials of the study {self.study.name}, on {folds} folds "
            f"of the training part of {of}:\n# top-1 {percent(best['score'])} % by {task}.\n"
            f"# kinelex train {path.name} --data STORE --protocol {of} --out RUN\n"
        )
        write_whole(path, head + yaml.safe_dump(sections, sort_keys=False))
        rows = [{**t, **t["values"], "folds": " ".join(f"{r:.4f}" for r in t["folds"])} for t in trials]
        text = io.StringIO()
        writer = csv.DictWriter(text, [k for k in rows[0] if k != "values"], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
        write_whole(self.folder / "trials.csv", text.getvalue())
        others = [t for t in trials if t["score"] is None]
        self.console.print(self._table([*done, *others]))
        self.console.print(f"the best as a recipe: {path}", markup=False, soft_wrap=True)
        own = next((t["score"] for t in trials if t["trial"] == 0), None)
        result = {"study": self.study.name, "trials": trials, "own": own, "best": best["score"]}
        return result | {"values": best["values"], "recipe": str(path)}

    def _table(self, trials: Sequence[dict[str, Any]]) -> Table:
        title = f"{self.study.name}: {self.study.tasks[0]}, mean of the folds of {self.protocol}"
        table = numbers_table(title, "top-1 %", "folds", *self.search.ranges, first="trial")
        for t in trials:
            name = f"{t['trial']} (the recipe)" if t["trial"] == 0 else str(t["trial"])
            values = [f"{v:.4g}" if isinstance(v, float) else escape(str(v)) for v in t["values"].values()]
            score = t["state"] if t["score"] is None else percent(t["score"])
            table.add_row(name, score, " ".join(map(percent, t["folds"])), *values)
        return table
