"""Curves that tasks leave (robustness, few labels, calibration), of several groups in one panel."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kinelex.evaluation.comparison_report.numbers import Comparison
from kinelex.evaluation.tasks import TASKS
from kinelex.training.run_directory import RunDirectory

Panels = dict[str, dict[str, Any]]


def curves_of(comparison: Comparison) -> dict[str, Panels]:
    """By task its panels: title to ``xlabel`` and ``lines``, one line per group, the mean over its runs."""
    found: dict[str, Panels] = {}
    for task in TASKS:
        by_group = {g.name: _curves(g.runs, task, comparison.protocol) for g in comparison.groups}
        panels = panels_of(by_group)
        if panels:
            found[task] = panels
    return found


def panels_of(by_group: Mapping[str, Sequence[Mapping[str, Any]]]) -> Panels:
    """Put curves of the same name into one panel.

    Args:
        by_group: per line the curves of its runs, by name ``x``, ``y``, ``label`` and ``xlabel``.

    >>> panels_of({"a": [{"noise": {"x": [0, 1], "y": [0.9, 0.5], "label": "joint noise"}}]})
    {'joint noise': {'xlabel': '', 'diagonal': False, 'lines': {'a': ([0, 1], [0.9, 0.5])}}}
    """
    panels: Panels = {}
    for name, runs in by_group.items():
        for key in dict.fromkeys(key for curves in runs for key in curves):
            curves = [of[key] for of in runs if key in of]
            first = curves[0]
            alike = [curve["y"] for curve in curves if curve["x"] == first["x"]]
            mean = [None if None in values else float(np.mean(values)) for values in zip(*alike, strict=True)]
            panel = {"xlabel": first.get("xlabel", ""), "diagonal": key == "reliability", "lines": {}}
            title = first.get("label", key)
            panels.setdefault(title, panel)["lines"][name] = (first["x"], mean)
    return panels


def _curves(runs: Sequence[RunDirectory], task: str, protocol: str) -> list[Mapping[str, Any]]:
    found = []
    for run in runs:
        path = run.path / "evaluation" / f"{task}.json"
        if path.is_file():
            content = json.loads(path.read_text(encoding="utf-8"))
            if content.get("protocol") == protocol and isinstance(content.get("curves"), dict):
                found.append(content["curves"])
    return found
