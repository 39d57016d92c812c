"""Reader of Penn Action: 13 joints in the plane, 15 actions, 2 326 videos.

``labels/NNNN.mat`` per video: ``x``, ``y`` and ``visibility`` (T, 13), ``action``, ``train`` (1 trains, -1
tests) and ``dimensions`` (rows, columns and frames). A joint that is not visible is absent.

Source: Zhang, Zhu, Derpanis: From actemes to action, ICCV 2013.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from kinelex.data import Sequence
from kinelex.datasets.reader import FilesReader, Item, class_names
from kinelex.errors import InputError, unknown_name
from kinelex.files.mat_file import read_mat, read_mat_texts

CLASSES = tuple(name.replace(" ", "_") for name in class_names("penn_action"))
_JOINTS = 13


def read_clip(path: Path) -> Sequence:
    """Read one clip ``NNNN.mat``; its side of the split is the tag ``split:train`` or ``split:test``."""
    content, texts = read_mat(path), read_mat_texts(path)
    lacking = [name for name in ("x", "y", "visibility", "train") if name not in content]
    if lacking or "action" not in texts:
        names = ", ".join([*lacking, *(["action"] if "action" not in texts else [])])
        raise InputError(f"{path}: expects the variables x, y, visibility, train and action; lacks {names}")
    x, y, seen = (content[name].astype(np.float32) for name in ("x", "y", "visibility"))
    if x.ndim != 2 or x.shape[1] != _JOINTS or not x.shape == y.shape == seen.shape:
        shapes = ", ".join(str(array.shape) for array in (x, y, seen))
        raise InputError(f"{path}: x, y and visibility have shapes {shapes}, expects (T, {_JOINTS})")
    if texts["action"] not in CLASSES:
        raise InputError(f"{path}: {unknown_name('action', texts['action'], CLASSES)}")
    if content["train"].size != 1:
        raise InputError(f"{path}: 'train' has {content['train'].size} numbers, expects 1 or -1")
    trains = bool(content["train"].ravel()[0] > 0)
    there = (seen > 0)[..., None]
    return Sequence(
        id=path.stem,
        coordinates=np.where(there, np.stack([x, y], axis=-1), np.float32(0))[:, None],
        label=CLASSES.index(texts["action"]),
        scores=(seen > 0).astype(np.float32)[:, None],
        splits=(f"split:{'train' if trains else 'test'}",),
        image_size=_size(content),
    )


def _size(content: dict[str, np.ndarray]) -> tuple[int, int] | None:
    sides = content.get("dimensions", np.zeros(0)).ravel()[:2]
    return (int(sides[0]), int(sides[1])) if len(sides) == 2 and (sides > 0).all() else None


class PennActionReader(FilesReader):
    """The label files under a folder."""

    dataset = "penn_action"
    expected = "the files labels/NNNN.mat"
    layout = "penn13"
    pattern = "[0-9]*.mat"
    units = "pixels"

    def read(self, item: Item) -> Iterator[Sequence]:
        yield read_clip(item.path)
