"""Sections of the report: each task's rule, other numbers and curves; published numbers; other data sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kinelex.evaluation.published import Published
from kinelex.evaluation.rows import task_titles
from kinelex.evaluation.task_lines import TaskLine, task_lines
from kinelex.files.bounded import safe_json
from kinelex.reports.page.templates import template
from kinelex.reports.run.task_curves import panels_of, task_curves
from kinelex.training.run_directory import RunDirectory


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


def published_section(numbers: Sequence[Published], tasks: Mapping[str, str]) -> str:
    """HTML of the section; empty where nothing is known."""
    # The address stands there as text, without its scheme: a report refers to nothing outside.
    rows = [(number, tasks[number.task], number.source.url.partition("://")[2]) for number in numbers]
    return template("kinelex.reports.run", "published.html.j2").render(rows=rows)


def other_sets(run: RunDirectory) -> list[dict[str, Any]]:
    """All that was judged, in the order of the files' names; what cannot be read is left out.

    Of each ``dataset``, ``part``, ``class_map`` and ``clips``; of all classes of the run and of those of the
    map the number (``classes``), ``top1`` and ``chance``.
    """
    found = []
    for path in sorted((run.path / "evaluation").glob("on_*.json")):
        try:
            content = safe_json(path.read_text(encoding="utf-8"))
            counts = content["counts"]
            about = {"dataset": content["dataset"], "part": content["protocol"] or "all clips"}
            about |= {"class_map": content["class_map_name"], "clips": int(counts["clips"])}
            about["classes"] = [int(counts["classes"]), int(counts["mapped_classes"])]
            for rate in ("top1", "chance"):
                about[rate] = [float(content[rate]), float(content[f"{rate}_mapped"])]
            found.append(about)
        except (OSError, ValueError, LookupError, TypeError, OverflowError):
            continue  # damaged, or from before there was the map's name
    return found
