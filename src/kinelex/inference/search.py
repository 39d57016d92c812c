"""Clips of a store found by words or by an example, with a trained run."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from kinelex.data import SkeletonStore, open_store
from kinelex.data.named_clips import NamedClips
from kinelex.errors import InputError
from kinelex.inference.fusion import joined
from kinelex.inference.load_model import bare_model
from kinelex.inference.stored_features import stored_features
from kinelex.inference.text_head import TextSpace, text_space
from kinelex.inference.vectors import NearestRows
from kinelex.training.run_directory import RunDirectory

# What no body does: words that say something are nearer to some clips than nearly all of these.
CHANCE_WORDS = (
    *("a glass of water", "the price of oil", "a quiet street at night", "blue paint", "an old map"),
    *("the colour of the sky", "three apples", "a broken window", "next Tuesday", "a long letter"),
    *("the sound of rain", "cheese", "mathematics", "a train station", "winter in the mountains"),
    *("a small key", "the history of art", "salt and pepper", "a software licence", "the moon"),
    *("a leather chair", "five per cent", "a garden gate", "electricity"),
)
_CHANCE, _NEAREST = 0.95, 5  # quantile of these words; how many of the nearest clips count


@dataclass(frozen=True)
class Hit:
    """A clip that was found: its row, name and class (None without a label), and how similar it is."""

    row: int
    id: str
    label: str | None
    similarity: float


@dataclass(frozen=True)
class Hits:
    """What was found, the most similar first.

    Args:
        query: what was searched for, in words.
        hits: the clips.
        note: what there is to say about it, such as that the words say nothing to the run; or empty.
    """

    query: str
    hits: tuple[Hit, ...]
    note: str = ""

    def rows(self) -> list[dict[str, Any]]:
        """Rows of a table."""
        return [{"rank": place, **asdict(hit)} for place, hit in enumerate(self.hits, start=1)]


class SearchIndex:
    """The clips of a store as a run sees them; features are computed once and kept with the run.

    Args:
        store: the skeleton store.
        run: the run directory.
        prompts: the prompts of the run, where they are at another place now; for words.
        device: where the encoders run.
        console: where messages go; stderr by default.

    Raises:
        InputError: no finished run, an empty store, or a store that the run cannot read.
    """

    def __init__(
        self,
        store: SkeletonStore | str | Path,
        run: str | Path,
        prompts: str | Path | None = None,
        device: str = "cpu",
        console: Console | None = None,
    ) -> None:
        self.store = store if isinstance(store, SkeletonStore) else open_store(store)
        if not len(self.store):
            raise InputError(f"{self.store.path} has no clip to search")
        self.model, self._prompts = bare_model(run, console=console, device=device), prompts

    def by_clip(self, name: int | str, count: int = 10) -> Hits:
        """The clips that are most like one of the store, which is left out itself.

        Raises:
            InputError: no clip of this id, or a count below 1.
        """
        row = self.store.ids.index(self.store.clip(name).id)
        found = self._hits(self._skeletons, self._joined[row], count, leave_out=row)
        return Hits(f"clips like {self.store.ids[row]}", found)

    def by_example(self, clips: NamedClips | SkeletonStore, count: int = 10) -> Hits:
        """The clips that are most like one that is not in the store.

        Raises:
            InputError: several clips, another layout that cannot be retargeted, or a count below 1.
        """
        if len(clips) != 1:
            raise InputError(f"{clips.path} has {len(clips)} clips: expects one that others are to be like")
        own = self.model.features(clips, np.arange(1))
        query = joined([own[stream] for stream in self.model.encoders])[0]
        return Hits(f"clips like {clips.ids[0]}", self._hits(self._skeletons, query, count))

    def by_words(self, words: str, count: int = 10) -> Hits:
        """The clips that are nearest to words, in the space of clips and texts that the run learned.

        Raises:
            InputError: a run without such a space, no words, or words that say nothing to the text encoder.
        """
        words = " ".join(words.split())
        if not any(sign.isalpha() for sign in words):
            raise InputError(f"expects words that say what a body does, got {words!r}")
        vector = self._embedded([words])[0]
        found = self._hits(self._clips_of_texts, vector, count)
        near = self._clips_of_texts.nearest(vector, _NEAREST)[1].mean()
        if near >= self._chance:
            return Hits(words, found, self._text_space.unsure(words))
        return Hits(
            words,
            found,
            f"the nearest clips are at {near:.2f} on average, and words that no body does reach "
            f"{self._chance:.2f}: these say little to the run; say what the body does, as its prompts do",
        )

    def _hits(
        self, index: NearestRows, query: np.ndarray, count: int, leave_out: int = -1
    ) -> tuple[Hit, ...]:
        if count < 1:
            raise InputError(f"expects to find 1 clip or more, got {count}")
        rows, cosines = index.nearest(query, count + (leave_out >= 0))
        pairs = [(int(r), float(c)) for r, c in zip(rows, cosines, strict=True) if r != leave_out][:count]
        names, labels = self.store.class_names, self.store.labels
        return tuple(
            Hit(row, self.store.ids[row], names[labels[row]] if labels[row] >= 0 else None, round(cosine, 6))
            for row, cosine in pairs
        )

    @cached_property
    def _features(self) -> dict[str, np.ndarray]:
        return stored_features(self.model, self.store, np.arange(len(self.store)))

    @cached_property
    def _joined(self) -> np.ndarray:
        return joined([self._features[stream] for stream in self.model.encoders])

    @cached_property
    def _skeletons(self) -> NearestRows:
        return NearestRows(self._joined)

    @cached_property
    def _text_space(self) -> TextSpace:
        return text_space(
            RunDirectory(self.model.run),
            self.model.encoders,
            self._prompts,
            "search by --clip ID or --like FILE",
        )

    @cached_property
    def _clips_of_texts(self) -> NearestRows:
        (features,) = self._features.values()
        with torch.inference_mode():
            return NearestRows(self._text_space.space.embed("skeleton", torch.from_numpy(features)).numpy())

    def _embedded(self, texts: list[str]) -> np.ndarray:
        """Texts in the space, by mean and scale of the training prompts: one text has no mean of its own."""
        space, encode, _ = self._text_space
        vectors = encode([[text] for text in texts])
        if not vectors.any(axis=1).all() or not np.isfinite(vectors).all():
            raise InputError(f"{texts[0]!r} says nothing to the text encoder: expects other words")
        return np.asarray(space.embed_texts(torch.from_numpy(vectors), centre=False))

    @cached_property
    def _chance(self) -> float:
        """How near clips are to words that no body does."""
        vectors = self._embedded(list(CHANCE_WORDS))
        near = [self._clips_of_texts.nearest(vector, _NEAREST)[1].mean() for vector in vectors]
        return float(np.quantile(near, _CHANCE))
