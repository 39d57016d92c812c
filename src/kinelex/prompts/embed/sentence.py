"""Text encoder ``sentence``: any text encoder of ``transformers``, its tokens pooled to one embedding."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import torch

from kinelex.errors import InputError, unknown_name
from kinelex.models.transformers import find_checkpoint
from kinelex.prompts.embed.text_batches import TextBatches, mean_of_tokens, token_limit

POOLINGS = ("mean", "cls")


class SentenceEncoder(TextBatches):
    """Embeddings by a text encoder (BERT, RoBERTa, MPNet, E5, BGE …).

    Args:
        model: folder or hub id of a checkpoint (owner/name or owner/name@revision).
        pooling: mean of the tokens, or the first token (cls), as the model was trained.
        prefix: what goes before every text, where the model was trained with it (E5: "query: ").
        max_tokens: tokens of a text that are read, the rest is cut off; 0 takes what the model can.
        batch_size: texts per pass, those of like length together; 0 takes 16 on a CPU, 256 on a GPU.
        device: auto, cpu, cuda, cuda:1 …
        dtype: auto, float32, bfloat16 or float16; auto is the checkpoint's own on a GPU, float32 on a CPU.
    """

    name = "sentence"

    def __init__(
        self,
        *,
        model: str = "sentence-transformers/all-mpnet-base-v2",
        pooling: str = "mean",
        prefix: str = "",
        max_tokens: int = 0,
        batch_size: int = 0,
        device: str = "auto",
        dtype: str = "auto",
    ) -> None:
        if pooling not in POOLINGS:
            raise unknown_name("text_encoder.pooling", pooling, POOLINGS)
        if max_tokens < 0:
            raise InputError(f"text_encoder.max_tokens expects 0 or more, got {max_tokens}")
        checkpoint = find_checkpoint(model, "text_encoder.model")
        tokenizer = checkpoint.processor("AutoTokenizer")
        network = checkpoint.network("AutoModel", device, dtype, may_lack=("pooler",))
        if hasattr(network.config, "vision_config") or tokenizer.pad_token is None:
            raise InputError(
                f"text encoder sentence expects a text encoder that pads, {model} is a "
                f"{type(network).__name__}: for CLIP and SigLIP take --text-encoder clip"
            )
        if network.config.is_encoder_decoder:
            network = network.get_encoder()
        tokenizer.padding_side = "right"  # the first token is at the beginning
        can = token_limit(tokenizer, _positions(network.config))
        most = min(max_tokens or can, can)
        self._pooling = pooling
        self.version = version("transformers")
        self.settings: dict[str, Any] = {
            **checkpoint.settings,
            "pooling": pooling,
            "prefix": prefix,
            "max_tokens": most,
            "dtype": str(network.dtype).removeprefix("torch."),
        }
        super().__init__(tokenizer, network, batch_size, most, prefix)

    def _embed(self, inputs: Any) -> torch.Tensor:
        tokens = self._network(**inputs).last_hidden_state  # (n, tokens, D)
        return tokens[:, 0] if self._pooling == "cls" else mean_of_tokens(tokens, inputs["attention_mask"])


def _positions(config: Any) -> int | None:
    """Tokens that positions were learned for; RoBERTa's count from the padding's number."""
    learned = getattr(config, "max_position_embeddings", None)
    if learned is None or getattr(config, "model_type", "") not in ("roberta", "xlm-roberta", "mpnet"):
        return learned
    return learned - config.pad_token_id - 1
