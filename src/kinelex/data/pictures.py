"""The pictures that a prompt store keeps, as JPEG files: crops, and one tiled picture per clip."""

from __future__ import annotations

import io
import math
import struct
from abc import ABC, abstractmethod
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from kinelex.data.prompt_writer import PROMPTS, PromptMeta
from kinelex.errors import InputError, one_line

if TYPE_CHECKING:
    from PIL.Image import Image

_QUALITY = 90
# What reading a damaged file can end with, by Pillow's parsers.
UNREADABLE = (OSError, ValueError, SyntaxError, LookupError, TypeError, ArithmeticError, struct.error)
_END = b"\xff\xd9"  # the last two bytes of a JPEG file


def write_jpeg(image: np.ndarray, quality: int = _QUALITY) -> bytes:
    """A picture as a JPEG file.

    Shape:
        - image: (H, W, 3) uint8

    >>> write_jpeg(np.zeros((8, 8, 3), np.uint8))[:2]
    b'\xff\xd8'
    """
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return file.getvalue()


def read_jpeg(content: bytes) -> np.ndarray:
    """The picture in a JPEG file.

    Shape:
        - returns: (H, W, 3) uint8

    >>> read_jpeg(write_jpeg(np.full((4, 6, 3), 200, np.uint8))).shape
    (4, 6, 3)
    """
    with _opened(content) as image:
        return np.asarray(image.convert("RGB"))


def jpeg_shape(content: bytes) -> tuple[int, int, int]:
    """Height, width and channels that a JPEG file will have when it is read; only its two ends are looked at.

    Raises:
        ValueError: no picture, or one without its end.
        OSError: the same, as Pillow says it.

    >>> jpeg_shape(write_jpeg(np.zeros((4, 6, 3), np.uint8)))
    (4, 6, 3)
    """
    with _opened(content) as image:
        width, height = image.size
        if image.format == "JPEG" and not content.rstrip(b"\0").endswith(_END):
            raise ValueError("its end is missing")
    return height, width, 3


def _opened(content: bytes) -> Image:
    from PIL import Image, UnidentifiedImageError

    try:
        return Image.open(io.BytesIO(content))
    except UnidentifiedImageError:
        raise ValueError("it does not begin as one") from None
    except Image.DecompressionBombError as error:
        raise ValueError("its size is out of question") from error


def tile_pictures(images: np.ndarray, size: int) -> np.ndarray:
    """Pictures side by side, row by row, in one square picture; each keeps its shape, the rest is black.

    The grid is as near to a square as can be: 4 pictures lie 2 x 2, 5 lie 3 x 2 in the middle.

    Args:
        size: side of the square in pixels.

    Shape:
        - images: (n, H, W, 3) uint8; returns: (size, size, 3) uint8

    >>> tiled = tile_pictures(np.full((4, 8, 4, 3), 255, np.uint8), 32)
    >>> tiled.shape, np.flatnonzero(tiled[0, :, 0]).tolist()  # narrow: each in the middle of its cell
    ((32, 32, 3), [4, 5, 6, 7, 8, 9, 10, 11, 20, 21, 22, 23, 24, 25, 26, 27])
    """
    from PIL import Image

    columns = math.ceil(math.sqrt(len(images)))
    rows = math.ceil(len(images) / columns)
    cell = size // columns
    height, width = images.shape[1:3]
    scale = cell / max(height, width)
    shape = (max(1, round(width * scale)), max(1, round(height * scale)))
    out = Image.new("RGB", (size, size))
    for k, image in enumerate(images):
        left = k % columns * cell + (cell - shape[0]) // 2
        top = (size - rows * cell) // 2 + k // columns * cell + (cell - shape[1]) // 2
        out.paste(Image.fromarray(image).resize(shape, Image.Resampling.BILINEAR), (left, top))
    return np.asarray(out)


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
        """The JPEG file that tiles a clip's pictures; None where the clip has none."""
        return self._kept("tile", row)

    def tiled(self) -> np.ndarray:
        """Which rows have a tiled picture, shape (rows,) bool."""
        self._check_kept("tile")
        return self._table.column("tile").is_valid().to_numpy()

    def tiles(self, rows: Iterable[int]) -> np.ndarray:
        """The tiled pictures of several clips as arrays; a clip without one is black.

        Shape:
            - returns: (n, H, W, 3) uint8
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
        """See whether tiled pictures can be read, by both ends of each file: 0.1 ms a clip."""
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
