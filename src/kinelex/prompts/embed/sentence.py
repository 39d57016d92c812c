"""Text encoder ``sentence``: any text encoder of ``transformers``, its tokens pooled to one embedding."""

from dataclasses import dataclass
from typing import Any

import torch

from kinelex.errors import InputError, check_name
from kinelex.prompts.embed.text_batches import TextBatches, TextCheckpoint, mean_of_tokens, token_limit

POOLINGS = ("mean", "cls")


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
        tokens = self._network(**inputs).last_hidden_state  # (n, tokens, D)
        return tokens[:, 0] if self.pooling == "cls" else mean_of_tokens(tokens, inputs["attention_mask"])


def _positions(config: Any) -> int | None:
    """Tokens that positions were learned for; RoBERTa's count from the padding's number."""
    learned = getattr(config, "max_position_embeddings", None)
    if learned is None or getattr(config, "model_type", "") not in ("roberta", "xlm-roberta", "mpnet"):
        return learned
    return learned - config.pad_token_id - 1
