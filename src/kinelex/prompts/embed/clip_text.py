"""Text encoder ``clip``: the text tower of any CLIP or SigLIP checkpoint of ``transformers``."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import torch

from kinelex.errors import InputError
from kinelex.models.transformers import find_checkpoint
from kinelex.prompts.embed.text_batches import TextBatches, token_limit


class ClipText(TextBatches):
    """Embeddings by the text tower of CLIP, SigLIP and their kin: the space of their pictures.

    CLIP reads 77 tokens of a text, SigLIP 64; what goes beyond is cut off.

    Args:
        model: folder or hub id of a checkpoint with both towers (owner/name or owner/name@revision).
        batch_size: texts per pass, those of like length together; 0 takes 16 on a CPU, 256 on a GPU.
        device: auto, cpu, cuda, cuda:1 …
        dtype: auto, float32, bfloat16 or float16; auto is the checkpoint's own on a GPU, float32 on a CPU.

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
        tokenizer = checkpoint.processor("AutoTokenizer")
        network = checkpoint.network("AutoModel", device, dtype, may_lack=("pooler",))
        if not (hasattr(network, "get_text_features") and hasattr(network, "vision_model")):
            raise InputError(
                f"text encoder clip expects a checkpoint of CLIP or SigLIP, {model} is a "
                f"{type(network).__name__}: --text-encoder sentence takes text encoders"
            )
        network.vision_model = None  # the other tower is not needed
        self.version = version("transformers")
        number = str(network.dtype).removeprefix("torch.")
        self.settings: dict[str, Any] = {**checkpoint.settings, "dtype": number}
        self._is_siglip = str(network.config.model_type).startswith("siglip")
        most = token_limit(tokenizer, getattr(network.config.text_config, "max_position_embeddings", None))
        super().__init__(tokenizer, network, batch_size, most, pad_to_most=self._is_siglip)

    def _embed(self, inputs: Any) -> torch.Tensor:
        if self._is_siglip:
            inputs.pop("attention_mask", None)  # it was trained without
        return self._network.get_text_features(**inputs).pooler_output
