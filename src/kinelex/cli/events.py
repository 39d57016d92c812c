"""The verb ``events``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kinelex.cli.shared_options import model_options, read_options, shares
from kinelex.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table


MOST_ROWS = 40  # of the table in the terminal


@shares(model_options, read_options)
def events(
    run: Path,
    inputs: list[Path],
    *,
    windows: str | None = None,
    least: float = 0.5,
    together: bool = False,
    csv: Path | None = None,
    html: Path | None = None,
    video: Path | None = None,
    **told: Any,
) -> dict[str, Any]:
    """Find events in long recordings: who does what, from when to when, how sure.

    Args:
        run: the run directory.
        inputs: videos, skeleton stores, recordings of any format that prepare reads, folders of them.
        windows: lengths of the windows that are looked at, seconds, for example 1,2,4; by default as long as
            the clips that the run, or --examples, has.
        least: probability from which on something is an event; lower finds more.
        together: read all persons together, for classes of what persons do to each other.
        csv: also write a row for each event to this file.
        html: also write a page with the timeline to this file.
        video: also write the one input, a video, with skeletons and labels drawn over it to this MP4 file.
    """
    from contextlib import ExitStack
    from tempfile import TemporaryDirectory

    from rich.console import Console

    from kinelex.files.atomic import check_target, csv_text, write_numbers
    from kinelex.inference.events import COLUMNS, event_options, find_timelines
    from kinelex.inference.load_model import load_model

    options = event_options(windows=window_lengths(windows), least=least, together=together)
    for path in (csv, html, video):
        if path is not None:
            check_target(path)
    told_by, notes = model_options(**told), Console(stderr=True)
    model = load_model(run, told_by, notes)
    with ExitStack() as stack:
        filmed = inputs
        if video is not None:
            folder = Path(stack.enter_context(TemporaryDirectory()))
            filmed = [_skeletons(inputs, told_by.read, folder, model.has_raw_examples)]
        groups = model.read_files(filmed, told_by.read)
        found = find_timelines(model, groups, options)
        if html is not None:
            from kinelex.reports.timeline import write_timelines

            frames = {name: (clips, row) for clips in groups for row, name in enumerate(clips.ids)}
            write_timelines(html, found, model.by, lambda name: _frames(*frames[name]))
            notes.print(f"timeline in {html}", markup=False, soft_wrap=True)
        if video is not None:
            from kinelex.data import open_store
            from kinelex.reports.timeline import write_video

            write_video(video, inputs[0], open_store(filmed[0]), found[0])
            notes.print(f"video in {video}", markup=False, soft_wrap=True)
    rows = [event.numbers() for one in found for event in one.events]
    if csv is not None:
        write_numbers(csv, csv_text(rows, COLUMNS))
    Console().print(_table(model.by, rows))
    if len(rows) > MOST_ROWS:
        notes.print(f"{MOST_ROWS} of {len(rows)} events are shown; --csv FILE takes all", markup=False)
    if any(not one.fps_known for one in found):
        notes.print("recordings that do not say their rate are taken for 30 frames per second: pass --fps")
    return {
        "run": str(run),
        "by": model.by,
        "least": least,
        "calibration": model.calibration.numbers(),
        "recordings": [one.numbers() for one in found],
    }


def window_lengths(text: str | None) -> tuple[float, ...] | None:
    """Seconds with commas between; None of None.

    >>> window_lengths("0.5,2")
    (0.5, 2.0)
    """
    if text is None:
        return None
    try:
        return tuple(float(word) for word in text.split(","))
    except ValueError:
        raise InputError(
            f"--windows {text}: expects seconds with commas between, for example 1,2,4"
        ) from None


def _skeletons(inputs: list[Path], read: Any, folder: Path, has_raw_examples: bool) -> Path:
    """The store of the one input, which must be a video."""
    from kinelex.pose import estimate
    from kinelex.pose.sources import is_video

    if len(inputs) != 1 or not is_video(inputs[0]):
        raise InputError("--video draws over the one input, which must be a video: pass one video file")
    if not has_raw_examples and (read.given() or read.reader):
        raise InputError(f"--{next(iter(read.given()), 'reader')} is for raw clips: leave it out of a video")
    return estimate(inputs[0], folder / "clips.arrow", workers=1).store


def _frames(clips: Any, row: int) -> tuple[Any, Any]:
    import numpy as np

    return np.asarray(clips.sequence(row)), clips.layout


def _table(by: str, rows: list[dict[str, Any]]) -> Table:
    """What the terminal shows."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(f"by {by}"), title_justify="left")
    for name in ("recording", "person", "class"):
        table.add_column(name)
    for name in ("from", "to", "confidence"):
        table.add_column(name, justify="right")
    for row in rows[:MOST_ROWS]:
        times = (f"{row['start']:.1f} s", f"{row['end']:.1f} s", f"{100 * row['confidence']:.0f} %")
        table.add_row(escape(row["recording"]), str(row["person"]), escape(row["class"]), *times)
    if not rows:
        table.caption = "no event: no class was probable enough (--least)"
    return table
