"""The prompt store: texts, boxes and embeddings of every clip's knowledge prompts."""

from __future__ import annotations

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from kinelex.errors import InputError, one_line
from kinelex.store._arrow import open_arrow
from kinelex.store._jpeg import UNREADABLE, jpeg_shape, read_jpeg
from kinelex.store._prompt_writer import (
    FORMAT_VERSION,
    KIND,
    MODALITIES,
    WHOLE_CLIP,
    ClipPrompts,
    ModalityPrompts,
    PromptBank,
    PromptMeta,
    cost_file,
)
from kinelex.store.skeleton_store import SkeletonStore

MADE_BY = "kinelex prompts"
_ANEW = f"make the prompts again with `{MADE_BY}`"


@dataclass
class PromptStore:
    """A prompt store, opened memory-mapped.

    Args:
        path: the file, made by ``kinelex prompts``.

    Raises:
        InputError: no file, no prompt store, or damaged.
    """

    path: Path
    meta: PromptMeta = field(init=False)

    def __post_init__(self) -> None:
        self.path = Path(self.path)
        reader, header = open_arrow(self.path, KIND, MADE_BY, (FORMAT_VERSION,))
        self.meta = PromptMeta(
            header["dataset"],
            header["store_fingerprint"],
            header["engines"],
            header["widths"],
            tuple(header.get("kept", ())),
            header.get("cost") or self._cost(),
        )
        self._table = reader.read_all()

    def _cost(self) -> dict[str, dict[str, float]]:
        try:
            return json.loads(cost_file(self.path).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities the store has, in the order language, vision."""
        return tuple(m for m in MODALITIES if m in self.meta.widths)

    @cached_property
    def ids(self) -> list[str]:
        """Clip ids, in row order."""
        return self._table.column("id").to_pylist()

    @cached_property
    def _row(self) -> dict[str, int]:
        return {clip: row for row, clip in enumerate(self.ids)}

    def __len__(self) -> int:
        return self._table.num_rows

    def belongs_to(self, store: SkeletonStore) -> bool:
        """Whether these are the prompts of a skeleton store: made for it, or without one and of its ids."""
        if self.meta.store_fingerprint is None:
            return set(store.ids) <= self._row.keys()
        return self.meta.store_fingerprint == store.fingerprint

    def clip(self, clip_id: str) -> ClipPrompts:
        """The prompts of one clip by its id.

        Raises:
            InputError: no such clip.
        """
        if clip_id not in self._row:
            raise InputError(f"{self.path} has no prompts for the clip {clip_id}")
        row = self._row[clip_id]
        result = ClipPrompts(clip_id)
        for m in self.modalities:
            frames = self._value(f"{m}_frames", row)
            if frames is None:
                continue
            embeddings = np.asarray(self._value(f"{m}_embeddings", row), np.float16).reshape(len(frames), -1)
            prompts = ModalityPrompts(np.asarray(frames), embeddings)
            if m == "language":
                prompts.texts = self._value("texts", row)
            else:
                boxes, flags = self._value("boxes", row), self._value("flags", row)
                prompts.boxes = None if boxes is None else np.asarray(boxes).reshape(-1, 4)
                prompts.flags = None if flags is None else np.asarray(flags)
            setattr(result, m, prompts)
        return result

    def frames(self, modality: str) -> list[list[int] | None]:
        """Frame indices of all clips' prompts in a modality, in row order; None where a clip has none."""
        return self._table.column(f"{modality}_frames").to_pylist()

    def texts(self) -> list[list[str] | None]:
        """The texts of all clips, in row order; None where a clip has none."""
        return self._table.column("texts").to_pylist()

    def flags(self) -> list[list[bool] | None]:
        """Of all clips which pictures show no person, in row order; None where a clip has no pictures."""
        return self._table.column("flags").to_pylist()

    def _value(self, column: str, row: int) -> Any:
        return self._table.column(column)[row].as_py()

    def tile(self, row: int) -> bytes | None:
        """The JPEG file that tiles a clip's pictures; None where the clip has none.

        Raises:
            InputError: the store keeps no tiles.
        """
        return self._kept("tile", row)

    def tiled(self) -> np.ndarray:
        """Which rows have a tiled picture, shape (rows,) bool.

        Raises:
            InputError: the store keeps no tiles.
        """
        self._check_kept("tile")
        return self._table.column("tile").is_valid().to_numpy()

    def tiles(self, rows: Iterable[int]) -> np.ndarray:
        """The tiled pictures of several clips as arrays; a clip without one is black.

        Shape:
            - returns: (n, H, W, 3) uint8

        Raises:
            InputError: the store keeps no tiles, none of its clips has one, or one is damaged.
        """
        rows = list(rows)
        images = np.zeros((len(rows), *self._tile_shape), np.uint8)
        there = [k for k, row in enumerate(rows) if self.tile(row) is not None]
        with ThreadPoolExecutor() as pool:  # decoding leaves Python's lock alone
            for k, image in zip(there, pool.map(self._read_tile, [rows[k] for k in there]), strict=True):
                if image.shape != self._tile_shape:
                    raise self._other_size(rows[k], image.shape, self._tile_shape)
                images[k] = image
        return images

    def check_tiles(self, rows: Iterable[int]) -> None:
        """See whether tiled pictures can be read, by the beginning and the end of each file: 0.1 ms a clip.

        Raises:
            InputError: the store keeps no tiles, or some are damaged or of another size.
        """
        self._check_kept("tile")
        damaged: dict[int, str] = {}
        shapes: dict[tuple[int, ...], int] = {}
        try:
            self._table.column("tile").validate(full=True)
            for row in rows:
                content = self._value("tile", row)
                if content is not None:
                    try:
                        shapes.setdefault(jpeg_shape(content), row)
                    except UNREADABLE as error:
                        damaged[row] = one_line(error)
        except pa.ArrowInvalid as error:
            raise InputError(f"{self.path} is damaged: {one_line(error)}") from error
        if damaged:
            row, said = next(iter(damaged.items()))
            raise InputError(
                f"{self.path} has {len(damaged)} damaged tiles of pictures, the first is that of "
                f"{self.ids[row]} ({said}): {_ANEW}"
            )
        if len(shapes) > 1:
            first, other, *_ = shapes
            raise self._other_size(shapes[other], other, first)

    def _other_size(self, row: int, shape: tuple[int, ...], others: tuple[int, ...]) -> InputError:
        return InputError(
            f"{self.path}: the tile of {self.ids[row]} has the shape {shape}, others have {others}: expects "
            "pictures of one size"
        )

    def _read_tile(self, row: int) -> np.ndarray:
        return self._read(self._value("tile", row), f"tile of {self.ids[row]}")

    def _read(self, file: bytes, what: str) -> np.ndarray:
        try:
            return read_jpeg(file)
        except UNREADABLE as error:
            raise InputError(
                f"{self.path}: the {what} is no picture, or a damaged one ({one_line(error)}): {_ANEW}"
            ) from error

    @cached_property
    def _tile_shape(self) -> tuple[int, ...]:
        rows = np.flatnonzero(self.tiled())
        if len(rows) == 0:
            raise InputError(f"{self.path}: none of its {len(self)} clips has a tiled picture")
        return self._read_tile(int(rows[0])).shape

    def crops(self, row: int) -> np.ndarray | None:
        """The pictures of one clip, K views of each of P frames; None where the clip has none.

        Shape:
            - returns: (P, K, H, W, 3) uint8

        Raises:
            InputError: the store keeps no crops, or one is damaged.
        """
        files = self._kept("crops", row)
        if files is None:
            return None
        images = np.stack([self._read(file, f"picture of {self.ids[row]}") for file in files])
        return images.reshape(len(self._value("vision_frames", row)), -1, *images.shape[1:])

    def _kept(self, what: str, row: int) -> Any:
        self._check_kept(what)
        return self._value(what, row)

    def _check_kept(self, what: str) -> None:
        if what not in self.meta.kept:
            raise InputError(f"{self.path} keeps no {what} of its pictures: make it with --keep {what}")

    def present(self, modality: str) -> np.ndarray:
        """Which rows have prompts in a modality, shape (rows,) bool."""
        return self._table.column(f"{modality}_frames").is_valid().to_numpy()

    def bank(self, modality: str) -> PromptBank:
        """All embeddings of one modality.

        Raises:
            InputError: the store lacks the modality, or clips differ in their number of prompts.
        """
        if modality not in self.modalities:
            raise InputError(
                f"{self.path} has {' and '.join(self.modalities)} prompts, none of {modality}: "
                f"make them with `{MADE_BY} --{modality} ENGINE`"
            )
        present = self.present(modality)
        frames = self._table.column(f"{modality}_frames").combine_chunks().flatten().to_numpy()
        values = self._table.column(f"{modality}_embeddings").combine_chunks().flatten().to_numpy()
        count, width = int(present.sum()), self.meta.widths[modality]
        if count == 0 or len(frames) % count:
            raise InputError(f"{self.path}: expects the same number of {modality} prompts for every clip")
        frames = frames.reshape(count, -1)
        values = values.reshape(count, -1, width)
        whole = frames[0] == WHOLE_CLIP
        if (
            (frames[:, whole] != WHOLE_CLIP).any()
            or (frames[:, ~whole] == WHOLE_CLIP).any()
            or whole.sum() > 1
        ):
            raise InputError(
                f"{self.path}: expects at most one whole-clip prompt, at the same place in every clip"
            )
        frame = np.zeros((len(self), int((~whole).sum()), width), np.float16)
        frame[present] = values[:, ~whole]
        clip = None
        if whole.any():
            clip = np.zeros((len(self), width), np.float16)
            clip[present] = values[:, whole][:, 0]
        return PromptBank(frame, clip, present)


def open_prompts(path: str | Path) -> PromptStore:
    """Open a prompt store made by ``kinelex prompts``.

    Args:
        path: the store's file.

    Raises:
        InputError: no file, no prompt store, or damaged.
    """
    return PromptStore(Path(path))
