"""Pictures as a network wants them: scaled and normalised on its device, where that is quicker.

An image processor of transformers does so on the CPU, which takes half of its time or more.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from kinelex.errors import InputError


@contextmanager
def fitting(section: str, batch_size: int, device: torch.device) -> Iterator[None]:
    """Say what to do where a batch does not fit into the device's memory."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise InputError(
            f"{batch_size} pictures at a time do not fit into the memory of {device}: try "
            f"{section}.batch_size={max(1, batch_size // 2)} or "
            f"{section}.dtype=bfloat16; what is done is kept"
        ) from error


def to_pixels(processor: Any, images: np.ndarray, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """What an image processor of transformers makes of pictures of one size, on the device.

    Shape:
        - images: (n, H, W, 3) uint8; returns: (n, 3, H', W')
    """
    raw = _resized(processor, images)
    if raw is None:
        return processor(images=list(images), return_tensors="pt")["pixel_values"].to(device, dtype)
    scales = (processor.image_mean, processor.image_std)
    mean, std = (torch.tensor(values, device=device).view(-1, 1, 1) for values in scales)
    return raw.to(device).float().mul_(processor.rescale_factor / std).sub_(mean / std).to(dtype)


def _resized(processor: Any, images: np.ndarray) -> torch.Tensor | None:
    """The pictures resized and cut, (n, 3, H', W') uint8; None if this processor cannot be taken apart."""
    known = all(getattr(processor, name, None) for name in ("do_rescale", "do_normalize", "rescale_factor"))
    scales = [getattr(processor, name, None) or () for name in ("image_mean", "image_std")]
    if not known or any(len(scale) != 3 for scale in scales):
        return None

    def one(image: np.ndarray) -> Any:
        return processor(images=[image], return_tensors="pt", do_rescale=False, do_normalize=False)

    with ThreadPoolExecutor(max(1, min(len(images), torch.get_num_threads()))) as threads:
        outputs = list(threads.map(one, images))
    whole = all("pixel_mask" not in out or bool(out["pixel_mask"].all()) for out in outputs)
    pixels = [out["pixel_values"] for out in outputs]
    return torch.cat(pixels) if whole and all(p.dtype == torch.uint8 for p in pixels) else None
