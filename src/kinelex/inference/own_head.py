"""The classes that a run was trained on: its own classifier, or a probe on its features; both calibrated.

What is found is kept under the run's ``evaluation/cache``, so that a second call needs no training store.
"""

from __future__ import annotations

from copy import copy
from pathlib import Path
from typing import Any

import numpy as np

from kinelex.data.labelled_clips import subject_groups
from kinelex.errors import InputError
from kinelex.inference.cache import Cache, digest, run_digest
from kinelex.inference.calibration import Calibration, calibrate
from kinelex.inference.features import extract_all
from kinelex.inference.heads import LinearHead
from kinelex.inference.known_clips import TrainingClips, training_clips
from kinelex.inference.linear_probe import linear_probe, training_folds
from kinelex.inference.model import Model
from kinelex.inference.stored_features import stored_features
from kinelex.training.learned import learned_config

_FEWEST = 20  # held-out clips, below which the learned ones tell more
_MOST = 5000  # clips that temperature and threshold are chosen on
_NAME = "predict"


def classifier_calibration(
    model: Model, config: dict[str, Any], data: Path | None = None, holdout: Model | None = None
) -> Calibration:
    """Temperature and threshold of a run's own classifier, chosen once and kept.

    On the clips that a ``holdout`` run did not learn, by its scores; else on those of the training part that
    the run itself did not learn; else on those that it learned, changed at random as in training, with a
    temperature of 1 or more.

    Args:
        model: the run.
        config: its ``config.yaml``.
        data: the store, where it is not where the run was trained.
        holdout: a run of the same recipe, trained on a fold of the same training part.

    Raises:
        InputError: a ``holdout`` of other classes, or one that left no clip.
    """
    key = _key(model, config, "classifier", holdout)
    cache = Cache(model.run / "evaluation" / "cache")
    kept = cache.read_json(_NAME, key)
    if kept is not None:
        return Calibration(**kept[0])
    try:
        if holdout is not None:
            found = _by_holdout(model, holdout, data)
        else:
            found = _by_own_clips(model, training_clips(config, data))
    except _NotThere as error:
        raise InputError(str(error)) from error
    except InputError as error:
        if holdout is not None or data is not None:
            raise
        model.say(f"{error}: probabilities are not calibrated (temperature 1), no clip is called unknown")
        return Calibration(source=f"nothing: {error}", held_out=False)
    _keep(model, cache, key, found, {})
    return found


class _NotThere(InputError):
    """What was asked for by name is not to be had."""


def _by_holdout(model: Model, holdout: Model, data: Path | None) -> Calibration:
    from kinelex.training.run_directory import RunDirectory

    if holdout.classes != model.classes:
        raise _NotThere(f"{holdout.run} tells other classes than {model.run}: expects one of the same recipe")
    clips = training_clips(RunDirectory(holdout.run).config, data)
    if len(clips.held_out) < _FEWEST:
        raise _NotThere(
            f"{holdout.run} was trained on {clips.protocol} and left {len(clips.held_out)} clips of its "
            "training part: expects a run on a fold, for example xsub:fold1of5"
        )
    scores, labels = _scores(holdout, clips, clips.held_out)
    return calibrate(scores, labels, f"clips of the training part that {holdout.run.name} did not learn")


def _by_own_clips(model: Model, clips: TrainingClips) -> Calibration:
    if clips.store.class_names != model.classes:
        raise InputError(f"{clips.store.path} has other classes than the run")
    if len(clips.held_out) >= _FEWEST:
        scores, labels = _scores(model, clips, clips.held_out)
        return calibrate(scores, labels, "clips of the training part that the run did not learn")
    model.say(
        "the run learned all clips of its training part: temperature and threshold are chosen on these, "
        "changed at random as in training, and are too sure; --holdout RUN takes a run of a fold",
    )
    rows = _some(clips.learned)
    encoders = model.reading(clips.store)
    features = extract_all(encoders, clips.store, rows, device=model.device, augment=True)
    source = "clips that the run learned, changed at random as in training"
    return calibrate(model.head.scores(features), clips.store.labels[rows], source, held_out=False, least=1.0)


def probe_head(
    model: Model, config: dict[str, Any], data: Path | None = None
) -> tuple[LinearHead, Calibration]:
    """A logistic regression of the training store's classes, for a run that did not learn labels; kept.

    Its temperature and threshold are chosen on folds of the training part, each told by the others.

    Args:
        model: the run.
        config: its ``config.yaml``.
        data: the store, where it is not where the run was trained.

    Raises:
        InputError: the store is not there or has no labels, and nothing was kept.
    """
    key = _key(model, config, "probe")
    cache = Cache(model.run / "evaluation" / "cache")
    kept = cache.read_json(_NAME, key)
    if kept is not None:
        content, arrays = kept
        head = LinearHead.of_arrays(tuple(content["classes"]), arrays)
        return head, Calibration(**content["calibration"])
    try:
        clips = training_clips(config, data)
    except InputError as error:
        raise InputError(
            f"{model.run} learned no classes, and {error}: pass --data STORE, or say which classes there are "
            'by --examples FOLDER or --classes "waving, kicking"'
        ) from error
    rows = np.concatenate([clips.learned, clips.held_out])
    model.say(f"fits a logistic regression on the features of {len(rows)} training clips; it is kept")
    head, found = fitted_probe(clips, rows, stored_features(model, clips.store, rows))
    _keep(model, cache, key, found, head.arrays(), classes=head.classes)
    return head, found


def fitted_probe(
    clips: TrainingClips, rows: np.ndarray, features: dict[str, np.ndarray]
) -> tuple[LinearHead, Calibration]:
    """A logistic regression by stream, calibrated on folds that it did not learn.

    Args:
        clips: the training clips.
        rows: the rows that are learned.
        features: theirs, by stream.

    Shape:
        - rows: (n,); features: (n, F) by stream
    """
    names, labels = clips.store.class_names, clips.store.labels[rows]
    groups = subject_groups(clips.store, rows)
    probes = {s: linear_probe(x, labels, len(names), groups) for s, x in features.items()}
    strengths = {s: (probe.regularisation,) for s, probe in probes.items()}
    head = probes_head(names, probes)
    folds = training_folds(labels, groups)
    if not folds.parts:
        return head, Calibration(source="nothing: one clip of each class", held_out=False)
    scores = np.empty((len(rows), len(names)))
    for fit, held in folds.parts:
        own = {
            s: linear_probe(x[fit], labels[fit], len(names), None, strengths[s]) for s, x in features.items()
        }
        scores[held] = probes_head(names, own).scores({s: x[held] for s, x in features.items()})
    usable = np.zeros(len(rows), bool)  # a class that only held-out clips have cannot be told
    for fit, held in folds.parts:
        usable[held] = np.isin(labels[held], labels[fit])
    source = f"folds of the training part (by {folds.by}), told by a regression on the others"
    return head, calibrate(scores[usable], labels[usable], source)


def probes_head(names: tuple[str, ...], probes: dict[str, Any]) -> LinearHead:
    """One head of the probes by stream."""
    parts = [{s: getattr(p, name) for s, p in probes.items()} for name in ("weight", "bias", "mean", "scale")]
    return LinearHead(names, *parts)


def _scores(model: Model, clips: TrainingClips, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rows = _some(rows)
    return model.head.scores(stored_features(model, clips.store, rows)), clips.store.labels[rows]


def _some(rows: np.ndarray) -> np.ndarray:
    """At most so many of the rows, drawn."""
    return rows if len(rows) <= _MOST else np.sort(np.random.default_rng(0).permutation(rows)[:_MOST])


def keep_for_copy(model: Model, folder: Path) -> None:
    """Keep in a copy of a run what was found for the run, so that it answers without the training store.

    Args:
        model: the run, with what tells its classes.
        folder: the copy, which may have another config.
    """
    from kinelex.training.run_directory import RunDirectory

    twin, config = copy(model), RunDirectory(folder).config
    twin.run, cache = folder, Cache(folder / "evaluation" / "cache")
    if all(encoder.classifier is not None for encoder in model.encoders.values()):
        if model.calibration.clips:
            _keep(twin, cache, _key(twin, config, "classifier"), model.calibration, {})
    elif isinstance(model.head, LinearHead):
        key, arrays = _key(twin, config, "probe"), model.head.arrays()
        _keep(twin, cache, key, model.calibration, arrays, classes=model.classes)


def _key(model: Model, config: dict[str, Any], kind: str, holdout: Model | None = None) -> str:
    own = learned_config(config)
    return digest(
        kind,
        run_digest(model.run),
        (own.get("store_fingerprint"), own.get("protocol")),
        None if holdout is None else run_digest(holdout.run),
    )


def _keep(
    model: Model, cache: Cache, key: str, found: Calibration, arrays: dict[str, np.ndarray], **more: Any
) -> None:
    """Into the run directory; where it cannot be written to, that is said."""
    content = {"calibration": found.numbers(), **more} if arrays else found.numbers()
    try:
        cache.write_json(_NAME, key, content, arrays)
    except InputError as error:
        model.say(f"what was found is not kept for the next time: {error}")
