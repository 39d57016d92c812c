"""Image encoders ``clip`` and ``image``: any vision model of transformers."""

from __future__ import annotations

from abc import abstractmethod
from importlib import metadata
from typing import Any

import numpy as np

from kinelex.errors import InputError, unknown_name
from kinelex.models.transformers import Checkpoint, find_checkpoint
from kinelex.prompts.embed.image_batches import ImageBatches
from kinelex.prompts.embed.pixels import fitting, to_pixels

POOLINGS = ("auto", "pooled", "cls", "mean")


class _TransformersImages(ImageBatches):
    """What the two encoders have in common: the checkpoint's own image processor and network.

    Args:
        checkpoint: the checkpoint.
        network: its network.
        batch_size: pictures per pass.
        settings: what changes the embeddings beside the checkpoint.
    """

    def __init__(self, checkpoint: Checkpoint, network: Any, batch_size: int, **settings: Any) -> None:
        super().__init__(batch_size)
        self.version = metadata.version("transformers")
        self._checkpoint, self._network = checkpoint, network
        self._processor = checkpoint.processor("AutoImageProcessor")
        number = str(network.dtype).removeprefix("torch.")
        self.settings: dict[str, Any] = {**checkpoint.settings, **settings, "dtype": number}
        try:
            self.width = self._batch(np.zeros((1, 64, 64, 3), np.uint8)).shape[1]
        except (TypeError, ValueError, AttributeError) as error:
            raise self._unfit(f"{type(error).__name__}: {str(error).splitlines()[0]}") from error

    def _unfit(self, reason: str) -> InputError:
        return InputError(
            f"image_encoder.model: {self._checkpoint.where} ({type(self._network).__name__}) does not turn a "
            f"picture into an embedding ({reason}): expects a vision model"
        )

    def _batch(self, images: np.ndarray) -> np.ndarray:
        import torch

        device = self._network.device
        with fitting("image_encoder", self.batch_size, device), torch.inference_mode():
            vectors = self._embed(to_pixels(self._processor, images, device, self._network.dtype))
        return vectors.float().cpu().numpy()

    @abstractmethod
    def _embed(self, pixels: Any) -> Any:
        """Embeddings (n, width) of prepared pictures."""


class ClipImages(_TransformersImages):
    """The image tower of CLIP, SigLIP or a like model: embeddings of length 1 in the space of its texts.

    Args:
        model: folder or hub id of a checkpoint with both towers.
        batch_size: pictures per pass.
        device: where it runs: auto, cpu, cuda, cuda:1.
        dtype: numbers it computes in: auto, float32, bfloat16, float16.

    Source: C2VL (arXiv 2405.20606) embeds its pictures with CLIP ViT-L/14@336px, the default.
    """

    name = "clip"

    def __init__(
        self,
        *,
        model: str = "openai/clip-vit-large-patch14-336",
        batch_size: int = 32,
        device: str = "auto",
        dtype: str = "auto",
    ) -> None:
        checkpoint = find_checkpoint(model, "image_encoder.model")
        network = checkpoint.network("AutoModel", device, dtype, may_lack=("pooler",))
        if not hasattr(network, "get_image_features"):
            raise InputError(
                f"image_encoder.model: {model} ({type(network).__name__}) has no image tower beside a text "
                "tower: take --image-encoder image for it"
            )
        super().__init__(checkpoint, network, batch_size)

    def _embed(self, pixels: Any) -> Any:
        vectors = self._network.get_image_features(pixel_values=pixels).pooler_output
        return vectors / vectors.norm(dim=1, keepdim=True)


class ImageModel(_TransformersImages):
    """Any vision model of transformers (ViT, DINOv2, Swin, ConvNeXt, ResNet …), its pooled features.

    Args:
        model: folder or hub id of a checkpoint.
        pooling: ``pooled`` is what the model itself pools, ``cls`` its first token, ``mean`` the mean of its
            patches; ``auto`` is ``pooled`` where the checkpoint has weights for it, else ``mean``.
        batch_size: pictures per pass.
        device: where it runs: auto, cpu, cuda, cuda:1.
        dtype: numbers it computes in: auto, float32, bfloat16, float16.
    """

    name = "image"

    def __init__(
        self,
        *,
        model: str = "facebook/dinov2-base",
        pooling: str = "auto",
        batch_size: int = 32,
        device: str = "auto",
        dtype: str = "auto",
    ) -> None:
        if pooling not in POOLINGS:
            raise unknown_name("pooling", pooling, POOLINGS)
        checkpoint = find_checkpoint(model, "image_encoder.model")
        unused = ("pooler",) if pooling in ("cls", "mean") else ()
        try:
            network = checkpoint.network("AutoModel", device, dtype, unused)
        except InputError:
            if pooling != "auto":
                raise
            pooling = "mean"  # for want of the pooler's weights; if others lack too, it is said now
            network = checkpoint.network("AutoModel", device, dtype, ("pooler",))
        if hasattr(network, "get_image_features"):
            raise InputError(
                f"image_encoder.model: {model} ({type(network).__name__}) has two towers: take "
                "--image-encoder clip for it"
            )
        self._pooling = pooling
        super().__init__(checkpoint, network, batch_size, pooling=pooling)

    def _embed(self, pixels: Any) -> Any:
        out = self._network(pixel_values=pixels)
        pooled = getattr(out, "pooler_output", None)
        if self._pooling == "pooled" or (self._pooling == "auto" and pooled is not None):
            if pooled is None:
                raise self._unfit("it pools nothing itself, take image_encoder.pooling=mean")
            return pooled.flatten(1)
        last = out.last_hidden_state
        if last.ndim == 4:  # (n, C, H, W)
            if self._pooling == "cls":
                raise self._unfit("it has no tokens, take image_encoder.pooling=mean")
            return last.mean(dim=(2, 3))
        if self._pooling == "cls":
            return last[:, 0]
        return last[:, self._before_patches(pixels, last.shape[1]) :].mean(dim=1)

    def _before_patches(self, pixels: Any, tokens: int) -> int:
        """How many tokens (class, registers) stand before those of the patches."""
        patch = getattr(self._network.config, "patch_size", None)
        if not isinstance(patch, int):
            return 0
        return max(0, tokens - (pixels.shape[2] // patch) * (pixels.shape[3] // patch))
