"""Test clips with their texts and nearest neighbours, some taken rightly and some wrongly."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from kinelex._page.strips import skeleton_strip
from kinelex.evaluation.knn import Neighbours
from kinelex.store import WHOLE_CLIP, PromptStore, SkeletonStore


@dataclass
class Drawn:
    """One clip of an example: its name, class, drawing, and how similar it is to the test clip."""

    id: str
    label: str
    strip: str
    right: bool = True
    similarity: float | None = None


@dataclass
class Example:
    """A test clip, its texts, and its nearest training clips."""

    clip: Drawn
    neighbours: list[Drawn]
    right: bool
    texts: list[str] = field(default_factory=list)


def choose_examples(
    neighbours: Neighbours, labels: np.ndarray, train_labels: np.ndarray, each: int = 3
) -> np.ndarray:
    """Test clips to show: ``each`` whose nearest neighbour is of their class, and as many wrong ones.

    Classes are spread over the ones shown; of a class the clip with the most similar neighbour is taken:
    the clearest of the right ones, and the mistake made with the most confidence.

    Shape:
        - labels: (n_test,); train_labels: (n_train,)
        - returns: (up to 2 * each,) places in the test part, right ones first
    """
    right = train_labels[neighbours.indices[:, 0]] == labels
    chosen: list[int] = []
    for wanted in (True, False):
        best: dict[int, int] = {}
        for place in np.argsort(-neighbours.similarities[:, 0], kind="stable"):
            if right[place] == wanted:
                best.setdefault(int(labels[place]), int(place))
        places = [best[label] for label in sorted(best)]
        chosen += (
            [places[i] for i in np.unique(np.linspace(0, len(places) - 1, each).round().astype(int))]
            if places
            else []
        )
    return np.array(chosen, dtype=np.int64)


def make_examples(
    store: SkeletonStore,
    train: np.ndarray,
    test: np.ndarray,
    neighbours: Neighbours,
    prompts: PromptStore | None = None,
    shown: int = 3,
) -> list[Example]:
    """Draw the examples of a report.

    Args:
        store: the skeleton store.
        train, test: its rows.
        neighbours: of each test clip among the training clips.
        prompts: where the texts come from, if there are any.
        shown: neighbours per clip.
    """
    truth, known = store.labels[test], store.labels[train]
    examples = []
    for place in choose_examples(neighbours, truth, known):
        clip, label = int(test[place]), int(truth[place])
        nearest = [
            _draw(store, int(train[n]), bool(known[n] == label), float(s))
            for n, s in zip(neighbours.indices[place, :shown], neighbours.similarities[place], strict=False)
        ]
        texts = [] if prompts is None else clip_texts(prompts, store.ids[clip])
        examples.append(Example(_draw(store, clip), nearest, nearest[0].right, texts))
    return examples


def _draw(store: SkeletonStore, row: int, right: bool = True, similarity: float | None = None) -> Drawn:
    strip = skeleton_strip(store.sequence(row), store.layout)
    return Drawn(store.ids[row], store.class_names[store.labels[row]], strip, right, similarity)


def clip_texts(prompts: PromptStore, clip_id: str, frames: int = 2) -> list[str]:
    """A clip's texts for a reader: that of the whole clip first, then those of a few of its frames.

    Texts that say the same are given once.
    """
    language = prompts.clip(clip_id).language if clip_id in prompts.ids else None
    if language is None or language.texts is None:
        return []
    whole = language.frames == WHOLE_CLIP
    first = [language.texts[i] for i in np.flatnonzero(whole)]
    single = np.flatnonzero(~whole)
    picked = (
        single[np.linspace(0, len(single) - 1, frames + 2).round().astype(int)[1:-1]] if len(single) else []
    )
    others = [f"frame {language.frames[i]}: {language.texts[i]}" for i in picked]
    return list(dict.fromkeys(first + others))
