"""The comparison at the end of a study."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kinelex.data import SkeletonStore
from kinelex.evaluation.study.cells import Cell
from kinelex.evaluation.study.definition import Study
from kinelex.reports.comparison import Group, compare_groups, write_comparison
from kinelex.training.run_directory import RunDirectory


def compare_cells(
    study: Study,
    store: SkeletonStore,
    protocol: str,
    folder: Path,
    cells: Sequence[Cell],
    left_out: Sequence[str] = (),
) -> dict[str, Any]:
    """Write the comparison of a study whose runs are finished.

    The reference is the variant that is the recipe itself, else the first one.

    Args:
        study: the study.
        store, protocol: what the runs were trained and judged on.
        folder: the study's folder.
        cells: all of its trainings.
        left_out: what was not trained and why.

    Returns:
        ``comparison``, the page, and ``table``: means and standard deviations by variant and number.
    """
    variants = list(dict.fromkeys(cell.variant for cell in cells))
    groups = []
    for variant in variants:
        runs = [RunDirectory(folder / "runs" / cell.name) for cell in cells if cell.variant == variant]
        groups.append(Group(variant, tuple(runs)))
    own = next((cell.variant for cell in cells if cell.is_recipe), variants[0])
    comparison = compare_groups(groups, protocol, variants.index(own))
    seeds = ", ".join(map(str, study.seeds))
    notes = [f"Recipe {cells[0].recipe.name}; {cells[0].recipe.training.epochs} epochs; seeds {seeds}."]
    notes += [f"Left out: {text}." for text in left_out]
    page = write_comparison(comparison, folder, study.title, study.question, notes)
    table: dict[str, dict[str, Any]] = {variant: {} for variant in variants}
    for column in comparison.columns:
        for variant, number in zip(variants, column.numbers, strict=True):
            if number is not None:
                table[variant][column.name] = {"mean": number.mean, "sd": number.sd}
    return {"comparison": str(page), "table": table}
