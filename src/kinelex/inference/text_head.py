"""Classes given as words, by the space of skeletons and texts that a run learned."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from collections.abc import Sequence as Rows
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from rich.console import Console

from kinelex.data import open_prompts
from kinelex.errors import InputError
from kinelex.inference.calibration import Calibration
from kinelex.inference.heads import TextHead
from kinelex.inference.vectors import unit_rows
from kinelex.methods.embedding_space import EmbeddingSpace
from kinelex.prompts.class_texts import embed_classes, text_encoder
from kinelex.training.embedding_space_files import FILE, load_embedding_space
from kinelex.training.encoder_files import SkeletonEncoder
from kinelex.training.run_directory import RunDirectory

_SAME, _ALIKE = 0.999, 0.95  # cosines of the words' embeddings
_TEMPERATURE = 0.07  # of cosines, as C2VL learns by default


class TextSpace(NamedTuple):
    """A run's space of clips and texts, what embeds texts for it, and a note on texts it knows no word of."""

    space: EmbeddingSpace
    embed: Callable[[Rows[Rows[str]]], np.ndarray]
    unsure: Callable[[str], str]


def text_head(
    run: RunDirectory,
    encoders: dict[str, SkeletonEncoder],
    words: tuple[str, ...],
    prompts: str | Path | None,
    console: Console,
) -> tuple[TextHead, Calibration]:
    """Words as classes.

    Args:
        run: the run directory.
        encoders: its encoders.
        words: the classes, two or more.
        prompts: the prompt store of the run, where it is at another place now.
        console: where messages go.

    Raises:
        InputError: a run without a space of texts, its prompts are not there or do not say what embedded
            them, fewer than two words, or words that are the same to the text encoder.
    """
    _check_words(words)
    space, embed, unsure = text_space(run, encoders, prompts, "show the classes by --examples FOLDER")
    vectors = embed([[word] for word in words])
    _check_vectors(words, vectors)
    texts = space.embed_texts(torch.from_numpy(vectors)).numpy()
    _warn_alike(words, vectors, texts, console)
    for note in filter(None, map(unsure, words)):
        console.print(note, markup=False, soft_wrap=True)
    heat: Any = run.config["method"].get("temperature", _TEMPERATURE)
    source = "the training (method.temperature): nothing labelled tells it for words"
    return TextHead(words, space, texts), Calibration(float(heat), source=source, held_out=False)


def text_space(
    run: RunDirectory, encoders: Mapping[str, SkeletonEncoder], prompts: str | Path | None, instead: str
) -> TextSpace:
    """The space of clips and texts that a run learned, and what reads texts for it, as its prompts were read.

    Args:
        run: the run directory.
        encoders: its encoders.
        prompts: the prompt store of the run, where it is at another place now.
        instead: what can be done without such a space, for the message.

    Raises:
        InputError: a run without a space of texts, or its prompts are not there or do not say what embedded
            them.
    """
    space = load_embedding_space(run.path)
    if space is None or "language" not in space.modalities or len(encoders) > 1:
        others = sorted(file.parent.name for file in run.path.resolve().parent.glob(f"*/{FILE}"))
        beside = f" (beside it: {', '.join(others[:5])})" if others else ""
        raise InputError(
            f"{run.path} learned no space of texts, which words need: runs of c2vl with language prompts "
            f"have one{beside}; or {instead}"
        )
    path = prompts or run.config.get("prompts")
    if path is None or not Path(path).is_file():
        raise InputError(
            f"the prompts that {run.path} was trained with are not there ({path}), and they say by what "
            "texts are embedded: pass --prompts PROMPTS"
        )
    meta = open_prompts(path).meta
    by_sentence = meta.engines.get("language", {}).get("pool", "sentences") == "sentences"
    encoder = text_encoder(meta)

    def embed(texts: Rows[Rows[str]]) -> np.ndarray:
        return np.ascontiguousarray(embed_classes(texts, encoder, by_sentence), np.float32)

    def unsure(text: str) -> str:
        find = getattr(encoder, "in_pieces", None)  # a plugin's may not tell
        in_pieces: list[str] = [] if find is None else find(text)
        whole = [word for word in re.findall(r"[^\W\d_]+", text) if word not in in_pieces]
        if whole or not in_pieces:
            return ""
        return f"the text encoder knows no word of {text!r}: what is said of it is a guess"

    return TextSpace(space, embed, unsure)


def _check_words(words: tuple[str, ...]) -> None:
    if len(words) < 2 or not all(words):
        raise InputError(
            f"expects two classes or more as words, such as 'waving, kicking', got {', '.join(words)!r}"
        )
    twice = next((word for word in words if [w.lower() for w in words].count(word.lower()) > 1), None)
    if twice is not None:
        raise InputError(f"the class {twice!r} is given twice")
    empty = next((word for word in words if not any(sign.isalpha() for sign in word)), None)
    if empty is not None:
        raise InputError(f"the class {empty!r} has no letter: expects words that say what is done")


def _check_vectors(words: tuple[str, ...], vectors: np.ndarray) -> None:
    """Refuse words of which the text encoder says nothing, or the same."""
    silent = next(
        (w for w, v in zip(words, vectors, strict=True) if not v.any() or not np.isfinite(v).all()), None
    )
    if silent is not None:
        raise InputError(f"the class {silent!r} says nothing to the text encoder: expects other words")
    alike = _pairs(vectors, _SAME)
    if alike:
        a, b = (words[i] for i in alike[0])
        raise InputError(f"{a!r} and {b!r} are the same to the text encoder: expects words that differ")


def _warn_alike(words: tuple[str, ...], vectors: np.ndarray, texts: np.ndarray, console: Console) -> None:
    for what, rows in (("to the text encoder", vectors), ("in the space that the run learned", texts)):
        for i, j in _pairs(rows, _ALIKE):
            console.print(
                f"{words[i]!r} and {words[j]!r} are nearly the same {what}: they will hardly be told apart",
                markup=False,
                soft_wrap=True,
            )


def _pairs(rows: np.ndarray, least: float) -> list[tuple[int, int]]:
    """Pairs of rows whose cosine is at least so large."""
    unit = unit_rows(rows)
    close = np.triu(unit @ unit.T >= least, k=1)
    return [(int(i), int(j)) for i, j in np.argwhere(close)]
