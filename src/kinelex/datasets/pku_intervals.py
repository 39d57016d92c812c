"""Where the clips of PKU-MMD lie in their videos, by the label files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from kinelex.datasets.formats.numbers import read_lines
from kinelex.datasets.pku import (
    Pku1Reader,
    Pku2Reader,
    _Clip,
    _cut,
    _parse_label,
    _read_frames,
    parse_prompt_key,
)
from kinelex.errors import InputError


@dataclass(frozen=True)
class Interval:
    """A part of a video.

    Args:
        start: its first frame, from 0.
        end: the frame after its last.
        total: how many frames the skeletons of the whole video have; None where their file is not there.
    """

    start: int
    end: int
    total: int | None


class PkuIntervals:
    """Finds the intervals of clips by their ids.

    Args:
        folders: where the label files (and the skeletons, which tell how many frames a video has) are
            searched, with all folders in them; the first that has those of a video is taken. A folder that
            is not there is passed over.
    """

    def __init__(self, folders: Iterable[str | Path]) -> None:
        self._folders = tuple(dict.fromkeys(Path(folder) for folder in folders))
        self._labels: dict[str, Path] = {}
        self._skeletons: dict[str, Path] = {}
        for folder in self._folders:
            for reader in (Pku1Reader(folder), Pku2Reader(folder)) if folder.is_dir() else ():
                for item in reader.items():
                    labels = item.part.labels
                    if labels is not None:
                        self._labels.setdefault(item.path.stem, labels)
                    if labels != item.path:  # else the skeletons are not there
                        self._skeletons.setdefault(item.path.stem, item.path)

    def find(self, clip: str) -> Interval:
        """The interval of a clip."""
        key = parse_prompt_key(clip)
        path = self._labels.get(key.video)
        if path is None:
            searched = " or ".join(map(str, self._folders))
            raise InputError(
                f"{clip}: where it begins in the video {key.video} stands in label/{key.video}.txt, which "
                f"is not in {searched}: put the data set's folder of labels beside the videos"
            )
        lines = _label_lines(path)
        if key.line > len(lines):
            raise InputError(f"{clip}: {path} has {len(lines)} clips, expects line {key.line}")
        at, line = lines[key.line - 1]
        found = _parse_label(line, key.line, f"{path}: line {at}")
        if found.label != key.label:
            raise InputError(
                f"{path}: line {at} has class {found.label + 1}, the clip {clip} has {key.label + 1}: "
                "expects the label files that the store was made from"
            )
        skeletons = self._skeletons.get(key.video)
        return Interval(found.start - 1, found.end, None if skeletons is None else _count(skeletons))

    def recording(self, video: str) -> tuple[np.ndarray, list[tuple[int, int, int]]]:
        """A whole video: its skeletons, and class, first frame and the one after the last of its events.

        Args:
            video: its name, for example ``0002-L``.

        Shape:
            - returns: (T, M, 25, 3), metres

        Raises:
            InputError: no skeletons or labels of this video, or damaged ones.
        """
        if video not in self._labels or video not in self._skeletons:
            searched = " or ".join(map(str, self._folders))
            raise InputError(
                f"expects skeleton/{video}.txt and label/{video}.txt in {searched}: pass the folder that the "
                "data set was prepared from"
            )
        path, frames = self._labels[video], _read_frames(self._skeletons[video])
        found = []
        for number, (at, line) in enumerate(_label_lines(path), start=1):
            clip = _parse_label(line, number, f"{path}: line {at}")
            if not 1 <= clip.start <= clip.end <= len(frames.lines):
                raise InputError(f"{path}: line {at}: frames {clip.start} to {clip.end} are not in the video")
            found.append((clip.label, clip.start - 1, clip.end))
        if not found:
            raise InputError(f"{path}: names no clip")
        return _cut(frames, _Clip(0, 0, 1, len(frames.lines))), found


def _label_lines(path: Path) -> list[tuple[int, bytes]]:
    """The lines that name clips, with their numbers in the file."""
    return [(at, line) for at, line in enumerate(_lines(path), start=1) if line.strip()]


@lru_cache(maxsize=8)
def _lines(path: Path) -> list[bytes]:
    return read_lines(path)[0]


@lru_cache(maxsize=8)
def _count(path: Path) -> int:
    return len(read_lines(path)[0])
