"""The classes that a run was trained on: its own classifier, or a probe on its features; both calibrated.

What is found is kept under the run's ``evaluation/cache``, so that a second call needs no training store.
"""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from kinelex.data.labelled_clips import subject_groups
from kinelex.errors import InputError
from kinelex.inference.cache import Cache, digest, run_digest
from kinelex.inference.calibration import Calibration, calibrate
from kinelex.inference.features import extract_all
from kinelex.inference.fusion import joined
from kinelex.inference.heads import LinearHead
from kinelex.inference.known_clips import KnownClips, TrainingClips, training_clips, which_neighbour
from kinelex.inference.linear_probe import linear_probe, training_folds
from kinelex.inference.model import Model
from kinelex.inference.stored_features import stored_features
from kinelex.training.learned import learned_config

_FEWEST = 20  # held-out clips, below which the learned ones tell more
_MOST = 5000  # clips that temperature and thresholds are chosen on, and whose features are kept
_MOST_NUMBERS = 1 << 24  # of these features: 64 MiB
_NAME = "predict"
Known = KnownClips | None  # where the training clips are not there, nothing


def classifier_calibration(
    model: Model, config: dict[str, Any], data: Path | None = None, holdout: Model | None = None
) -> tuple[Calibration, Known]:
    """Temperature and thresholds of a run's own classifier, and the clips that it learned; found once, kept.

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
        return Calibration(**kept[0]["calibration"]), _known(*kept)
    try:
        if holdout is not None:
            found = _by_holdout(model, config, holdout, data)
        else:
            found = _by_own_clips(model, training_clips(config, data))
    except _NotThere as error:
        raise InputError(str(error)) from error
    except InputError as error:
        if holdout is not None or data is not None:
            raise
        model.say(f"{error}: probabilities are not calibrated (temperature 1), no clip is called unknown")
        return Calibration(source=f"nothing: {error}", held_out=False), None
    _keep(model, cache, key, *found)
    return found


class _NotThere(InputError):
    """What was asked for by name is not to be had."""


def _by_holdout(
    model: Model, config: dict[str, Any], holdout: Model, data: Path | None
) -> tuple[Calibration, Known]:
    from kinelex.training.run_directory import RunDirectory

    if holdout.classes != model.classes:
        raise _NotThere(f"{holdout.run} tells other classes than {model.run}: expects one of the same recipe")
    clips = training_clips(RunDirectory(holdout.run).config, data)
    if len(clips.held_out) < _FEWEST:
        raise _NotThere(
            f"{holdout.run} was trained on {clips.protocol} and left {len(clips.held_out)} clips of its "
            "training part: expects a run on a fold, for example xsub:fold1of5"
        )
    source = f"clips of the training part that {holdout.run.name} did not learn"
    known = _known_of(holdout, clips)
    found = _by_held_out(holdout, clips, known, source)
    try:
        return found, replace(_known_of(model, training_clips(config, data)), k=known.k)
    except InputError:
        return found, None


def _by_held_out(model: Model, clips: TrainingClips, known: KnownClips, source: str) -> Calibration:
    rows = _some(clips.held_out, _width(model))
    features = stored_features(model, clips.store, rows)
    scores, cosines = model.head.scores(features), known.cosines(joined(list(features.values())))
    return calibrate(scores, clips.store.labels[rows], source, cosines=cosines)


def _known_of(model: Model, clips: TrainingClips) -> KnownClips:
    features = stored_features(model, clips.store, _some(clips.learned, _width(model)))
    rows, classes = len(clips.learned), len(np.unique(clips.store.labels[clips.learned]))
    return KnownClips(joined(list(features.values())).astype(np.float32), which_neighbour(rows, classes))


def _width(model: Model) -> int:
    return sum(encoder.num_features for encoder in model.encoders.values())


def _by_own_clips(model: Model, clips: TrainingClips) -> tuple[Calibration, KnownClips]:
    if clips.store.class_names != model.classes:
        raise InputError(f"{clips.store.path} has other classes than the run")
    known = _known_of(model, clips)
    if len(clips.held_out) >= _FEWEST:
        source = "clips of the training part that the run did not learn"
        return _by_held_out(model, clips, known, source), known
    model.say(
        "the run learned all clips of its training part: temperature and thresholds are chosen on these, "
        "changed at random as in training, and are too sure; --holdout RUN takes a run of a fold",
    )
    rows = _some(clips.learned, _width(model))
    encoders = model.reading(clips.store)
    features = extract_all(encoders, clips.store, rows, device=model.device, augment=True)
    cosines = known.cosines(joined(list(features.values())), own=np.arange(len(rows)))
    source = "clips that the run learned, changed at random as in training"
    scores, labels = model.head.scores(features), clips.store.labels[rows]
    return calibrate(scores, labels, source, held_out=False, least=1.0, cosines=cosines), known


def probe_head(
    model: Model, config: dict[str, Any], data: Path | None = None
) -> tuple[LinearHead, Calibration, Known]:
    """A logistic regression of the training store's classes, for a run that did not learn labels; kept.

    Its temperature and thresholds are chosen on folds of the training part, each told by the others.

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
        known = _known(content, arrays)
        head = LinearHead.of_arrays(tuple(content["classes"]), arrays)
        return head, Calibration(**content["calibration"]), known
    try:
        clips = training_clips(config, data)
    except InputError as error:
        raise InputError(
            f"{model.run} learned no classes, and {error}: pass --data STORE, or say which classes there are "
            'by --examples FOLDER or --classes "waving, kicking"'
        ) from error
    rows = np.concatenate([clips.learned, clips.held_out])
    model.say(f"fits a logistic regression on the features of {len(rows)} training clips; it is kept")
    head, found, known = fitted_probe(clips, rows, stored_features(model, clips.store, rows))
    _keep(model, cache, key, found, known, head)
    return head, found, known


def fitted_probe(
    clips: TrainingClips, rows: np.ndarray, features: dict[str, np.ndarray]
) -> tuple[LinearHead, Calibration, KnownClips]:
    """A logistic regression by stream, calibrated on folds that it did not learn; and what it knows.

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
    folds, bank = training_folds(labels, groups), joined(list(features.values()))
    kept = _some(np.arange(len(rows)), bank.shape[1])
    k = which_neighbour(len(rows), len(np.unique(labels)))
    known = KnownClips(bank[kept].astype(np.float32), k)
    if not folds.parts:
        return head, Calibration(source="nothing: one clip of each class", held_out=False), known
    scores, cosines = np.empty((len(rows), len(names))), np.empty(len(rows))
    for fit, held in folds.parts:
        own = {
            s: linear_probe(x[fit], labels[fit], len(names), None, strengths[s]) for s, x in features.items()
        }
        scores[held] = probes_head(names, own).scores({s: x[held] for s, x in features.items()})
        cosines[held] = KnownClips(bank[np.intersect1d(fit, kept)], k).cosines(bank[held])
    usable = np.zeros(len(rows), bool)  # a class that only held-out clips have cannot be told
    for fit, held in folds.parts:
        usable[held] = np.isin(labels[held], labels[fit])
    source = f"folds of the training part (by {folds.by}), told by a regression on the others"
    return head, calibrate(scores[usable], labels[usable], source, cosines=cosines[usable]), known


def probes_head(names: tuple[str, ...], probes: dict[str, Any]) -> LinearHead:
    """One head of the probes by stream."""
    parts = [{s: getattr(p, name) for s, p in probes.items()} for name in ("weight", "bias", "mean", "scale")]
    return LinearHead(names, *parts)


def _some(rows: np.ndarray, width: int) -> np.ndarray:
    """At most so many of the rows, drawn."""
    most = min(_MOST, _MOST_NUMBERS // width)
    return rows if len(rows) <= most else np.sort(np.random.default_rng(0).permutation(rows)[:most])


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
            _keep(twin, cache, _key(twin, config, "classifier"), model.calibration, model.known_clips)
    elif isinstance(model.head, LinearHead):
        key = _key(twin, config, "probe")
        _keep(twin, cache, key, model.calibration, model.known_clips, model.head)


def _key(model: Model, config: dict[str, Any], kind: str, holdout: Model | None = None) -> str:
    own = learned_config(config)
    return digest(
        kind,
        run_digest(model.run),
        (own.get("store_fingerprint"), own.get("protocol")),
        None if holdout is None else run_digest(holdout.run),
    )


def _keep(
    model: Model, cache: Cache, key: str, found: Calibration, known: Known, head: LinearHead | None = None
) -> None:
    """Into the run directory; where it cannot be written to, that is said."""
    content: dict[str, Any] = {"calibration": found.numbers()}
    arrays = {}
    if known is not None:
        content, arrays = {**content, "neighbour": known.k}, {"known": known.features}
    if head is not None:
        content, arrays = {**content, "classes": head.classes}, {**arrays, **head.arrays()}
    try:
        cache.write_json(_NAME, key, content, arrays)
    except InputError as error:
        model.say(f"what was found is not kept for the next time: {error}")


def _known(content: dict[str, Any], arrays: dict[str, np.ndarray]) -> Known:
    """What was kept of the known clips, taken out of the arrays."""
    features = arrays.pop("known", None)
    return None if features is None else KnownClips(features, content["neighbour"])
