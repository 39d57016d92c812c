"""What a run that learned from labels may be judged on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from kinelex.data import SkeletonStore
from kinelex.datasets import get_split
from kinelex.errors import InputError
from kinelex.training.encoder_files import SkeletonEncoder
from kinelex.training.learned import learned_parts
from kinelex.training.run_directory import RunDirectory


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
    for part in learned_parts(run.config):
        if part["store_fingerprint"] != store.fingerprint:
            continue
        learned = np.intersect1d(get_split(store, part["protocol"]).train, test)
        if len(learned):
            raise InputError(
                f"{run.path} learned the labels of {len(learned)} of the {len(test)} test clips (trained on "
                f"{part['protocol']}): evaluate it on a protocol whose test part it has not seen"
            )


def retargeted(store: SkeletonStore, encoder: SkeletonEncoder) -> str | None:
    """From which layout to which an encoder retargets the clips of a store; None where it does not."""
    same = encoder.layout.joints == store.layout.joints
    return None if same else f"{store.layout.name} to {encoder.layout.name}"


def _listed(names: tuple[str, ...]) -> str:
    return f"{len(names)} classes ({', '.join(names[:3])}{', ...' * (len(names) > 3)})"
