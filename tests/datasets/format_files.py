"""Files in the formats in circulation with known content, and the check that damage never surprises."""

import math
import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from kinelex.data import Sequence, SkeletonStore, open_store
from kinelex.datasets.making.parts import read_item
from kinelex.datasets.reader import Reader
from kinelex.datasets.registry import find_items
from kinelex.errors import InputError


def drawn_clip(
    seed: int, frames: int = 4, persons: int = 1, joints: int = 25, channels: int = 3
) -> np.ndarray:
    """A clip (T, M, V, C) without a zero in it."""
    x = np.random.default_rng(seed).uniform(0.5, 2, (frames, persons, joints, channels))
    return x.astype(np.float32)


def padded(clips: list[np.ndarray], frames: int, persons: int = 2) -> np.ndarray:
    """Clips as (N, T, M, V, C), zeros behind their ends and for absent persons."""
    x = np.zeros((len(clips), frames, persons, *clips[0].shape[2:]), np.float32)
    for row, clip in enumerate(clips):
        x[row, : len(clip), : clip.shape[1]] = clip
    return x


def write_npz(
    path: Path, parts: dict[str, tuple[np.ndarray, list[int]]], classes: int = 3, **more: Any
) -> Path:
    """CTR-GCN's file from padded clips (N, T, M, V, C) and labels per part."""
    arrays = {}
    for part, (x, labels) in parts.items():
        arrays[f"x_{part}"] = x.reshape(*x.shape[:2], math.prod(x.shape[2:]))
        arrays[f"y_{part}"] = np.eye(classes)[np.array(labels, int)]
    save = np.savez_compressed if more.pop("compressed", False) else np.savez
    save(path, **{**arrays, **more})
    return path


def write_npy(
    folder: Path, part: str, x: np.ndarray, names: list[str], labels: list[int], **more: Any
) -> Path:
    """One part of a folder of arrays from padded clips (N, T, M, V, C); gives the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / f"{part}_{more.get('data', 'position')}.npy", x.transpose(0, 4, 1, 3, 2))
    (folder / f"{part}_label.pkl").write_bytes(pickle.dumps((names, labels), protocol=2))
    if "frames" in more:
        np.save(folder / f"{part}_num_frame.npy", np.array(more["frames"]))
    return folder


def content(store: SkeletonStore | Path) -> dict[str, tuple[Any, ...]]:
    """Coordinates, label and splits of every clip of a store, by id."""
    opened = store if isinstance(store, SkeletonStore) else open_store(store)
    rows = enumerate(zip(opened.ids, opened.labels, opened.splits, strict=True))
    return {
        name: (opened.sequence(i).tolist(), int(label), tuple(sorted(tags)))
        for i, (name, label, tags) in rows
    }


def clips_of(make: Callable[[Path], Reader], source: Path) -> dict[str, Sequence] | None:
    """What a reader gives for a source: clips by id; None where it refuses all. Other errors pass."""
    try:
        reader = make(source)
        items, meta = find_items(reader), reader.meta()
        found = [one for item in items for _, one in read_item(reader, meta, item)]
    except InputError:
        return None
    return {clip.id: clip for clip in found if isinstance(clip, Sequence)}


def spoilt(content: bytes, cut: float, at: float, value: int) -> bytes:
    """Content truncated (``cut`` below 1) and with one byte replaced (``value`` from 0 to 255)."""
    kept = bytearray(content[: round(cut * len(content))])
    if kept and value >= 0:
        kept[int(at * (len(kept) - 1))] = value
    return bytes(kept)


def only_true_clips(
    make: Callable[[Path], Reader],
    name: str,
    damaged: bytes,
    true: dict[str, Sequence],
    beside: dict[str, bytes],
) -> None:
    """A damaged file gives an InputError, a skip, or exactly the true clips; anything else fails."""
    with tempfile.TemporaryDirectory() as folder:
        for other, text in beside.items():
            (Path(folder) / other).write_bytes(text)
        path = Path(folder) / name
        path.write_bytes(damaged)
        found = clips_of(make, path.parent if beside else path) or {}
        for clip, sequence in found.items():
            assert clip in true, f"a clip of its own: {clip}"
            np.testing.assert_array_equal(sequence.coordinates, true[clip].coordinates)
            assert sequence.label == true[clip].label
