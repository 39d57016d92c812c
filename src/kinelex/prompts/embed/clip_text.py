"""Text encoder ``clip``: the text tower of any CLIP or SigLIP checkpoint of ``transformers``."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import numpy as np
import torch

from kinelex.errors import InputError
from kinelex.models.transformers import find_checkpoint
from kinelex.prompts.embed.text_batches import encode_by_length, find_batch_size, token_limit


class ClipText:
    """Embeddings by the text tower of CLIP, SigLIP and their kin: the space of their pictures.

    CLIP reads 77 tokens of a text, SigLIP 64; what goes beyond is cut off.

    Args:
        model: folder or hub id of a checkpoint with both towers (owner/name or owner/name@revision).
        batch_size: texts per pass, those of like length together; 0 takes 16 on a CPU, 256 on a GPU.
        device: auto, cpu, cuda, cuda:1 …
        dtype: auto, float32, bfloat16 or float16; auto is the checkpoint's own on a GPU, float32 on a CPU.

    Raises:
        InputError: a checkpoint that is not there or has no text tower, or an option out of range.

    Source: C2VL (arXiv 2405.20606) embeds with CLIP ViT-L/14@336px.
    """

    name = "clip"

    def __init__(
        self,
        *,
        model: str = "openai/clip-vit-large-patch14-336",
        batch_size: int = 0,
        device: str = "auto",
        dtype: str = "auto",
    ) -> None:
        checkpoint = find_checkpoint(model, "text_encoder.model")
        self._tokenizer = checkpoint.processor("AutoTokenizer")
        network = checkpoint.network("AutoModel", device, dtype, may_lack=("pooler",))
        if not (hasattr(network, "get_text_features") and hasattr(network, "vision_model")):
            raise InputError(
                f"text encoder clip expects a checkpoint of CLIP or SigLIP, {model} is a "
                f"{type(network).__name__}: --text-encoder sentence takes text encoders"
            )
        network.vision_model = None  # the other tower is not needed
        self._network = network
        self._batch_size = find_batch_size(batch_size, network.device)
        text = network.config.text_config
        self._most = token_limit(self._tokenizer, getattr(text, "max_position_embeddings", None))
        self._pad_to_most = str(network.config.model_type).startswith("siglip")
        self.version = version("transformers")
        self.settings: dict[str, Any] = {
            **checkpoint.settings,
            "dtype": str(network.dtype).removeprefix("torch."),
        }
        self.width = self._encode(["a"]).shape[1]

    def encode(self, texts: list[str]) -> np.ndarray:
        """Embeddings of texts; identical ones are computed once.

        Shape:
            - returns: (n, width) float32, rows of length 1.
        """
        return self._encode(texts) if texts else np.zeros((0, self.width), np.float32)

    def _encode(self, texts: list[str]) -> np.ndarray:
        return encode_by_length(
            texts, self._tokenizer, self._embed, self._batch_size, self._most, self._pad_to_most
        )

    def _embed(self, inputs: Any) -> torch.Tensor:
        if self._pad_to_most:
            inputs.pop("attention_mask", None)  # SigLIP was trained without
        return self._network.get_text_features(**inputs.to(self._network.device)).pooler_output
