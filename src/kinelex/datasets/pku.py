"""Readers of PKU-MMD, phases I and II: long videos cut at their label lines, 25 joints of Kinect v2.

Two files per video: ``skeleton/<video>.txt`` has one line per frame with 150 numbers (2 persons x 25 joints
x 3, metres, an absent person all zeros), ``label/<video>.txt`` one line ``class,start,end,confidence`` per
clip. Frames count from 1 and the end is part of the clip, as in the preparation whose naming the keys of
the C2VL texts have; other published ones take the rows ``start:end`` instead, the first frame less.

Source: Liu, Hu, Li, Song, Liu: PKU-MMD: A large scale benchmark for continuous multi-modal human action
understanding, ACM Multimedia workshops 2017.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from kinelex.data import Sequence
from kinelex.datasets import reader
from kinelex.datasets.formats.numbers import parse_numbers, read_lines, split_line
from kinelex.datasets.pku_names import (
    NUM_CLASSES,
    PromptKey,
    Video,
    clip_id,
    parse_prompt_key,
    parse_video,
    read_tags,
)
from kinelex.datasets.reader import FilesReader, Item, Skipped
from kinelex.errors import InputError
from kinelex.files.walk import files_under

__all__ = ["Pku1Reader", "Pku2Reader", "PromptKey", "class_names", "clip_id", "parse_prompt_key"]

_PERSONS, _JOINTS = 2, 25
_FPS = 30.0
_FIELDS = _PERSONS * _JOINTS * 3
_WHOLE = re.compile(rb"\s*[0-9]{1,9}\s*")
_KINDS = {"skel": "skeleton", "label": "label"}  # what a folder's name has in it: what its files are


def class_names() -> tuple[str, ...]:
    """The 51 classes, in the order of their numbers."""
    return reader.class_names("pku_mmd")


@dataclass(frozen=True)
class _Part:
    """What an item needs beside the skeleton file: the labels, and the tags of the video."""

    labels: Path | None
    splits: tuple[str, ...]


@dataclass(frozen=True)
class _Clip:
    """A label line: its number among the lines, the class from 0, the frames from 1, the end included."""

    number: int
    label: int
    start: int
    end: int


@dataclass(frozen=True)
class _Frames:
    """The lines of a skeleton file, as far as they can be counted.

    Args:
        path: the file.
        lines: one line per frame.
        whole: this many lines at the beginning have 150 numbers; after another line the frames can no
            longer be counted.
        reason: what is wrong with the first line after them; empty when all are whole.
    """

    path: Path
    lines: list[bytes]
    whole: int
    reason: str


def _read_frames(path: Path) -> _Frames:
    lines, ended = read_lines(path)
    for number, line in enumerate(lines, start=1):
        where = f"{path}: line {number}"
        try:
            split_line(line, False, _FIELDS, where)
        except InputError as error:
            return _Frames(path, lines, number - 1, str(error))
    if not ended:
        reason = f"{path}: line {len(lines)}: has no end of line; the file is truncated"
        return _Frames(path, lines, len(lines) - 1, reason)
    return _Frames(path, lines, len(lines), "")


def _cut(frames: _Frames, clip: _Clip) -> np.ndarray:
    """The frames of a clip (T, M, 25, 3): the second person only if it ever appears."""
    if clip.start < 1 or clip.end < clip.start or clip.end > len(frames.lines):
        raise InputError(
            f"frames {clip.start} to {clip.end} are not in the video, expects a part of frames 1 to "
            f"{len(frames.lines)}"
        )
    if clip.end > frames.whole:
        raise InputError(f"frames {clip.start} to {clip.end} cannot be counted: {frames.reason}")
    rows = []
    for number in range(clip.start, clip.end + 1):
        fields = frames.lines[number - 1].split()
        rows.append(parse_numbers(fields, f"{frames.path}: line {number}"))
    x = np.array(rows, dtype=np.float32).reshape(-1, _PERSONS, _JOINTS, 3)
    present = x.any(axis=(0, 2, 3))
    return np.ascontiguousarray(x[:, present]) if present.any() else x[:, :1]


def _parse_label(line: bytes, number: int, where: str) -> _Clip:
    """A line ``class,start,end,confidence``; without all four its last number may have lost digits."""
    fields = line.split(b",")
    if len(fields) != 4 or not all(_WHOLE.fullmatch(field) for field in fields[:3]) or not fields[3].strip():
        shown = line[:40].decode("ascii", errors="backslashreplace")
        raise InputError(f"{where}: is {shown!r}, expects class,start,end,confidence in whole numbers")
    parse_numbers([fields[3]], where)
    label, start, end = (int(field) for field in fields[:3])
    if not 1 <= label <= NUM_CLASSES:
        raise InputError(f"{where}: class {label} is out of range, expects 1 to {NUM_CLASSES}")
    return _Clip(number, label - 1, start, end)


def _read_video(path: Path, part: _Part, video: Video) -> Iterator[Sequence | Skipped]:
    """The clips of a video; a label line that names none is skipped, the others stay."""
    if part.labels is None:
        raise InputError(f"{path}: has no label file, expects label/{path.name} beside the skeletons")
    frames = _read_frames(path)
    number = 0
    for at, line in enumerate(read_lines(part.labels)[0], start=1):
        if not line.strip():
            continue
        number += 1
        where = f"{part.labels}: line {at}"
        try:
            clip = _parse_label(line, number, where)
            try:
                coordinates = _cut(frames, clip)
                name = clip_id(video.name, clip.label, clip.number)
                if not coordinates.any():
                    raise InputError(f"frames {clip.start} to {clip.end} have no body (all are 0)")
            except InputError as error:
                raise InputError(f"{where}: {error}") from error
        except InputError as error:
            yield Skipped(part.labels, str(error))
            continue
        yield Sequence(
            id=name,
            coordinates=coordinates,
            label=clip.label,
            subject=video.subject,
            camera=video.view,
            setup=video.group,
            replication=clip.number,
            splits=part.splits,
            fps=_FPS,
        )


class _PkuReader(FilesReader):
    """What the two phases share.

    Args:
        source: the folder with the folders of skeletons and labels, and the lists of the splits.
    """

    phase: ClassVar[int]
    layout = "ntu25"

    @classmethod
    def class_names(cls) -> tuple[str, ...]:
        return class_names()

    def prepared(self) -> dict[str, Any]:
        return {"frames": "from 1, the end included"}

    def items(self) -> list[Item]:
        texts = files_under(self.source, "*.txt")
        labels: dict[str, Path] = {}
        for path in (t for t in texts if self._kind(t) == "label"):
            if path.stem in labels:
                raise InputError(f"{path} and {labels[path.stem]} label one video: keep one of them")
            labels[path.stem] = path
        tags = read_tags(texts, self.phase)
        found = [t for t in texts if self._kind(t) == "skeleton" and not self._of_other_phase(t)]
        missing = [labels[s] for s in sorted(set(labels) - {t.stem for t in found}) if self._is_video(s)]
        items = [Item(t, _Part(labels.get(t.stem), tags.get(t.stem, ()))) for t in [*found, *missing]]
        return sorted(items, key=lambda item: (item.path.stem, str(item.path)))

    def files(self, item: Item) -> tuple[Path, ...]:
        labels = item.part.labels
        return (item.path,) if labels is None else (item.path, labels)

    def read(self, item: Item) -> Iterator[Sequence | Skipped]:
        video = parse_video(item.path.stem)
        if video is None:
            raise InputError(f"{item.path}: the name does not parse, expects {self.expected}")
        if self._kind(item.path) == "label":
            raise InputError(f"{item.path}: has no skeletons, expects skeleton/{item.path.name} beside it")
        yield from _read_video(item.path, item.part, video)

    def _kind(self, path: Path) -> str | None:
        """Whether a file holds skeletons or labels, by the innermost folder whose name tells it."""
        for folder in reversed(path.relative_to(self.source.parent).parent.parts):
            for sign, kind in _KINDS.items():
                if sign in folder.lower():
                    return kind
        return None

    def _is_video(self, name: str) -> bool:
        video = parse_video(name)
        return video is not None and video.phase == self.phase

    def _of_other_phase(self, path: Path) -> bool:
        return parse_video(path.stem) is not None and not self._is_video(path.stem)


class Pku1Reader(_PkuReader):
    """Reader of PKU-MMD phase I, videos ``0002-L`` and the like."""

    dataset = "pku1"
    expected = "the files skeleton/0002-L.txt, ... and label/0002-L.txt, ..."
    phase = 1


class Pku2Reader(_PkuReader):
    """Reader of PKU-MMD phase II, videos ``A01N01-L`` and the like."""

    dataset = "pku2"
    expected = "the files skeleton/A01N01-L.txt, ... and label/A01N01-L.txt, ..."
    phase = 2
