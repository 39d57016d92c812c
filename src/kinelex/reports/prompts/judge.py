"""All numbers of one prompt store."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from kinelex.data import PromptStore
from kinelex.evaluation.baselines import Baseline, lacking, probe_features
from kinelex.inference.neighbours import knn
from kinelex.inference.vectors import unit_rows
from kinelex.reports.prompts.answers import answer_numbers
from kinelex.reports.prompts.clips import Clips, features_of
from kinelex.reports.prompts.mismatch import Mismatches, find_mismatches
from kinelex.reports.prompts.similarity import (
    PairSimilarity,
    agreement,
    class_similarity,
    pair_similarity,
    strangers,
)


@dataclass
class Judged:
    """One prompt store and what was measured of it; per modality where it is a dictionary.

    Args:
        name: how the page calls it.
        prompts: the store.
        clips: the clips that were judged.
        features: one vector per clip, NaN where the modality is missing.
        linear, neighbour: probes; also ``both`` where there are two modalities.
        agreement: of each clip's prompts with each other.
        strangers: similarity of prompts of different clips, to compare with.
        pairs, classes: similarity of pairs of clips, and of classes.
        flagged: share of each clip's pictures that show no person, NaN without pictures.
        answers: what :func:`answer_numbers` says of the texts.
        mismatches: None where there are not two modalities.

    Shape:
        - each of features: (n, F); each of agreement, and flagged: (n,); each of classes: (classes, classes)
    """

    name: str
    prompts: PromptStore
    clips: Clips
    features: dict[str, np.ndarray]
    linear: dict[str, Baseline]
    neighbour: dict[str, Baseline]
    agreement: dict[str, np.ndarray]
    strangers: dict[str, np.ndarray]
    pairs: dict[str, PairSimilarity]
    classes: dict[str, np.ndarray]
    flagged: np.ndarray | None
    answers: dict[str, Any] | None
    mismatches: Mismatches | None

    @cached_property
    def present(self) -> dict[str, int]:
        """How many of the clips have prompts, per modality."""
        return {m: int((~np.isnan(f[:, 0])).sum()) for m, f in self.features.items()}

    def engine(self, modality: str) -> dict[str, Any]:
        """Engine and encoder of a modality, as the store's metadata has them."""
        return self.prompts.meta.engines.get(modality, {})

    @property
    def uses_labels(self) -> bool:
        """Whether prompts were written from the classes themselves."""
        return self.prompts.meta.uses_labels

    def cost(self, modality: str) -> dict[str, float]:
        """What the engine counted, per clip; empty where it counted nothing."""
        counted = dict(self.prompts.meta.cost.get(modality, {}))
        clips = counted.pop("clips", 0)
        return {key: value / clips for key, value in counted.items()} if clips else {}

    def class_rates(self, modality: str, label: int, test: np.ndarray) -> float | None:
        """The linear probe's accuracy on the test clips of one class; None where there are none."""
        hits = self.linear[modality].hits
        mine = np.zeros(0) if hits is None else hits[self.clips.labels[test] == label]
        return _mean(mine[~np.isnan(mine)])

    def to_json(self) -> dict[str, Any]:
        """The numbers, ready for JSON."""
        modalities: dict[str, Any] = {}
        for m in self.features:
            alike = self.agreement[m][~np.isnan(self.agreement[m])]
            modalities[m] = {
                "present": self.present[m],
                "missing": len(self.clips) - self.present[m],
                **{key: self.engine(m).get(key) for key in ("engine", "encoder")},
                "agreement": {
                    "mean": _mean(alike),
                    "other_clips": _mean(self.strangers[m]),
                    "clips": len(alike),
                },
                "similarity": self._similarity(m),
                "cost_per_clip": self.cost(m),
            }
        if self.answers is not None:
            modalities["language"]["answers"] = {k: v for k, v in self.answers.items() if k != "lengths"}
        if self.flagged is not None:
            modalities["vision"]["flagged"] = _mean(self.flagged[~np.isnan(self.flagged)])
        names, labels = self.clips.class_names, self.clips.labels
        return {
            "prompts": str(self.prompts.path),
            "name": self.name,
            "uses_labels": self.uses_labels,
            "modalities": modalities,
            "linear": {m: _rates(row) for m, row in self.linear.items()},
            "knn": {m: _rates(row) for m, row in self.neighbour.items()},
            "mismatches": self.mismatches and self.mismatches.to_json(self.clips.ids, names, labels),
        }

    def _similarity(self, modality: str) -> dict[str, Any] | None:
        if modality not in self.pairs:
            return None
        pairs = self.pairs[modality]
        return {
            "within": _mean(pairs.within),
            "between": _mean(pairs.between),
            "separation": None if np.isnan(pairs.separation) else pairs.separation,
            "clips": pairs.clips,
        }


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None


def _rates(row: Baseline) -> dict[str, Any]:
    return {"top1": row.top1, "top5": row.top5, **row.details, "note": row.note}


def judge(
    name: str, prompts: PromptStore, clips: Clips, train: np.ndarray, test: np.ndarray, seed: int = 0
) -> Judged:
    """Measure one prompt store.

    Args:
        name: how to call it.
        prompts: the prompt store.
        clips: which clips, from :func:`clips_of`.
        train, test: rows for the probes, with labels; may be empty.
        seed: of what is drawn where there are too many clips.

    Raises:
        InputError: clips differ in their number of prompts.
    """
    features, rows = features_of(prompts, clips), clips.rows_in(prompts)
    probed = len(train) > 0 and len(test) > 0
    pairs, classes = {}, {}
    for modality, found in features.items():
        known = (clips.labels >= 0) & ~np.isnan(found[:, 0])
        if known.any():
            pairs[modality] = pair_similarity(found[known], clips.labels[known], seed)
            classes[modality] = class_similarity(found[known], clips.labels[known], len(clips.class_names))
    both = {"language", "vision"} <= features.keys() and bool(pairs)
    alike = {m: _agreement(prompts, m, rows, seed) for m in features}
    return Judged(
        name,
        prompts,
        clips,
        features,
        probe_features(clips, features, train, test) if probed else {},
        neighbour_probes(clips, features, train, test) if probed else {},
        {m: own for m, (own, _) in alike.items()},
        {m: others for m, (_, others) in alike.items()},
        pairs,
        classes,
        _flagged(prompts, rows) if "vision" in features else None,
        _answers(prompts, rows) if "language" in features else None,
        find_mismatches(features["language"], features["vision"], clips.labels, seed) if both else None,
    )


def neighbour_probes(
    clips: Clips, features: dict[str, np.ndarray], train: np.ndarray, test: np.ndarray
) -> dict[str, Baseline]:
    """The class of the nearest training clip by cosine similarity, per modality and on ``both``.

    For both, each modality is brought to length 1, and one that a clip lacks says nothing; one that a whole
    part lacks leaves no rate.
    """
    blocks, rows = dict(features), {}
    why = lacking(features, train, test)
    if len(features) > 1 and not why:
        joined = np.concatenate([np.nan_to_num(unit_rows(f)) for f in features.values()], axis=1)
        joined[~joined.any(axis=1)] = np.nan
        blocks["both"] = joined
    for modality, found in blocks.items():
        bank, judged = (part[~np.isnan(found[part, 0])] for part in (train, test))
        if not len(bank) or not len(judged):
            rows[modality] = Baseline(None, note="no clip of one of the parts has these prompts")
            continue
        scores = knn(found[bank], clips.labels[bank], found[judged], len(clips.class_names)).scores
        row = Baseline.of(scores, clips.labels[judged], {"train": len(bank), "test": len(judged)})
        hits = np.full(len(test), np.nan)
        hits[~np.isnan(found[test, 0])] = row.hits
        row.hits = hits
        rows[modality] = row
    if len(features) > 1 and why:
        rows["both"] = Baseline(None, note=why)
    return rows


def _agreement(
    prompts: PromptStore, modality: str, rows: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Agreement of each clip's prompts, NaN where it has none, and similarities of prompts of two clips."""
    bank = prompts.bank(modality)
    there = (rows >= 0) & bank.present[rows]
    found = np.full(len(rows), np.nan)
    found[there] = agreement(bank.frame[rows[there]])
    return found, strangers(bank.frame[rows[there]], seed)


def _answers(prompts: PromptStore, rows: np.ndarray) -> dict[str, Any]:
    texts = prompts.texts()
    return answer_numbers([texts[r] for r in rows if r >= 0])


def _flagged(prompts: PromptStore, rows: np.ndarray) -> np.ndarray:
    flags = prompts.flags()
    return np.array([np.mean(flags[r]) if r >= 0 and flags[r] else np.nan for r in rows])
