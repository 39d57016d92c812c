"""What a trained encoder is measured against: chance, raw coordinates, prompts alone, no training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from kinelex.data import PromptStore, SkeletonStore
from kinelex.data.labelled_clips import LabelledClips, subject_groups
from kinelex.data.loader import SkeletonLoader
from kinelex.data.named_clips import NamedClips
from kinelex.errors import InputError
from kinelex.evaluation.metrics import top_k
from kinelex.evaluation.streams import hits_of
from kinelex.inference.linear_probe import linear_probe, standardisation
from kinelex.inference.neighbours import METRICS, knn
from kinelex.transforms import InputConfig, InputPipeline


@dataclass
class Baseline:
    """One baseline's rates; None where it cannot be had, and ``note`` says why.

    Args:
        top1, top5: fractions of the test clips.
        details: whatever else was measured, ready for JSON.
        note: what a reader must know about this row.
        hits: per test clip 1 where it was right, 0 where not, NaN where it was not judged.

    Shape:
        - hits: (n_test,), or None where there are no single predictions
    """

    top1: float | None
    top5: float | None = None
    details: dict[str, Any] = field(default_factory=dict)
    note: str = ""
    hits: np.ndarray | None = None

    @classmethod
    def of(cls, scores: np.ndarray, labels: np.ndarray, details: dict[str, Any], note: str = "") -> Baseline:
        """The baseline that gave these scores to test clips of these classes."""
        hits = hits_of(scores, labels)
        return cls(top_k(scores, labels, 1), top_k(scores, labels, 5), details, note, hits)


def chance(train_labels: np.ndarray, test_labels: np.ndarray, num_classes: int) -> dict[str, Baseline]:
    """Guessing: 1 / classes, and always naming the training part's most frequent class.

    Shape:
        - train_labels: (n_train,); test_labels: (n_test,)

    >>> rows = chance(np.array([1, 1, 0]), np.array([0, 1]), num_classes=4)
    >>> rows["chance"].top1, rows["majority"].top1
    (0.25, 0.5)
    """
    frequent = int(np.bincount(train_labels, minlength=num_classes).argmax())
    return {
        "chance": Baseline(1 / num_classes, min(5, num_classes) / num_classes),
        "majority": Baseline(float((test_labels == frequent).mean()), hits=(test_labels == frequent) * 1.0),
    }


def raw_knn(store: SkeletonStore, train: np.ndarray, test: np.ndarray, aligned: bool) -> Baseline:
    """1-NN on raw resampled coordinates: the better of cosine and euclidean **on the test part**.

    To take the better one on the test part favours the baseline, on purpose: who beats it has beaten
    both. Both are in the details.

    Shape:
        - train: (n_train,); test: (n_test,)

    Raises:
        InputError: ``aligned`` with coordinates that are not 3-D.
    """
    if aligned and store.channels != 3:
        raise InputError(f"the body's own frame needs 3-D coordinates, the store has {store.channels}-D")
    features = raw_features(store, np.concatenate([train, test]), aligned=aligned)
    labels, truth = store.labels[train], store.labels[test]
    scores = {}
    for metric in METRICS:
        bank, query = features[: len(train)], features[len(train) :]
        scores[metric] = knn(bank, labels, query, len(store.class_names), metric=metric).scores
    details = {m: {"top1": top_k(s, truth, 1), "top5": top_k(s, truth, 5)} for m, s in scores.items()}
    better = max(METRICS, key=lambda metric: details[metric]["top1"])
    level = len({rates["top1"] for rates in details.values()}) == 1
    note = "cosine and euclidean alike" if level else f"the better of both metrics: {better}"
    return Baseline.of(scores[better], truth, details, note)


def clip_features(prompts: PromptStore, modality: str) -> np.ndarray:
    """Each clip's prompts in one modality as one vector, in the order of the prompt store.

    The mean of its frames' embeddings, with the whole clip's embedding beside it where there is one.

    Shape:
        - returns: (rows, F) float32; a clip without the modality is a row of NaN.
    """
    bank = prompts.bank(modality)
    parts = [] if bank.clip is None else [bank.clip.astype(np.float32)]
    if bank.frame.shape[1]:
        parts.insert(0, bank.frame.astype(np.float32).mean(axis=1))
    features = np.concatenate(parts, axis=1)
    features[~bank.present] = np.nan
    return features


def prompt_features(prompts: PromptStore, store: SkeletonStore, modality: str) -> np.ndarray:
    """What :func:`clip_features` makes of the prompts, in the order of the skeleton store.

    Raises:
        InputError: the prompts were made for another store, or lack the modality.
    """
    prompts.must_belong_to(store)
    features = clip_features(prompts, modality)
    row_of = {clip: row for row, clip in enumerate(prompts.ids)}
    nothing = np.full((1, features.shape[1]), np.nan, np.float32)
    return np.concatenate([features, nothing])[[row_of.get(clip, -1) for clip in store.ids]]


def prompt_probe(
    store: SkeletonStore, prompts: PromptStore, train: np.ndarray, test: np.ndarray
) -> dict[str, Baseline]:
    """A linear probe on the prompt embeddings alone, per modality and on both side by side.

    How much of the action the knowledge prompts tell without a skeleton encoder. A single modality is
    fitted and tested on the clips that have it. For both, a clip needs at least one of them, and the
    missing one is replaced by the training part's mean; a modality that a whole part lacks leaves no rate.
    The clips left are counted in the details.

    Shape:
        - train: (n_train,); test: (n_test,)

    Raises:
        InputError: the prompts were made for another store.
    """
    features = {m: prompt_features(prompts, store, m) for m in prompts.modalities}
    return {f"prompt_probe_{m}": row for m, row in probe_features(store, features, train, test).items()}


def probe_features(
    clips: LabelledClips, features: dict[str, np.ndarray], train: np.ndarray, test: np.ndarray
) -> dict[str, Baseline]:
    """What :func:`prompt_probe` does, on features that are ready: per modality, and ``both`` where two are.

    Args:
        clips: classes and subjects of the rows.
        features: per modality a row per clip, of NaN where the clip lacks it.
        train, test: rows, with labels.

    Shape:
        - each of features: (rows, F)
    """
    rows = {m: _probe(clips, f, train, test) for m, f in features.items()}
    if len(features) > 1:
        why = lacking(features, train, test)
        rows["both"] = Baseline(None, note=why) if why else _probe_both(clips, features, train, test)
    return rows


def _probe_both(
    clips: LabelledClips, features: dict[str, np.ndarray], train: np.ndarray, test: np.ndarray
) -> Baseline:
    """A probe on all modalities side by side, with the mean where a clip lacks one."""
    some = ~np.all([np.isnan(f[:, 0]) for f in features.values()], axis=0)
    filled = np.concatenate([_fill(f, train) for f in features.values()], axis=1)
    row = _probe(clips, np.where(some[:, None], filled, np.nan), train, test)
    missing = {m: int(np.isnan(f[test, 0])[some[test]].sum()) for m, f in features.items()}
    row.details["imputed_test"] = missing
    said = [f"{n} test clips lack {m} prompts, the mean stands for them" for m, n in missing.items() if n]
    row.note = "; ".join(filter(None, [row.note, *said]))
    return row


def lacking(features: Mapping[str, np.ndarray], train: np.ndarray, test: np.ndarray) -> str:
    """Why there is no rate of all modalities together: one that a whole part lacks. Empty where there is one.

    The mean in place of every clip's prompts would measure the other modality and the gap between the parts.

    >>> lacking({"vision": np.array([[0.1], [np.nan]])}, np.array([0]), np.array([1]))
    'no clip of the test part has vision prompts'
    """
    for name, part in (("training", train), ("test", test)):
        for modality, found in features.items():
            if len(part) and np.isnan(found[part, 0]).all():
                return f"no clip of the {name} part has {modality} prompts"
    return ""


def _fill(features: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Standardise by the training clips that have the modality; the others become 0, the mean."""
    known = features[train][~np.isnan(features[train, 0])]
    mean, scale = standardisation(known)
    return np.nan_to_num((features - mean) / scale)


def _probe(clips: LabelledClips, features: np.ndarray, train: np.ndarray, test: np.ndarray) -> Baseline:
    present = ~np.isnan(features[:, 0])
    fit, judge = train[present[train]], test[present[test]]
    details: dict[str, Any] = {"train": len(fit), "test": len(judge)}
    if len(judge) == 0 or len(np.unique(clips.labels[fit])) < 2:
        empty = "test" if len(judge) == 0 else "training"
        why = f"no clip of the {empty} part has these prompts"
        if len(judge) and len(fit):
            why = "the training clips that have these prompts are all of one class"
        return Baseline(None, None, details, why)
    groups = subject_groups(clips, fit)
    probe = linear_probe(features[fit], clips.labels[fit], len(clips.class_names), groups)
    scores, truth = probe.scores(features[judge]), clips.labels[judge]
    details["regularisation"] = probe.regularisation
    note = "" if len(judge) == len(test) else f"on the {len(judge)} of {len(test)} test clips that have them"
    row = Baseline.of(scores, truth, details, note)
    hits = np.full(len(test), np.nan)
    hits[present[test]] = row.hits
    return replace(row, hits=hits)


def raw_features(
    store: SkeletonStore | NamedClips,
    indices: np.ndarray,
    frames: int = 64,
    aligned: bool = False,
    batch_size: int = 256,
    persons: int | None = None,
) -> np.ndarray:
    """Clips as flat vectors of coordinates: resampled and centred on the body, all persons.

    They take the way of an encoder's input (:class:`~kinelex.transforms.InputPipeline`): the whole clip,
    centred on the spine joint of the first person in the first frame. Aligned clips are centred on the
    mean place of that joint and turned into the frame of the clip's mean torso: on Northwestern-UCLA that
    is a far stronger baseline than turning by the first frame (83 against 77 %).

    Shape:
        - indices: (n,)
        - returns: (n, C * frames * V * persons) float32, in the store's units; by default as many persons
              as the clip of the store with the most has
    """
    body: dict[str, Any] = (
        {"centre": "mean", "align": "torso"} if aligned else {"centre": "first", "align": "none"}
    )
    pipeline = InputPipeline(store.layout, InputConfig(frames=frames, test_crop=1.0, **body))
    persons = persons or int(store.persons.max(initial=1))
    shape = (len(indices), store.channels * frames * store.layout.num_joints * persons)
    features = np.empty(shape, np.float32)
    for i, batch in enumerate(SkeletonLoader(store, indices, batch_size, places=persons)):
        features[i * batch_size :][: len(batch)] = pipeline(batch).flatten(1).numpy()
    return features
