"""Task ``zero_shot``: clips of unseen classes are told apart by texts of the classes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from kinelex.data import PromptStore
from kinelex.data.clip_prompts import StorePrompts
from kinelex.data.splits.seen_classes import ClassSplit
from kinelex.errors import InputError
from kinelex.evaluation.class_texts import class_texts
from kinelex.evaluation.context import Context, TaskResult
from kinelex.evaluation.metrics import classification_metrics
from kinelex.evaluation.protocols.prompt_space import ClipSpace
from kinelex.evaluation.protocols.supervision import check_novel, harmonic_mean, split_of
from kinelex.evaluation.statistics import bootstrap_interval
from kinelex.evaluation.streams import hits_of
from kinelex.inference.vectors import unit_rows
from kinelex.methods.embedding_space import standardised
from kinelex.prompts.class_texts import embed_classes, text_encoder


@dataclass(frozen=True)
class ZeroShotOptions:
    """Options of ``zero_shot``.

    Args:
        split: unseen classes: random:UNSEEN:SEED, a split of the package or a YAML file; by default those of
            the protocol (xsub:seen-random:5:0).
        texts: texts of the classes: names, a data set that the package describes, a YAML file of class names
            and texts, or auto: the package's texts of the data set where it has them, else the names.
        centre: subtract the class texts' own mean, not that of the prompts in training, which are of another
            kind.
    """

    split: Path | None = None
    texts: Path = Path("auto")
    centre: bool = True


class ZeroShot:
    """Clips of unseen classes get the class whose text is nearest."""

    name: ClassVar[str] = "zero_shot"
    title: ClassVar[str] = "zero-shot"
    Options: ClassVar[type] = ZeroShotOptions
    reads_prompts: ClassVar[bool] = True

    def check(self, context: Context, options: ZeroShotOptions) -> None:
        """Refuse a run that has no space of texts, and classes that it cannot be judged on."""
        space, _ = _asked(context, options)
        class_texts(str(options.texts), context.store.meta.dataset, context.class_names)
        text_encoder(space.prompts.meta)

    def run(self, context: Context, options: ZeroShotOptions) -> TaskResult:
        """Judge the run."""
        space, split = _asked(context, options)
        novel = check_novel(context, split)
        taken, texts = class_texts(str(options.texts), context.store.meta.dataset, context.class_names)
        pooled = space.prompts.meta.engines.get("language", {}).get("pool", "sentences") == "sentences"
        vectors = embed_classes(texts, text_encoder(space.prompts.meta), pooled)
        classes = np.array(sorted((*split.unseen, *split.seen)))
        clips = Judged(context, split, classes)
        scores = clips.scores(space.skeletons(context.test), space.texts(vectors[classes], options.centre))
        numbers = {
            "rule": f"Nothing is trained on labels: each test clip of {len(split.unseen)} unseen classes "
            "gets the one whose text is nearest in the space that the run learned; top-1 over these clips. "
            "generalised: all classes are candidates, for test clips of seen and of unseen ones.",
            **clips.rates_by_class(scores),
            **clips.rates(scores),
            "chance": 1 / len(split.unseen),
            "text_space": _text_space(clips, space.prompts, vectors[classes]),
            "split": split.name,
            "unseen": [context.class_names[c] for c in split.unseen],
            "texts": taken,
            "centre": options.centre,
            "clips": {"unseen": int(clips.unseen.sum()), "seen": int(clips.seen.sum())},
            **novel,
        }
        return TaskResult(numbers, {"": scores})


def _asked(context: Context, options: ZeroShotOptions) -> tuple[ClipSpace, ClassSplit]:
    """The run's space and the classes, checked."""
    space = ClipSpace.of(context)
    if space is None or "language" not in space.embedding_space.modalities:
        raise InputError(
            "zero_shot needs a run that learned a space of skeletons and texts; "
            f"{context.run.path} has no projectors.safetensors with one: train c2vl with language prompts"
        )
    split = split_of(context, options.split, ZeroShot.name)
    check_novel(context, split)
    if not np.isin(context.truth, split.unseen).any():
        raise InputError(f"no clip of the test part of {context.protocol} is of an unseen class")
    return space, split


class Judged:
    """The test clips and the classes that they may get.

    Shape:
        - classes: (K,)
    """

    def __init__(self, context: Context, split: ClassSplit, classes: np.ndarray) -> None:
        self.context, self.split, self.classes = context, split, classes
        self.unseen, self.seen = (np.isin(context.truth, part) for part in (split.unseen, split.seen))

    def scores(self, clips: np.ndarray, texts: np.ndarray) -> np.ndarray:
        """Cosines of all test clips and the texts of ``classes``; other classes get -2.

        Shape:
            - clips: (n_test, D); texts: (K, D)
            - returns: (n_test, all classes) float64
        """
        scores = np.full((len(clips), len(self.context.class_names)), -2.0)
        scores[:, self.classes] = unit_rows(clips) @ unit_rows(texts).T
        return scores

    def rates_by_class(self, scores: np.ndarray) -> dict[str, Any]:
        """Rates of the unseen classes' clips among the unseen classes."""
        candidates = np.array(self.split.unseen)
        own = np.searchsorted(candidates, self.context.truth[self.unseen])
        names = [self.context.class_names[c] for c in candidates]
        found = classification_metrics(scores[self.unseen][:, candidates], own, names)
        return {key: found[key] for key in ("mean_class", "per_class")}

    def rates(self, scores: np.ndarray, there: np.ndarray | None = None) -> dict[str, Any]:
        """``top1`` among the unseen classes, and ``generalised`` among all."""
        candidates, truth = np.array(self.split.unseen), self.context.truth
        known = np.ones(len(truth)) if there is None else there.astype(float)
        among = (candidates[scores[:, candidates].argmax(axis=1)] == truth) * known
        of_all = hits_of(scores, truth) * known
        novel = float(of_all[self.unseen].mean())
        old = float(of_all[self.seen].mean()) if self.seen.any() else None
        both = None if old is None else harmonic_mean(old, novel)
        return {
            "top1": float(among[self.unseen].mean()),
            "ci95": list(bootstrap_interval(among[self.unseen], self.context.seed)),
            "generalised": {"seen": old, "unseen": novel, "harmonic_mean": both},
        }


def _text_space(clips: Judged, prompts: PromptStore, texts: np.ndarray) -> dict[str, Any]:
    """The baseline without a skeleton encoder: the class whose text is nearest to the clip's own sentences.

    As they are, and each without its mean (the training part's, and the class texts' own); the better of both
    **on the test part**, which favours the baseline on purpose. Clips without language prompts count as
    wrong.
    """
    context = clips.context
    language = StorePrompts(prompts, context.store, ("language",)).embedded["language"]
    own = language.frame.float().mean(dim=1) if language.clip is None else language.clip
    there, vectors = language.mask.numpy(), own.float().numpy()
    train = context.train[there[context.train]]
    mean = vectors[train].mean(axis=0) if len(train) else 0
    ways = {
        "as_they_are": (vectors[context.test], texts),
        "centred": (vectors[context.test] - mean, standardised(texts)),
    }
    found = {way: clips.rates(clips.scores(*pair), there[context.test]) for way, pair in ways.items()}
    best = max(found, key=lambda way: found[way]["top1"])
    return {**found[best], "way": best, "by_way": {way: rates["top1"] for way, rates in found.items()}}
