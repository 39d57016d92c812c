"""``kinelex prepare``: raw files of a data set into a skeleton store."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kinelex import plugins
from kinelex.data.arrow import kind_of
from kinelex.data.sequence import SKELETONS
from kinelex.datasets.describe import grouped
from kinelex.datasets.making.clips import read_all, read_parts, write_clips
from kinelex.datasets.making.parts import Parts, RawFiles
from kinelex.datasets.making.workers import WorkerLost, usable_cores
from kinelex.datasets.policy import OPTIONS
from kinelex.datasets.reader import Reader, Skipped
from kinelex.datasets.registry import READERS, Option, check_options, find_items, make_reader, reader_options
from kinelex.datasets.skipped import SKIPPED_FILE, other_rows, write_skipped
from kinelex.errors import InputError, unknown_name
from kinelex.files.atomic import check_target
from kinelex.files.lock import sole_writer
from kinelex.progress import progress_bar

NUM_ACTED = 960  # clips of the built-in actors unless another number is asked for
ACTED: dict[str, Option] = {  # the options of the built-in actors
    "clips": (int, NUM_ACTED, "how many clips"),
    "actions": (str, "basic", "the basic 24, or all 164 with movements that are made from parameters"),
    "layout": (str, "ntu25", "the layout of the clips, by name or as a YAML file"),
}
_SMALL = 64 << 20  # bytes of raw files that are parsed in seconds: workers and parts are not worth while


@dataclass(frozen=True)
class PrepareSummary:
    """What ``prepare`` did.

    Args:
        store: the store that was made.
        written: number of clips in it.
        skipped: number of raw files that were no clips; ``skipped.csv`` beside the store says why.
        seconds: how long it took.
        notes: what was guessed, and what was done to clips, in sentences.

    >>> print(PrepareSummary(Path("a.arrow"), 1480, 4, 2.0))
    1 480 written, 4 skipped: see skipped.csv
    """

    store: Path
    written: int
    skipped: int
    seconds: float
    notes: tuple[str, ...] = ()

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

    >>> "nw_ucla" in dataset_names()
    True
    """
    plugins.load_installed()
    return tuple(sorted(["actors", *READERS]))


def dataset_options(dataset: str) -> dict[str, Option]:
    """The options that :func:`prepare` takes for one data set: type, default and description of each.

    Those that all data sets with raw files share come last.

    >>> dataset_options("actors")  # doctest: +ELLIPSIS
    {'clips': (<class 'int'>, 960, 'how many clips'), ...}
    """
    if dataset == "actors":
        return ACTED
    return {**reader_options(dataset), **OPTIONS}


def dataset_titles() -> dict[str, str]:
    """What each data set is, in words.

    >>> dataset_titles()["utd_mhad"]
    'UTD-MHAD'
    """
    return {"actors": "built in, simulated: needs no files"} | {n: title for n, (_, title) in READERS.items()}


def prepare(
    dataset: str,
    source: Path | None,
    out: Path,
    strict: bool = False,
    progress: bool = True,
    clips: int = NUM_ACTED,
    workers: int | None = None,
    **options: Any,
) -> PrepareSummary:
    """Read the raw files of a data set into a skeleton store.

    A file that is no clip is skipped and listed in ``skipped.csv`` beside the store. The store appears
    when it is whole; killed at any moment, this leaves no half store. Large sets are parsed in worker
    processes into parts, kept in the hidden folder ``.NAME.parts`` beside the store until it is whole:
    the same call, made again after a kill, goes on from there, and the store is the same.

    Args:
        dataset: a name of :func:`dataset_names`.
        source: the folder with the raw files (for some data sets a file); None for the built-in ``actors``.
        out: the store to make; an existing one is replaced when the new one is whole.
        strict: stop at the first file that is no clip.
        progress: show a progress bar on stderr.
        clips: how many clips of the built-in ``actors``; the other data sets have their own number.
        workers: how many worker processes; None takes one per core for large sets and none for small ones.
        options: options of the data set, for example ``denoise`` of ``ntu60``.

    Raises:
        InputError: an unknown data set, an option that it does not have or out of range, no folder, a
            folder without clips, no file that is a clip, with ``strict`` any file that is no clip, a
            worker that was killed, a store that cannot be written, or something else than a store in its
            place. No store is written.
    """
    if dataset not in dataset_names():
        raise unknown_name("data set", dataset, dataset_names())

    def bound() -> Reader | None:
        if dataset != "actors":
            return make_reader(dataset, source, options)
        check_options(dataset, options, ACTED)
        return None

    return prepare_reader(
        Path(out),
        bound,
        strict=strict,
        progress=progress,
        workers=workers,
        otherwise=lambda: _prepare_actors(source, Path(out), progress, clips, options),
    )


def prepare_reader(
    out: Path,
    bound: Callable[[], Reader | None],
    *,
    strict: bool = False,
    progress: bool = True,
    workers: int | None = None,
    otherwise: Callable[[], int] | None = None,
) -> PrepareSummary:
    """The same for a reader that is bound to its source.

    Args:
        out: the store to make.
        bound: makes the reader, when it is known that the store can be written.
        strict, progress, workers: as of :func:`prepare`.
        otherwise: writes the store where there is no reader; gives the number of clips.

    Raises:
        InputError: as of :func:`prepare`.
    """
    if workers is not None and workers < 1:
        raise InputError(f"expects at least 1 worker, got workers={workers}")
    start = time.perf_counter()
    skipped: list[Skipped] = []
    notes: list[str] = []
    try:
        check_target(out)
        _spare_others(out)
        other_rows(out)
        reader = bound()
        with sole_writer(out):
            if reader is not None:
                written, skipped, notes = _prepare_files(reader, out, strict, progress, workers)
            else:
                assert otherwise is not None
                written = otherwise()
            write_skipped(out, skipped)
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error}") from error
    return PrepareSummary(out, written, len(skipped), time.perf_counter() - start, tuple(notes))


def _spare_others(out: Path) -> None:
    """Refuse to replace anything but a skeleton store: it might be the raw file itself."""
    if out.is_file() and out.stat().st_size and kind_of(out) != SKELETONS.name:
        raise InputError(
            f"{out} is there already and is no skeleton store: expects a new name, or a store to replace"
        )


def _prepare_actors(
    source: Path | None, out: Path, progress: bool, clips: int, options: dict[str, Any]
) -> int:
    if source is not None:
        raise InputError(f"actors are built in and read no files: leave out {source}")
    from kinelex.datasets.synthetic import write_actors

    with progress_bar("prepare actors", progress) as update:
        return write_actors(out, clips, progress=update, **options)


def _prepare_files(
    reader: Reader, out: Path, strict: bool, progress: bool, workers: int | None
) -> tuple[int, list[Skipped], list[str]]:
    items, meta = find_items(reader), reader.meta()
    meta = reader.policy.described(meta, reader.notes)
    files = RawFiles.of(reader, items)
    count = (workers or usable_cores()) if reader.in_parallel else 1
    with progress_bar(f"prepare {reader.dataset}", progress) as update:
        if files.total_bytes <= _SMALL and (workers or 1) == 1 and not reader.slow:
            return write_clips(out, meta, read_all(reader, meta, items, update), strict, reader)
        parts = Parts(out, reader, meta, items, files)
        try:
            written = write_clips(out, meta, read_parts(reader, meta, parts, count, update), strict, reader)
        except InputError as error:
            if not isinstance(error, WorkerLost) and not (strict and reader.slow):
                parts.remove()
            raise
        parts.remove()
        return written
