"""Reader of the pickles of pyskl and MMAction2: one file per data set, 2-D or 3-D skeletons.

``{"split": {name: [ids]}, "annotations": [{"frame_dir", "label", "keypoint" (M, T, V, C), "total_frames",
"img_shape", "keypoint_score" (M, T, V)}]}``; a pickle that is the list of annotations alone is read too.
Nothing in the pickle is run, see :mod:`kinelex.files.unpickle`.

Source: Duan, Wang, Chen, Lin: PYSKL: towards good practices for skeleton action recognition, 2022.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from kinelex.data import Sequence, StoreMeta
from kinelex.data.splits.files import lost_ids, match_ids
from kinelex.datasets.arrays_reader import ArraysReader
from kinelex.datasets.formats.arrays import split_channels
from kinelex.datasets.formats.conventions import Note, as_stored, is_whole, numbers_in_name, split_tags
from kinelex.datasets.reader import Item, Skipped
from kinelex.errors import InputError, unknown_name
from kinelex.files.pickled_arrays import shape_of, whole_array
from kinelex.files.unpickle import read_pickle

NOTE = "kinelex"  # where an exported pickle says which store it came from
_ENTRIES_PER_ITEM = 256
_COLUMNS = ("subject", "camera", "setup", "replication")


class PysklReader(ArraysReader):
    """The pickles of pyskl and MMAction2."""

    dataset: ClassVar[str] = "pyskl"
    expected: ClassVar[str] = "a .pkl file with 'split' and 'annotations'"
    source_is_file: ClassVar[bool] = True
    in_parallel: ClassVar[bool] = False  # every process would have to read through the whole pickle first

    def meta(self) -> StoreMeta:
        annotations, note = _load(self._file())[0], _note(self._file())
        for text in _load(self._file())[2]:
            self.note(text)
        joints, channels = self._size
        labels = [entry.get("label") for entry in annotations if isinstance(entry, dict)]
        given = [label for label in labels if label is not None]
        if given and all(isinstance(label, str) for label in given) and self._classes is None:
            self._classes = tuple(sorted(set(given)))
            self.note("labels are names: classes in alphabetical order, unless --classes says another")
        return self._described(note, joints, channels, labels)

    def items(self) -> list[Item]:
        count = len(_load(self._file())[0])
        starts = range(0, count, _ENTRIES_PER_ITEM)
        return [Item(self.source, (s, min(s + _ENTRIES_PER_ITEM, count))) for s in starts]

    def read(self, item: Item) -> Iterator[Sequence | Skipped]:
        annotations, tags, _ = _load(self._file())
        channels = self._size[1]
        for number in range(*item.part):
            try:
                entry = _with_arrays(annotations[number], item.path)
                entry["label"] = _label(entry.get("label"), self._classes)
                yield _clip(entry, tags, channels, item.path)
            except InputError as error:
                place = f"{item.path}:entry {number}"
                yield Skipped(Path(place), f"{place}: {error}")

    def _file(self) -> tuple[Path, int, int]:
        """The file, and what tells whether it is still the one that was loaded."""
        if self.source.is_dir():
            raise InputError(f"{self.source} is a folder: expects {self.expected}")
        about = self.source.stat()
        return self.source, about.st_size, about.st_mtime_ns

    @cached_property
    def _size(self) -> tuple[int, str]:
        """Number of joints and what their numbers are, of the first annotation that has key points."""
        for entry in _load(self._file())[0]:
            x = entry.get("keypoint") if isinstance(entry, dict) else None
            shape = shape_of(x) if isinstance(x, np.ndarray) else ()
            if len(shape) == 4 and 0 not in shape and 2 <= shape[3] <= 4:
                is_known = entry.get("keypoint_score") is not None or _note(self._file()) is not None
                sample = _with_arrays({"keypoint": x}, self.source)["keypoint"]
                if not np.nan_to_num(sample).any():
                    continue  # nobody, who tells nothing about the others
                return shape[2], self._channels_of(sample, is_known)
        raise InputError(
            f"{self.source}: no annotation has 'keypoint' of shape (M, T, V, 2 or 3) with somebody in it"
        )


@lru_cache(maxsize=1)
def _content(file: tuple[Path, int, int]) -> Any:
    return read_pickle(file[0], leave_arrays=True)


@lru_cache(maxsize=1)
def _load(file: tuple[Path, int, int]) -> tuple[list[Any], dict[str, tuple[str, ...]], list[str]]:
    """The annotations, the tags of each clip's id, and what to say of ids in splits that no clip has."""
    path, content = file[0], _content(file)
    if isinstance(content, list):
        content = {"annotations": content}
    if not isinstance(content, dict) or not isinstance(content.get("annotations"), list):
        raise InputError(f"{path}: expects a dict with the list 'annotations'")
    if not content["annotations"]:
        raise InputError(f"{path}: 'annotations' is empty")
    splits = content.get("split") or {}
    if not isinstance(splits, dict) or not all(isinstance(name, str) for name in splits):
        raise InputError(f"{path}: expects 'split' to map names to lists of ids")
    for name, ids in splits.items():
        if not isinstance(ids, list | tuple | set) or not all(isinstance(i, str) for i in ids):
            raise InputError(f"{path}: expects split {name!r} to be a list of ids")
    splits = {name: sorted(ids) if isinstance(ids, set) else ids for name, ids in splits.items()}
    listed = list(dict.fromkeys(clip for ids in splits.values() for clip in ids))
    named = [name for entry in content["annotations"] if (name := _name(entry))]
    meant = match_ids(listed, named)
    tags: dict[str, list[str]] = {}
    for name, tag in split_tags(splits).items():
        for clip in splits[name]:
            tags.setdefault(meant.get(clip, clip), []).append(tag)
    notes = _notes_of_splits(path, splits, meant, named)
    return content["annotations"], {clip: tuple(dict.fromkeys(n)) for clip, n in tags.items()}, notes


def _name(entry: Any) -> str | None:
    """The id of an annotation; None where it has none."""
    name = entry.get("frame_dir", entry.get("filename")) if isinstance(entry, dict) else None
    return name if isinstance(name, str) and name else None


def _notes_of_splits(
    path: Path, splits: dict[str, Any], meant: dict[str, str], named: list[str]
) -> list[str]:
    """What to say of ids in splits that no clip has, or that are clips by another ending."""
    lost = lost_ids(splits, meant)
    told = ", ".join(f"{name}: {count} of {total}" for name, (count, total) in lost.items())
    notes = [f"ids in the splits that no clip has: {told}"] if lost else []
    if lost and not meant:
        first = next(clip for ids in splits.values() for clip in ids)
        seen = f"{named[0]!r:.80}" if named else "none"
        raise InputError(
            f"{path}: no id of its splits is a clip ({told}): the first is {first!r:.80}, clips are called "
            f"like {seen}"
        )
    other = next((clip for clip, name in meant.items() if clip != name), None)
    if other is not None:
        example = f"for example {other} for {meant[other]}"
        notes.append(f"ids in the splits are taken without ending or folder, {example}")
    return notes


def _note(file: tuple[Path, int, int]) -> Note | None:
    content = _content(file)
    text = content.get(NOTE) if isinstance(content, dict) else None
    return Note.from_json(text, str(file[0])) if isinstance(text, str) else None


def _with_arrays(entry: Any, path: Path) -> dict[str, Any]:
    """An annotation with the arrays that were left in the file."""
    if not isinstance(entry, dict):
        raise InputError(f"expects a dict, got {type(entry).__name__}")
    return {k: whole_array(v, path) if isinstance(v, np.ndarray) else v for k, v in entry.items()}


def _clip(entry: dict[str, Any], tags: dict[str, tuple[str, ...]], channels: str, path: Path) -> Sequence:
    name = _name(entry)
    if name is None:
        raise InputError("has no 'frame_dir', the clip's id")
    x, confidences = split_channels(_key_points(entry, len(channels)), channels, path)
    scores = confidences if confidences is not None else _scores(entry, x.shape[:3])
    numbers: dict[str, Any] = numbers_in_name(name)
    numbers |= {key: int(entry[key]) for key in _COLUMNS if is_whole(entry.get(key))}
    return Sequence(
        id=name,
        coordinates=as_stored(x),
        label=entry["label"],
        **numbers,
        scores=None if scores is None else as_stored(scores),
        splits=tags.get(name, ()),
        image_size=_image_size(entry.get("img_shape")),
    )


def _label(label: Any, classes: tuple[str, ...] | None) -> int | None:
    """A label as the index of its class; it may be the name of one."""
    if isinstance(label, str) and classes is not None:
        if label not in classes:
            raise unknown_name("label", label, classes)
        return classes.index(label)
    if label is not None and not is_whole(label):
        raise InputError(f"'label' is {label!r:.40}, expects a whole number")
    return None if label is None else int(label)


def _key_points(entry: dict[str, Any], channels: int) -> np.ndarray:
    """Coordinates (T, M, V, C) of an annotation."""
    x = entry.get("keypoint")
    if x is None:
        raise InputError("has no 'keypoint' (some files keep the key points apart, in files of their own)")
    if not isinstance(x, np.ndarray) or x.dtype.kind not in "fiu" or x.ndim != 4:
        what = f"{x.dtype} of shape {x.shape}" if isinstance(x, np.ndarray) else type(x).__name__
        raise InputError(f"'keypoint' is {what}, expects numbers of shape (M, T, V, C)")
    if x.shape[3] != channels:
        raise InputError(f"'keypoint' has {x.shape[3]} coordinates per joint, the file's first {channels}")
    frames = entry.get("total_frames")
    if is_whole(frames) and frames != x.shape[1]:
        raise InputError(f"'keypoint' has {x.shape[1]} frames, 'total_frames' says {frames}")
    if 0 in x.shape:
        raise InputError(f"'keypoint' is empty (shape {x.shape}): nobody was found in the clip")
    return np.asarray(x).transpose(1, 0, 2, 3)


def _scores(entry: dict[str, Any], shape: tuple[int, ...]) -> np.ndarray | None:
    scores = entry.get("keypoint_score")
    if scores is None:
        return None
    if not isinstance(scores, np.ndarray) or scores.dtype.kind not in "fiu" or scores.ndim != 3:
        raise InputError("'keypoint_score' is no array of numbers of shape (M, T, V)")
    scores = np.asarray(scores).transpose(1, 0, 2)
    if scores.shape != shape:
        raise InputError(f"'keypoint_score' has (T, M, V) {scores.shape}, 'keypoint' {shape}")
    return scores


def _image_size(size: Any) -> tuple[int, int] | None:
    """(height, width), where the annotation has it."""
    if size is None or (isinstance(size, tuple | list) and not size):
        return None
    if not isinstance(size, tuple | list) or len(size) < 2 or not all(is_whole(n) for n in size[:2]):
        raise InputError(f"'img_shape' is {size!r:.60}, expects (height, width)")
    return int(size[0]), int(size[1])
