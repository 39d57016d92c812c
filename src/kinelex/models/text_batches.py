"""What text encoders have in common: texts of like length go through the network together."""

import re
from typing import Any

import numpy as np
import torch

from kinelex.errors import InputError
from kinelex.models.transformers import find_checkpoint


class TextBatches:
    """A text encoder whose network reads ``most`` tokens of a text, batch by batch: the mean of them.

    A ``batch_size`` of 0 takes 16 on a CPU, so that they stay in its cache, else 256. With ``pad_to_most``
    each text is filled up to ``most`` tokens, as SigLIP was trained.
    """

    width: int

    def __init__(
        self,
        tokenizer: Any,
        network: Any,
        batch_size: int,
        most: int,
        prefix: str = "",
        pad_to_most: bool = False,
    ) -> None:
        if batch_size < 0:
            raise InputError(f"text_encoder.batch_size expects 0 or more, got {batch_size}")
        self._tokenizer, self._network = tokenizer, network
        self._batch_size = batch_size or (16 if network.device.type == "cpu" else 256)
        self._cut: dict[str, Any] = {"truncation": True, "max_length": most}
        self._prefix, self._padding = prefix, "max_length" if pad_to_most else True
        self.width = self.encode(["a"]).shape[1]

    def encode(self, texts: list[str]) -> np.ndarray:
        """Embeddings of texts; identical ones are computed once.

        Shape:
            - returns: (n, width) float32, rows of length 1, in the order of the texts.
        """
        if not texts:
            return np.zeros((0, self.width), np.float32)
        texts = [self._prefix + text for text in texts]
        different = sorted(set(texts))
        tokens = self._tokenizer(different, **self._cut)["input_ids"]
        order = sorted(range(len(different)), key=lambda i: (len(tokens[i]), different[i]))
        row = {different[i]: r for r, i in enumerate(order)}
        batches = []
        for start in range(0, len(order), self._batch_size):
            batch = [different[i] for i in order[start : start + self._batch_size]]
            inputs = self._tokenizer(batch, **self._cut, padding=self._padding, return_tensors="pt")
            with torch.inference_mode():
                vectors = self._embed(inputs.to(self._network.device)).float()
                batches.append(torch.nn.functional.normalize(vectors, dim=1).cpu())
        return torch.cat(batches).numpy()[[row[text] for text in texts]]

    def in_pieces(self, text: str) -> list[str]:
        """Words of a text that are not in the network's vocabulary as a whole: rare, misspelt, or none."""
        words = re.findall(r"[^\W\d_]+", text)
        return [word for word in words if len(self._tokenizer.tokenize(word)) > 1]

    def _embed(self, inputs: Any) -> torch.Tensor:
        """Embeddings (n, width) of a batch of tokens: by default their mean without the padding."""
        tokens, real = self._network(**inputs).last_hidden_state, inputs["attention_mask"].unsqueeze(-1)
        return (tokens.float() * real).sum(1) / real.sum(1).clamp(min=1)


class MeanOfTokens(TextBatches):
    """Texts by the mean of the tokens of a checkpoint (BERT, MPNet, E5, BGE ...), as vectors of length 1.

    Args:
        model: folder of the checkpoint, or its name on the hub.
        option: the option that names it, for messages.

    Raises:
        InputError: there is no such checkpoint, it cannot be loaded, or transformers is not installed.
    """

    def __init__(self, model: str, option: str) -> None:
        checkpoint = find_checkpoint(model, option)
        tokenizer = checkpoint.processor("AutoTokenizer")
        network = checkpoint.network("AutoModel", "cpu", may_lack=("pooler",))
        most = min(tokenizer.model_max_length, getattr(network.config, "max_position_embeddings", 512))
        super().__init__(tokenizer, network, 0, most)
