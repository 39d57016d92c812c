"""Reader of the .npz files that CTR-GCN's preparation makes: padded arrays with train and test inside.

``x_train`` (N, T, M*V*C), 150 numbers per frame for two persons of 25 joints, and ``y_train`` one-hot
(N, classes); the same for ``test``. The array is never loaded whole: its rows are read a few at a time.

Source: Chen, Zhang, Yuan, Li, Deng, Hu: Channel-wise topology refinement graph convolution, ICCV 2021.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from kinelex.data import Sequence, StoreMeta
from kinelex.datasets.arrays_reader import ArraysReader
from kinelex.datasets.formats.arrays import split_channels
from kinelex.datasets.formats.conventions import (
    GIVEN,
    MAX_CLASSES,
    Note,
    as_stored,
    has_body,
    without_padding,
)
from kinelex.datasets.reader import Item, Skipped
from kinelex.errors import InputError
from kinelex.files.npy import MemberRows, open_zip, read_member
from kinelex.skeleton import get_layout

PARTS = ("train", "test")
_NTU_WIDTH = 150  # 2 persons x 25 joints x 3 coordinates
_BYTES_PER_ITEM = 8 << 20
_SAMPLE = 16  # clips that tell what the numbers of a joint are


class CtrgcnNpzReader(ArraysReader):
    """The .npz files of CTR-GCN and the many repositories built on it."""

    dataset: ClassVar[str] = "ctrgcn_npz"
    expected: ClassVar[str] = "a .npz file with x_train, y_train, x_test and y_test"
    source_is_file: ClassVar[bool] = True

    def meta(self) -> StoreMeta:
        persons, joints, _ = self._size
        classes = max(part.classes for part in self._parts.values())
        return self._described(self._note, joints, self._channels, [classes - 1], persons=persons)

    def items(self) -> list[Item]:
        found = []
        for name, part in self._parts.items():
            part.x.check()
            rows = max(1, min(256, _BYTES_PER_ITEM // max(1, part.x.row_bytes)))
            starts = range(0, len(part.x), rows)
            found += [Item(self.source, (name, s, min(s + rows, len(part.x)))) for s in starts]
        return found

    def read(self, item: Item) -> Iterator[Sequence | Skipped]:
        name, start, stop = item.part
        part, size = self._parts[name], self._size
        tag = f"{GIVEN if self._note is None else self._note.protocol}:{name}"
        for row, padded in enumerate(part.x.rows(start, stop), start=start):
            frames = None if part.frames is None else int(part.frames[row])
            clip = without_padding(padded.reshape(len(padded), *size), frames)
            entry = f"{item.path}:row {row} of x_{name}"
            if not has_body(clip):
                yield Skipped(Path(entry), f"{entry}: no frame has a body (all coordinates are 0)")
            elif part.labels[row] < 0:
                yield Skipped(Path(entry), f"{entry}: its label is not one-hot")
            else:
                x, scores = split_channels(clip, self._channels, item.path)
                scores = None if scores is None else as_stored(scores)
                label = int(part.labels[row])
                yield Sequence(part.name(row), as_stored(x), label, scores=scores, splits=(tag,))

    @cached_property
    def _channels(self) -> str:
        parts = list(self._parts.values())
        part = next((part for part in parts if len(part.x)), parts[0])
        rows = part.x.rows(0, min(_SAMPLE, len(part.x)))
        x = rows.reshape(*rows.shape[:2], *self._size)
        return self._channels_of(x, is_known=self._note is not None)

    @cached_property
    def _parts(self) -> dict[str, _Part]:
        if self.source.is_dir():
            raise InputError(f"{self.source} is a folder: expects {self.expected}")
        with open_zip(self.source) as archive:
            there = [p for p in PARTS if {f"x_{p}.npy", f"y_{p}.npy"} <= set(archive.namelist())]
            held = ", ".join(archive.namelist()[:8]) or "nothing"
        if not there:
            raise InputError(f"{self.source}: holds {held}: expects {self.expected}")
        return {part: _Part(self.source, part) for part in there}

    @cached_property
    def _note(self) -> Note | None:
        with open_zip(self.source) as archive:
            if "kinelex.npy" not in archive.namelist():
                return None
            return Note.from_json(str(read_member(archive, "kinelex", "U")), str(self.source))

    @cached_property
    def _size(self) -> tuple[int, int, int]:
        """Persons, joints and coordinates of a frame."""
        shapes = {part.x.header.shape for part in self._parts.values()}
        widths = {shape[-1] for shape in shapes}
        if any(len(shape) != 3 for shape in shapes) or len(widths) != 1 or 0 in widths:
            found = " and ".join(str(shape) for shape in sorted(shapes))
            raise InputError(f"{self.source}: expects arrays (N, T, M*V*C) of one width, got {found}")
        width = widths.pop()
        if self._note is not None:
            persons, channels = self._note.persons, self._note.channels
            if channels in (2, 3) and width % (persons * channels) == 0:
                return persons, width // (persons * channels), channels
            raise InputError(
                f"{self.source}: frames of {width} numbers do not fit the note that kinelex wrote there: "
                f"{persons} persons with {channels} coordinates per joint"
            )
        if self._layout is None and width != _NTU_WIDTH:
            raise InputError(
                f"{self.source}: a frame has {width} numbers, expects {_NTU_WIDTH} (2 persons, ntu25): "
                "pass --layout NAME or --layout FILE.yaml"
            )
        joints = get_layout(self._layout or "ntu25").num_joints
        sizes = (3, 2) if self._asked_channels is None else (len(self._asked_channels),)
        fitting = [c for c in sizes if width % (joints * c) == 0]
        if not fitting:
            raise InputError(
                f"{self.source}: {width} numbers in a frame are no whole number of persons with {joints} "
                "joints: pass another --layout"
            )
        return width // (joints * fitting[0]), joints, fitting[0]

    def __getstate__(self) -> dict[str, Any]:
        read_again = ("_parts", "_note", "_size", "_channels")
        return {key: value for key, value in self.__dict__.items() if key not in read_again}


class _Part:
    """One side of the split: rows, labels (-1 where a row of y is not one-hot), and what an export adds."""

    def __init__(self, path: Path, part: str) -> None:
        self._part = part
        self.x = MemberRows(path, f"x_{part}")
        with open_zip(path) as archive:
            self.labels, self.classes = _labels(read_member(archive, f"y_{part}", "fiub"), path, part)
            there = archive.namelist()
            more = (f"id_{part}", "U"), (f"num_frame_{part}", "iu")
            ids, frames = (read_member(archive, n, k) if f"{n}.npy" in there else None for n, k in more)
        self.ids, self.frames = ids, frames
        for beside, name in ((self.labels, "y"), (ids, "id"), (frames, "num_frame")):
            if beside is not None and beside.shape != (len(self.x),):
                shape = f"{name}_{part} has shape {beside.shape}"
                raise InputError(f"{path}: x_{part} has {len(self.x)} rows, {shape}")
        longest = self.x.header.shape[1] if len(self.x.header.shape) > 1 else 0
        if frames is not None and len(frames) and not (frames.min() > 0 and frames.max() <= longest):
            raise InputError(f"{path}: num_frame_{part} is out of range, expects 1 to {longest}")

    def name(self, row: int) -> str:
        """The clip's id; the files that others made have none."""
        return f"{self._part}_{row:06d}" if self.ids is None else str(self.ids[row])


def _labels(y: np.ndarray, path: Path, part: str) -> tuple[np.ndarray, int]:
    """Class indices and number of classes, from one-hot rows or from class indices."""
    if y.ndim == 1 and y.dtype.kind in "iu":
        if len(y) and int(y.max()) >= MAX_CLASSES:
            raise InputError(f"{path}: y_{part} has the class {y.max()}, expects at most {MAX_CLASSES - 1}")
        return y.astype(np.int64), int(y.max(initial=-1)) + 1
    if y.ndim != 2 or not 0 < y.shape[1] <= MAX_CLASSES:
        raise InputError(f"{path}: y_{part} has shape {y.shape}, expects one-hot rows (N, classes)")
    one_hot = ((y == 1).sum(axis=1) == 1) & ((y != 0).sum(axis=1) == 1)
    return np.where(one_hot, (y == 1).argmax(axis=1), -1), y.shape[1]
