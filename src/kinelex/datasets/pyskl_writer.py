"""Writes the pickles that pyskl and MMAction2 read, clip by clip."""

from __future__ import annotations

import pickle
from typing import Any, BinaryIO

import numpy as np

from kinelex.data import SkeletonStore
from kinelex.data.splits.split import get_split, protocol_parts
from kinelex.datasets.formats.conventions import Note
from kinelex.datasets.pyskl import NOTE
from kinelex.progress import Update


def write_pyskl(
    file: BinaryIO, store: SkeletonStore, splits: dict[str, list[str]], note: Note, update: Update
) -> None:
    """Write the pickle; only one clip is in memory at a time."""
    file.write(b"\x80\x03}(")  # protocol 3; an empty dict; its pairs follow
    for key, value in ((NOTE, note.to_json()), ("split", splits)):
        file.write(_embedded(key) + _embedded(value))
    file.write(_embedded("annotations") + b"]")
    for row in range(len(store)):
        file.write(_embedded(_annotation(store, row)) + b"a")  # append to the list
        update(row + 1, len(store))
    file.write(b"u.")  # the pairs into the dict; end


def plain_name(protocol: str) -> str:
    """A protocol's name without colons, which divide protocol from part in tags."""
    return protocol.replace(":", "_")


def _embedded(value: Any) -> bytes:
    """A value as a piece of a pickle of protocol 3, which older Pythons and numpys read too."""
    piece = pickle.dumps(value, protocol=3)[2:-1]  # without its first two bytes and the end mark
    return piece.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n", 1)  # numpy 1 knows this


def pyskl_splits(store: SkeletonStore, protocol: str | None) -> dict[str, list[str]]:
    """Split names as pyskl has them: ``xsub_train`` and ``xsub_val``, and tags that are no protocol's."""
    if protocol is None:
        parts = {name: p for name, p in protocol_parts(store).items() if all(len(rows) for rows in p)}
    else:
        split = get_split(store, protocol)
        parts = {protocol: (split.train, split.test)}
    tagged: dict[str, list[str]] = {}
    for clip, tags in zip(store.ids, store.splits, strict=True):
        for tag in tags:
            if tag.rpartition(":")[2] not in ("train", "test"):
                tagged.setdefault(plain_name(tag), []).append(clip)
    found = {}
    for name, (train, test) in parts.items():
        plain = plain_name(name)
        tests = f"{plain}_test" if f"{plain}_val" in tagged else f"{plain}_val"
        found[f"{plain}_train"] = [store.ids[row] for row in train]
        found[tests] = [store.ids[row] for row in test]
    return {**found, **tagged}


def _annotation(store: SkeletonStore, row: int) -> dict[str, Any]:
    x = store.sequence(row)
    entry: dict[str, Any] = {"frame_dir": store.ids[row], "total_frames": len(x)}
    if store.labels[row] >= 0:
        entry["label"] = int(store.labels[row])
    columns = (store.subjects, store.cameras, store.setups, store.replications)
    for key, column in zip(("subject", "camera", "setup", "replication"), columns, strict=True):
        if column[row] >= 0:
            entry[key] = int(column[row])
    size, scores = store.image_size(row), store.scores(row)
    if size is not None:
        entry |= {"img_shape": tuple(size), "original_shape": tuple(size)}
    entry["keypoint"] = np.ascontiguousarray(x.transpose(1, 0, 2, 3))  # (M, T, V, C)
    if scores is not None:
        entry["keypoint_score"] = np.ascontiguousarray(scores.transpose(1, 0, 2))
    return entry
