"""Items of a reader into checked clips, and what is left out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kinelex.data import Sequence, StoreMeta, check_sequence
from kinelex.datasets.reader import Item, Reader, Skipped
from kinelex.errors import InputError

Result = tuple[str, Sequence | Skipped]  # the file, and what it gave


def read_item(reader: Reader, meta: StoreMeta, item: Item) -> Iterator[Result]:
    """The clips of one item, checked, and what in it is none, each with the item's file."""
    try:
        for found in reader.read(item):
            yield str(item.path), _checked(found, meta, item, reader)
    except InputError as error:
        yield str(item.path), Skipped(item.path, str(error))
    except OSError as error:
        yield str(item.path), Skipped(item.path, f"{item.path}: cannot be read: {error}")


def _checked(found: Sequence | Skipped, meta: StoreMeta, item: Item, reader: Reader) -> Sequence | Skipped:
    if isinstance(found, Skipped):
        return found
    try:
        found = reader.policy.apply(found, reader.to_metres)
        check_sequence(found, meta)
    except InputError as error:
        reason = str(error)
        # A clip that is a whole file is named by its path; one among many by its path and id.
        if item.part is None and item.path.stem.startswith(found.id):
            reason = reason.removeprefix(f"{found.id}: ")
        return Skipped(item.path, f"{item.path}: {reason}")
    return found


def fitting(results: Iterator[Result]) -> Iterator[Sequence | Skipped]:
    """The results; a clip that does not go with those before it, by its id or its channels, is none."""
    seen: dict[str, str] = {}
    channels = 0
    for path, found in results:
        if isinstance(found, Sequence):
            got = found.coordinates.shape[3]
            if found.id in seen:
                reason = f"has the id {found.id}, which {seen[found.id]} already has"
                found = Skipped(Path(path), f"{path}: {reason}")
            elif channels not in (0, got):
                reason = f"has {got} coordinates per joint, expects {channels} as in the clips before it"
                found = Skipped(Path(path), f"{path}: {reason}")
            else:
                seen[found.id], channels = path, got
        yield found
