"""All numbers of one prompt store."""

from functools import cached_property
from typing import Any

import numpy as np

from kinelex.data import PromptStore
from kinelex.evaluation.baselines import Baseline, lacking, probe_features
from kinelex.inference.neighbours import knn
from kinelex.inference.vectors import unit_rows
from kinelex.reports.prompts.answers import answer_numbers
from kinelex.reports.prompts.clips import Clips, features_of
from kinelex.reports.prompts.mismatch import find_mismatches
from kinelex.reports.prompts.similarity import (
    PairSimilarity,
    agreement,
    class_similarity,
    pair_similarity,
    strangers,
)


class PromptQuality:
    """What is measured of one prompt store; per modality where it is a dictionary.

    The probes are fitted and judged on the rows ``train`` and ``test``, which may be empty; clips are drawn
    by seed where there are too many.

    Attributes:
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

    def __init__(
        self, name: str, prompts: PromptStore, clips: Clips, train: np.ndarray, test: np.ndarray, seed: int
    ) -> None:
        self.name, self.prompts, self.clips, self.test = name, prompts, clips, test
        labels, rows = clips.labels, clips.rows_in(prompts)
        self.features = features = features_of(prompts, clips)
        probed = len(train) > 0 and len(test) > 0
        self.linear = probe_features(clips, features, train, test) if probed else {}
        self.neighbour = neighbour_probes(clips, features, train, test) if probed else {}
        self.pairs, self.classes = dict[str, PairSimilarity](), dict[str, np.ndarray]()
        self.agreement, self.strangers = dict[str, np.ndarray](), dict[str, np.ndarray]()
        for m, vectors in features.items():
            known = (labels >= 0) & ~np.isnan(vectors[:, 0])
            if known.any():
                self.pairs[m] = pair_similarity(vectors[known], labels[known], seed)
                self.classes[m] = class_similarity(vectors[known], labels[known], len(clips.class_names))
            bank = prompts.bank(m)
            present = (rows >= 0) & bank.present[rows]
            embeddings = bank.frame[rows[present]]
            self.agreement[m] = np.full(len(rows), np.nan)
            self.agreement[m][present] = agreement(embeddings)
            self.strangers[m] = strangers(embeddings, seed)
        self.flagged: np.ndarray | None = None
        self.answers: dict[str, Any] | None = None
        if "vision" in features:
            flags = prompts.flags()
            shares = [np.mean(flags[r]) if r >= 0 and flags[r] else np.nan for r in rows]
            self.flagged = np.array(shares)
        if "language" in features:
            texts = prompts.texts()
            self.answers = answer_numbers([texts[r] for r in rows if r >= 0])
        both = {"language", "vision"} <= features.keys() and bool(self.pairs)
        self.mismatches = (
            find_mismatches(features["language"], features["vision"], labels, seed) if both else None
        )

    @cached_property
    def present(self) -> dict[str, int]:
        """How many of the clips have prompts, per modality."""
        return {m: int((~np.isnan(f[:, 0])).sum()) for m, f in self.features.items()}

    def engine(self, modality: str) -> dict[str, Any]:
        """Engine and encoder of a modality, as the store's metadata has them."""
        return self.prompts.meta.engines.get(modality, {})

    def cost(self, modality: str) -> dict[str, float]:
        """What the engine counted, per clip; empty where it counted nothing."""
        counted = dict(self.prompts.meta.cost.get(modality, {}))
        clips = counted.pop("clips", 0)
        return {key: value / clips for key, value in counted.items()} if clips else {}

    def class_rates(self, modality: str, label: int) -> float | None:
        """The linear probe's accuracy on the test clips of one class; None where there are none."""
        hits = self.linear[modality].hits
        mine = np.zeros(0) if hits is None else hits[self.clips.labels[self.test] == label]
        return _mean(mine[~np.isnan(mine)])

    def to_json(self) -> dict[str, Any]:
        """The numbers, ready for JSON."""
        modalities: dict[str, Any] = {}
        for m in self.features:
            alike = self.agreement[m][~np.isnan(self.agreement[m])]
            other = _mean(self.strangers[m])
            modalities[m] = {
                "present": self.present[m],
                "missing": len(self.clips) - self.present[m],
                **{key: self.engine(m).get(key) for key in ("engine", "encoder")},
                "agreement": {"mean": _mean(alike), "other_clips": other, "clips": len(alike)},
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
            "uses_labels": self.prompts.meta.uses_labels,
            "modalities": modalities,
            "linear": {m: _rates(row) for m, row in self.linear.items()},
            "knn": {m: _rates(row) for m, row in self.neighbour.items()},
            "mismatches": self.mismatches and self.mismatches.to_json(self.clips.ids, names, labels),
        }

    def _similarity(self, modality: str) -> dict[str, Any] | None:
        if modality not in self.pairs:
            return None
        pairs = self.pairs[modality]
        separation = None if np.isnan(pairs.separation) else pairs.separation
        means = {"within": _mean(pairs.within), "between": _mean(pairs.between)}
        return {**means, "separation": separation, "clips": pairs.clips}


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None


def _rates(row: Baseline) -> dict[str, Any]:
    return {"top1": row.top1, "top5": row.top5, **row.details, "note": row.note}


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
    for modality, vectors in blocks.items():
        bank, judged = (part[~np.isnan(vectors[part, 0])] for part in (train, test))
        if not len(bank) or not len(judged):
            rows[modality] = Baseline(None, note="no clip of one of the parts has these prompts")
            continue
        scores = knn(vectors[bank], clips.labels[bank], vectors[judged], len(clips.class_names)).scores
        row = Baseline.of(scores, clips.labels[judged], {"train": len(bank), "test": len(judged)})
        hits = np.full(len(test), np.nan)
        hits[~np.isnan(vectors[test, 0])] = row.hits
        row.hits = hits
        rows[modality] = row
    if len(features) > 1 and why:
        rows["both"] = Baseline(None, note=why)
    return rows
