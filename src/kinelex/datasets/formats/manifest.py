"""The manifest of a folder of clips: one row per clip, ``manifest.csv``."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kinelex.datasets.formats.conventions import MAX_CLASSES, split_tags
from kinelex.errors import InputError, unknown_name
from kinelex.files.walk import walk

MANIFEST = "manifest.csv"
_COLUMNS = ("file", "label", "id", "subject", "camera", "split", "caption", "frames", "start", "end", "fps")
_PARTS = ("train", "val", "test")  # folders above those of the classes
_MOMENT = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*(s?)")
_NUMBER = re.compile(r"[+-]?\d+([.]\d*)?|nan", re.IGNORECASE)


@dataclass(frozen=True)
class Moment:
    """A place in a file: frames from 0, or seconds. A clip begins at its start and ends before its end."""

    value: float
    in_seconds: bool

    def frame(self, fps: float | None) -> int:
        """The number of the frame."""
        if not self.in_seconds:
            return int(self.value)
        if fps is None:
            rate = "no rate is known: add a column fps, or pass --fps"
            raise InputError(f"start or end is in seconds, but {rate}")
        return round(self.value * fps)


@dataclass(frozen=True)
class Row:
    """One row of a manifest.

    Args:
        line: its line in the file.
        file: path of the clip, from the folder.
        id: the clip's id; by default the path without its ending.
        label, subject, camera: indices, None where the cell is empty.
        tags: the splits that the clip is in.
        caption: a sentence about it.
        frames: how many frames it should have.
        start, end: the part of the file that the clip is, see :class:`Moment`; None for its begin and end.
        fps: frames per second.
    """

    line: int
    file: str
    id: str
    label: int | None
    subject: int | None
    camera: int | None
    tags: tuple[str, ...]
    caption: str | None
    frames: int | None
    start: Moment | None = None
    end: Moment | None = None
    fps: float | None = None


@dataclass(frozen=True)
class Manifest:
    """A parsed manifest.

    Args:
        rows: its rows, and for a row that is wrong what is wrong with it.
        class_names: names of the classes, where labels are names; None where they are numbers.
        names: for columns of names (``subject``, ``camera``) the names that became 0, 1, ….
    """

    rows: tuple[Row | str, ...]
    class_names: tuple[str, ...] | None
    names: dict[str, tuple[str, ...]]


def read_manifest(path: Path, classes: tuple[str, ...] | None = None) -> Manifest:
    """Read a manifest."""
    lines = _lines(path)
    header, cells = [name.strip() for name in lines[0][1]], lines[1:]
    for name in header:
        if name not in _COLUMNS:
            raise InputError(f"{path}: {unknown_name('column', name, _COLUMNS)}")
    if "file" not in header or len(set(header)) < len(header):
        raise InputError(f"{path}: expects the column 'file' and each column once, got {', '.join(header)}")

    def filled(row: list[str]) -> dict[str, str]:
        return dict(zip(header, map(str.strip, row), strict=True))

    whole = [filled(row) for _, row in cells if len(row) == len(header)]
    numbering = {name: _numbering([row.get(name, "") for row in whole]) for name in ("subject", "camera")}
    labels = _numbering([row.get("label", "") for row in whole])
    if classes is not None and labels is not None:
        labels = classes
    else:
        _check_names(path, "label", labels)
    for name, names in numbering.items():
        _check_names(path, name, names)
    tags = split_tags({tag for row in whole for tag in _split_names(row.get("split", ""))})
    rows: list[Row | str] = []
    for line, row in cells:
        if len(row) != len(header):
            rows.append(f"{path}: line {line} has {len(row)} cells, the header {len(header)}")
            continue
        try:
            rows.append(_row(path.parent, line, filled(row), labels, numbering, tags))
        except InputError as error:
            rows.append(f"{path}: line {line}: {error}")
    return Manifest(tuple(rows), labels, {name: found for name, found in numbering.items() if found})


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    """Lines with something in them, each with its number."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        head = text.lstrip().partition("\n")[0]
        delimiter = next((mark for mark in ",;\t" if mark in head), ",")
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        lines = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    if len(lines) < 2:
        raise InputError(f"{path}: expects a header and one row per clip, got {len(lines)} rows")
    if not text.endswith(("\n", "\r")):
        raise InputError(f"{path}: its last line is not ended and may be truncated: end it with a new line")
    return lines


def _numbering(cells: list[str]) -> tuple[str, ...] | None:
    """The names of a column, sorted; None where it holds numbers (or nothing)."""
    names = {cell for cell in cells if cell}
    return tuple(sorted(names)) if any(not name.isdecimal() for name in names) else None


def _check_names(path: Path, column: str, names: tuple[str, ...] | None) -> None:
    """Refuse numbers among the names of a column: in alphabetical order 10 would come before 2."""
    numbers = [name for name in names or () if _NUMBER.fullmatch(name)]
    if numbers:
        odd = next(name for name in names or () if not name.isdecimal())
        found = " and ".join(f"{cell!r:.40}" for cell in dict.fromkeys([odd, numbers[-1]]))
        raise InputError(
            f"{path}: column {column!r} has {found}: expects whole numbers from 0, or names none of which is "
            "a number; a cell is left empty where there is none"
        )


def _split_names(cell: str) -> list[str]:
    return cell.replace(";", " ").split()


def _row(
    folder: Path,
    line: int,
    cells: dict[str, str],
    labels: tuple[str, ...] | None,
    numbering: dict[str, tuple[str, ...] | None],
    tags: dict[str, str],
) -> Row:
    file = cells["file"]
    if not file:
        raise InputError("names no file")
    path = Path(file)
    try:
        is_folder = (folder / path).is_dir()
    except OSError as error:
        raise InputError(f"{file!r:.80} is no name of a file: {error.strerror}") from error
    if "\0" in file or not path.name:
        raise InputError(f"{file!r:.80} is no name of a file")
    if path.is_absolute() or ".." in path.parts:
        raise InputError(f"{file} is outside of the folder")
    label = _index(cells.get("label", ""), "label", labels)
    if label is not None and label >= MAX_CLASSES:
        raise InputError(f"label {label} is out of range, expects less than {MAX_CLASSES}")
    span = [cells.get(column, "") for column in ("start", "end")]
    part = f"_{span[0] or 0}_{span[1] or 'end'}" if any(span) else ""
    return Row(
        line=line,
        file=file,
        id=cells.get("id") or (path if is_folder else path.with_suffix("")).as_posix() + part,
        label=label,
        subject=_index(cells.get("subject", ""), "subject", numbering["subject"]),
        camera=_index(cells.get("camera", ""), "camera", numbering["camera"]),
        tags=tuple(dict.fromkeys(tags[name] for name in _split_names(cells.get("split", "")))),
        caption=cells.get("caption") or None,
        frames=_index(cells.get("frames", ""), "frames", None),
        start=_moment(span[0], "start"),
        end=_moment(span[1], "end"),
        fps=_rate(cells.get("fps", "")),
    )


def _moment(cell: str, column: str) -> Moment | None:
    if not cell:
        return None
    match = _MOMENT.fullmatch(cell)
    if match is None or (not match[2] and "." in cell):
        raise InputError(f"{column} is {cell!r:.40}, expects a frame from 0, or seconds such as 1.5s")
    return Moment(float(match[1]), bool(match[2]))


def _rate(cell: str) -> float | None:
    try:
        rate = float(cell or "nan")
    except ValueError:
        rate = -1.0
    if cell and not 0 < rate < float("inf"):
        raise InputError(f"fps is {cell!r:.40}, expects a positive number of frames per second")
    return rate if cell else None


def folder_manifest(
    folder: Path, is_clip: Callable[[Path], bool], classes: tuple[str, ...] | None = None
) -> Manifest | None:
    """The manifest of a folder without one: ``CLASS/clip.npy``, or ``train/CLASS/clip.npy`` and so on.

    Returns:
        One row per clip, by path; None where no clip is in a folder of a class.
    """
    found: list[tuple[Path, str, str]] = []
    for path in (clip.relative_to(folder) for clip in clips_in(folder, is_clip)):
        folders = list(path.parts[:-1])
        split = folders.pop(0) if folders and folders[0].lower() in _PARTS else ""
        if folders:
            found.append((path, folders[0], split.lower()))
    if not found:
        return None
    labels = _numbering([label for _, label, _ in found])
    labels = classes if classes is not None and labels is not None else labels
    _check_names(folder, "label", None if classes is not None else labels)
    tags = split_tags({split for _, _, split in found if split})
    rows: list[Row | str] = []
    for number, (path, label, split) in enumerate(found, start=1):
        try:
            cells = {"file": path.as_posix(), "label": label, "split": split}
            rows.append(_row(folder, number, cells, labels, {"subject": None, "camera": None}, tags))
        except InputError as error:
            rows.append(f"{folder / path}: {error}")
    return Manifest(tuple(rows), labels, {})


def _index(cell: str, column: str, names: tuple[str, ...] | None) -> int | None:
    """The number that a cell stands for."""
    if not cell:
        return None
    if names is not None:
        if cell not in names:
            raise unknown_name(column, cell, names)
        return names.index(cell)
    if not cell.isdecimal() or len(cell) > 9:
        raise InputError(f"{column} is {cell!r:.40}, expects a whole number of at most 9 digits")
    return int(cell)


def clips_in(folder: Path, is_clip: Callable[[Path], bool]) -> list[Path]:
    """The clips in a folder and in those in it, which may be files or folders, but for hidden ones."""
    found: list[Path] = []
    for parent, folders, names in walk(folder):
        shown = {name: parent / name for name in (*folders, *names) if not name.startswith(".")}
        clips = {name: path for name, path in shown.items() if is_clip(path)}
        folders[:] = [name for name in folders if name in shown and name not in clips]
        found += clips.values()
    return sorted(found)
