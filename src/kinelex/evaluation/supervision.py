"""What a run that learned from labels may be judged on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from kinelex.datasets import get_split
from kinelex.errors import InputError
from kinelex.store import SkeletonStore
from kinelex.training.encoder_files import SkeletonEncoder
from kinelex.training.recipe import METHODS
from kinelex.training.run_directory import RunDirectory


def check_classes(trained: Mapping[str, SkeletonEncoder], store: SkeletonStore, run: Path) -> None:
    """Refuse to read a classifier's scores as those of other classes.

    Raises:
        InputError: the store's classes are not those the run learned.
    """
    for encoder in trained.values():
        if encoder.classifier is not None and encoder.class_names != store.class_names:
            learned, there = _listed(encoder.class_names), _listed(store.class_names)
            raise InputError(
                f"{run} learned {learned}, {store.path} has {there}: "
                "judge its features with --tasks knn,linear"
            )


def check_unseen(run: RunDirectory, store: SkeletonStore, test: np.ndarray) -> None:
    """Refuse test clips whose labels the run learned: every number on them would flatter.

    Args:
        run: the run.
        store: the store that is judged on.
        test: its rows of the test part.

    Raises:
        InputError: the run learned labels of the test part.
    """
    config = run.config
    method = METHODS.get(config["method"]["name"])
    if method is None or not method.needs_labels or config.get("store_fingerprint") != store.fingerprint:
        return
    learned = np.intersect1d(get_split(store, config["protocol"]).train, test)
    if len(learned):
        raise InputError(
            f"{run.path} learned the labels of {len(learned)} of the {len(test)} test clips (trained on "
            f"{config['protocol']}): evaluate it on a protocol whose test part it has not seen"
        )


def _listed(names: tuple[str, ...]) -> str:
    return f"{len(names)} classes ({', '.join(names[:3])}{', ...' * (len(names) > 3)})"
