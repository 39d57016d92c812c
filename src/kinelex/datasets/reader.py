"""What a reader of a raw format is: units of work by name, and the clips that each of them holds."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, ClassVar

from kinelex.data import Sequence, StoreMeta
from kinelex.datasets.policy import Policy
from kinelex.errors import InputError
from kinelex.files.walk import files_under
from kinelex.skeleton import get_layout


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
    slow: ClassVar[bool] = False  # True where an item takes long: each is kept as soon as it is read
    gaps: ClassVar[str | None] = None  # what happens to lost frames unless --gaps says otherwise
    policy = Policy()  # the options that all readers share, as they were given
    to_metres: float = 1.0  # coordinates are multiplied with it
    told: Callable[[float], None] | None = None  # of a slow reader: takes which part of an item is read
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


class FilesReader(Reader):
    """A published data set: files under a folder that all have one name or form of names.

    A subclass says what is particular to it, and reads one file.
    """

    layout: ClassVar[str]  # a built-in layout
    pattern: ClassVar[str]  # the files' names, maybe with folders before, as in ``Path.match``
    units: ClassVar[str] = "metres"

    @classmethod
    def class_names(cls) -> tuple[str, ...]:
        """One name per label."""
        return class_names(cls.dataset)

    def prepared(self) -> dict[str, Any]:
        """What the store should remember about how the files were read."""
        return {}

    def meta(self) -> StoreMeta:
        return StoreMeta(
            dataset=self.dataset,
            layout=get_layout(self.layout),
            class_names=self.class_names(),
            units=self.units,
            source=str(self.source),
            prepared={"reader": self.dataset, **self.prepared()},
        )

    def items(self) -> list[Item]:
        return [Item(path) for path in files_under(self.source, self.pattern)]


@lru_cache
def class_names(dataset: str) -> tuple[str, ...]:
    """The classes of a published data set, in the order of their labels.

    >>> class_names("ntu120")[59], len(class_names("pku_mmd"))
    ('walking apart from each other', 51)
    """
    file = resources.files("kinelex.datasets").joinpath("class_names", f"{dataset}.txt")
    return tuple(file.read_text(encoding="utf-8").splitlines())


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
