"""The verb ``predict``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kinelex.cli.shared_options import model_options, read_options, shares
from kinelex.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from kinelex.inference.ensemble import Ensemble
    from kinelex.inference.model import Model

MOST_ROWS = 40  # of the table in the terminal
BESIDE = 3  # classes that stand beside each other in it; more stand one below the other


@shares(model_options, read_options)
def predict(
    run: Path, inputs: list[Path], *, top: int = 3, csv: Path | None = None, **told: Any
) -> dict[str, Any]:
    """Say of which class clips are, how sure, and by whom, or that they are of none.

    A run that learned from labels tells its classes; another one those of its training store, of
    --examples, or the words of --classes.

    Args:
        run: the run directory, or several with commas between them, whose probabilities are averaged.
        inputs: clips of any format that prepare reads, folders of them, skeleton stores, or videos.
        top: how many classes are shown for each clip.
        csv: also write a row for each clip, and for each person of several, to this file.
    """
    from rich.console import Console

    from kinelex.data.several import listed_paths
    from kinelex.files.atomic import check_target, csv_text, write_numbers
    from kinelex.inference.ensemble import Ensemble
    from kinelex.inference.load_model import load_model

    if top < 1:
        raise InputError(f"--top {top}: expects at least 1 class")
    if csv is not None:
        check_target(csv)
    options, notes = model_options(**told), Console(stderr=True)
    runs = listed_paths(run)
    model = load_model(runs, options, notes) if len(runs) > 1 else load_model(run, options, notes)
    found = model.predict_files(inputs, options.read)
    if csv is not None:
        write_numbers(csv, csv_text(found.rows(top)))
    most = MOST_ROWS if top <= BESIDE else max(1, MOST_ROWS // top)
    Console().print(predictions_table(model, found.rows(top)[:most], top))
    count = len(found.rows(1))
    if count > most:
        notes.print(f"{most} of {count} rows are shown; --csv FILE and --json FILE take all", markup=False)
    if isinstance(model, Ensemble):
        about: dict[str, Any] = {"runs": [{"run": str(one.run), **_about(one)} for one in model.models]}
    else:
        about = _about(model)
    return {
        "run": str(run),
        "by": model.by,
        "classes": list(model.classes),
        **about,
        "clips": [one.numbers(top) for one in found],
    }


def _about(model: Model) -> dict[str, Any]:
    examples = {} if model.examples is None else {"examples": model.examples}
    return {"calibration": model.calibration.numbers(), "known_by": model.known_by, **examples}


def predictions_table(model: Model | Ensemble, rows: list[dict[str, Any]], top: int) -> Table:
    """What the terminal shows: of a few classes a column each, of more a line each."""
    from rich.markup import escape
    from rich.table import Table

    from kinelex.inference.ensemble import Ensemble
    from kinelex.runtime.predictions import NONE

    table = Table(title=escape(f"by {model.by}"), title_justify="left", caption_justify="left")
    places = range(1, min(top, len(model.classes)) + 1)
    beside = ["clip", "person", "answer", *(f"{place}." for place in places)]
    for name in beside if top <= BESIDE else ("clip", "person", "classes"):
        table.add_column(name, overflow="fold")
    for row in rows:
        said = [(row[f"class_{place}"], 100 * float(row[f"probability_{place}"])) for place in places]
        cells = [row["answer"], *(f"{name} {rate:.1f} %" for name, rate in said)]
        if top > BESIDE:
            lines = [f"{rate:5.1f} %  {name}" for name, rate in said]
            cells = ["\n".join([NONE] * (row["answer"] == NONE) + lines)]
        table.add_row(*map(escape, (row["id"], row["person"], *cells)), end_section=top > BESIDE)
    models = model.models if isinstance(model, Ensemble) else [model]
    table.caption = escape("\n".join(dict.fromkeys(line for one in models for line in _chosen(one))))
    return table


def _chosen(model: Model) -> Iterator[str]:
    """How good the examples are, and what the probabilities were calibrated on."""
    calibration, examples = model.calibration, model.examples
    if examples is not None and examples["leave_one_out"] is not None:
        yield f"the examples told by each other: {100 * examples['leave_one_out']:.1f} % right"
    how = "chosen on" if calibration.clips else "from"
    yield f"temperature {calibration.temperature:.2f}, {how} {calibration.source}"
