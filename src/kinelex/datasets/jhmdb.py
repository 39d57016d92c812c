"""Reader of JHMDB: 15 joints of a puppet in the plane, 21 actions, 928 clips.

``joint_positions/CLASS/VIDEO/joint_positions.mat`` holds ``pos_img`` (2, 15, T) in pixels of pictures of 320
by 240; ``splits/CLASS_test_splitK.txt`` says with 1 and 2 which videos train and test in each of three
splits.

Source: Jhuang, Gall, Zuffi, Schmid, Black: Towards understanding action recognition, ICCV 2013.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np

from kinelex.data import Sequence
from kinelex.datasets.formats.numbers import read_lines
from kinelex.datasets.reader import FilesReader, Item, class_names
from kinelex.errors import InputError
from kinelex.files.mat_file import read_mat_frames
from kinelex.files.walk import files_under

CLASSES = tuple(name.replace(" ", "_") for name in class_names("jhmdb"))
IMAGE_SIZE = (240, 320)
_FILE, _VARIABLE = "joint_positions.mat", "pos_img"
_SPLIT = re.compile(r"(?P<action>\w+)_test_split(?P<number>[123])")
_PARTS = {b"1": "train", b"2": "test"}
_JOINTS, _FPS = 15, 30.0


class JhmdbReader(FilesReader):
    """Reader of JHMDB.

    Args:
        source: the folder that holds joint_positions and splits.
    """

    dataset = "jhmdb"
    expected = f"the files joint_positions/CLASS/VIDEO/{_FILE}, and splits/CLASS_test_splitK.txt"
    layout = "jhmdb15"
    pattern = _FILE
    units = "pixels"

    def files(self, item: Item) -> tuple[Path, ...]:
        return (item.path, *(path for path in self._lists if self._action(item.path) in path.name))

    def read(self, item: Item) -> Iterator[Sequence]:
        action, video = self._action(item.path), item.path.parent.name
        if action not in CLASSES:
            raise InputError(f"{item.path}: the folder {action!r} is no class, expects {', '.join(CLASSES)}")
        x = read_mat_frames(item.path, _VARIABLE, (2, _JOINTS))
        yield Sequence(
            id=f"{action}/{video}",
            coordinates=np.ascontiguousarray(x.transpose(2, 1, 0), dtype=np.float32)[:, None],
            label=CLASSES.index(action),
            splits=tuple(self._tags[action, video]),
            image_size=IMAGE_SIZE,
            fps=_FPS,
        )

    @staticmethod
    def _action(path: Path) -> str:
        return path.absolute().parent.parent.name

    @cached_property
    def _lists(self) -> list[Path]:
        return [path for path in files_under(self.source, "*.txt") if _SPLIT.fullmatch(path.stem)]

    @cached_property
    def _tags(self) -> dict[tuple[str, str], list[str]]:
        """For each class and video the splits that it is in, such as ``split1:train``."""
        found: dict[tuple[str, str], list[str]] = defaultdict(list)
        for path in self._lists:
            match = _SPLIT.fullmatch(path.stem)
            lines, _ = read_lines(path)
            for number, line in enumerate(lines, start=1):
                words = line.split()
                if not words:
                    continue
                if match is None or len(words) != 2 or words[1] not in (*_PARTS, b"0"):
                    raise InputError(f"{path}: line {number}: expects VIDEO.avi and 1 (train) or 2 (test)")
                if words[1] in _PARTS:
                    video = words[0].decode("utf-8", errors="backslashreplace").removesuffix(".avi")
                    found[match["action"], video].append(f"split{match['number']}:{_PARTS[words[1]]}")
        return found
