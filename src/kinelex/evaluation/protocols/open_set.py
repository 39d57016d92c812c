"""Task ``open_set``: clips of classes that were left out are told from clips of known classes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from kinelex.data.splits.seen_classes import ClassSplit, class_split
from kinelex.errors import InputError
from kinelex.evaluation.context import Context, TaskResult
from kinelex.evaluation.frozen_classifier import known_model, learned_labels
from kinelex.evaluation.protocols.supervision import check_novel, own_split
from kinelex.evaluation.statistics import mean_sd
from kinelex.inference.calibration import known_scores
from kinelex.inference.fusion import joined, softmax
from kinelex.inference.known_clips import which_neighbour
from kinelex.inference.neighbours import nearest

_MEANS = (
    *("auroc", "kept", "refused", "auroc_neighbour", "kept_neighbour", "refused_neighbour"),
    *("auroc_score", "kept_score", "refused_score", "auroc_nearest", "auroc_probability", "top1_known"),
)


@dataclass(frozen=True)
class OpenSetOptions:
    """Options of ``open_set``.

    Args:
        split: the classes left out: random:UNSEEN:SEED, a split of the package or a YAML file; by default
            those of the run's protocol (xsub:seen-random:3:0), or else drawn.
        unseen: how many classes are left out where they are drawn.
        draws: how often they are drawn.
    """

    split: Path | None = None
    unseen: int = 3
    draws: int = 5

    def __post_init__(self) -> None:
        for name in ("unseen", "draws"):
            if getattr(self, name) < 1:
                raise InputError(f"expects open_set.{name} of at least 1, got {getattr(self, name)}")


class OpenSet:
    """Clips of classes that were left out are told from known ones, as ``kinelex predict`` does."""

    name: ClassVar[str] = "open_set"
    title: ClassVar[str] = "open set"
    Options: ClassVar[type] = OpenSetOptions

    def check(self, context: Context, options: OpenSetOptions) -> None:
        """Refuse classes that the run cannot be judged on.

        Raises:
            InputError: classes whose labels the run learned, or a part without known or unknown clips.
        """
        for split in _splits(context, options):
            check_novel(context, split)
            train, known, unknown = _parts(context, split)
            for part, rows in (("training clip of a known", train), ("test clip of a known", known)):
                if not len(rows):
                    raise InputError(f"{context.protocol} has no {part} class beside those of {split.name}")
            if not len(unknown):
                raise InputError(f"no test clip of {context.protocol} is of a class of {split.name}")

    def run(self, context: Context, options: OpenSetOptions) -> TaskResult:
        """Judge the run.

        Raises:
            InputError: as :meth:`check`.
        """
        splits = _splits(context, options)
        learned = learned_labels(context)
        novel = {split.name: check_novel(context, split) for split in splits}
        draws = [_judged(context, split) for split in splits]
        numbers: dict[str, Any] = {
            "rule": _rule(learned),
            **{key: _mean([draw[key] for draw in draws]) for key in _MEANS},
            "chance": 0.5,
            "by": "classify" if learned else "linear",
            "known_by": draws[0]["known_by"],
            "draws": [{**draw, **novel[draw["split"]]} for draw in draws],
        }
        return TaskResult(numbers)


def _rule(learned: bool) -> str:
    by = "the run's own classifier" if learned else "a logistic regression on the other training clips"
    return (
        "Classes are left out of all labels. Test clips are ranked by the cosine with a near known training "
        f"clip (neighbour: draws.k says which), by that with the nearest, by the highest score of {by} "
        "(score) and by its highest probability. "
        "auroc: how often a clip of a known class is above one of a class left out. kept: known test clips "
        "above the threshold that was chosen to keep 95 % of held-out training clips; refused: clips of the "
        "classes left out below it. Without a suffix by what predict uses (known_by). Means over draws of "
        "classes."
    )


def _splits(context: Context, options: OpenSetOptions) -> list[ClassSplit]:
    """The classes of each draw; one where the option or the run's protocol names them."""
    if options.split is not None:
        return [class_split(str(options.split), context.class_names)]
    own = own_split(context)
    if own is not None:
        return [own]
    seeds = range(context.seed * options.draws, (context.seed + 1) * options.draws)
    return [class_split(f"random:{options.unseen}:{seed}", context.class_names) for seed in seeds]


def _parts(context: Context, split: ClassSplit) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows: training clips of known classes, test clips of these, test clips of the others."""
    train = context.train[np.isin(context.store.labels[context.train], split.seen)]
    known, unknown = (context.test[np.isin(context.truth, part)] for part in (split.seen, split.unseen))
    return train, known, unknown


def _judged(context: Context, split: ClassSplit) -> dict[str, Any]:
    from sklearn.metrics import roc_auc_score

    train, known, unknown = _parts(context, split)
    rows = np.concatenate([known, unknown])
    of_train, features = ({s: context.features(s, part) for s in context.encoders} for part in (train, rows))
    model = known_model(context, train)
    scores, is_known = model.head.scores(features), np.isin(rows, known)
    bank, query = (joined(list(part.values())) for part in (of_train, features))
    k = which_neighbour(len(train), len(split.seen))
    near = nearest(bank, query, k, device=context.device)[1]
    found: dict[str, Any] = {}
    for name, sure, least in (
        ("", *model.told(features)[1:]),
        ("_neighbour", near[:, -1], model.calibration.neighbour),
        ("_nearest", near[:, 0], None),
        ("_score", known_scores(scores), model.calibration.threshold),
        ("_probability", softmax(scores).max(axis=1), None),
    ):
        found[f"auroc{name}"] = float(roc_auc_score(is_known, sure))
        found[f"kept{name}"] = None if least is None else float((sure[is_known] >= least).mean())
        found[f"refused{name}"] = None if least is None else float((sure[~is_known] < least).mean())
    right = scores[is_known].argmax(axis=1) == context.store.labels[known]
    return {
        "split": split.name,
        "unknown": [context.class_names[c] for c in split.unseen],
        "clips": {"known": len(known), "unknown": len(unknown)},
        "known_by": model.known_by,
        "k": k,
        **{name: value for name, value in found.items() if name in _MEANS},
        "top1_known": float(right.mean()),
        "calibration": model.calibration.numbers(),
    }


def _mean(values: list[float | None]) -> dict[str, Any] | None:
    """Mean and standard deviation over draws; None where a draw has no threshold."""
    numbers = [value for value in values if value is not None]
    return mean_sd(numbers) if len(numbers) == len(values) else None
