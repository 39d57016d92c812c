"""Text encoder ``clip``: the text tower of any CLIP or SigLIP checkpoint of ``transformers``."""

from dataclasses import dataclass
from typing import Any

import torch

from kinelex.errors import InputError
from kinelex.prompts.embed.text_batches import TextBatches, TextCheckpoint, token_limit


@dataclass(kw_only=True, eq=False)
class ClipText(TextCheckpoint, TextBatches):
    """Embeddings by the text tower of CLIP, SigLIP and their kin: the space of their pictures.

    CLIP reads 77 tokens of a text, SigLIP 64; what goes beyond is cut off.

    Args:
        model: folder or hub id of a checkpoint with both towers (owner/name or owner/name@revision).

    Source: C2VL (arXiv 2405.20606) embeds with CLIP ViT-L/14@336px.
    """

    name = "clip"
    model: str = "openai/clip-vit-large-patch14-336"

    def __post_init__(self) -> None:
        tokenizer = self.checkpoint.processor("AutoTokenizer")
        network = self.load("AutoModel", may_lack=("pooler",))
        if not (hasattr(network, "get_text_features") and hasattr(network, "vision_model")):
            raise InputError(
                f"text encoder clip expects a checkpoint of CLIP or SigLIP, {self.model} is a "
                f"{type(network).__name__}: --text-encoder sentence takes text encoders"
            )
        network.vision_model = None  # the other tower is not needed
        self.settings = self.all_settings(network)
        self._is_siglip = str(network.config.model_type).startswith("siglip")
        most = token_limit(tokenizer, getattr(network.config.text_config, "max_position_embeddings", None))
        TextBatches.__init__(self, tokenizer, network, self.batch_size, most, pad_to_most=self._is_siglip)

    def _embed(self, inputs: Any) -> torch.Tensor:
        if self._is_siglip:
            inputs.pop("attention_mask", None)  # it was trained without
        return self._network.get_text_features(**inputs).pooler_output
