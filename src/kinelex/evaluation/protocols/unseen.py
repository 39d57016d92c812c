"""Which classes a run has not seen, for the tasks that judge it on them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from kinelex.data.splits.seen_classes import ClassSplit, class_split
from kinelex.datasets import get_split
from kinelex.errors import InputError
from kinelex.evaluation.context import Context
from kinelex.training.learned import learned_parts, trained_parts

_OF_PROTOCOL = re.compile(r"(?:.+?:seen-|classes:)(?P<classes>.+?)(?::few-.*|:fold\d+of\d+)*")


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
    for part in learned_parts(config):
        if part["store_fingerprint"] == store.fingerprint and _count(context, part["protocol"], split):
            raise InputError(
                f"{context.run.path} learned labels of the unseen classes of {split.name} (trained on "
                f"{part['protocol']}): train it on a protocol such as xsub:seen-{split.name}"
            )
    trained = trained_parts(config)
    if not trained:
        return {"unseen_in_training": None, "note": "the run does not say which clips it was trained on"}
    own = [part["protocol"] for part in trained if part["store_fingerprint"] == store.fingerprint]
    count = sum(_count(context, protocol, split) for protocol in own)
    if not count:
        return {"unseen_in_training": 0}
    note = (
        f"the run was trained on {count} clips of the unseen classes, though not on their labels: train on a "
        f"protocol such as xsub:seen-{split.name} to leave them out"
    )
    return {"unseen_in_training": count, "note": note}


def _count(context: Context, protocol: str, split: ClassSplit) -> int:
    rows = get_split(context.store, protocol).train
    return int(np.isin(context.store.labels[rows], split.unseen).sum())


def harmonic_mean(first: float, second: float) -> float:
    """The harmonic mean of two rates; 0 where one of them is 0.

    >>> round(harmonic_mean(0.6, 0.3), 6), harmonic_mean(0.0, 0.9)
    (0.4, 0.0)
    """
    return 2 * first * second / (first + second) if first and second else 0.0
