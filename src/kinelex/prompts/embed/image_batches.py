"""What image encoders have in common: pictures in, batch by batch, embeddings out."""

from abc import ABC, abstractmethod

import numpy as np

from kinelex.errors import InputError


class ImageBatches(ABC):
    """An image encoder that embeds a batch of pictures at a time."""

    width: int

    def __init__(self, batch_size: int) -> None:
        if batch_size < 1:
            raise InputError(f"image_encoder.batch_size: expects at least 1, got {batch_size}")
        self.batch_size = batch_size

    def encode(self, images: np.ndarray) -> np.ndarray:
        """Embeddings (n, width) float32 of pictures (n, H, W, 3) uint8."""
        starts = range(0, len(images), self.batch_size)
        batches = [self._batch(images[start : start + self.batch_size]) for start in starts]
        return np.concatenate([np.zeros((0, self.width), np.float32), *batches])

    @abstractmethod
    def _batch(self, images: np.ndarray) -> np.ndarray:
        """Embeddings (n, width) float32 of a batch of pictures."""
