"""What an evaluation leaves: JSON files and the table in the terminal."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from kinelex._files import write_whole
from kinelex.evaluation.report import result_rows


def write_results(
    folder: Path, result: dict[str, Any], tasks: Sequence[str], json_path: str | Path | None
) -> None:
    """Write one JSON file per task, one for the baselines, and the whole where it was asked for."""
    about = {key: result[key] for key in ("dataset", "protocol", "counts")}
    folder.mkdir(parents=True, exist_ok=True)
    for task in tasks:
        write_json_file(folder / f"{task}.json", {**result[task], **about})
    if "baselines" in result:
        baselines = {key: result[key] for key in ("baselines", "baseline_details")}
        write_json_file(folder / "baselines.json", {**baselines, **about})
    if json_path is not None:
        write_json_file(Path(json_path), result)


def write_json_file(path: Path, content: dict[str, Any]) -> None:
    """Write numbers for scripts; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(content, indent=1) + "\n")


def results_table(result: dict[str, Any]) -> Table:
    """The table that ``kinelex evaluate`` prints: the run's rows first, baselines below."""
    counts = result["counts"]
    title = f"{result['dataset']} {result['protocol']}: {counts['train']} train, {counts['test']} test clips"
    table = Table(title=title, title_justify="left")
    table.add_column("what")
    table.add_column("top-1 %", justify="right")
    table.add_column("95 %\ninterval", justify="right")
    table.add_column("top-5 %", justify="right")
    if counts["copies"]:
        table.add_column("top-1 %\nwithout copies", justify="right")
        table.caption = f"{counts['copies']} test clips are exact copies of training clips"
    for row in result_rows(result):
        style = "bold" if row.ours else None
        values = [row.top5] + ([row.without_copies] if counts["copies"] else [])
        interval = "" if row.interval is None else "–".join(map(percent, row.interval))
        table.add_row(row.name, percent(row.top1), interval, *map(percent, values), style=style)
    return table


def percent(rate: float | None) -> str:
    """A rate as it stands in a table.

    >>> percent(0.4567), percent(None)
    ('45.7', '–')
    """
    return "–" if rate is None else f"{100 * rate:.1f}"
