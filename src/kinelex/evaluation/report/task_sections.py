"""What each task found, for the report: its rule, its numbers that are not in the table, its curves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kinelex.evaluation.report.rows import task_titles
from kinelex.evaluation.report.task_curves import panels_of, task_curves

_SHOWN = ("top1", "top5", "mean_class", "title", "rule")  # elsewhere in the report
_LONG = ("curves", "confusion", "per_class", "bins", "changes", "streams", "draws")
_FROZEN = ("classify", "knn", "linear", "linear_sgd")  # their tables say everything
_MOST_WORDS = 8  # of a list


@dataclass(frozen=True)
class TaskSection:
    """One task of a report.

    Args:
        title: what it is called.
        rule: what is trained on what and what is measured.
        rows: name and text of its numbers.
        figure: its curves, an ``<svg>``; None without.
    """

    title: str
    rule: str
    rows: list[tuple[str, str]]
    figure: str | None


def task_sections(result: Mapping[str, Any]) -> list[TaskSection]:
    """The tasks of a result, in the order of the tables."""
    sections = []
    for task, title in task_titles(result).items():
        numbers = result[task]
        curves = panels_of({title: [numbers.get("curves") or {}]})
        rows = [] if task in _FROZEN else number_rows(numbers)
        figure = task_curves(curves) if curves else None
        sections.append(TaskSection(title, numbers.get("rule", ""), rows, figure))
    return sections


def number_rows(numbers: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested numbers as rows; a 95 % interval stands behind the number that it belongs to.

    >>> number_rows({"ece": 0.0512, "skeletons": {"mAP": 0.5, "ci95": [0.4, 0.6]}, "bins": []})
    [('ece', '0.051'), ('skeletons: mAP', '0.500 [0.400–0.600]')]
    """
    rows = []
    for key, value in numbers.items():
        if key in _LONG or key.endswith("ci95") or (key in _SHOWN and not prefix):
            continue
        if isinstance(value, Mapping):
            repeated = all(numbers.get(name) == inner for name, inner in value.items())
            rows += [] if repeated else number_rows(value, f"{prefix}{key.replace('_', ' ')}: ")
            continue
        first = next((name for name in ("top1", "mAP") if name in numbers), None)
        interval = numbers.get("ci95" if key == first else f"{key}_ci95")
        text = _text(value)
        if interval is not None and value is not None:
            text += f" [{'–'.join(map(_text, interval))}]"
        rows.append((f"{prefix}{key.replace('_', ' ')}", text))
    return rows


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, list | tuple):
        more = f" and {len(value) - _MOST_WORDS} more" if len(value) > _MOST_WORDS else ""
        return ", ".join(_text(entry) for entry in value[:_MOST_WORDS]) + more
    return "–" if value is None else str(value)
