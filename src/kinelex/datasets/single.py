"""Clips outside of a store: one file, or a folder of them, read as ``prepare`` reads them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from kinelex.data import Sequence, StoreMeta
from kinelex.datasets.folder import LAYOUT_FILE, FolderReader
from kinelex.datasets.formats.clip_files import is_clip
from kinelex.datasets.formats.manifest import MANIFEST, Manifest, Row, clips_in
from kinelex.datasets.formats.units import check_body_size
from kinelex.datasets.making.parts import read_item
from kinelex.datasets.policy import Policy
from kinelex.datasets.reader import FilesReader, Item, Reader, Skipped
from kinelex.datasets.registry import find_items, make_reader, reader_class
from kinelex.errors import InputError
from kinelex.skeleton import get_layout

_BY_ENDING = {".skeleton": "ntu120"}  # files whose format one data set has for itself


@dataclass(frozen=True)
class ReadOptions:
    """How raw clips are read where their files do not say it; the options of ``kinelex prepare``.

    Args:
        layout: the layout of the joints: a built-in name or a YAML file.
        fps: frames per second of clips whose files do not say it.
        axes: order of the axes of arrays where it is another, for example CTVM.
        units: unit of the coordinates: centimetres, millimetres, inches and feet become metres.
        channels: what the numbers of a joint are: xy, xyz, or with a confidence xyc, xyzc.
        reader: the data set of ``kinelex prepare`` whose raw files these are, for example utd_mhad.
    """

    layout: str | None = None
    fps: float | None = None
    axes: str | None = None
    units: str | None = None
    channels: str | None = None
    reader: str | None = None

    def given(self) -> dict[str, Any]:
        """What was asked for, but for the reader."""
        return {k: v for k, v in asdict(self).items() if v is not None and k != "reader"}


@dataclass
class RawClips:
    """Clips that were read.

    Args:
        meta: layout, classes and units.
        clips: the clips.
        skipped: what was no clip.
        notes: what was guessed, in sentences.
    """

    meta: StoreMeta
    clips: list[Sequence]
    skipped: list[Skipped]
    notes: list[str]


class SingleReader(FolderReader):
    """One clip of one's own: a file, or a folder of OpenPose's frames."""

    dataset = "clip"
    source_is_file = True

    def __init__(self, source: Path, **options: Any) -> None:
        beside = source.parent / LAYOUT_FILE
        if options.get("layout") is None and beside.is_file():
            options["layout"] = str(beside)
        super().__init__(source, **options)

    @cached_property
    def _manifest(self) -> Manifest:
        name = self.source.name if self.source.is_dir() else self.source.stem
        return Manifest((Row(1, self.source.name, name, None, None, None, (), None, None),), None, {})

    def _file(self, row: Row) -> Path:
        return self.source


def read_source(source: Path, options: ReadOptions, dataset: str | None = None) -> list[RawClips]:
    """The clips of a file or folder, file by file where nothing says that they are alike.

    Args:
        source: a clip, a folder of clips with or without a manifest, or the raw file of a data set.
        options: how they are read.
        dataset: the data set whose raw files are looked for first, by the form of their names.

    Raises:
        InputError: no such file, a file that is no clip, or a folder without one.
    """
    if not source.exists():
        raise InputError(f"{source} does not exist: expects a clip, a folder of clips or a skeleton store")
    if options.reader is not None and not _is_one_file(options.reader, source):
        return [read_with(make_reader(options.reader, source, options.given()), source)]
    if source.is_dir() and not is_clip(source):
        return _read_folder(source, options, dataset)
    return [_read_file(source, options, dataset)]


def _is_one_file(dataset: str, source: Path) -> bool:
    """Whether a file is one of many of a published data set, one clip or a few each."""
    return source.is_file() and issubclass(reader_class(dataset), FilesReader)


def _read_folder(folder: Path, options: ReadOptions, dataset: str | None) -> list[RawClips]:
    if (folder / MANIFEST).is_file():
        return [read_with(make_reader("folder", folder, options.given()), folder)]
    skipped: list[Skipped] = []
    groups: list[RawClips] = []
    names: set[str] = set()  # of clips: a.npy and a.csv are two
    for path in clips_in(folder, lambda path: is_clip(path) or _reader_of(path, dataset) is not None):
        try:
            found = _read_file(path, options, dataset)
        except InputError as error:
            skipped.append(Skipped(path, str(error)))
            continue
        place = path.relative_to(folder)
        name = (place if path.is_dir() else place.with_suffix("")).as_posix()
        name = place.as_posix() if name in names else name
        names.add(name)
        for clip in found.clips:
            clip.id = name if len(found.clips) == 1 else f"{name}/{clip.id}"
        groups.append(found)
    if not groups:
        first = f": {skipped[0].reason}" if skipped else f": expects {FolderReader.expected}"
        raise InputError(f"{folder} holds no clip that can be read{first}")
    groups[0].skipped += skipped
    return groups


def _reader_of(path: Path, dataset: str | None) -> str | None:
    """The data set whose raw file this is by its name."""
    if path.suffix.lower() in _BY_ENDING:
        return _BY_ENDING[path.suffix.lower()]
    try:
        reader = None if dataset is None else reader_class(dataset)
    except InputError:  # made by code of one's own
        return None
    pattern = getattr(reader, "pattern", None)
    return dataset if pattern and path.is_file() and path.match(pattern) else None


def _read_file(path: Path, options: ReadOptions, dataset: str | None) -> RawClips:
    """A file's clip, or its clips; where a data set's reader refuses it, as a clip of one's own."""
    chosen = options.reader or _reader_of(path, dataset)
    if chosen is not None:
        try:
            return _read_published(path, chosen, options)
        except InputError:
            if options.reader is not None or not is_clip(path):
                raise
    own = {k: v for k, v in options.given().items() if k != "fps"}
    reader = SingleReader(path, **own)
    reader.policy = Policy(gaps=reader.gaps, fps=options.fps)
    return read_with(reader, path)


def _read_published(path: Path, dataset: str, options: ReadOptions) -> RawClips:
    kind = reader_class(dataset)
    assert issubclass(kind, FilesReader)
    reader = kind(path.parent)
    reader.policy = Policy(gaps=kind.gaps, fps=options.fps)
    meta = StoreMeta(dataset, get_layout(kind.layout), kind.class_names(), kind.units)
    return _checked(reader, meta, [Item(path)], path)


def read_with(reader: Reader, source: Path) -> RawClips:
    """All clips of a reader.

    Raises:
        InputError: it has none.
    """
    items = find_items(reader)
    return _checked(reader, reader.meta(), items, source)


def _checked(reader: Reader, meta: StoreMeta, items: list[Item], source: Path) -> RawClips:
    """The clips, where there are any; else the error of the first that is none."""
    found = [one for item in items for _, one in read_item(reader, meta, item)]
    clips = [one for one in found if isinstance(one, Sequence)]
    skipped = [one for one in found if isinstance(one, Skipped)]
    if not clips:
        raise InputError(skipped[0].reason if skipped else f"{source} holds no clip")
    if reader.units_guessed and meta.units == "metres" and clips[0].coordinates.shape[3] == 3:
        check_body_size(clips[0].coordinates, str(source))
    return RawClips(meta, clips, skipped, list(reader.notes))
