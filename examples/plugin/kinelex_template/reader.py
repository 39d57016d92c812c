"""A reader of raw files: ``kinelex prepare numpy_clips FOLDER --out STORE``."""

import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np

from kinelex.data import Sequence, StoreMeta
from kinelex.datasets import Item, Reader, parse_name, register
from kinelex.errors import InputError
from kinelex.skeleton import get_layout

_NAME = re.compile(r"a(?P<action>\d+)_s(?P<subject>\d+)_r(?P<replication>\d+)")


@register
class NumpyClips(Reader):
    """Arrays (T, M, V, C) in metres, one file aX_sY_rZ.npy per clip of action X and subject Y.

    Args:
        source: the folder.
        layout: name of their skeleton layout.
    """

    dataset = "numpy_clips"
    expected = "files aX_sY_rZ.npy"

    def __init__(self, source: Path, *, layout: str = "kinect20") -> None:
        super().__init__(source)
        self.layout = get_layout(layout)

    def items(self) -> list[Item]:
        """One file each."""
        return [Item(path) for path in sorted(self.source.glob("*.npy"))]

    def meta(self) -> StoreMeta:
        """The classes are the numbers of the actions."""
        return StoreMeta(self.dataset, self.layout, tuple(f"action {number}" for number in self.actions))

    @cached_property
    def actions(self) -> list[int]:
        """Their numbers; the files are looked through once, not for every clip."""
        return sorted({self._numbers(item.path)["action"] for item in self.items()})

    def read(self, item: Item) -> Iterator[Sequence]:
        """The clip of a file."""
        numbers = self._numbers(item.path)
        try:
            clip = np.load(item.path, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise InputError(f"{item.path}: no array: {error}") from error
        label = self.actions.index(numbers.pop("action"))
        yield Sequence(item.path.stem, clip, label=label, **numbers)

    def _numbers(self, path: Path) -> dict[str, int]:
        return parse_name(path, _NAME, "aX_sY_rZ.npy")
