"""Reader of Text2Action: upper bodies of people in videos, with several human sentences for each clip.

``pose/data_NNNN.mat`` has ``pred_vector`` (24, 32): for 32 frames the place of the neck, and seven directions
of length 1: from the neck to the head and to each shoulder, from there to the elbow, and on to the wrist. x
points forward, y to the left, z up. ``script/script_NNNN.txt`` has a sentence per line. Which numbers are
which, and in what unit the place is, is not said: this is our reading, and bones get the lengths
of an adult.

Source: Ahn, Ha, Choi, Yoo, Oh: Text2Action: Generative adversarial synthesis from language to action, ICRA
2018, arXiv 1710.05298; the videos are those of MSR-VTT.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np

from kinelex.data import Sequence
from kinelex.datasets.formats.numbers import read_lines
from kinelex.datasets.reader import FilesReader, Item, Skipped, parse_name
from kinelex.errors import InputError
from kinelex.files.mat_file import read_mat_frames

_NAME = re.compile(r"data_(?P<number>\d+)")
_TRUNK = 0.5  # metres; the unit in which the neck's place is read
# Joint, the joint that its direction starts at, and metres between them; the neck itself comes first.
_BONES = (
    ("head", 0, 0.20),
    ("right_shoulder", 0, 0.20),
    ("right_elbow", 2, 0.29),
    ("right_wrist", 3, 0.25),
    ("left_shoulder", 0, 0.20),
    ("left_elbow", 5, 0.29),
    ("left_wrist", 6, 0.25),
)
_TEST_SHARE = 5  # one caption set in five tests


def positions(numbers: np.ndarray) -> np.ndarray:
    """Places of the joints, in metres, from the place of the neck and the directions.

    Shape:
        - numbers: (8, 3, T); returns: (T, 8, 3)

    >>> up = np.zeros((8, 3, 1))
    >>> up[:, 2] = 1
    >>> positions(up)[0, :4, 2].tolist()
    [0.5, 0.7, 0.7, 0.99]
    """
    places = [_TRUNK * numbers[0]]
    for (_, start, length), direction in zip(_BONES, numbers[1:], strict=True):
        places.append(places[start] + length * direction)
    return np.stack(places).transpose(2, 0, 1)


class Text2ActionReader(FilesReader):
    """Reader of Text2Action.

    A clip's ``caption`` has its sentences, one a line. Clips with the same sentences are cut from one video:
    they have one ``subject``, so that no fold divides them, and are on one side of the protocol ``captions``.

    Args:
        source: the folder that holds pose/ and script/.
    """

    dataset = "text2action"
    expected = "the files pose/data_NNNN.mat and script/script_NNNN.txt"
    layout = "text2action8"
    pattern = "pose/data_*.mat"

    @classmethod
    def class_names(cls) -> tuple[str, ...]:
        return ()

    def files(self, item: Item) -> tuple[Path, ...]:
        return (item.path, self._script(item.path))

    def read(self, item: Item) -> Iterator[Sequence | Skipped]:
        parse_name(item.path, _NAME, "data_NNNN.mat, for example data_0003.mat")
        script = self._script(item.path)
        if not script.is_file():
            raise InputError(f"{item.path}: its sentences are not there, expects {script}")
        sentences = read_sentences(script)
        numbers = read_mat_frames(item.path, "pred_vector", (24,)).reshape(8, 3, -1)
        directions = np.linalg.norm(numbers[1:], axis=1)
        if not np.allclose(directions, 1, atol=0.01):
            raise InputError(f"{item.path}: expects directions of length 1, got {directions.max():.3g}")
        digest = hashlib.sha256("\n".join(sorted(set(sentences))).encode()).hexdigest()
        part = "test" if int(digest, 16) % _TEST_SHARE == 0 else "train"
        yield Sequence(
            id=item.path.stem,
            coordinates=positions(numbers).astype(np.float32)[:, None],
            label=None,
            subject=self._sets[digest],
            splits=(f"captions:{part}",),
            caption="\n".join(sentences),
        )

    @staticmethod
    def _script(path: Path) -> Path:
        return path.parent.parent / "script" / f"{path.stem.replace('data', 'script')}.txt"

    @cached_property
    def _sets(self) -> dict[str, int]:
        """The number of each set of sentences, from 1, in the order of the clips."""
        found: dict[str, int] = {}
        for item in self.items():
            script = self._script(item.path)
            if script.is_file():
                text = "\n".join(sorted(set(read_sentences(script))))
                found.setdefault(hashlib.sha256(text.encode()).hexdigest(), len(found) + 1)
        return found


def read_sentences(path: Path) -> list[str]:
    """The sentences of a file, one a line."""
    lines, _ = read_lines(path)
    found = [text for line in lines if (text := line.decode("utf-8", errors="replace").strip())]
    if not found:
        raise InputError(f"{path}: has no sentence")
    return found
