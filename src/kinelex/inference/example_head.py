"""Classes that a handful of labelled clips show: the nearest of them, or a logistic regression."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from kinelex.data import SkeletonStore, open_store
from kinelex.data.named_clips import NamedClips
from kinelex.datasets.registry import make_reader
from kinelex.datasets.single import ReadOptions, read_with
from kinelex.errors import InputError
from kinelex.inference.calibration import Calibration, calibrate
from kinelex.inference.fusion import joined
from kinelex.inference.heads import Head, NearestHead
from kinelex.inference.known_clips import KnownClips, which_neighbour
from kinelex.inference.linear_probe import linear_probe
from kinelex.inference.model import Model
from kinelex.inference.own_head import probes_head
from kinelex.inference.usual_windows import usual_seconds

_COSINE_HEAT = 0.1  # of cosines, where nothing can be left out to choose it by
_STRENGTH = 0.03  # of the regression's penalty: a handful of clips cannot choose it
_MOST_LEFT_OUT = 300  # examples that are left out one by one; of more, a part is


def example_model(model: Model, source: Path, head: str, read: ReadOptions) -> Model:
    """A model of the classes that labelled clips show, with their own leave-one-out accuracy.

    Args:
        model: the run.
        source: a folder CLASS/clip.npy or with a manifest, or a skeleton store with labels.
        head: ``knn`` or ``linear``.
        read: how raw examples are read.

    Raises:
        InputError: no labelled clip, or one class alone.
    """
    clips, labels, names = _labelled(source, read)
    used = np.unique(labels)
    if len(used) < 2:
        raise InputError(
            f"the examples in {source} are all of one class ({names[used[0]]}): expects a folder for each of "
            "two classes or more, or a store with labels"
        )
    names, labels = tuple(names[label] for label in used), np.searchsorted(used, labels)
    rows = np.arange(len(clips)) if isinstance(clips, NamedClips) else _rows(clips)
    features = model.features(clips, rows)
    made = _fitted(head, names, labels, features)
    k = which_neighbour(len(labels), len(names))
    model.has_raw_examples = isinstance(clips, NamedClips)
    model.head, known = made, KnownClips(joined(list(features.values())), k)
    model.known_clips = known
    how = "the nearest example" if head == "knn" else "a logistic regression on the examples"
    model.by = f"{how} of {len(labels)} in {len(names)} classes"
    model.calibration, model.examples = _judged(made, known, head, names, labels, features)
    model.examples["seconds"] = usual_seconds(clips.lengths[rows], clips.fps[rows])
    return model


def _labelled(
    source: Path, read: ReadOptions
) -> tuple[SkeletonStore | NamedClips, np.ndarray, tuple[str, ...]]:
    """Labelled clips, their classes, and the names of these."""
    if source.is_file():
        store = open_store(source)
        rows = _rows(store)
        if not len(rows):
            raise InputError(f"{source} has no clip with a label")
        return store, store.labels[rows], store.class_names
    found = read_with(make_reader(read.reader or "folder", source, read.given()), source)
    clips = [clip for clip in found.clips if clip.label is not None]
    if not clips:
        raise InputError(f"{source} has no clip with a label: expects a folder for each class")
    labels = np.array([clip.label for clip in clips])
    return NamedClips(clips, found.meta.layout, source), labels, found.meta.class_names


def _rows(store: SkeletonStore) -> np.ndarray:
    return np.flatnonzero(store.labels >= 0)


def _fitted(kind: str, names: tuple[str, ...], labels: np.ndarray, features: dict[str, np.ndarray]) -> Head:
    if kind == "knn":
        return NearestHead(names, joined(list(features.values())), labels, tuple(features))
    return probes_head(
        names, {s: linear_probe(x, labels, len(names), None, (_STRENGTH,)) for s, x in features.items()}
    )


def _judged(
    head: Head,
    known: KnownClips,
    kind: str,
    names: tuple[str, ...],
    labels: np.ndarray,
    features: dict[str, np.ndarray],
) -> tuple[Calibration, dict[str, Any]]:
    """Each example told by the others, of the classes that have two or more."""
    counts = np.bincount(labels, minlength=len(names))
    judged = np.flatnonzero(counts[labels] > 1)
    about: dict[str, Any] = {
        "examples": len(labels),
        "per_class": dict(zip(names, counts.tolist(), strict=True)),
    }
    if not len(judged):
        heat = _COSINE_HEAT if kind == "knn" else 1.0
        source = "nothing: one example of each class"
        return Calibration(heat, source=source, held_out=False), {**about, "leave_one_out": None}
    if isinstance(head, NearestHead):
        scores = head.scores_among(head.bank, leave_out=True)[judged]
    else:
        if len(judged) > _MOST_LEFT_OUT:
            judged = np.sort(np.random.default_rng(0).permutation(judged)[:_MOST_LEFT_OUT])
        scores = np.concatenate([_left_out(kind, int(i), names, labels, features) for i in judged])
    cosines = known.cosines(known.features[judged], own=judged)
    found = calibrate(scores, labels[judged], "the examples, each told by the others", cosines=cosines)
    return found, {**about, "leave_one_out": found.accuracy}


def _left_out(
    kind: str, i: int, names: tuple[str, ...], labels: np.ndarray, features: dict[str, np.ndarray]
) -> np.ndarray:
    others = np.arange(len(labels)) != i
    head = _fitted(kind, names, labels[others], {s: x[others] for s, x in features.items()})
    return head.scores({s: x[i : i + 1] for s, x in features.items()})
