"""Texts of classes, and their embeddings by the encoder that embedded a run's prompts."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import numpy as np

from kinelex.data import PromptMeta
from kinelex.errors import InputError
from kinelex.files.bounded import safe_yaml
from kinelex.prompts import registry
from kinelex.prompts.base import TextEncoder
from kinelex.prompts.engines.classes import read_descriptions
from kinelex.prompts.language import split_sentences

NAMES, AUTO = "names", "auto"


def class_text_names() -> tuple[str, ...]:
    """Data sets whose classes this package describes.

    >>> class_text_names()
    ('utd_mhad',)
    """
    files = resources.files("kinelex.evaluation").joinpath("class_texts").iterdir()
    return tuple(sorted(f.name.removesuffix(".yaml") for f in files if f.name.endswith(".yaml")))


def class_texts(given: str, dataset: str, class_names: Sequence[str]) -> tuple[str, list[list[str]]]:
    """One or more texts of each class.

    Args:
        given: ``names``, a name of :func:`class_text_names`, a YAML file of class names and texts, or
            ``auto``: the package's texts of this data set, the names where it does not describe all classes.
        dataset: the data set.
        class_names: its classes; one that is not in the file goes by its name.

    Returns:
        What was taken, and the texts by class.

    Raises:
        InputError: no such file, another form, or a class that is not there.

    >>> class_texts("names", "actors", ("jump", "wave"))
    ('names', [['jump'], ['wave']])
    """
    if given == AUTO:
        described = dataset in class_text_names() and set(class_names) <= _package_texts(dataset).keys()
        given = dataset if described else NAMES
    if given == NAMES:
        return given, [[name] for name in class_names]
    if given in class_text_names():
        texts = _package_texts(given)
        if not texts.keys() & set(class_names):
            raise InputError(f"the texts of the classes of {given} describe none of the classes of {dataset}")
    elif Path(given).is_file():
        texts = read_descriptions(Path(given), tuple(class_names))
    else:
        known = ", ".join((AUTO, NAMES, *class_text_names()))
        raise InputError(f"there are no texts of classes {given!r}: expects {known}, or a YAML file")
    return given, [texts.get(name, [name]) for name in class_names]


def _package_texts(name: str) -> dict[str, list[str]]:
    folder = resources.files("kinelex.evaluation").joinpath("class_texts")
    texts = safe_yaml(folder.joinpath(f"{name}.yaml").read_text(encoding="utf-8"))
    return {of: [text] for of, text in texts.items()}


def text_encoder(meta: PromptMeta) -> TextEncoder:
    """The encoder that embedded the language prompts of a prompt store.

    Args:
        meta: of the prompt store.

    Raises:
        InputError: the store does not say by which one, or it cannot be had here.
    """
    about = dict(meta.engines.get("language", {}).get("encoder", {}))
    name = about.pop("name", None)
    if name is None:
        raise InputError("the prompt store does not say which text encoder its language prompts are from")
    known = registry.options_of(registry.TEXT_ENCODER, name)
    return registry.create(registry.TEXT_ENCODER, name, **{k: v for k, v in about.items() if k in known})


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
