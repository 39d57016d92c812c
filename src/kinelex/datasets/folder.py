"""Reader of a folder of one's own clips: a ``manifest.csv``, or a folder per class, and a file per clip.

The manifest's columns: ``file`` (from the folder), ``label`` (number or class name), and where there is
such a thing ``id``, ``subject``, ``camera``, ``split`` (train or test, or names such as ``xsub_train``),
``caption``, ``frames`` (how many the clip should have), ``start`` and ``end`` (the part of the file, in
frames from 0, or in seconds such as ``1.5s``) and ``fps``. Any layout, also one of one's own in YAML.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from kinelex.data import Sequence, StoreMeta
from kinelex.datasets.arrays_reader import ArraysReader
from kinelex.datasets.formats.arrays import check_axes, guess_channels, split_channels
from kinelex.datasets.formats.clip import Clip
from kinelex.datasets.formats.clip_files import ENDINGS, files_of, is_clip, read_clip
from kinelex.datasets.formats.conventions import as_stored, numbered_classes, resolve_layout
from kinelex.datasets.formats.manifest import MANIFEST, Manifest, Row, folder_manifest, read_manifest
from kinelex.datasets.formats.units import in_metres
from kinelex.datasets.reader import Item, Skipped
from kinelex.errors import InputError
from kinelex.skeleton import SkeletonLayout, get_layout

LAYOUT_FILE = "layout.yaml"


class FolderReader(ArraysReader):
    """A folder of one's own clips with a manifest, or with a folder per class.

    Args:
        source: the folder with manifest.csv, or with the files CLASS/clip.npy and so on.
        scale: number to multiply coordinates with.
        axes: order of the axes of arrays where it is another, for example CTVM (folder) or NMTVC (npy).
    """

    dataset: ClassVar[str] = "folder"
    gaps: ClassVar[str | None] = "interpolate"
    expected: ClassVar[str] = f"{MANIFEST} (file, label, ...) and the clips it lists: {', '.join(ENDINGS)}"

    def __init__(self, source: Path, *, scale: float = 1.0, axes: str | None = None, **options: Any) -> None:
        super().__init__(source, **options)
        if not 0 < scale < float("inf"):
            raise InputError(f"--scale {scale}: expects a positive number")
        if scale != 1 and in_metres(self._units, 3)[1] != 1:
            raise InputError(f"--scale {scale} and --units {self._units} both convert: pass one of them")
        self._axes, self._scale = check_axes(axes), scale
        own = source / LAYOUT_FILE
        asked = self._layout or (str(own) if own.is_file() else None)
        self._own_layout = None if asked is None else get_layout(asked)

    def meta(self) -> StoreMeta:
        layout, first, channels = self._kind
        size = len(channels) - channels.endswith("c")
        units, self.to_metres = in_metres(self._units or first.units, size)
        self.units_guessed = self._units is None and first.units is None
        labels = [row.label for row in self._manifest.rows if isinstance(row, Row)]
        return StoreMeta(
            dataset=self.dataset,
            layout=layout,
            class_names=self._classes or self._manifest.class_names or numbered_classes(labels),
            units=units,
            source=str(self.source),
            prepared={"reader": self.dataset, "scale": self._scale, **self._manifest.names},
        )

    def items(self) -> list[Item]:
        path = self.source / MANIFEST
        return [
            Item(self._file(row) if isinstance(row, Row) else path, number)
            for number, row in enumerate(self._manifest.rows)
        ]

    def files(self, item: Item) -> tuple[Path, ...]:
        return files_of(item.path)

    def read(self, item: Item) -> Iterator[Sequence | Skipped]:
        row = self._manifest.rows[item.part]
        if isinstance(row, str):
            raise InputError(row)
        layout, _, channels = self._kind
        clip = self._cut(self._split(read_clip(item.path, layout, channels, self._axes), item.path), row)
        x = clip.coordinates
        if row.frames is not None and row.frames != len(x):
            raise InputError(f"{item.path}: has {len(x)} frames, the manifest says {row.frames}")
        yield Sequence(
            id=row.id,
            coordinates=as_stored(x, self._scale),
            label=row.label,
            subject=row.subject,
            camera=row.camera,
            caption=row.caption,
            scores=None if clip.scores is None else as_stored(clip.scores),
            splits=row.tags,
            image_size=clip.image_size,
            fps=row.fps or clip.fps,
        )

    def _file(self, row: Row) -> Path:
        """The file of a row, also where it is listed without its ending, or with that of its video."""
        path = self.source / row.file
        if path.exists():
            return path
        names = [path.with_suffix(e) for e in ENDINGS] + [path.with_name(path.name + e) for e in ENDINGS]
        found = [name for name in dict.fromkeys(names) if name.exists()]
        if len(found) != 1:
            return path
        self.note(f"{MANIFEST} lists files by other endings, for example {row.file} for {found[0].name}")
        return found[0]

    def _split(self, clip: Clip, path: Path) -> Clip:
        """A clip with its confidences apart, as many coordinates per joint as the first one has."""
        channels = self._kind[2]
        x, scores = clip.coordinates, clip.scores
        if not _is_known(clip):
            x, scores = split_channels(x, channels, path)
        size = len(channels) - channels.endswith("c")
        if x.shape[3] != size:
            raise InputError(f"{path}: has {x.shape[3]} coordinates per joint, the first clip has {size}")
        return replace(clip, coordinates=x, scores=scores)

    def _cut(self, clip: Clip, row: Row) -> Clip:
        """The part of a file that a row names."""
        if row.start is None and row.end is None:
            return clip
        path, frames = self.source / row.file, len(clip.coordinates)
        fps = row.fps or clip.fps or self.policy.fps
        try:
            start = 0 if row.start is None else row.start.frame(fps)
            end = frames if row.end is None else row.end.frame(fps)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
        if not start < end <= frames:
            raise InputError(f"{path}: start {start} and end {end} are no part of its {frames} frames")
        scores = None if clip.scores is None else clip.scores[start:end]
        return replace(clip, coordinates=clip.coordinates[start:end], scores=scores)

    @cached_property
    def _manifest(self) -> Manifest:
        path = self.source / MANIFEST
        if path.is_file():
            return read_manifest(path, self._classes)
        found = folder_manifest(self.source, is_clip, self._classes)
        if found is None:
            raise InputError(f"{path} does not exist: expects a folder with {self.expected}")
        self.note(f"there is no {MANIFEST}: labels are the names of the folders")
        return found

    @cached_property
    def _kind(self) -> tuple[SkeletonLayout, Clip, str]:
        """Layout, the first clip that can be read (its first frame), and what the numbers of a joint are."""
        wrong: InputError | None = None
        for row in self._manifest.rows:
            try:
                if isinstance(row, str):
                    raise InputError(row)
                return self._kind_of(self._file(row))
            except InputError as error:
                wrong = wrong or error
        raise wrong or InputError(f"{self.source} holds no clip: expects {self.expected}")

    def _kind_of(self, path: Path) -> tuple[SkeletonLayout, Clip, str]:
        clip = read_clip(path, self._own_layout, self._asked_channels, self._axes)
        if not np.nan_to_num(clip.coordinates).any():  # it tells nothing about the others
            lost = "no frame has a body (all coordinates are 0 or not numbers)"
            raise InputError(f"{path}: {lost if len(clip.coordinates) else 'has no frames'}")
        for note in clip.notes:
            self.note(f"{note} ({path.name})")
        known = self._own_layout or clip.layout
        channels = "xyz"[: clip.coordinates.shape[3]]
        if not _is_known(clip):
            channels, guess = guess_channels(clip.coordinates, known.name if known else None, path)
            if self._asked_channels is None and guess:
                self.note(guess)
            channels = self._asked_channels or channels
        first = replace(clip, coordinates=clip.coordinates[:1], scores=None)
        joints = clip.coordinates.shape[2]
        if known is None:
            known = resolve_layout(None, joints, len(channels) - channels.endswith("c"), path)
            self.note(f"the layout is {known.name}: guessed from {joints} joints; --layout names another")
        if joints != known.num_joints:
            raise InputError(f"{path}: expects {known.num_joints} joints ({known.name}), got {joints}")
        return known, first, channels


def _is_known(clip: Clip) -> bool:
    """Whether a file itself says what the numbers of a joint are."""
    return clip.names is not None or clip.layout is not None or clip.scores is not None
