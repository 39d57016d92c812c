"""Image encoder ``timm:NAME``: a model of timm, where that is installed."""

from __future__ import annotations

from importlib import metadata
from importlib.util import find_spec
from typing import Any

import numpy as np

from kinelex.errors import InputError
from kinelex.models.transformers import find_device


class TimmImages:
    """Pooled features of a model of timm, with its pretrained weights.

    Args:
        model: name of the model, for example ``inception_v3.tf_in1k``.
        batch_size: pictures per pass.
        device: where it runs: auto, cpu, cuda, cuda:1.

    Raises:
        InputError: timm is not installed, or has no such model or weights.
    """

    name = "timm"

    def __init__(self, *, model: str = "", batch_size: int = 32, device: str = "auto") -> None:
        if find_spec("timm") is None:
            raise InputError(
                f"image encoder timm:{model} needs timm, which brings torchvision: pip install timm"
            )
        if not model:
            raise InputError(
                "image encoder timm expects the name of a model, for example timm:resnet50.a1_in1k"
            )
        if batch_size < 1:
            raise InputError(f"image_encoder.batch_size: expects at least 1, got {batch_size}")
        import timm

        try:
            network = timm.create_model(model, pretrained=True, num_classes=0)
        except Exception as error:  # an unknown name, no weights, no connection
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise InputError(f"image encoder timm:{model} cannot be made ({reason})") from error
        self.version = metadata.version("timm")
        self.settings: dict[str, Any] = {"model": model}
        self._device = find_device(device)
        self._network = network.eval().to(self._device)
        self._transform = timm.data.create_transform(**timm.data.resolve_model_data_config(network))
        self._batch_size = batch_size
        self.width = self._batch(np.zeros((1, 64, 64, 3), np.uint8)).shape[1]

    def encode(self, images: np.ndarray) -> np.ndarray:
        """Features of pictures.

        Shape:
            - images: (n, H, W, 3) uint8
            - returns: (n, width) float32
        """
        starts = range(0, len(images), self._batch_size)
        batches = [self._batch(images[start : start + self._batch_size]) for start in starts]
        return np.concatenate([np.zeros((0, self.width), np.float32), *batches])

    def _batch(self, images: np.ndarray) -> np.ndarray:
        import torch
        from PIL import Image

        pixels = torch.stack([self._transform(Image.fromarray(image)) for image in images])
        with torch.inference_mode():
            return self._network(pixels.to(self._device)).float().cpu().numpy()
