"""What an evaluation leaves: JSON files and the table in the terminal."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from kinelex.evaluation.rows import interval_text, percent, result_rows, task_titles
from kinelex.evaluation.task_lines import task_lines
from kinelex.files.atomic import write_numbers

_WIDTH = 80  # columns of the table of further numbers


def write_results(folder: Path, result: dict[str, Any], tasks: Sequence[str]) -> None:
    """Write one JSON file per task, and one for the baselines."""
    about = {key: result[key] for key in ("dataset", "protocol", "counts")}
    folder.mkdir(parents=True, exist_ok=True)
    for task in tasks:
        write_json_file(folder / f"{task}.json", {**result[task], **about})
    if "baselines" in result:
        baselines = {key: result[key] for key in ("baselines", "baseline_details")}
        write_json_file(folder / "baselines.json", {**baselines, **about})


def write_json_file(path: Path, content: dict[str, Any]) -> None:
    """Write numbers for scripts; folders are made."""
    write_numbers(path, json.dumps(content, indent=1) + "\n")


def numbers_table(title: str, *columns: str, first: str = "what") -> Table:
    """An empty table for the terminal: names to the left, numbers to the right; signs stand as they are."""
    table = Table(title=escape(title), title_justify="left", caption_justify="left")
    table.add_column(first)
    for name in columns:
        table.add_column(escape(name), justify="right")
    return table


def results_table(result: dict[str, Any]) -> RenderableType:
    """What ``kinelex evaluate`` prints: top-1 of the run and its baselines, then the tasks' other numbers."""
    counts = result["counts"]
    title = f"{result['dataset']} {result['protocol']}: {counts['train']} train, {counts['test']} test clips"
    columns, said = ["top-1 %", "95 %\ninterval", "top-5 %"], []
    if counts["copies"]:
        columns.append("top-1 %\nno copies")
        said.append(f"{counts['copies']} test clips are exact copies of training clips")
    table, rows = numbers_table(title, *columns), result_rows(result)
    for row in rows:
        style = "bold" if row.ours else None
        values = [row.top5] + ([row.without_copies] if counts["copies"] else [])
        rates = (percent(row.top1), interval_text(row.interval), *map(percent, values))
        table.add_row(escape(row.name), *rates, style=style)
        if row.note and row.top1 is None:
            said.append(f"{row.name}: {row.note}")
    parts: list[RenderableType] = [table] if rows else [Text(title)]
    parts += [Text(line, style="dim") for line in said]
    lines = further_numbers(result)
    if lines:
        parts += [Text("\nmore of the tasks, rates in %", style="bold"), *map(Text, lines)]
    return Group(*parts)


def further_numbers(result: Mapping[str, Any], width: int = _WIDTH) -> list[str]:
    """The main numbers of all tasks that the table of top-1 does not have, as lines of text.

    A line that is too long goes on below; numbers are not torn from their names.

    >>> further_numbers({"finetune": {"title": "fine-tuned", "top1": 0.7, "scratch": {"top1": 0.5}}})
    ['finetune  from random weights  top-1: 50.0']
    """
    found = [(task, line) for task in task_titles(result) for line in task_lines(task, result[task])]
    if not found:
        return []
    first, lines, last = max(len(task) for task, _ in found), list[str](), ""
    for task, line in found:
        second = max(len(other.of) for name, other in found if name == task)
        head = f"{'' if task == last else task:{first}}  {line.of:{second}}"
        numbers = [line.without] if line.without else [f"{name}: {text}" for name, text in line.numbers]
        whole = "  ".join(number.replace(" ", "\xa0") for number in numbers)  # stays on one line
        for text in textwrap.wrap(whole, max(width - len(head) - 2, 20), break_long_words=False):
            lines.append(f"{head}  {text}".replace("\xa0", " ").rstrip())
            head = " " * len(head)
        last = task
    return lines
