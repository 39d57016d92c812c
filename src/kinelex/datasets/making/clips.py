"""The clips that a reader gives, from one process or from the parts of several, into a store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import chain
from pathlib import Path

from kinelex.data import Sequence, SkeletonStoreWriter, StoreMeta
from kinelex.datasets.formats.units import check_body_size
from kinelex.datasets.making.parts import Chunk, Parts, Result, fitting, read_item, read_part, write_part
from kinelex.datasets.making.workers import make_parts
from kinelex.datasets.policy import notes_of
from kinelex.datasets.reader import Item, Reader, Skipped
from kinelex.errors import InputError
from kinelex.progress import Update


def write_clips(
    out: Path, meta: StoreMeta, results: Iterator[Result], strict: bool, reader: Reader
) -> tuple[int, list[Skipped], list[str]]:
    """The clips among the results into the store; returns their number, what was skipped, and notes."""
    skipped: list[Skipped] = []
    changes: Counter[str] = Counter()
    clips_changed: Counter[str] = Counter()
    clips = _clips(fitting(results), skipped, strict)
    first = next(clips, None)  # no store is begun before there is a clip for it
    if first is None and len(skipped) == 1:
        raise InputError(skipped[0].reason)
    if first is None:
        raise InputError(
            f"none of the {len(skipped)} files in {reader.source} is a clip, nothing was written; "
            f"the first: {skipped[0].reason}"
            if skipped
            else f"{reader.source} holds no clip, nothing was written: expects {reader.expected}"
        )
    if reader.units_guessed and meta.units == "metres" and first.coordinates.shape[3] == 3:
        check_body_size(first.coordinates, f"{reader.source}: clip {first.id}")
    with SkeletonStoreWriter(out, meta) as writer:
        for clip in chain([first], clips):
            writer.add(clip)
            changes.update(clip.changes)
            clips_changed.update(clip.changes.keys())
    return len(writer), skipped, [*reader.notes, *notes_of(clips_changed, changes)]


def _clips(results: Iterable[Sequence | Skipped], skipped: list[Skipped], strict: bool) -> Iterator[Sequence]:
    """The clips among the results; the rest goes to ``skipped``, or is raised when ``strict``."""
    for result in results:
        if isinstance(result, Sequence):
            yield result
        elif strict:
            raise InputError(result.reason)
        else:
            skipped.append(result)


def read_all(reader: Reader, meta: StoreMeta, items: list[Item], update: Update) -> Iterator[Result]:
    """Parse items one after the other in this process."""
    for done, item in enumerate(items, start=1):
        yield from read_item(reader, meta, item)
        update(done, len(items))


def read_parts(reader: Reader, meta: StoreMeta, parts: Parts, count: int, update: Update) -> Iterator[Result]:
    """Parse items in chunks by worker processes, beginning with the parts that are there already."""
    lacking = parts.begin()
    waiting = {chunk.path for chunk in lacking}
    total, done = sum(len(chunk.items) for chunk in parts.chunks), 0
    if reader.slow:
        reader.told = lambda share: update(done + share, total)
    with closing(make_parts(lacking, reader, meta, count)) as made:
        for chunk in parts.chunks:
            update(done, total)
            while chunk.path in waiting:
                waiting.discard(next(made).path)
            yield from _results_of(chunk, reader, meta)
            done += len(chunk.items)
            update(done, total)


def _results_of(chunk: Chunk, reader: Reader, meta: StoreMeta) -> list[Result]:
    results = read_part(chunk.path, meta)
    if results is None:  # the machine went down while it was written
        write_part(chunk.path, reader, meta, chunk.items)
        results = read_part(chunk.path, meta)
    if results is None:
        raise OSError(f"{chunk.path} cannot be read back")
    return results
