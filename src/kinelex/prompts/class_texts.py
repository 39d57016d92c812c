"""Embeddings of texts that stand for classes, by the encoder that embedded a store's prompts."""

from collections.abc import Sequence

import numpy as np

from kinelex.data import PromptMeta
from kinelex.errors import InputError
from kinelex.prompts import registry
from kinelex.prompts.base import TextEncoder
from kinelex.prompts.language import split_sentences
from kinelex.prompts.stages import describe


def text_encoder(meta: PromptMeta) -> TextEncoder:
    """The encoder that embedded the language prompts of a prompt store.

    Args:
        meta: of the prompt store.

    Raises:
        InputError: the store does not say by which one, it cannot be had here, or what lies here under its
            name is another one.
    """
    about = dict(meta.engines.get("language", {}).get("encoder", {}))
    name = about.pop("name", None)
    if name is None:
        raise InputError("the prompt store does not say which text encoder its language prompts are from")
    known, revision = registry.options_of(registry.TEXT_ENCODER, name), about.get("revision")
    options = {key: value for key, value in about.items() if key in known}
    if revision and "/" in options.get("model", ""):  # of the hub, as it was then
        options["model"] += f"@{revision}"
    encoder = registry.create(registry.TEXT_ENCODER, name, **options)
    here = describe(encoder).get("revision")
    if revision and here != revision:
        raise InputError(
            f"the prompts were embedded by {about['model']} of the revision {revision}, what is found under "
            f"this name has {here}: bring that checkpoint back, or make the prompts again"
        )
    return encoder


def embed_classes(texts: Sequence[Sequence[str]], encoder: TextEncoder, by_sentence: bool) -> np.ndarray:
    """One vector per class: the mean of its texts, each embedded as the prompts are.

    Args:
        texts: of each class.
        encoder: embeds texts.
        by_sentence: a text is the mean direction of its sentences, as in prompts pooled by ``sentences``.

    Shape:
        - returns: (classes, width) float32
    """
    units = [[split_sentences(t) or [t] if by_sentence else [t] for t in own] for own in texts]
    flat = sorted({unit for own in units for text in own for unit in text})
    vectors = dict(zip(flat, np.asarray(encoder.encode(flat), np.float32), strict=True))

    def embed(text: list[str]) -> np.ndarray:
        total = np.sum([vectors[unit] for unit in text], axis=0)
        return total / max(float(np.linalg.norm(total)), 1e-12)

    return np.stack([np.mean([embed(text) for text in own], axis=0) for own in units])
