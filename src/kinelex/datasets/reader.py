"""What a reader of a raw format is: units of work by name, and the clips that each of them holds."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from kinelex.data import Sequence, StoreMeta
from kinelex.datasets.policy import Policy
from kinelex.errors import InputError


@dataclass(frozen=True)
class Item:
    """One unit of work; small, and can be pickled.

    Args:
        path: the raw file.
        part: which part of a file with many clips, for example (start, stop) or a line of labels.
    """

    path: Path
    part: Any = None


@dataclass(frozen=True)
class Skipped:
    """A raw file, or an entry of one, that is no clip.

    Args:
        path: the file, with the entry where it holds many (``labels.txt:entry 12``).
        reason: a full sentence that starts with the path.
    """

    path: Path
    reason: str


class Reader(ABC):
    """A raw format, bound to a source and its options. It is pickled to the worker processes.

    Subclasses add keyword-only typed options with defaults; these become options of
    :func:`kinelex.datasets.prepare` and of the command line, helped by the docstring's ``Args``.

    Args:
        source: the folder, or the file, with the raw data; the caller has seen that it is there.

    Raises:
        InputError: an option out of range.
    """

    dataset: ClassVar[str]  # name on the command line, for example "ntu60"
    expected: ClassVar[str]  # what the source should hold, for messages
    source_is_file: ClassVar[bool] = False  # whether the source may be a file
    in_parallel: ClassVar[bool] = True  # False where every process would have to load the whole source
    gaps: ClassVar[str | None] = None  # what happens to lost frames unless --gaps says otherwise
    policy = Policy()  # the options that all readers share, as they were given
    to_metres: float = 1.0  # coordinates are multiplied with it
    units_guessed: bool = False  # metres because nobody said so: then bodies must have the size of one

    def __init__(self, source: Path) -> None:
        self.source = source
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        """Something that was guessed or left out, in a sentence; ``prepare`` says it once."""
        if text not in self.notes:
            self.notes.append(text)

    @abstractmethod
    def meta(self) -> StoreMeta:
        """What the store says about itself."""

    @abstractmethod
    def items(self) -> list[Item]:
        """The units of work, in the order of the store's rows; cheap: names, no parsing."""

    def files(self, item: Item) -> tuple[Path, ...]:
        """All files that decide what :meth:`read` gives: when one has changed, the item is read again."""
        return (item.path,)

    @abstractmethod
    def read(self, item: Item) -> Iterator[Sequence | Skipped]:
        """The clips of one item, and what in it is none.

        Raises:
            InputError: the item as a whole is no clip; the message starts with its path.
        """


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
