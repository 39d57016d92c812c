"""Image encoders ``clip`` and ``image``: any vision model of transformers."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from kinelex.errors import InputError, check_name, one_line
from kinelex.prompts.embed.image_networks import ImageBatches
from kinelex.prompts.embed.pixels import fitting, to_pixels
from kinelex.prompts.from_checkpoint import FromCheckpoint

POOLINGS = ("auto", "pooled", "cls", "mean")


@dataclass(kw_only=True, eq=False)
class _TransformersImages(FromCheckpoint, ImageBatches):
    """What the two encoders have in common: the checkpoint's own image processor and network."""

    section: ClassVar[str] = "image_encoder"

    def _prepare(self, network: Any, **settings: Any) -> None:
        """Try the network on a picture; ``settings`` are what changes its features beside the checkpoint."""
        self._network = network
        self._processor = self.checkpoint.processor("AutoImageProcessor")
        self.settings = self.all_settings(network, **settings)
        try:
            self.width = self._batch(np.zeros((1, 64, 64, 3), np.uint8)).shape[1]
        except (TypeError, ValueError, AttributeError) as error:
            raise self._unfit(f"{type(error).__name__}: {one_line(error)}") from error

    def _unfit(self, reason: str) -> InputError:
        return InputError(
            f"image_encoder.model: {self.checkpoint.where} ({type(self._network).__name__}) does not turn a "
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


@dataclass(kw_only=True, eq=False)
class ClipImages(_TransformersImages):
    """The image tower of CLIP, SigLIP or a like model: embeddings of length 1 in the space of its texts.

    Source: C2VL (arXiv 2405.20606) embeds its pictures with CLIP ViT-L/14@336px, the default.
    """

    name = "clip"
    model: str = "openai/clip-vit-large-patch14-336"

    def __post_init__(self) -> None:
        ImageBatches.__init__(self, self.batch_size)
        network = self.load("AutoModel", may_lack=("pooler",))
        if not hasattr(network, "get_image_features"):
            raise InputError(
                f"image_encoder.model: {self.model} ({type(network).__name__}) has no image tower beside "
                "a text tower: take --image-encoder image for it"
            )
        self._prepare(network)

    def _embed(self, pixels: Any) -> Any:
        vectors = self._network.get_image_features(pixel_values=pixels).pooler_output
        return vectors / vectors.norm(dim=1, keepdim=True)


@dataclass(kw_only=True, eq=False)
class ImageModel(_TransformersImages):
    """Any vision model of transformers (ViT, DINOv2, Swin, ConvNeXt, ResNet …), its pooled features.

    Args:
        pooling: ``pooled`` is what the model itself pools, ``cls`` its first token, ``mean`` the mean of its
            patches; ``auto`` is ``pooled`` where the checkpoint has weights for it, else ``mean``.
    """

    name = "image"
    model: str = "facebook/dinov2-base"
    pooling: str = "auto"

    def __post_init__(self) -> None:
        check_name("pooling", self.pooling, POOLINGS)
        ImageBatches.__init__(self, self.batch_size)
        try:
            network = self.load("AutoModel", ("pooler",) if self.pooling in ("cls", "mean") else ())
        except InputError:
            if self.pooling != "auto":
                raise
            self.pooling = "mean"  # for want of the pooler's weights; if others lack too, it is said now
            network = self.load("AutoModel", ("pooler",))
        if hasattr(network, "get_image_features"):
            raise InputError(
                f"image_encoder.model: {self.model} ({type(network).__name__}) has two towers: take "
                "--image-encoder clip for it"
            )
        self._prepare(network, pooling=self.pooling)

    def _embed(self, pixels: Any) -> Any:
        out = self._network(pixel_values=pixels)
        pooled = getattr(out, "pooler_output", None)
        if self.pooling == "pooled" or (self.pooling == "auto" and pooled is not None):
            if pooled is None:
                raise self._unfit("it pools nothing itself, take image_encoder.pooling=mean")
            return pooled.flatten(1)
        last = out.last_hidden_state
        if last.ndim == 4:  # (n, C, H, W)
            if self.pooling == "cls":
                raise self._unfit("it has no tokens, take image_encoder.pooling=mean")
            return last.mean(dim=(2, 3))
        if self.pooling == "cls":
            return last[:, 0]
        return last[:, self._before_patches(pixels, last.shape[1]) :].mean(dim=1)

    def _before_patches(self, pixels: Any, tokens: int) -> int:
        """How many tokens (class, registers) stand before those of the patches."""
        patch = getattr(self._network.config, "patch_size", None)
        if not isinstance(patch, int):
            return 0
        return max(0, tokens - (pixels.shape[2] // patch) * (pixels.shape[3] // patch))
