"""The skeleton store: one Arrow IPC file per data set, memory-mapped, ragged."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence as Rows
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from kinelex.data.arrow import open_arrow
from kinelex.data.clip import Clip
from kinelex.data.content import RowChecks, numbers, offsets, row_numbers
from kinelex.data.sequence import ARRAYS, NUMBERS, SKELETONS, StoreMeta
from kinelex.data.skeleton_checks import check_columns, finite_rows, float32_column, int32_column
from kinelex.data.skeleton_writer import CLIP_FIELDS
from kinelex.errors import InputError, one_line
from kinelex.facts import Facts
from kinelex.skeleton import SkeletonLayout

_LATER = ("fps",)  # columns that version 2 did not have


class SkeletonStore(Facts):
    """A skeleton store, opened memory-mapped: nothing but the index is read until it is asked for.

    The index is compared with the store's fingerprint when it is opened, the coordinates of a clip with their
    checksum when they are first read. Missing numbers (``subject``, ``camera``, ...) read as -1.

    Raises:
        InputError: no file, no store, or damaged.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        file = open_arrow(self.path, SKELETONS, lambda _: [f for f in CLIP_FIELDS if f.name not in _LATER])
        self._header, self._batches, self._fingerprint = file.header, file.batches, file.fingerprint
        try:
            self.meta = StoreMeta.from_header(file.header)
            self._channels = check_columns(self._batches, self.meta)
        except (LookupError, TypeError, ValueError, OverflowError) as error:
            raise SKELETONS.damaged(self.path, one_line(error)) from error
        check = SKELETONS.row_check("checksum", list(ARRAYS)) if file.fingerprint else finite_rows
        self._checks = RowChecks(self._batches, check)
        self._row_start = np.cumsum([0] + [b.num_rows for b in self._batches])
        numbers = {name: self.column(name) for name in (*NUMBERS, "persons", "frames")}
        self.labels, self.subjects, self.cameras = numbers["label"], numbers["subject"], numbers["camera"]
        self.setups, self.replications = numbers["setup"], numbers["replication"]
        self.persons, self.lengths = numbers["persons"], numbers["frames"]

    def column(self, name: str) -> np.ndarray:
        """A number of every clip, -1 where it is missing.

        Args:
            name: label, subject, camera, setup, replication, persons or frames.

        Shape:
            - returns: (clips,) int64
        """
        return np.concatenate([int32_column(b.column(name)) for b in self._batches])

    def facts(self) -> dict[str, Any]:
        """Path, data set, number of clips, layout, coordinates, classes, persons and lengths."""
        shortest, longest = (int(f(self.lengths)) if len(self) else 0 for f in (np.min, np.max))
        return {
            "path": str(self.path),
            "dataset": self.meta.dataset,
            "clips": len(self),
            "layout": f"{self.layout.name}, {self.layout.num_joints} joints",
            "coordinates": f"{self.channels}-D, {self.meta.units}",
            "classes": len(self.class_names),
            "persons": int(self.persons.max(initial=0)),
            "frames": f"{shortest} to {longest}",
        }

    @property
    def layout(self) -> SkeletonLayout:
        """Layout of the coordinates."""
        return self.meta.layout

    @property
    def class_names(self) -> tuple[str, ...]:
        """One name per label."""
        return self.meta.class_names

    @cached_property
    def ids(self) -> list[str]:
        """Clip ids, in row order."""
        return [i for b in self._batches for i in b.column("id").to_pylist()]

    @cached_property
    def captions(self) -> list[str | None]:
        """Captions, in row order; None where the data set has none."""
        return [c for b in self._batches for c in b.column("caption").to_pylist()]

    @cached_property
    def splits(self) -> list[tuple[str, ...]]:
        """Tags such as ``xsub:train`` of the splits that came with the files, in row order."""
        return [tuple(tags) for b in self._batches for tags in b.column("splits").to_pylist()]

    @cached_property
    def fps(self) -> np.ndarray:
        """Frames per second of each clip, (clips,), NaN where it is not known."""
        if "fps" not in self._batches[0].schema.names:
            return np.full(len(self), np.nan)
        return np.concatenate([float32_column(b.column("fps")) for b in self._batches])

    @property
    def channels(self) -> int:
        """Number of coordinates C per joint: 3, or 2 for image skeletons."""
        return self._channels

    @cached_property
    def fingerprint(self) -> str:
        """Identifies data set, layout, classes and all that is in the clips, labels and coordinates included.

        Prompts, runs and results remember for which store they were made. Stores of version 2 keep the one
        of their time, of data set, layout, ids and lengths.
        """
        if self._fingerprint is not None:
            return self._fingerprint
        text = "\n".join([self.meta.dataset, self._header["layout"], *self.ids])
        return hashlib.sha256(text.encode() + self.lengths.tobytes()).hexdigest()[:16]

    def verify(self, rows: np.ndarray | Rows[int] | None = None) -> None:
        """Compare coordinates, pixels and scores of clips with their checksums; what fits is done for good.

        Args:
            rows: the clips, all where None is given.
        """
        wrong = self._checks.wrong(np.arange(len(self)) if rows is None else row_numbers(rows))
        if wrong:
            several = "" if len(wrong) == 1 else f" and of {len(wrong) - 1} more clips"
            raise SKELETONS.damaged(
                self.path, f"the coordinates of {self.ids[wrong[0]]}{several} are not what was written"
            )

    def __len__(self) -> int:
        return int(self._row_start[-1])

    def _flat(self, batch: int, name: str = "coordinates") -> np.ndarray:
        return numbers(self._batches[batch].column(name).values)

    def _locate(self, index: int) -> tuple[int, int]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"clip {index} of a store of {len(self)}")
        index %= len(self)
        batch = int(np.searchsorted(self._row_start, index, side="right")) - 1
        return batch, index - int(self._row_start[batch])

    def sequence(self, index: int) -> np.ndarray:
        """Coordinates of one clip, without a copy.

        Shape:
            - returns: (T, M, V, C), read-only.

        Raises:
            IndexError: no such row.
        """
        batch, row = self._locate(index)
        self.verify([index % len(self)])
        start = self._batches[batch].column("coordinates").offsets[row].as_py()
        shape = (self.lengths[index], self.persons[index], self.layout.num_joints, self.channels)
        return self._flat(batch)[start : start + int(np.prod(shape))].reshape(shape)

    def clip(self, name: int | str) -> Clip:
        """One clip by its row or id, which a notebook shows as a player.

        Raises:
            InputError: no clip of this id.
            IndexError: no such row.
        """
        if isinstance(name, str) and name not in self._row_of:
            close = "".join(f": did you mean {n!r}?" for n in get_close_matches(name, self.ids, n=1))
            raise InputError(f"{self.path} has no clip {name!r}{close}")
        row = self._row_of[name] if isinstance(name, str) else range(len(self))[name]
        label = self.class_names[self.labels[row]] if self.labels[row] >= 0 else None
        fps = None if np.isnan(self.fps[row]) else float(self.fps[row])
        return Clip(self.ids[row], self.sequence(row), self.layout, label, fps)

    @cached_property
    def _row_of(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.ids)}

    def image_coordinates(self, index: int) -> np.ndarray | None:
        """Pixel coordinates (T, M, V, 2) of one clip, or None where the raw files had none."""
        return self._beside(index, "image_coordinates", (2,))

    def scores(self, index: int) -> np.ndarray | None:
        """Confidence (T, M, V) of every joint of one clip, or None where the raw files had none."""
        return self._beside(index, "scores", ())

    def _beside(self, index: int, name: str, per_joint: tuple[int, ...]) -> np.ndarray | None:
        batch, row = self._locate(index)
        value = self._batches[batch].column(name)[row]
        if not value.is_valid:
            return None
        self.verify([index % len(self)])
        shape = (self.lengths[index], self.persons[index], self.layout.num_joints, *per_joint)
        return numbers(value.values).reshape(shape)

    def image_size(self, index: int) -> tuple[int, int] | None:
        """(height, width) in pixels of the picture that 2-D coordinates refer to, or None."""
        batch, row = self._locate(index)
        size = self._batches[batch].column("image_size")[row].as_py()
        return None if size is None else (size[0], size[1])

    def person_frames(self) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
        """The coordinates as the loader gathers them: one table per record batch, without a copy or a check.

        Shape:
            - returns: tables, each (rows, V*C) where a row is one person in one frame; for every clip the
              number of its table, and the row at which it starts. Clip i, frame t, person m is row
              ``start[i] + t * persons[i] + m``.
        """
        width = self.layout.num_joints * self.channels
        tables = [self._flat(b).reshape(-1, width) for b in range(len(self._batches))]
        which = np.repeat(np.arange(len(tables)), np.diff(self._row_start))
        starts = [offsets(b.column("coordinates"))[:-1] // width for b in self._batches]
        return tables, which, np.concatenate(starts).astype(np.int64)


def open_store(path: str | Path) -> SkeletonStore:
    """Open a skeleton store made by ``kinelex prepare``.

    Raises:
        InputError: no file, no store, or damaged.
    """
    return SkeletonStore(path)
