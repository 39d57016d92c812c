"""Text encoders ``clip`` and ``sentence``: any text tower or text encoder of ``transformers``."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from kinelex.errors import InputError, check_name
from kinelex.models.text_batches import TextBatches
from kinelex.prompts.from_checkpoint import FromCheckpoint

POOLINGS = ("mean", "cls")


@dataclass(kw_only=True, eq=False)
class TextCheckpoint(FromCheckpoint):
    """The options of a text encoder of transformers.

    Args:
        batch_size: texts per pass, those of like length together; 0 takes 16 on a CPU, 256 on a GPU.
    """

    section: ClassVar[str] = "text_encoder"
    batch_size: int = 0


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


@dataclass(kw_only=True, eq=False)
class SentenceEncoder(TextCheckpoint, TextBatches):
    """Embeddings by a text encoder (BERT, RoBERTa, MPNet, E5, BGE …).

    Args:
        pooling: mean of the tokens, or the first token (cls), as the model was trained.
        prefix: what goes before every text, where the model was trained with it (E5: "query: ").
        max_tokens: tokens of a text that are read, the rest is cut off; 0 takes what the model can.
    """

    name = "sentence"
    model: str = "sentence-transformers/all-mpnet-base-v2"
    pooling: str = "mean"
    prefix: str = ""
    max_tokens: int = 0

    def __post_init__(self) -> None:
        check_name("text_encoder.pooling", self.pooling, POOLINGS)
        if self.max_tokens < 0:
            raise InputError(f"text_encoder.max_tokens expects 0 or more, got {self.max_tokens}")
        tokenizer = self.checkpoint.processor("AutoTokenizer")
        network = self.load("AutoModel", may_lack=("pooler",))
        if hasattr(network.config, "vision_config") or tokenizer.pad_token is None:
            raise InputError(
                f"text encoder sentence expects a text encoder that pads, {self.model} is a "
                f"{type(network).__name__}: for CLIP and SigLIP take --text-encoder clip"
            )
        if network.config.is_encoder_decoder:
            network = network.get_encoder()
        tokenizer.padding_side = "right"  # the first token is at the beginning
        can = token_limit(tokenizer, _positions(network.config))
        most = min(self.max_tokens or can, can)
        own = {"pooling": self.pooling, "prefix": self.prefix, "max_tokens": most}
        self.settings = self.all_settings(network, **own)
        TextBatches.__init__(self, tokenizer, network, self.batch_size, most, self.prefix)

    def _embed(self, inputs: Any) -> torch.Tensor:
        if self.pooling == "cls":
            return self._network(**inputs).last_hidden_state[:, 0]
        return super()._embed(inputs)


def token_limit(tokenizer: Any, positions: int | None) -> int:
    """How many tokens of a text a network reads: what it and its tokenizer both can."""
    return min(int(tokenizer.model_max_length), positions or 1 << 30, 1 << 20)


def _positions(config: Any) -> int | None:
    """Tokens that positions were learned for; RoBERTa's count from the padding's number."""
    learned = getattr(config, "max_position_embeddings", None)
    if learned is None or getattr(config, "model_type", "") not in ("roberta", "xlm-roberta", "mpnet"):
        return learned
    return learned - config.pad_token_id - 1
