"""The verb ``count``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kinelex.cli.shared_options import read_options, shares

if TYPE_CHECKING:
    from kinelex.inference.clips import Clips

MOST_ROWS = 40  # of the table in the terminal


@shares(read_options)
def count(inputs: list[Path], *, csv: Path | None = None, **told: Any) -> dict[str, Any]:
    """Count the repetitions of an exercise: how many, when, how fast and how alike; nothing is trained.

    Args:
        inputs: skeleton stores, clips of any format that prepare reads, folders of them, or videos.
        csv: also write a row for each repetition to this file.
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from kinelex.files.atomic import check_target, csv_text, write_numbers
    from kinelex.inference.clips import read_inputs

    if csv is not None:
        check_target(csv)
    clips, notes = read_inputs(inputs, read_options(**told))
    rows = [row for group in clips for row in _counted(group)]
    if any(row["fps"] is None for row in rows):
        notes.append("clips that do not say their frame rate are taken for 30 frames per second: pass --fps")
    if csv is not None:
        columns = ("id", "person", "start", "end", "similarity")
        found = [{**row, **one} for row in rows for one in row["repetitions"]]
        write_numbers(csv, csv_text(found, columns))
    table = Table()
    for name in ("clip", "person", "repetitions", "seconds each", "alike"):
        table.add_column(name)
    for row in rows[:MOST_ROWS]:
        spans = [one["end"] - one["start"] for one in row["repetitions"]]
        seconds = f"{sum(spans) / len(spans):.2f} ({min(spans):.2f} to {max(spans):.2f})" if spans else "–"
        alike = f"{sum(one['similarity'] for one in row['repetitions']) / len(spans):.2f}" if spans else "–"
        table.add_row(escape(row["id"]), str(row["person"]), str(row["count"]), seconds, alike)
    Console().print(table)
    for note in notes + [f"{MOST_ROWS} of {len(rows)} rows are shown"] * (len(rows) > MOST_ROWS):
        Console(stderr=True).print(note, markup=False, soft_wrap=True)
    return {"clips": rows}


def _counted(clips: Clips) -> list[dict[str, Any]]:
    """What was counted for each person of each clip; times in seconds."""
    import numpy as np

    from kinelex.inference.repetitions import USUAL_FPS, find_repetitions, posture_path

    rows = []
    for number, name in enumerate(clips.ids):
        x = np.asarray(clips.sequence(number))
        known = None if np.isnan(clips.fps[number]) else float(clips.fps[number])
        rate = known or USUAL_FPS
        for person in np.flatnonzero(x.any(axis=(0, 2, 3))).tolist():
            found = find_repetitions(posture_path(x[:, person]), rate)
            repetitions = [
                {"start": r.start / rate, "end": r.end / rate, "similarity": r.similarity} for r in found
            ]
            rows.append(
                {
                    "id": str(name),
                    "person": person,
                    "count": len(found),
                    "fps": known,
                    "repetitions": repetitions,
                }
            )
    return rows
