"""``kinelex export-data``: a store in the formats that other people's code reads, written clip by clip.

The files say in a note of a few hundred bytes which layout, classes and unit they have, for ``kinelex
prepare``.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from kinelex.data import SkeletonStore, open_store
from kinelex.data.splits.split import Split, get_split, protocol_names
from kinelex.datasets.describe import grouped
from kinelex.datasets.formats.conventions import Note
from kinelex.datasets.npy import NOTE_FILE
from kinelex.datasets.pyskl_writer import plain_name, pyskl_splits, write_pyskl
from kinelex.errors import InputError, unknown_name
from kinelex.files.atomic import check_target, spare_stores, whole_file, whole_folder
from kinelex.files.lock import sole_writer
from kinelex.progress import Update, progress_bar

_LEAST_PERSONS = 2  # the feeders of both padded formats expect two


@dataclass(frozen=True)
class ExportSummary:
    """What :func:`export_data` wrote.

    Args:
        out: the file or folder.
        clips: number of clips in it.
        left_out: clips of the store that are in neither part of the protocol.
        cut: clips that were longer than ``frames`` and lost their end.

    >>> print(ExportSummary(Path("ntu.npz"), 56578, 0, 12))
    56 578 clips in ntu.npz, 12 cut to the frames asked for
    """

    out: Path
    clips: int
    left_out: int
    cut: int

    def __str__(self) -> str:
        text = f"{grouped(self.clips)} clips in {self.out}"
        if self.left_out:
            text += f", {grouped(self.left_out)} left out that are in no part of the protocol"
        return text + (f", {grouped(self.cut)} cut to the frames asked for" if self.cut else "")


def export_data(
    store: SkeletonStore | Path,
    to: str,
    out: Path,
    protocol: str | None = None,
    frames: int | None = None,
    progress: bool = True,
) -> ExportSummary:
    """Write a store in a format that other people's code reads.

    Coordinates, labels, ids and splits are kept; ``pyskl`` keeps scores, image sizes, subjects and cameras
    too. Captions and image coordinates stay behind.

    Args:
        to: ``ctrgcn_npz``, ``pyskl`` or ``npy`` (a folder).
        out: the file or folder to make; a file that is there is replaced when the new one is whole.
        protocol: which clips train and which test. The padded formats hold one protocol, by default the
            store's first; ``pyskl`` holds all of the store's, or this one.
        frames: length of the padded clips; longer ones lose their end. By default that of the longest.

    >>> import tempfile
    >>> from kinelex.datasets import prepare
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = prepare("actors", None, folder / "a.arrow", progress=False, clips=48)
    >>> summary = export_data(folder / "a.arrow", "pyskl", folder / "a.pkl", progress=False)
    >>> summary.clips, summary.left_out, summary.cut
    (48, 0, 0)
    """
    writers: dict[str, Callable[..., None]] = {"ctrgcn_npz": _npz, "npy": _npy}
    if to not in (*writers, "pyskl"):
        raise unknown_name("format", to, (*writers, "pyskl"))
    store, out = store if isinstance(store, SkeletonStore) else open_store(store), Path(out)
    try:
        with sole_writer(out), progress_bar(f"export {to}", progress) as update:
            if to == "pyskl":
                return _to_pyskl(store, out, protocol, frames, update)
            return _to_padded(store, out, protocol, frames, writers[to], update)
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error}") from error


def _note(store: SkeletonStore, persons: int, protocol: str) -> Note:
    names, layout = tuple(store.class_names), store.layout.to_yaml()
    return Note(layout, names, store.meta.units, persons, store.channels, plain_name(protocol))


@dataclass(frozen=True)
class _Padded:
    """One side of a protocol as padded rows."""

    store: SkeletonStore
    rows: np.ndarray
    frames: int
    persons: int

    @property
    def num_frame(self) -> np.ndarray:
        """Own frames per clip, (N,)."""
        return np.minimum(self.store.lengths[self.rows], self.frames)

    def clips(self, update: Callable[[], None]) -> Iterator[np.ndarray]:
        """Each clip (T, M, V, C), zeros behind its end and for absent persons; the same array every time."""
        padded = np.zeros((self.frames, self.persons, *self.store.sequence(0).shape[2:]), np.float32)
        for row in self.rows:
            clip = self.store.sequence(int(row))[: self.frames]
            padded[:] = 0
            padded[: len(clip), : clip.shape[1]] = clip
            yield padded
            update()


def _to_padded(
    store: SkeletonStore,
    out: Path,
    protocol: str | None,
    frames: int | None,
    write: Callable[..., None],
    update: Update,
) -> ExportSummary:
    split = _split(store, protocol)
    chosen = np.concatenate([split.train, split.test])
    unlabelled = int((store.labels[chosen] < 0).sum())
    if unlabelled:
        raise InputError(f"{unlabelled} clips have no label, which this format cannot say: use --to pyskl")
    if frames is not None and frames < 1:
        raise InputError(f"--frames {frames}: expects at least 1")
    length = frames or int(store.lengths[chosen].max())
    persons = max(_LEAST_PERSONS, int(store.persons[chosen].max()))
    sides = [_Padded(store, rows, length, persons) for rows in (split.train, split.test)]
    done = iter(range(1, len(chosen) + 1))
    write(out, sides, _note(store, persons, split.name), lambda: update(next(done), len(chosen)))
    cut = int((store.lengths[chosen] > length).sum())
    return ExportSummary(out, len(chosen), len(store) - len(chosen), cut)


def _split(store: SkeletonStore, protocol: str | None) -> Split:
    if protocol is None:
        names = protocol_names(store)
        if not names:
            raise InputError(f"{store.path} has no protocol of its own: pass --protocol, e.g. random:0.8:0")
        protocol = names[0]
    return get_split(store, protocol)


def _npz(out: Path, sides: list[_Padded], note: Note, update: Callable[[], None]) -> None:
    check_target(out)
    spare_stores(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(out) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, side in zip(("train", "test"), sides, strict=True):
            joints, channels = side.store.layout.num_joints, side.store.channels
            shape = (len(side.rows), side.frames, side.persons * joints * channels)
            with archive.open(f"x_{name}.npy", "w", force_zip64=True) as member:
                _header(member, shape)
                for clip in side.clips(update):
                    member.write(clip.tobytes())
            labels = side.store.labels[side.rows]
            _member(archive, f"y_{name}", np.eye(len(note.class_names), dtype=np.float32)[labels])
            _member(archive, f"id_{name}", np.array([side.store.ids[row] for row in side.rows]))
            _member(archive, f"num_frame_{name}", side.num_frame)
        _member(archive, "kinelex", np.array(note.to_json()))


def _member(archive: zipfile.ZipFile, name: str, array: np.ndarray) -> None:
    with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
        np.lib.format.write_array(member, array, allow_pickle=False)


def _header(file: IO[bytes], shape: tuple[int, ...]) -> None:
    about = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, about)


def _npy(out: Path, sides: list[_Padded], note: Note, update: Callable[[], None]) -> None:
    with whole_folder(out) as folder:
        for name, side in zip(("train", "val"), sides, strict=True):
            joints, channels = side.store.layout.num_joints, side.store.channels
            with open(folder / f"{name}_position.npy", "wb") as file:
                _header(file, (len(side.rows), channels, side.frames, joints, side.persons))
                for clip in side.clips(update):
                    file.write(clip.transpose(3, 0, 2, 1).tobytes())  # (C, T, V, M)
            ids = [side.store.ids[row] for row in side.rows]
            labels = (ids, side.store.labels[side.rows].tolist())
            (folder / f"{name}_label.pkl").write_bytes(pickle.dumps(labels, protocol=4))
            np.save(folder / f"{name}_num_frame.npy", side.num_frame)
        (folder / NOTE_FILE).write_text(note.to_json() + "\n", encoding="utf-8")


def _to_pyskl(
    store: SkeletonStore, out: Path, protocol: str | None, frames: int | None, update: Update
) -> ExportSummary:
    if frames is not None:
        raise InputError("--frames is for padded formats; pyskl keeps every clip at its own length")
    check_target(out)
    spare_stores(out)
    splits = pyskl_splits(store, protocol)
    out.parent.mkdir(parents=True, exist_ok=True)
    note = _note(store, int(store.persons.max()), protocol or "given")
    with whole_file(out) as file:
        write_pyskl(file, store, splits, note, update)
    return ExportSummary(out, len(store), 0, 0)
