"""Write the page of a comparison and its tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kinelex import __version__
from kinelex.errors import InputError
from kinelex.evaluation.comparison import tables
from kinelex.evaluation.comparison.model import Column, Comparison, Group
from kinelex.evaluation.protocols.registry import TASKS
from kinelex.evaluation.rows import baseline_names, spread
from kinelex.files.atomic import write_whole
from kinelex.files.bounded import safe_json
from kinelex.reports.comparison import figures
from kinelex.reports.page.templates import template
from kinelex.reports.run.maps import confusion_figure
from kinelex.reports.run.task_curves import panels_of, task_curves
from kinelex.reports.run.task_sections import published_section
from kinelex.training.recipe import SECTIONS
from kinelex.training.run_directory import RunDirectory

_MOST_SENTENCES, _MOST_COLUMNS = 6, 7
_PLAIN = ("recipe", "dataset", "protocol", "prompts")


@dataclass(frozen=True)
class Folds:
    """What a run of several folds adds to its page.

    Args:
        tasks: titles of the tasks.
        rows: the run of each fold, and its rate of each task.
        confusions: by task the counts of all folds together, and the classes' names.

    Shape:
        - confusions: (classes, classes) counts; rows are true classes
    """

    tasks: list[str]
    rows: list[tuple[Path, list[float]]]
    confusions: dict[str, tuple[np.ndarray, list[str]]]


def write_comparison(
    comparison: Comparison,
    folder: str | Path,
    title: str = "Comparison",
    question: str = "",
    notes: Sequence[str] = (),
    name: str = "comparison",
    folds: Folds | None = None,
) -> Path:
    """Write ``comparison.html`` and the table as ``.csv``, ``.md`` and ``.tex``.

    Args:
        comparison: the numbers.
        folder: where to; made when missing.
        title, question: head of the page.
        notes: sentences below the head.
        name: of the files, without what comes after the dot.
        folds: of the one run compared, where it is a run of several folds.

    Returns:
        The page's path: one file that opens without a network.

    Raises:
        InputError: the folder cannot be written.
    """
    tables.write_tables(comparison, folder, name)
    path = Path(folder) / f"{name}.html"
    try:
        write_whole(path, _page(comparison, title, question, notes, path, folds))
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror}") from error
    return path


def _page(
    comparison: Comparison, title: str, question: str, notes: Sequence[str], path: Path, folds: Folds | None
) -> str:
    groups, reference, folder = comparison.groups, comparison.reference, path.parent
    columns = [c for c in comparison.columns if any(n is not None for n in c.numbers)]
    return template("kinelex.reports.comparison").render(
        title=title,
        question=question,
        notes=notes,
        version=__version__,
        comparison=comparison,
        legend=tables.legend(comparison),
        verdict=_verdict(comparison, columns),
        numbers=_numbers_table(comparison, columns),
        differences=_differences_table(comparison, columns),
        reference=groups[reference].name,
        bars=figures.bars(columns, groups, reference),
        curves=figures.training_curves(groups),
        task_curves=_curves(comparison),
        classes=_classes(comparison, columns),
        rules=tables.rules(comparison),
        baselines=baseline_names(comparison.baselines),
        published=published_section(comparison.published, {c.task: c.name for c in columns}),
        settings=differing_settings(groups),
        runs=[(group.name, [_link(run.path, folder) for run in group.runs]) for group in groups],
        files=[f"{path.stem}.{ending}" for ending in tables.FILES],
        folds=folds and [(_link(run, folder), rates) for run, rates in folds.rows],
        fold_tasks=folds and folds.tasks,
        confusions=folds and [(task, confusion_figure(*of)) for task, of in folds.confusions.items()],
    )


def _verdict(comparison: Comparison, columns: Sequence[Column]) -> list[str]:
    """A sentence per number that several groups have; of many, those that can be tested on the clips."""
    shared = [c for c in columns if sum(n is not None for n in c.numbers) > 1]
    tested = [c for c in shared if any(n and n.difference_interval for n in c.numbers)]
    return [_sentence(comparison, c) for c in (tested if len(shared) > _MOST_SENTENCES else shared)]


@dataclass(frozen=True)
class _Cell:
    """What stands in a table: ``small`` below ``text``, and how it looks."""

    text: str
    small: str = ""
    style: str = ""


@dataclass(frozen=True)
class _Table:
    """A table of the page: its rows are groups, or numbers where there are more of these."""

    head: list[str]
    rows: list[tuple[str, list[_Cell]]]

    @classmethod
    def of(cls, groups: list[str], numbers: list[str], cells: list[list[_Cell]]) -> _Table:
        """A table of groups by numbers, turned where it would be too wide."""
        if len(numbers) > max(_MOST_COLUMNS, len(groups)):
            turned = [list(row) for row in zip(*cells, strict=True)]
            return cls(groups, list(zip(numbers, turned, strict=True)))
        return cls(numbers, list(zip(groups, cells, strict=True)))


def _numbers_table(comparison: Comparison, columns: Sequence[Column]) -> _Table:
    several, cells = len(comparison.groups) > 1, []
    for place in range(len(comparison.groups)):
        entries = [tables.Entry.of(column, place) for column in columns]
        cells.append([_Cell(e.text, e.interval, "best" if e.best and several else "") for e in entries])
    names = [group.name for group in comparison.groups]
    names[comparison.reference] += " (reference)" * several
    return _Table.of(names, [c.name for c in columns], cells)


def _differences_table(comparison: Comparison, columns: Sequence[Column]) -> _Table | None:
    """Differences to the reference; None where there are none."""
    others = tables.others(comparison)
    shown = [c for c in columns if any(n is not None and n.difference is not None for n in c.numbers)]
    if not others or not shown:
        return None
    cells = [[_against(column, place) for column in shown] for place in others]
    return _Table.of([comparison.groups[i].name for i in others], [c.name for c in shown], cells)


def _sentence(comparison: Comparison, column: Column) -> str:
    """Which group is best, and whether by more than the clips' and the seeds' chance; or that several tie."""
    best, *level = column.best()
    number, name = column.numbers[best], comparison.groups[best].name
    assert number is not None
    if level:
        others = " and ".join(comparison.groups[i].name for i in level)
        return f"{column.name}: {name} and {others} are level, {100 * number.mean:.1f} %."
    text = f"{column.name}: {name} is best, {spread(number.mean, number.sd)} %"
    if best == comparison.reference or number.difference is None:
        return f"{text}." if best != comparison.reference else f"{text}; it is the reference."
    gain = f"{text}, {100 * abs(number.difference):.1f} points before {tables.reference_name(comparison)}"
    if number.difference_interval is None:
        return f"{gain}."
    low, high = number.difference_interval
    sure = "does not hold zero" if low > 0 or high < 0 else "holds zero"
    return f"{gain}; the 95 % interval of this difference over the test clips {sure}."


def _against(column: Column, place: int) -> _Cell:
    number = column.numbers[place]
    low, high = (number and number.difference_interval) or (0, 0)
    p, sure = tables.probabilities(number), low > 0 or high < 0
    return _Cell(tables.difference(number), f"p {p}" if p else "", "sure" if sure else "")


def _classes(comparison: Comparison, columns: Sequence[Column]) -> list[tuple[str, str]]:
    """The figure of differences by class, of the first task that has clips."""
    for column in columns:
        drawn = figures.class_differences(comparison, column)
        if drawn is not None:
            return [(column.name, drawn)]
    return []


def _link(run: Path, folder: Path) -> dict[str, str | None]:
    """A run, and its own report where that lies below the page."""
    report, folder = (run / "report.html").resolve(), folder.resolve()
    below = report.is_file() and report.is_relative_to(folder)
    return {"name": run.name, "href": report.relative_to(folder).as_posix() if below else None}


def differing_settings(groups: Sequence[Group]) -> list[tuple[str, list[str]]]:
    """Settings that are not the same in all groups, by name with each group's value.

    What the runs of one group differ in (the seed) stands there only where groups differ in it, too.
    """
    flat = [[_flat(run.config) for run in group.runs] for group in groups]
    rows = []
    for name in dict.fromkeys(name for of in flat for config in of for name in config):
        values = [sorted({str(config.get(name, "–")) for config in of}) for of in flat]
        if any(value != values[0] for value in values):
            rows.append((name, [", ".join(value) for value in values]))
    return rows


def _flat(config: Mapping[str, Any]) -> dict[str, Any]:
    flat = {name: config[name] for name in _PLAIN if name in config}
    if flat.get("prompts"):
        flat["prompts"] = str(flat["prompts"]).rsplit("/", 1)[-1]
    sections = {section: config.get(section) or {} for section in SECTIONS}
    return flat | {f"{section}.{k}": v for section, keys in sections.items() for k, v in keys.items()}


def _curves(comparison: Comparison) -> list[tuple[str, str]]:
    """By task the figure of the curves that it left: a line per group, the mean over its runs."""
    drawn = []
    for task in TASKS:
        by_group = {g.name: _curves_of(g.runs, task, comparison.protocol) for g in comparison.groups}
        if panels := panels_of(by_group):
            drawn.append((task, task_curves(panels)))
    return drawn


def _curves_of(runs: Sequence[RunDirectory], task: str, protocol: str) -> list[Mapping[str, Any]]:
    paths = [path for run in runs if (path := run.path / "evaluation" / f"{task}.json").is_file()]
    found = [safe_json(path.read_text(encoding="utf-8")) for path in paths]
    return [c["curves"] for c in found if c.get("protocol") == protocol and isinstance(c.get("curves"), dict)]
