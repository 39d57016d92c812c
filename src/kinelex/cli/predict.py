"""The verb ``predict``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kinelex.cli.shared_options import model_options, read_options, shares
from kinelex.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from kinelex.inference.model import Model
    from kinelex.runtime.predictions import Predictions

MOST_ROWS = 40  # of the table in the terminal


@shares(model_options, read_options)
def predict(
    run: Path, inputs: list[Path], *, top: int = 3, csv: Path | None = None, **told: Any
) -> dict[str, Any]:
    """Say of which class clips are, how sure, and by whom, or that they are of none.

    A run that learned from labels tells its classes; another one those of its training store, of
    --examples, or the words of --classes.

    Args:
        run: the run directory.
        inputs: clips of any format that prepare reads, folders of them, skeleton stores, or videos.
        top: how many classes are shown for each clip.
        csv: also write a row for each clip, and for each person of several, to this file.
    """
    from rich.console import Console

    from kinelex.files.atomic import check_target, csv_text, write_numbers
    from kinelex.inference.load_model import load_model

    if top < 1:
        raise InputError(f"--top {top}: expects at least 1 class")
    if csv is not None:
        check_target(csv)
    options, notes = model_options(**told), Console(stderr=True)
    model = load_model(run, options, notes)
    found = model.predict_files(inputs, options.read)
    if csv is not None:
        write_numbers(csv, csv_text(found.rows(top)))
    Console().print(predictions_table(model, found, top))
    if len(found.rows(1)) > MOST_ROWS:
        notes.print(f"{MOST_ROWS} rows are shown; --csv FILE and --json FILE take all", markup=False)
    return {
        "run": str(run),
        "by": model.by,
        "classes": list(model.classes),
        "calibration": model.calibration.numbers(),
        "known_by": model.known_by,
        **({} if model.examples is None else {"examples": model.examples}),
        "clips": [one.numbers(top) for one in found],
    }


def predictions_table(model: Model, found: Predictions, top: int) -> Table:
    """What the terminal shows."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(f"by {model.by}"), title_justify="left", caption_justify="left")
    for name in ("clip", "person", "answer"):
        table.add_column(name)
    for place in range(1, min(top, len(model.classes)) + 1):
        table.add_column(f"{place}.", overflow="fold")
    for row in found.rows(top)[:MOST_ROWS]:
        cells = [
            f"{row[f'class_{place}']} {100 * float(row[f'probability_{place}']):.1f} %"
            for place in range(1, min(top, len(model.classes)) + 1)
        ]
        table.add_row(*map(escape, (row["id"], row["person"], row["answer"], *cells)))
    calibration, lines = model.calibration, []
    if model.examples is not None and model.examples["leave_one_out"] is not None:
        lines.append(f"the examples told by each other: {100 * model.examples['leave_one_out']:.1f} % right")
    heat = f"temperature {calibration.temperature:.2f}"
    lines.append(
        f"{heat}, chosen on {calibration.source}"
        if calibration.clips
        else f"{heat}, from {calibration.source}"
    )
    table.caption = escape("\n".join(lines))
    return table
