"""Image encoder ``timm:NAME``: a model of timm, where that is installed."""

from importlib import metadata
from typing import Any

import numpy as np
import torch

from kinelex.errors import InputError
from kinelex.models.image_network import timm_network
from kinelex.models.transformers import find_device
from kinelex.prompts.embed.image_batches import ImageBatches


class TimmImages(ImageBatches):
    """Pooled features of a model of timm, with its pretrained weights.

    Args:
        model: name of the model, for example ``inception_v3.tf_in1k``.
        batch_size: pictures per pass.
        device: where it runs: auto, cpu, cuda, cuda:1.
    """

    name = "timm"

    def __init__(self, *, model: str = "", batch_size: int = 32, device: str = "auto") -> None:
        super().__init__(batch_size)
        if not model:
            raise InputError("image encoder timm expects the name of a model: timm:resnet50.a1_in1k")
        self._device = find_device(device)
        self._network = timm_network(model, f"image encoder timm:{model}").eval().to(self._device)
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
