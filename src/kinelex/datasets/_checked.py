"""Items of a reader into checked clips, and what is left out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kinelex.datasets._reader import Item, Reader, Skipped
from kinelex.errors import InputError
from kinelex.store import Sequence, StoreMeta, check_sequence

Result = tuple[str, Sequence | Skipped]  # the file, and what it gave


def read_item(reader: Reader, meta: StoreMeta, item: Item) -> Iterator[Result]:
    """The clips of one item, checked, and what in it is none, each with the item's file."""
    try:
        for found in reader.read(item):
            yield str(item.path), _checked(found, meta, item)
    except InputError as error:
        yield str(item.path), Skipped(item.path, str(error))


def _checked(found: Sequence | Skipped, meta: StoreMeta, item: Item) -> Sequence | Skipped:
    if isinstance(found, Skipped):
        return found
    try:
        check_sequence(found, meta)
    except InputError as error:
        reason = str(error)
        # A clip that is a whole file is named by its path; one among many by its path and id.
        if item.part is None and item.path.stem.startswith(found.id):
            reason = reason.removeprefix(f"{found.id}: ")
        return Skipped(item.path, f"{item.path}: {reason}")
    return found


def without_doubles(results: Iterator[Result]) -> Iterator[Sequence | Skipped]:
    """The results; of clips with one id only the first is kept."""
    seen: dict[str, str] = {}
    for path, found in results:
        if isinstance(found, Sequence) and found.id in seen:
            reason = f"{path}: has the id {found.id}, which {seen[found.id]} already has"
            yield Skipped(Path(path), reason)
            continue
        if isinstance(found, Sequence):
            seen[found.id] = path
        yield found
