"""Task ``one_shot``: clips of novel classes get the class of the nearest exemplar, one of each class."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from kinelex.data.splits.drawn import shuffled
from kinelex.data.splits.seen_classes import ClassSplit
from kinelex.errors import InputError
from kinelex.evaluation.baselines import raw_features
from kinelex.evaluation.context import Context, TaskResult
from kinelex.evaluation.protocols.supervision import check_novel, split_of
from kinelex.evaluation.statistics import bootstrap_interval, mean_sd
from kinelex.inference.fusion import joined
from kinelex.inference.neighbours import nearest
from kinelex.skeleton import has_landmarks
from kinelex.transforms.normalise import TORSO


@dataclass(frozen=True)
class OneShotOptions:
    """Options of ``one_shot``.

    Args:
        split: novel classes: random:NOVEL:SEED, a split of the package (ntu120_one_shot) or a YAML file; by
            default those of the protocol (classes:ntu120_one_shot).
        draws: how often the exemplars are drawn; once where the split names them.
    """

    split: Path | None = None
    draws: int = 10

    def __post_init__(self) -> None:
        if self.draws < 1:
            raise InputError(f"expects one_shot.draws of at least 1, got {self.draws}")


class OneShot:
    """Clips of novel classes are compared with one exemplar of each."""

    name: ClassVar[str] = "one_shot"
    title: ClassVar[str] = "one-shot"
    Options: ClassVar[type] = OneShotOptions

    def check(self, context: Context, options: OneShotOptions) -> None:
        """Refuse classes that the run cannot be judged on."""
        _asked(context, options, draws=1)

    def run(self, context: Context, options: OneShotOptions) -> TaskResult:
        """Judge the run."""
        split, novel, rows, draws = _asked(context, options, options.draws)
        truth = np.searchsorted(split.unseen, context.store.labels[rows])
        ours = joined([context.features(stream, rows) for stream in context.encoders])
        hits = _hits(ours, truth, draws)
        torso = context.store.channels == 3 and has_landmarks(context.store.layout, *TORSO)
        raw = _hits(raw_features(context.store, rows, aligned=torso), truth, draws)
        by_draw = _mean(hits, 1)
        numbers: dict[str, Any] = {
            "rule": f"Nothing is trained: each test clip of {len(split.unseen)} novel classes gets the class "
            "of the nearest exemplar, one clip of each class, by the cosine of features; top-1 over all "
            "clips but the exemplars, mean over the draws of exemplars.",
            "top1": float(by_draw.mean()),
            "ci95": list(bootstrap_interval(_mean(hits, 0), context.seed)),
            "draws": mean_sd(by_draw.tolist()),
            "chance": 1 / len(split.unseen),
            "raw": {"top1": float(_mean(raw, 1).mean()), "aligned": torso},
            "per_class": _by_class(hits, truth, [context.class_names[c] for c in split.unseen]),
            "split": split.name,
            "exemplars": "named" if split.exemplars else "drawn",
            "clips": len(rows) - len(split.unseen),
            **novel,
        }
        if len(draws) == 1:
            numbers["exemplar_ids"] = [context.store.ids[rows[i]] for i in draws[0]]
        return TaskResult(numbers)


def _asked(
    context: Context, options: OneShotOptions, draws: int
) -> tuple[ClassSplit, dict[str, Any], np.ndarray, list[np.ndarray]]:
    """The classes, how many of their clips were trained on, their test clips, the exemplars by draw."""
    split = split_of(context, options.split, OneShot.name)
    novel = check_novel(context, split)
    rows = context.test[np.isin(context.truth, split.unseen)]
    return split, novel, rows, _exemplars(context, split, rows, draws)


def _exemplars(context: Context, split: ClassSplit, rows: np.ndarray, draws: int) -> list[np.ndarray]:
    """For each draw, by clips' ids and the seed alone, the place in ``rows`` of a clip of each class."""
    labels = context.store.labels[rows]
    missing = [c for c in split.unseen if c not in labels]
    if missing:
        raise InputError(
            f"the test part of {context.protocol} has no clip of {context.class_names[missing[0]]!r}, a "
            f"novel class of {split.name}"
        )
    if len(rows) == len(split.unseen):
        raise InputError(
            f"the test part of {context.protocol} has one clip of each novel class, none beside the exemplars"
        )
    place = {int(row): i for i, row in enumerate(rows)}
    if not split.exemplars:
        seeds = range(context.seed * draws, (context.seed + 1) * draws)
        return [
            np.array([place[int(shuffled(context.store, rows[labels == c], s)[0])] for c in split.unseen])
            for s in seeds
        ]
    by_id = {context.store.ids[row]: i for row, i in place.items()}
    wrong = next((e for e in split.exemplars if e not in by_id), None)
    if wrong is not None:
        raise InputError(
            f"the exemplar {wrong} of {split.name} is no clip of a novel class in the test part of "
            f"{context.protocol}: evaluate with --protocol classes:{split.name}"
        )
    named = np.array([by_id[e] for e in split.exemplars])
    for c, i in zip(split.unseen, named, strict=True):
        if labels[i] != c:
            meant, true = context.class_names[c], context.class_names[labels[i]]
            raise InputError(
                f"{split.name} names {context.store.ids[rows[i]]}, a clip of {true!r}, as the exemplar of "
                f"{meant!r}"
            )
    return [named]


def _hits(features: np.ndarray, truth: np.ndarray, draws: list[np.ndarray]) -> np.ndarray:
    """Per draw and clip 1 where the nearest exemplar is of its class, else 0; NaN for the exemplars.

    Shape:
        - features: (n, F); truth: (n,) classes from 0 on, the order of a draw's exemplars
        - returns: (draws, n)

    >>> features = np.array([[1.0, 0.0], [0.0, 1.0], [0.9, 0.1], [0.8, 0.3]])
    >>> _hits(features, np.array([0, 1, 0, 1]), [np.array([0, 1])])
    array([[nan, nan,  1.,  0.]])
    """
    hits = np.empty((len(draws), len(truth)))
    for row, exemplars in zip(hits, draws, strict=True):
        row[:] = nearest(features[exemplars], features)[0][:, 0] == truth
        row[exemplars] = np.nan
    return hits


def _by_class(hits: np.ndarray, truth: np.ndarray, names: list[str]) -> dict[str, float | None]:
    """Rates by class; None for a class whose only clip is its exemplar."""
    rates = [float(_mean(hits[:, truth == i])) for i in range(len(names))]
    return {name: None if np.isnan(rate) else rate for name, rate in zip(names, rates, strict=True)}


def _mean(values: np.ndarray, axis: int | None = None) -> np.ndarray:
    """Means of what is not NaN; NaN where there is nothing."""
    there = ~np.isnan(values)
    count = there.sum(axis=axis)
    total = np.where(there, values, 0).sum(axis=axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
