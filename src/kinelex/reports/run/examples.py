"""Test clips with their texts and nearest neighbours: clear hits, and mistakes of the hardest classes."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from kinelex.data import WHOLE_CLIP, PromptStore, SkeletonStore
from kinelex.evaluation.context import Context
from kinelex.inference.cache import digest
from kinelex.inference.fusion import joined
from kinelex.inference.neighbours import Neighbours, knn
from kinelex.reports.page.player import clip_player

_SHOWN = 3  # neighbours of each example
_ARRAYS = ("scores", "indices", "similarities")  # of Neighbours


@dataclass
class Drawn:
    """One clip of an example: its name, class, player, and how similar it is to the test clip."""

    id: str
    label: str
    player: str
    right: bool = True
    similarity: float | None = None


@dataclass
class Example:
    """A test clip, its texts, and its nearest training clips."""

    clip: Drawn
    neighbours: list[Drawn]
    right: bool
    texts: list[str] = field(default_factory=list)


@dataclass
class HardClass:
    """A class that is often mistaken: its rate, what it is taken for, and a clip."""

    name: str
    rate: float
    taken_for: list[tuple[str, int]]
    count: int
    example: Example | None


def nearest_clips(context: Context, features: np.ndarray, metric: str) -> Neighbours:
    """The nearest training clips of each test clip, from the run's cache where they are there.

    Shape:
        - features: (n_test, F), of all streams
    """
    labels, count = context.store.labels[context.train], min(_SHOWN, len(context.train))
    key = digest(context.encoder_digests, context.clips_digest, metric, _SHOWN)
    found = context.cache.read("neighbours", key)
    if found is None or set(found) != set(_ARRAYS):
        bank = joined([context.features(stream, context.train) for stream in context.encoders])
        nearest = knn(bank, labels, features, len(context.class_names), count, metric, context.device)
        found = {name: getattr(nearest, name) for name in _ARRAYS}
        context.cache.write("neighbours", key, found)
    return Neighbours(*(found[name] for name in _ARRAYS))


def clearest(
    neighbours: Neighbours, labels: np.ndarray, train_labels: np.ndarray, right: bool
) -> dict[int, int]:
    """By class the test clip with the most similar neighbour, of those that it takes rightly or wrongly.

    The clearest hit of each class, or the mistake that is made with the most confidence.

    Shape:
        - labels: (n_test,); train_labels: (n_train,)

    Returns:
        Class to place in the test part.
    """
    found = (train_labels[neighbours.indices[:, 0]] == labels) == right
    best: dict[int, int] = {}
    for place in np.argsort(-neighbours.similarities[:, 0], kind="stable"):
        if found[place]:
            best.setdefault(int(labels[place]), int(place))
    return best


@dataclass
class Gallery:
    """Clips of a report, drawn."""

    store: SkeletonStore
    train: np.ndarray
    test: np.ndarray
    neighbours: Neighbours
    prompts: PromptStore | None = None

    def hits(self, most: int = 3) -> list[Example]:
        """Test clips whose nearest neighbour is of their class, spread over the classes."""
        best = self._clearest(True)
        places = [best[label] for label in sorted(best)]
        if not places:
            return []
        chosen = np.unique(np.linspace(0, len(places) - 1, most).round().astype(int))
        return [self._example(places[i]) for i in chosen]

    def hardest(self, confusion: np.ndarray, most: int = 4) -> list[HardClass]:
        """The classes with the lowest rates, each with a clip that is mistaken."""
        counts, mistakes = confusion.sum(axis=1), self._clearest(False)
        rates = np.where(counts > 0, confusion.diagonal() / np.maximum(counts, 1), 1.0)
        names, found = self.store.class_names, []
        for label in np.argsort(rates, kind="stable")[:most]:
            if rates[label] == 1:
                break
            wrong = confusion[label] * (np.arange(len(counts)) != label)
            order = [c for c in np.argsort(-wrong, kind="stable")[:3] if wrong[c]]
            taken = [(names[c], int(wrong[c])) for c in order]
            place = mistakes.get(int(label))
            example = None if place is None else self._example(place)
            found.append(HardClass(names[label], float(rates[label]), taken, int(counts[label]), example))
        return found

    def _clearest(self, right: bool) -> dict[int, int]:
        labels = self.store.labels
        return clearest(self.neighbours, labels[self.test], labels[self.train], right)

    def _example(self, place: int) -> Example:
        """A test clip and its nearest training clips."""
        clip, labels = int(self.test[place]), self.store.labels
        rows = self.train[self.neighbours.indices[place, :_SHOWN]]
        pairs = zip(rows, self.neighbours.similarities[place], strict=False)
        nearest = [_draw(self.store, int(r), bool(labels[r] == labels[clip]), float(s)) for r, s in pairs]
        texts = [] if self.prompts is None else clip_texts(self.prompts, self.store.ids[clip])
        return Example(_draw(self.store, clip), nearest, nearest[0].right, texts)


def _draw(store: SkeletonStore, row: int, right: bool = True, similarity: float | None = None) -> Drawn:
    name = store.ids[row]
    player = clip_player(store.sequence(row), store.layout, name, float(store.fps[row]))
    return Drawn(name, store.class_names[store.labels[row]], player, right, similarity)


def clip_texts(prompts: PromptStore, clip_id: str, frames: int = 2) -> list[str]:
    """A clip's texts for a reader: that of the whole clip first, then those of a few of its frames."""
    language = prompts.clip(clip_id).language if clip_id in prompts.ids else None
    if language is None or language.texts is None:
        return []
    whole = language.frames == WHOLE_CLIP
    first = [language.texts[i] for i in np.flatnonzero(whole)]
    single = np.flatnonzero(~whole)
    places = np.linspace(0, len(single) - 1, frames + 2).round().astype(int)[1:-1]
    picked = single[places] if len(single) else []
    others = [f"frame {language.frames[i]}: {language.texts[i]}" for i in picked]
    return list(dict.fromkeys(first + others))
