"""What a run may be judged on: whose labels it learned, and which classes it has not seen."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kinelex.data import SkeletonStore
from kinelex.data.splits.seen_classes import ClassSplit, class_split
from kinelex.datasets import get_split
from kinelex.errors import InputError
from kinelex.evaluation.context import Context
from kinelex.training.encoder_files import SkeletonEncoder
from kinelex.training.learned import learned_parts, trained_parts
from kinelex.training.run_directory import RunDirectory

_OF_PROTOCOL = re.compile(r"(?:.+?:seen-|classes:)(?P<classes>.+?)(?::few-.*|:fold\d+of\d+)*")


def check_classes(trained: Mapping[str, SkeletonEncoder], store: SkeletonStore, run: Path) -> None:
    """Refuse to read a classifier's scores as those of other classes."""
    for encoder in trained.values():
        if encoder.classifier is not None and encoder.class_names != store.class_names:
            learned, there = _listed(encoder.class_names), _listed(store.class_names)
            pairs = zip(encoder.class_names, store.class_names, strict=False)
            other = next(((a, b) for a, b in pairs if a != b), None)
            differ = "" if other is None else f", {other[0]!r} in the place of {other[1]!r}"
            raise InputError(
                f"{run} learned {learned}, {store.path} has {there}{differ}: "
                "judge its features with --tasks knn,linear"
            )


def check_unseen(run: RunDirectory, store: SkeletonStore, test: np.ndarray) -> None:
    """Refuse test clips whose labels the run learned: every number on them would flatter."""
    for protocol, count in known_of(learned_parts(run.config), store, test):
        raise InputError(
            f"{run.path} learned the labels of {count} of the {len(test)} test clips (trained on "
            f"{protocol}): evaluate it on a protocol whose test part it has not seen"
        )


def known_of(
    parts: Iterable[Mapping[str, str]], store: SkeletonStore, rows: np.ndarray
) -> Iterator[tuple[str, int]]:
    """The protocols whose training parts have some of a store's rows, of those that a run knows; how many.

    Shape:
        - rows: (n,)
    """
    for part in parts:
        if part["store_fingerprint"] == store.fingerprint:
            count = len(np.intersect1d(get_split(store, part["protocol"]).train, rows))
            if count:
                yield part["protocol"], count


def retargeted(store: SkeletonStore, encoder: SkeletonEncoder) -> str | None:
    """From which layout to which an encoder retargets the clips of a store; None where it does not."""
    same = encoder.layout.joints == store.layout.joints
    return None if same else f"{store.layout.name} to {encoder.layout.name}"


def _listed(names: tuple[str, ...]) -> str:
    return f"{len(names)} classes ({', '.join(names[:3])}{', ...' * (len(names) > 3)})"


def split_of(context: Context, given: Path | None, task: str) -> ClassSplit:
    """The split that a task is asked for: by its option, else that of the protocol, else of the run's own.

    Raises:
        InputError: none of them has one, or the split is not one of the store's classes.
    """
    if given is not None:
        return class_split(str(given), context.class_names)
    own = own_split(context)
    if own is not None:
        return own
    raise InputError(
        f"{task} needs to know which classes are unseen: pass {task}.split=random:5:0, a split of the "
        "package or a YAML file; or evaluate on a protocol such as xsub:seen-random:5:0"
    )


def own_split(context: Context) -> ClassSplit | None:
    """The split of the protocol, else of the run's own; None where neither leaves classes out."""
    for protocol in (context.protocol, str(context.run.config.get("protocol"))):
        match = _OF_PROTOCOL.fullmatch(protocol)
        if match is not None:
            return class_split(match["classes"], context.class_names)
    return None


def check_novel(context: Context, split: ClassSplit) -> dict[str, Any]:
    """How many clips of the unseen classes the run was trained on, and a note where there are any.

    Returns:
        ``unseen_in_training``: the number, None for a run that does not say what it was trained on; ``note``.

    Raises:
        InputError: the run learned the labels of unseen classes.
    """
    config, store = context.run.config, context.store
    rows = np.flatnonzero(np.isin(store.labels, split.unseen))
    for protocol, _ in known_of(learned_parts(config), store, rows):
        raise InputError(
            f"{context.run.path} learned labels of the unseen classes of {split.name} (trained on "
            f"{protocol}): train it on a protocol such as xsub:seen-{split.name}"
        )
    trained = trained_parts(config)
    if not trained:
        return {"unseen_in_training": None, "note": "the run does not say which clips it was trained on"}
    count = sum(count for _, count in known_of(trained, store, rows))
    if not count:
        return {"unseen_in_training": 0}
    note = (
        f"the run was trained on {count} clips of the unseen classes, though not on their labels: train on a "
        f"protocol such as xsub:seen-{split.name} to leave them out"
    )
    return {"unseen_in_training": count, "note": note}


def harmonic_mean(first: float, second: float) -> float:
    """The harmonic mean of two rates; 0 where one of them is 0.

    >>> round(harmonic_mean(0.6, 0.3), 6), harmonic_mean(0.0, 0.9)
    (0.4, 0.0)
    """
    return 2 * first * second / (first + second) if first and second else 0.0
