"""The pictures that a prompt store keeps: crops, and one tiled picture per clip."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from kinelex.data.jpeg import UNREADABLE, jpeg_shape, read_jpeg
from kinelex.data.prompt_writer import PROMPTS, PromptMeta
from kinelex.errors import InputError, one_line

_ANEW = f"make the prompts again with `{PROMPTS.made_by}`"


class Pictures(ABC):
    """The part of a prompt store that reads its pictures; a store is one."""

    path: Path
    meta: PromptMeta
    _table: pa.Table

    @property
    @abstractmethod
    def ids(self) -> list[str]:
        """Clip ids, in row order."""

    @abstractmethod
    def verify(self, rows: Iterable[int] | None = None, pictures: bool | None = None) -> None:
        """Compare with checksums."""

    def __len__(self) -> int:
        return self._table.num_rows

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
        self.verify([row], pictures=True)
        return self._value(what, row)

    def _check_kept(self, what: str) -> None:
        if what not in self.meta.kept:
            raise InputError(f"{self.path} keeps no {what} of its pictures: make it with --keep {what}")
