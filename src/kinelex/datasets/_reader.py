"""Private machinery of the readers whose raw format is one file per clip."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from kinelex.errors import InputError
from kinelex.store import Sequence, StoreMeta, check_sequence


@dataclass(frozen=True)
class FileReader:
    """A raw format of one file per clip.

    Args:
        dataset: name of the data set, for example ``nw_ucla``.
        expected: what the folder should hold, for messages.
        meta: what the store says about itself, given the folder.
        find: the raw files under a folder, in the order of the store's rows.
        parse: one clip from one file; raises InputError naming the file and what was expected.
    """

    dataset: str
    expected: str
    meta: Callable[[Path], StoreMeta]
    find: Callable[[Path], list[Path]]
    parse: Callable[[Path], Sequence]


@dataclass(frozen=True)
class Skipped:
    """A raw file that is no clip, and why; ``reason`` starts with the file's path."""

    path: Path
    reason: str


def find_files(reader: FileReader, source: Path) -> list[Path]:
    """The raw files of a folder.

    Raises:
        InputError: no such folder, not a folder, or none of the files expected in it.
    """
    if not source.exists():
        raise InputError(f"{source} does not exist: expects a folder with {reader.expected}")
    if not source.is_dir():
        raise InputError(f"{source} is a file: expects a folder with {reader.expected}")
    files = reader.find(source)
    if not files:
        raise InputError(f"{source} holds no clip: expects a folder with {reader.expected}")
    return files


def read_files(reader: FileReader, files: list[Path], meta: StoreMeta) -> Iterator[Sequence | Skipped]:
    """Parse files one by one: a checked clip, or why the file is none."""
    seen: dict[str, Path] = {}
    for path in files:
        try:
            clip = reader.parse(path)
            _check(clip, meta, path)
            if clip.id in seen:
                raise InputError(f"{path}: has the id {clip.id}, which {seen[clip.id]} already has")
        except InputError as error:
            yield Skipped(path, str(error))
        else:
            seen[clip.id] = path
            yield clip


def _check(clip: Sequence, meta: StoreMeta, path: Path) -> None:
    try:
        check_sequence(clip, meta)
    except InputError as error:
        raise InputError(f"{path}: {str(error).removeprefix(f'{clip.id}: ')}") from error


def parse_name(path: Path, pattern: re.Pattern[str], expected: str) -> dict[str, int]:
    """The numbers in a file's name.

    Raises:
        InputError: the name does not have the form.

    >>> parse_name(Path("a1_s2.mat"), re.compile(r"a(?P<action>\\d+)_s(?P<subject>\\d+)"), "aX_sY.mat")
    {'action': 1, 'subject': 2}
    """
    match = pattern.fullmatch(path.stem)
    if match is None:
        raise InputError(f"{path}: the name does not parse, expects {expected}")
    return {name: int(number) for name, number in match.groupdict().items()}
