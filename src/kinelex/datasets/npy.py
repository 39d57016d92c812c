"""Reader of folders of padded .npy arrays, as ST-GCN, 2s-AGCN, AimCLR, CMD and their heirs keep them.

``PART_position.npy`` (N, C, T, V, M), memory-mapped, with ``PART_label.pkl``, a pickle ``(names, labels)``,
and where the frames beyond a clip's own are not zeros ``PART_num_frame.npy`` (N,); PART is train, val or
test, and ``_data_joint``, ``_data`` and ``_joint`` stand for ``_position`` too. The folder holds these files
or one folder of them per protocol (``xsub/``, ``xview/``); a clip that several protocols list is read once.

Source: Guo, Liu, Chen, Liu, Wang, Ding: Contrastive learning from extremely augmented skeleton sequences,
AAAI 2022 (50 frames); Mao, Zhou, Lu, Deng, Li: CMD, ECCV 2022 (300 frames with num_frame).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from kinelex.data import Sequence, StoreMeta
from kinelex.datasets.arrays_reader import ArraysReader
from kinelex.datasets.formats.arrays import check_axes, ordered, split_channels
from kinelex.datasets.formats.conventions import (
    GIVEN,
    Note,
    as_stored,
    has_body,
    is_whole,
    numbers_in_name,
    split_tags,
    without_padding,
)
from kinelex.datasets.reader import Item, Skipped
from kinelex.errors import InputError
from kinelex.files.npy import map_npy, read_npy
from kinelex.files.unpickle import read_pickle

PARTS = ("train", "val", "test")
NOTE_FILE = "kinelex.json"
_DATA = ("position", "data_joint", "data", "joint")  # the first that is there
_PROTOCOLS = ("xsub", "xview", "xset")  # folder names that tell the protocol when given on their own
_BYTES_PER_ITEM = 8 << 20
_SAMPLE = 16  # clips that tell what the numbers of a joint are


@dataclass(frozen=True)
class _Part:
    """One array with its labels."""

    data: Path  # the array's file
    tag: str  # which split its clips have, for example ``xsub:train``
    names: list[str]  # id per clip
    labels: list[int | None]  # class index per clip, None where it is no whole number
    frames: np.ndarray | None  # number of own frames per clip, where that is known


class NpyReader(ArraysReader):
    """Folders of padded .npy arrays (N, C, T, V, M) with label pickles, or of such folders per protocol.

    Args:
        source: the folder.
        axes: order of the axes of arrays where it is another, for example CTVM (folder) or NMTVC (npy).
    """

    dataset: ClassVar[str] = "npy"
    expected: ClassVar[str] = (
        "train_position.npy and train_label.pkl, the same for val or test, or folders xsub, xview of these"
    )

    def __init__(self, source: Path, *, axes: str | None = None, **options: Any) -> None:
        super().__init__(source, **options)
        self._axes = check_axes(axes, clips=True)

    def meta(self) -> StoreMeta:
        sizes = {(x.shape[3], x.shape[1]) for x in (_array(part.data, self._axes) for part in self._parts)}
        if len(sizes) > 1:
            raise InputError(f"{self.source}: the arrays differ in their number of joints or coordinates")
        (joints, _), note, channels = sizes.pop(), self._note, self._channels
        labels = (label for part in self._parts for label in part.labels)
        arrays = [part.data.name for part in self._parts]
        return self._described(note, joints, channels, labels, arrays=arrays)

    def items(self) -> list[Item]:
        found = []
        for number, part in enumerate(self._parts):
            x = _array(part.data, self._axes)
            rows = max(1, min(256, _BYTES_PER_ITEM // max(1, x[:1].nbytes)))
            own = [row for row, name in enumerate(part.names) if self._clips[name][0] == number]
            runs = [tuple(own[i : i + rows]) for i in range(0, len(own), rows)]
            found += [Item(part.data, (number, run)) for run in runs]
        return found

    def read(self, item: Item) -> Iterator[Sequence | Skipped]:
        number, rows = item.part
        part = self._parts[number]
        x = _array(part.data, self._axes)
        for row in rows:
            try:
                yield self._clip(part, x, row)
            except InputError as error:
                entry = f"{item.path}:row {row}"
                yield Skipped(Path(entry), f"{entry}: {error}")

    def _clip(self, part: _Part, x: np.ndarray, row: int) -> Sequence:
        label, frames = part.labels[row], None if part.frames is None else int(part.frames[row])
        if label is None:
            raise InputError("its label is no whole number")
        if frames is not None and not 0 < frames <= x.shape[2]:
            raise InputError(f"has {frames} frames in num_frame, expects 1 to {x.shape[2]}")
        clip = without_padding(x[row].transpose(1, 3, 2, 0), frames)  # (T, M, V, C)
        if not has_body(clip):
            raise InputError("no frame has a body (all coordinates are 0)")
        clip, scores = split_channels(clip, self._channels, part.data)
        name = part.names[row]
        numbers: dict[str, Any] = numbers_in_name(name)
        tags = self._clips[name][1]
        scores = None if scores is None else as_stored(scores)
        return Sequence(name, as_stored(clip), label, scores=scores, splits=tags, **numbers)

    @cached_property
    def _channels(self) -> str:
        part = next((part for part in self._parts if part.names), self._parts[0])
        x = _array(part.data, self._axes)[:_SAMPLE]
        return self._channels_of(np.moveaxis(x, 1, -1), is_known=self._note is not None)

    @cached_property
    def _note(self) -> Note | None:
        path = self.source / NOTE_FILE
        if not path.is_file():
            return None
        try:
            return Note.from_json(path.read_text(encoding="utf-8"), str(path))
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path} cannot be read: {error}") from error

    @cached_property
    def _parts(self) -> list[_Part]:
        own = self.source.name if self.source.name in _PROTOCOLS else GIVEN
        if self._note is not None:
            own = self._note.protocol
        below = sorted(f for f in self.source.iterdir() if f.is_dir())
        places = [(self.source, own)] if _arrays(self.source) else [(f, f.name) for f in below]
        found = []
        for folder, protocol in places:
            arrays = _arrays(folder)
            tags = split_tags(f"{protocol}_{part}" for part in arrays)
            found += [
                _part(folder, part, tags[f"{protocol}_{part}"], data, self._axes)
                for part, data in arrays.items()
            ]
        return found

    @cached_property
    def _clips(self) -> dict[str, tuple[int, tuple[str, ...]]]:
        """For each clip's id the first array that has it, and its tags from all of them."""
        found: dict[str, tuple[int, tuple[str, ...]]] = {}
        for number, part in enumerate(self._parts):
            for name in part.names:
                first, tags = found.get(name, (number, ()))
                if part.tag not in tags and any(t.split(":")[0] == part.tag.split(":")[0] for t in tags):
                    raise InputError(f"{part.data}: has {name}, which is {' and '.join(tags)} already")
                found[name] = first, tags if part.tag in tags else (*tags, part.tag)
        return found


def _arrays(folder: Path) -> dict[str, Path]:
    """The arrays of a folder by part."""
    arrays = {part: [folder / f"{part}_{name}.npy" for name in _DATA] for part in PARTS}
    present = {part: [path for path in paths if path.is_file()] for part, paths in arrays.items()}
    return {part: paths[0] for part, paths in present.items() if paths}


def _array(path: Path, axes: str | None) -> np.ndarray:
    """An array (N, C, T, V, M), memory-mapped."""
    x = map_npy(path)
    if axes is not None:
        if x.ndim != len(axes):
            raise InputError(f"{path}: --axes {axes} has {len(axes)} axes, the array {x.ndim}: {x.shape}")
        x = ordered(x, axes, "NCTVM")
    is_turned = axes is None and x.ndim == 5 and x.shape[4] in (3, 4) and x.shape[1] < 3
    if x.ndim != 5 or 0 in x.shape[1:] or not 2 <= x.shape[1] <= 4 or is_turned:
        order = "NMTVC" if is_turned else "with the order of its axes"
        raise InputError(
            f"{path}: expects an array (N, C, T, V, M) with C 2 to 4, got {x.shape}: if its axes have "
            f"another order, pass --axes {order}"
        )
    return x


def _part(folder: Path, part: str, tag: str, data: Path, axes: str | None) -> _Part:
    """One array with what lies beside it."""
    shape = _array(data, axes).shape
    path = folder / f"{part}_label.pkl"
    if not path.is_file():
        raise InputError(f"{path} does not exist: expects a pickle (names, labels) beside {data.name}")
    names, labels = _labels(path)
    count = folder / f"{part}_num_frame.npy"
    frames = read_npy(count) if count.is_file() else None
    sizes = {"names": len(names), "labels": len(labels)}
    if frames is not None:
        if frames.ndim != 1 or not np.array_equal(frames, np.round(frames)):
            raise InputError(f"{count}: expects one whole number per clip, got {frames.dtype} {frames.shape}")
        sizes["numbers of frames"] = len(frames)
    for what, size in sizes.items():
        if size != shape[0]:
            raise InputError(f"{data}: has {shape[0]} clips, but there are {size} {what} beside it")
    return _Part(data, tag, names, labels, frames)


def _labels(path: Path) -> tuple[list[str], list[int | None]]:
    content = read_pickle(path)
    if not isinstance(content, list | tuple) or len(content) != 2:
        raise InputError(f"{path}: expects a pickle (names, labels)")
    names, labels = (list(c) if isinstance(c, list | tuple | np.ndarray) else None for c in content)
    if names is None or labels is None or not all(isinstance(name, str) and name for name in names):
        raise InputError(f"{path}: expects a pickle of a list of names and a list of labels")
    return [n.removesuffix(".skeleton") for n in names], [int(n) if is_whole(n) else None for n in labels]
