"""What each task found, for the report: its rule, its numbers that are not in the table, its curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kinelex.evaluation.rows import task_titles
from kinelex.evaluation.task_lines import TaskLine, task_lines
from kinelex.reports.run.task_curves import panels_of, task_curves


@dataclass(frozen=True)
class Block:
    """Lines of numbers with the same names, one table."""

    names: list[str]
    rows: list[tuple[str, list[str]]]


@dataclass(frozen=True)
class TaskSection:
    """One task of a report."""

    title: str
    rule: str
    blocks: list[Block]
    figure: str | None
    notes: list[str]


def task_sections(result: Mapping[str, Any]) -> list[TaskSection]:
    """The tasks of a result, in the order of the tables."""
    sections = []
    for task, title in task_titles(result).items():
        numbers = result[task]
        curves = panels_of({title: [numbers.get("curves") or {}]})
        lines = task_lines(task, numbers)
        if task == "robustness":
            lines = [line for line in lines if line.of == "unchanged"]  # the others are in the curves
        figure = task_curves(curves) if curves else None
        notes = [numbers["note"]] if numbers.get("note") else []
        notes += [f"{line.of}: {line.without}" for line in lines if line.without]
        sections.append(TaskSection(title, numbers.get("rule", ""), blocks_of(lines), figure, notes))
    return sections


def blocks_of(lines: Sequence[TaskLine]) -> list[Block]:
    """One table of all lines that have the same names.

    >>> blocks_of([TaskLine("a", (("mAP", "1.0"),)), TaskLine("b", (("mAP", "2.0"),))])
    [Block(names=['mAP'], rows=[('a', ['1.0']), ('b', ['2.0'])])]
    """
    blocks: dict[tuple[str, ...], Block] = {}
    for line in lines:
        if line.numbers:
            names = tuple(name for name, _ in line.numbers)
            block = blocks.setdefault(names, Block(list(names), []))
            block.rows.append((line.of, [text for _, text in line.numbers]))
    return list(blocks.values())
