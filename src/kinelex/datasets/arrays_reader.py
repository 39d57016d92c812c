"""What the readers of arrays share: layout, classes, unit and channels by option or as they look."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from kinelex.data import StoreMeta
from kinelex.datasets.formats.arrays import check_channels, guess_channels
from kinelex.datasets.formats.conventions import Note, layout_of, numbered_classes, read_class_names
from kinelex.datasets.formats.units import in_metres
from kinelex.datasets.reader import Reader
from kinelex.errors import InputError
from kinelex.skeleton import get_layout


class ArraysReader(Reader):
    """A format of arrays without a word on layout, classes and unit, so that these are options.

    Args:
        source: the file or folder.
        layout: the layout of the joints: a built-in name or a YAML file; by default what the files tell.
        classes: text file with one class name per line, in the order of the labels.
        units: unit of the coordinates: centimetres, millimetres, inches and feet become metres, other words
            are kept; by default pixels for 2-D and metres for 3-D.
        channels: what the numbers of a joint are: xy, xyz, or with a confidence xyc, xyzc; by default what
            they look like.
    """

    gaps: ClassVar[str | None] = "keep"

    def __init__(
        self,
        source: Path,
        *,
        layout: str | None = None,
        classes: Path | None = None,
        units: str | None = None,
        channels: str | None = None,
    ) -> None:
        super().__init__(source)
        self._layout, self._units = layout, units
        self._asked_channels = check_channels(channels)
        self._classes = None if classes is None else read_class_names(classes)

    def _channels_of(self, x: np.ndarray, is_known: bool) -> str:
        """What the numbers of a joint are: as asked for, as the file says, or as some of them look."""
        if self._asked_channels is not None:
            if x.shape[-1] != len(self._asked_channels):
                raise InputError(
                    f"{self.source}: --channels {self._asked_channels}, but a joint has {x.shape[-1]} numbers"
                )
            return self._asked_channels
        if is_known:
            return "xyz"[: x.shape[-1]]
        layout = None if self._layout is None else get_layout(self._layout).name
        channels, guess = guess_channels(x, layout, self.source)
        if guess:
            self.note(guess)
        return channels

    def _described(
        self, note: Note | None, joints: int, channels: str, labels: Iterable[Any], **prepared: Any
    ) -> StoreMeta:
        """What the store says: as asked for, else as an export noted it, else as the arrays tell."""
        noted = None if note is None else note.class_names
        size = len(channels) - channels.endswith("c")
        layout = layout_of(note, self._layout, joints, size, self.source)
        if self._layout is None and note is None:
            self.note(f"the layout is {layout.name}: guessed from {joints} joints; --layout names another")
        units, self.to_metres = in_metres(self._units or (note.units if note else None), size)
        self.units_guessed = self._units is None and note is None
        return StoreMeta(
            dataset=self.dataset,
            layout=layout,
            class_names=self._classes or noted or numbered_classes(labels),
            units=units,
            source=str(self.source),
            prepared={"reader": self.dataset, **prepared},
        )
