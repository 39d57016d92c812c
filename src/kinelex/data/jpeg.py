"""Private machinery of the prompt store: pictures as JPEG files, one by one or tiled."""

from __future__ import annotations

import io
import math
import struct
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

_QUALITY = 90
# What reading a damaged file can end with, by Pillow's parsers.
UNREADABLE = (OSError, ValueError, SyntaxError, LookupError, TypeError, ArithmeticError, struct.error)
_END = b"\xff\xd9"  # the last two bytes of a JPEG file


def write_jpeg(image: np.ndarray) -> bytes:
    """A picture as a JPEG file.

    Shape:
        - image: (H, W, 3) uint8
    """
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=_QUALITY)
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
        images: the pictures.
        size: side of the square in pixels.

    Shape:
        - images: (n, H, W, 3) uint8
        - returns: (size, size, 3) uint8

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
