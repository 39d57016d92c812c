"""The comparison at the end of a study."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from kinelex.evaluation.comparison import Comparison, Group, compare_groups
from kinelex.evaluation.study.definition import Study
from kinelex.evaluation.study.trials import Trial
from kinelex.training.run_directory import RunDirectory


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
