"""``kinelex prepare``: raw files of a data set into a skeleton store."""

from __future__ import annotations

import contextlib
import csv
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn
from rich.progress import TimeRemainingColumn as Remaining
from rich.text import Text

from kinelex.datasets._checked import read_item, without_doubles
from kinelex.datasets._reader import Item, Skipped
from kinelex.datasets._readers import READERS, check_options, find_items, make_reader
from kinelex.datasets.describe import grouped
from kinelex.errors import InputError, unknown_name
from kinelex.store import Sequence, SkeletonStoreWriter

NUM_ACTED = 960  # clips of the built-in actors unless another number is asked for
SKIPPED_FILE = "skipped.csv"
_SKIPPED_HEADER = ["file", "reason", "store"]
Update = Callable[[int, int], None]  # how many clips are done, and of how many


@dataclass(frozen=True)
class PrepareSummary:
    """What ``prepare`` did.

    Args:
        store: the store that was made.
        written: number of clips in it.
        skipped: number of raw files that were no clips; ``skipped.csv`` beside the store says why.
        seconds: how long it took.

    >>> print(PrepareSummary(Path("a.arrow"), 1480, 4, 2.0))
    1 480 written, 4 skipped: see skipped.csv
    """

    store: Path
    written: int
    skipped: int
    seconds: float

    @property
    def skipped_file(self) -> Path | None:
        """The list of skipped files; None when there are none."""
        return self.store.with_name(SKIPPED_FILE) if self.skipped else None

    def __str__(self) -> str:
        if not self.skipped:
            return f"{grouped(self.written)} written"
        return f"{grouped(self.written)} written, {grouped(self.skipped)} skipped: see {SKIPPED_FILE}"


def dataset_names() -> tuple[str, ...]:
    """Names of the data sets that :func:`prepare` knows.

    >>> dataset_names()[:3]
    ('actors', 'ctrgcn_npz', 'folder')
    """
    return tuple(sorted(["actors", *READERS]))


def prepare(
    dataset: str,
    source: Path | None,
    out: Path,
    strict: bool = False,
    progress: bool = True,
    clips: int = NUM_ACTED,
    **options: Any,
) -> PrepareSummary:
    """Read the raw files of a data set into a skeleton store.

    A file that is no clip is skipped and listed in ``skipped.csv`` beside the store. The store appears
    when it is whole; killed at any moment, this leaves no half store.

    Args:
        dataset: a name of :func:`dataset_names`.
        source: the folder with the raw files; None for the built-in ``actors``.
        out: the store to make; an existing one is replaced when the new one is whole.
        strict: stop at the first file that is no clip.
        progress: show a progress bar on stderr.
        clips: how many clips of the built-in ``actors``; the other data sets have their own number.

    Raises:
        InputError: an unknown data set, no folder, a folder without clips, no file that is a clip, with
            ``strict`` any file that is no clip, or a store that cannot be written. Nothing is written.
    """
    if dataset not in dataset_names():
        raise unknown_name("data set", dataset, dataset_names())
    start, out = time.perf_counter(), Path(out)
    skipped: list[Skipped] = []
    try:
        if dataset == "actors":
            check_options(dataset, options, ["clips"])
            written = _prepare_actors(source, out, progress, clips)
        else:
            written, skipped = _prepare_files(dataset, source, options, out, strict, progress)
        _write_skipped(out, skipped)
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error}") from error
    return PrepareSummary(out, written, len(skipped), time.perf_counter() - start)


def _prepare_files(
    dataset: str, source: Path | None, options: dict[str, Any], out: Path, strict: bool, progress: bool
) -> tuple[int, list[Skipped]]:
    reader = make_reader(dataset, source, options)
    items, meta = find_items(reader), reader.meta()
    skipped: list[Skipped] = []
    with _progress_bar(f"prepare {dataset}", progress) as update:
        results = (result for item in _counted(items, update) for result in read_item(reader, meta, item))
        clips = _clips(without_doubles(results), skipped, strict)
        first = next(clips, None)  # no file is begun before there is a clip for it
        if first is None:
            raise InputError(
                f"none of the {len(items)} files in {source} is a clip, nothing was written; "
                f"the first: {skipped[0].reason}"
            )
        with SkeletonStoreWriter(out, meta) as writer:
            for clip in chain([first], clips):
                writer.add(clip)
    return len(writer), skipped


def _clips(results: Iterable[Sequence | Skipped], skipped: list[Skipped], strict: bool) -> Iterator[Sequence]:
    """The clips among the results; the rest goes to ``skipped``, or is raised when ``strict``."""
    for result in results:
        if isinstance(result, Sequence):
            yield result
        elif strict:
            raise InputError(result.reason)
        else:
            skipped.append(result)


def _counted(items: list[Item], update: Update) -> Iterator[Item]:
    for done, item in enumerate(items, start=1):
        yield item
        update(done, len(items))


def _prepare_actors(source: Path | None, out: Path, progress: bool, clips: int) -> int:
    if source is not None:
        raise InputError(f"actors are built in and read no files: leave out {source}")
    from kinelex.datasets.actors import write_actors

    with _progress_bar("prepare actors", progress) as update:
        return write_actors(out, clips, progress=update)


def _write_skipped(out: Path, skipped: list[Skipped]) -> None:
    """Bring ``skipped.csv`` up to date: this store's rows are replaced, those of its neighbours stay."""
    path = out.with_name(SKIPPED_FILE)
    rows: list[list[str]] = []
    if path.exists():
        with open(path, newline="", encoding="utf-8") as file:
            rows = [row for row in list(csv.reader(file))[1:] if len(row) == 3 and row[2] != out.name]
    rows += [[str(s.path), s.reason.removeprefix(f"{s.path}: "), out.name] for s in skipped]
    if not rows:
        path.unlink(missing_ok=True)
        return
    temporary = path.with_name(f".{SKIPPED_FILE}.{os.getpid()}.tmp")
    with open(temporary, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([_SKIPPED_HEADER, *rows])
    os.replace(temporary, path)


class _Rate(ProgressColumn):
    """Clips per second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f} clips/s", style="progress.data.speed")


@contextlib.contextmanager
def _progress_bar(title: str, show: bool) -> Iterator[Update]:
    """A progress bar on stderr; gives the function that takes how many clips are done, and of how many."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), Remaining())
    with Progress(*columns, console=Console(stderr=True), disable=not show) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
