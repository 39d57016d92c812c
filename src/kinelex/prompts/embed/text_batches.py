"""Private machinery of text encoders: texts of like length go through the network together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from kinelex.errors import InputError


def encode_by_length(
    texts: list[str],
    tokenizer: Any,
    embed: Callable[[Any], torch.Tensor],
    batch_size: int,
    most: int,
    pad_to_most: bool = False,
) -> np.ndarray:
    """Embeddings of texts, each different one computed once, in batches that need little padding.

    Args:
        texts: at least one.
        tokenizer: of transformers; what goes beyond its limit is cut off.
        embed: makes embeddings of a batch of tokens.
        batch_size: texts per batch.
        most: tokens of a text that the network reads.
        pad_to_most: fill each text up to ``most`` tokens, as SigLIP was trained.

    Shape:
        - returns: (n, D) float32, rows of length 1, in the order of the texts.
    """
    different = sorted(set(texts))
    tokens = tokenizer(different, truncation=True, max_length=most)["input_ids"]
    order = sorted(range(len(different)), key=lambda i: (len(tokens[i]), different[i]))
    row = {different[i]: r for r, i in enumerate(order)}
    found = []
    for start in range(0, len(order), batch_size):
        batch = [different[i] for i in order[start : start + batch_size]]
        inputs = tokenizer(
            batch,
            truncation=True,
            max_length=most,
            padding="max_length" if pad_to_most else True,
            return_tensors="pt",
        )
        with torch.inference_mode():
            found.append(torch.nn.functional.normalize(embed(inputs).float(), dim=1).cpu())
    return torch.cat(found).numpy()[[row[text] for text in texts]]


def token_limit(tokenizer: Any, positions: int | None) -> int:
    """How many tokens of a text a network reads: what it and its tokenizer both can."""
    return min(int(tokenizer.model_max_length), positions or 1 << 30, 1 << 20)


def find_batch_size(batch_size: int, device: torch.device) -> int:
    """Texts per pass; where 0 was asked for, 16 on a CPU, so that they stay in its cache, else 256.

    Raises:
        InputError: less than none.

    >>> find_batch_size(0, torch.device("cpu")), find_batch_size(8, torch.device("cpu"))
    (16, 8)
    """
    if batch_size < 0:
        raise InputError(f"text_encoder.batch_size expects 0 or more, got {batch_size}")
    return batch_size or (16 if device.type == "cpu" else 256)


def check_batch_size(batch_size: int) -> None:
    """Refuse a batch without texts.

    Raises:
        InputError: less than one.
    """
    if batch_size < 1:
        raise InputError(f"text_encoder.batch_size expects at least 1, got {batch_size}")
