"""Boxes round persons, and pictures of one size cut out of frames."""

from collections.abc import Callable

import numpy as np

from kinelex.errors import InputError
from kinelex.prompts.base import Crops

_FILL = (122, 116, 104)  # the mean of CLIP's training pictures: beside the person there is nothing
_SMALLEST = 32


def check_cut(image_size: int, padding: float = 0) -> None:
    """Complain about a picture size or padding that makes no sense."""
    if image_size < _SMALLEST:
        raise InputError(f"expects pictures of at least {_SMALLEST} pixels, got image size {image_size}")
    if not 0 <= padding <= 2:
        raise InputError(f"expects a padding from 0 to 2 (a share of the box's longer side), got {padding}")


def padded(box: np.ndarray, padding: float, height: int, width: int) -> np.ndarray | None:
    """A box (4,), ends exclusive, with a margin of a share of its longer side, in the frame's whole pixels.

    None if nothing of it is in the frame.

    >>> padded(np.array([10, 10, 30, 60]), 0.1, 100, 32).tolist()
    [5, 5, 32, 65]
    """
    if not np.isfinite(box).all():
        return None
    margin = padding * max(box[2] - box[0], box[3] - box[1])
    low = np.maximum(np.floor(box[:2] - margin), 0)
    high = np.minimum(np.ceil(box[2:] + margin), [width, height])
    return np.concatenate([low, high]).astype(np.int64) if (high - low >= 1).all() else None


def around(boxes: np.ndarray) -> np.ndarray:
    """The box (4,) round all boxes (n, 4).

    >>> around(np.array([[0, 5, 10, 20], [4, 2, 30, 8]])).tolist()
    [0, 2, 30, 20]
    """
    return np.concatenate([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)])


def fitted(picture: np.ndarray, size: int) -> np.ndarray:
    """A picture (H, W, 3) scaled into the middle of a square; its shape is kept, the rest filled.

    >>> square = fitted(np.zeros((20, 10, 3), np.uint8), 40)
    >>> square.shape, square[0, :, 0].tolist().count(0)
    ((40, 40, 3), 20)
    """
    from PIL import Image

    scale = size / max(picture.shape[:2])
    height, width = (max(1, round(side * scale)) for side in picture.shape[:2])
    small = Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC)
    square = Image.new("RGB", (size, size), _FILL)
    square.paste(small, ((size - width) // 2, (size - height) // 2))
    return np.asarray(square)


def cut(frames: np.ndarray, boxes: list[np.ndarray | None], padding: float, size: int) -> Crops:
    """The pictures in boxes of the frames (P, H, W, 3), padded; without a box the whole frame, flagged."""
    height, width = frames.shape[1:3]
    inside = [None if box is None else padded(box, padding, height, width) for box in boxes]
    return cut_out(frames, inside, lambda picture: fitted(picture, size))


def cut_out(
    frames: np.ndarray, boxes: list[np.ndarray | None], scaled: Callable[[np.ndarray], np.ndarray]
) -> Crops:
    """What lies in boxes (in whole pixels) of the frames, scaled; without a box the whole frame, flagged."""
    whole = np.array([0, 0, frames.shape[2], frames.shape[1]])
    places = np.stack([whole if box is None else box for box in boxes])
    pairs = zip(frames, places.tolist(), strict=True)
    images = np.stack([scaled(frame[y0:y1, x0:x1]) for frame, (x0, y0, x1, y1) in pairs])
    return Crops(images[:, None], places.astype(np.float32), np.array([box is None for box in boxes]))
