"""Reader of a folder of one's own clips: a ``manifest.csv`` and one .npy, .npz, .csv or .bvh file per clip.

The manifest's columns: ``file`` (from the folder), ``label`` (number or class name), and where there is
such a thing ``id``, ``subject``, ``camera``, ``split`` (train or test, or names such as ``xsub_train``),
``caption`` and ``frames`` (how many the clip should have). Any layout, also one of one's own in YAML.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from kinelex.datasets._clip import Clip
from kinelex.datasets._clip_files import ENDINGS, files_of, read_clip
from kinelex.datasets._formats import (
    as_stored,
    default_units,
    numbered_classes,
    read_class_names,
    resolve_layout,
)
from kinelex.datasets._manifest import MANIFEST, Manifest, Row, read_manifest
from kinelex.datasets._reader import Item, Reader, Skipped
from kinelex.errors import InputError
from kinelex.skeleton import SkeletonLayout, get_layout
from kinelex.store import Sequence, StoreMeta

LAYOUT_FILE = "layout.yaml"


class FolderReader(Reader):
    """A folder of one's own clips with a manifest.

    Args:
        source: the folder with manifest.csv.
        layout: the layout of the joints: a built-in name or a YAML file; by default the folder's
            layout.yaml, the hierarchy of .bvh files, or the one that the number of joints tells.
        classes: text file with one class name per line, in the order of the labels; by default the names in
            the manifest, sorted, or "class 0" and so on.
        units: unit of the coordinates; by default pixels for 2-D and metres for 3-D.
        scale: number to multiply coordinates with, for example 0.01 for files in centimetres.

    Raises:
        InputError: no such layout, a file of class names that cannot be read, or a scale that is not
            positive.
    """

    dataset: ClassVar[str] = "folder"
    gaps: ClassVar[str | None] = "interpolate"
    expected: ClassVar[str] = f"{MANIFEST} (file, label, ...) and the clips it lists: {', '.join(ENDINGS)}"

    def __init__(
        self,
        source: Path,
        *,
        layout: str | None = None,
        classes: Path | None = None,
        units: str | None = None,
        scale: float = 1.0,
    ) -> None:
        super().__init__(source)
        if not 0 < scale < float("inf"):
            raise InputError(f"--scale {scale}: expects a positive number")
        self._units, self._scale = units, scale
        self._classes = None if classes is None else read_class_names(classes)
        own = source / LAYOUT_FILE
        asked = layout or (str(own) if own.is_file() else None)
        self._layout = None if asked is None else get_layout(asked)

    def meta(self) -> StoreMeta:
        """Layout and unit from the first clip that can be read, classes from the manifest."""
        layout, first = self._kind
        labels = [row.label for row in self._manifest.rows if isinstance(row, Row)]
        return StoreMeta(
            dataset=self.dataset,
            layout=layout,
            class_names=self._classes or self._manifest.class_names or numbered_classes(labels),
            units=self._units or first.units or default_units(None, first.coordinates.shape[3]),
            source=str(self.source),
            prepared={"reader": self.dataset, "scale": self._scale, **self._manifest.names},
        )

    def items(self) -> list[Item]:
        """The manifest's rows, in its order."""
        path = self.source / MANIFEST
        return [
            Item(self.source / row.file if isinstance(row, Row) else path, number)
            for number, row in enumerate(self._manifest.rows)
        ]

    def files(self, item: Item) -> tuple[Path, ...]:
        """The clip's own files."""
        return files_of(item.path)

    def read(self, item: Item) -> Iterator[Sequence | Skipped]:
        """The clip of one row."""
        row = self._manifest.rows[item.part]
        if isinstance(row, str):
            raise InputError(row)
        layout, first = self._kind
        clip = read_clip(item.path, layout)
        x, channels = clip.coordinates, first.coordinates.shape[3]
        if x.shape[3] != channels:
            raise InputError(
                f"{item.path}: has {x.shape[3]} coordinates per joint, the first clip has {channels}"
            )
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
            fps=clip.fps,
        )

    @cached_property
    def _manifest(self) -> Manifest:
        path = self.source / MANIFEST
        if not path.is_file():
            raise InputError(f"{path} does not exist: expects a folder with {self.expected}")
        return read_manifest(path, self._classes)

    @cached_property
    def _kind(self) -> tuple[SkeletonLayout, Clip]:
        """Layout, and the first clip that can be read (its first frame): it tells channels and unit."""
        wrong: InputError | None = None
        for row in self._manifest.rows:
            try:
                if isinstance(row, str):
                    raise InputError(row)
                return self._kind_of(self.source / row.file)
            except InputError as error:
                wrong = wrong or error
        raise wrong or InputError(f"{self.source} holds no clip: expects {self.expected}")

    def _kind_of(self, path: Path) -> tuple[SkeletonLayout, Clip]:
        clip = read_clip(path, self._layout)
        first = replace(clip, coordinates=clip.coordinates[:1], scores=None)
        joints, channels = clip.coordinates.shape[2:]
        if self._layout is None:
            return clip.layout or resolve_layout(None, joints, channels, path), first
        if joints != self._layout.num_joints:
            raise InputError(
                f"{path}: expects {self._layout.num_joints} joints ({self._layout.name}), got {joints}"
            )
        return self._layout, first
