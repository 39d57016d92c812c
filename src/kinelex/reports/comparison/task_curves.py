"""Curves that tasks left, of the groups of a comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kinelex.evaluation.comparison.model import Comparison
from kinelex.evaluation.protocols.registry import TASKS
from kinelex.files.bounded import safe_json
from kinelex.reports.run.task_curves import Panels, panels_of
from kinelex.training.run_directory import RunDirectory


def curves_of(comparison: Comparison) -> dict[str, Panels]:
    """By task its panels: title to ``xlabel`` and ``lines``, one line per group, the mean over its runs."""
    found: dict[str, Panels] = {}
    for task in TASKS:
        by_group = {g.name: _curves(g.runs, task, comparison.protocol) for g in comparison.groups}
        panels = panels_of(by_group)
        if panels:
            found[task] = panels
    return found


def _curves(runs: Sequence[RunDirectory], task: str, protocol: str) -> list[Mapping[str, Any]]:
    found = []
    for run in runs:
        path = run.path / "evaluation" / f"{task}.json"
        if path.is_file():
            content = safe_json(path.read_text(encoding="utf-8"))
            if content.get("protocol") == protocol and isinstance(content.get("curves"), dict):
                found.append(content["curves"])
    return found
