"""Parts of a store in the making: items in chunks, each parsed into a file that appears whole or not.

A part's name is a digest of what decides its content, so that a run that was killed goes on with those there.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from kinelex import __version__
from kinelex.data import Sequence, StoreMeta, check_sequence
from kinelex.data.arrow import read_header, schema_with_header
from kinelex.data.skeleton_writer import CLIP_FIELDS, clip_columns, clip_rows
from kinelex.datasets.reader import Item, Reader, Skipped
from kinelex.errors import InputError
from kinelex.files.atomic import whole_file

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


_MOST_ITEMS = 64
_MOST_BYTES = 32 << 20  # of raw files in a chunk


@dataclass(frozen=True)
class Chunk:
    """Some items, and the part that they become."""

    path: Path
    items: tuple[Item, ...]


@dataclass(frozen=True)
class RawFiles:
    """What the file system says about the raw files of some items: size in bytes, time of change."""

    stamps: dict[Path, tuple[int, int]]

    @classmethod
    def of(cls, reader: Reader, items: list[Item]) -> RawFiles:
        """Look at every file once; one that is not there gets zeros, its reader will say so."""
        stamps: dict[Path, tuple[int, int]] = {}
        for path in (path for item in items for path in reader.files(item)):
            if path not in stamps:
                try:
                    found = path.stat()
                    stamps[path] = (found.st_size, found.st_mtime_ns)
                except OSError:
                    stamps[path] = (0, 0)
        return cls(stamps)

    @property
    def total_bytes(self) -> int:
        """Size of all files together."""
        return sum(size for size, _ in self.stamps.values())


class Parts:
    """The hidden folder ``.NAME.parts`` beside a store, and the chunks that its rows come from, in order."""

    def __init__(
        self, out: Path, reader: Reader, meta: StoreMeta, items: list[Item], files: RawFiles
    ) -> None:
        from joblib import hash as digest_of  # the same in every process, unlike a pickle of a set

        self.folder = out.with_name(f".{out.name}.parts")
        settings = digest_of((__version__, reader, meta.header()))
        self.chunks = []
        for chunk in _divide(items, files, 1 if reader.slow else _MOST_ITEMS):
            raw = [(str(i.path), i.part, [files.stamps[path] for path in reader.files(i)]) for i in chunk]
            self.chunks.append(Chunk(self.folder / f"{digest_of((settings, raw))}.arrow", chunk))

    def begin(self) -> list[Chunk]:
        """Make the folder, drop parts that are of no use any more; gives the chunks that lack their part."""
        self.folder.mkdir(parents=True, exist_ok=True)
        wanted = {chunk.path for chunk in self.chunks}
        present = set(self.folder.glob("*.arrow"))
        for old in present - wanted:
            old.unlink(missing_ok=True)
        return [chunk for chunk in self.chunks if chunk.path not in present]

    def remove(self) -> None:
        """Delete the folder: all is in the store, or of no use."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _divide(items: list[Item], files: RawFiles, most: int) -> Iterator[tuple[Item, ...]]:
    """Neighbours together, until there are many of them or their files are large."""
    sharing = Counter(item.path for item in items)
    chunk: list[Item] = []
    size = 0.0
    for item in items:
        chunk.append(item)
        size += files.stamps.get(item.path, (0, 0))[0] / sharing[item.path]
        if len(chunk) == most or size >= _MOST_BYTES:
            yield tuple(chunk)
            chunk, size = [], 0.0
    if chunk:
        yield tuple(chunk)


def write_part(path: Path, reader: Reader, meta: StoreMeta, items: tuple[Item, ...]) -> None:
    """Parse the items of a chunk into its part."""
    found = [result for item in items for result in read_item(reader, meta, item)]
    clips = [clip for _, clip in found if isinstance(clip, Sequence)]
    listed = [
        [str(one.path), one.reason, {}] if isinstance(one, Skipped) else [file, None, one.changes]
        for file, one in found
    ]
    schema = schema_with_header(CLIP_FIELDS, {"found": listed})
    columns = clip_columns(clips)
    batch = pa.record_batch([columns[name] for name in schema.names], schema=schema)
    with whole_file(path) as file, pa.ipc.new_file(file, schema) as writer:
        writer.write_batch(batch)


def read_part(path: Path, meta: StoreMeta) -> list[Result] | None:
    """What the chunk of a part gave, in order; None when the file is damaged (a crash of the machine)."""
    try:
        part = pa.ipc.open_file(pa.memory_map(str(path)))
        listed = read_header(part.schema)["found"]
        clips = clip_rows(part.get_batch(0), meta.layout.num_joints)
    except (pa.ArrowException, OSError, KeyError, ValueError):
        return None
    found: list[Result] = []
    for file, reason, changes in listed:
        one = Skipped(Path(file), reason) if reason is not None else replace(next(clips), changes=changes)
        found.append((file, one))
    return found
