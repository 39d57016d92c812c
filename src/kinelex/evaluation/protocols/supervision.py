"""What a run that learned from labels may be judged on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kinelex import plugins
from kinelex.data import SkeletonStore
from kinelex.datasets import get_split
from kinelex.errors import InputError
from kinelex.methods import list_methods, method_class
from kinelex.training.encoder_files import SkeletonEncoder
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


def reads_labels(config: Mapping[str, Any]) -> bool:
    """Whether a run's method learns from labels.

    Raises:
        InputError: the method is that of a plugin which is not there.

    >>> reads_labels({"method": {"name": "supervised"}}), reads_labels({"method": {"name": "cmd"}})
    (True, False)
    """
    name = config["method"]["name"]
    if name in list_methods():
        return method_class(name).needs_labels
    plugins.require(config.get("plugins") or (), f"a run of the method {name}")
    return False


def learned_parts(config: Mapping[str, Any]) -> list[dict[str, str]]:
    """The parts whose labels a run learned: its own training part, and those of the runs it was adapted from.

    Returns:
        ``store_fingerprint`` and ``protocol`` of each; nothing of a converted run, which does not say it.

    >>> base = {"method": {"name": "supervised"}, "store_fingerprint": "a1", "protocol": "xsub"}
    >>> adapted = {"mode": "batch_norm", "from": base}
    >>> learned_parts({**base, "store_fingerprint": "b2", "adapted": adapted})
    [{'store_fingerprint': 'a1', 'protocol': 'xsub'}]
    """
    adapted = config.get("adapted") or {}
    parts = learned_parts(adapted["from"]) if adapted else []
    fingerprint, protocol = config.get("store_fingerprint"), config.get("protocol")
    if not reads_labels(config) or adapted.get("mode") == "batch_norm":
        return parts
    if fingerprint and protocol:
        parts.insert(0, {"store_fingerprint": fingerprint, "protocol": protocol})
    return parts


def _listed(names: tuple[str, ...]) -> str:
    return f"{len(names)} classes ({', '.join(names[:3])}{', ...' * (len(names) > 3)})"
