"""Task ``retrieval``: skeletons find skeletons; where a run has a space of both, texts and skeletons too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from kinelex.errors import InputError, unknown_name
from kinelex.evaluation.context import Context, TaskResult
from kinelex.evaluation.protocols.prompt_space import ClipSpace
from kinelex.evaluation.retrieval_metrics import RECALL_AT, retrieve
from kinelex.inference.fusion import joined

GALLERIES = ("train", "test")
_CALLED = {"language": "text", "vision": "picture"}


@dataclass(frozen=True)
class RetrievalOptions:
    """Options of ``retrieval``.

    Args:
        gallery: where skeletons search for skeletons: train, or test without the clip itself.
        at: the k of recall at k.
    """

    gallery: str = "train"
    at: tuple[int, ...] = RECALL_AT

    def __post_init__(self) -> None:
        if self.gallery not in GALLERIES:
            raise unknown_name("gallery", self.gallery, GALLERIES)
        if not self.at or min(self.at) < 1:
            raise InputError(f"expects retrieval.at as one k or more from 1 on, got {self.at}")


class RetrievalTask:
    """Clips and prompts find each other by cosine similarity."""

    name: ClassVar[str] = "retrieval"
    title: ClassVar[str] = "retrieval"
    Options: ClassVar[type] = RetrievalOptions
    reads_prompts: ClassVar[bool] = True
    needs_labels: ClassVar[bool] = False  # of clips without classes those of the same texts are asked for

    def check(self, context: Context, options: RetrievalOptions) -> None:
        """Refuse a gallery without an answer, and prompts that the run cannot read."""
        labels, counts = np.unique(context.truth, return_counts=True)
        train = context.store.labels[context.train]
        there = np.isin(labels, train) if options.gallery == "train" else counts > 1
        space = ClipSpace.of(context)
        if not context.labelled:
            if space is None or context.prompts is None:
                raise InputError(
                    f"{context.store.path} has no classes, so retrieval goes from clips to prompts and back: "
                    "take a run that learned a space of both (c2vl), and its prompts"
                )
        elif not there.any():
            raise _no_answer(context, options)
        if space is not None and context.prompts is not None:
            for modality in space.embedding_space.modalities:
                space.check_prompts(modality)

    def run(self, context: Context, options: RetrievalOptions) -> TaskResult:
        """Judge the run."""
        numbers: dict[str, Any] = {"rule": _rule(options), "gallery": options.gallery}
        if context.labelled:
            skeletons = _skeletons(context, options)
            numbers |= {**skeletons, "skeleton_to_skeleton": skeletons}
        space = ClipSpace.of(context)
        if space is None:
            numbers["note"] = "no texts: the run's method makes no space of skeletons and prompts"
        elif context.prompts is None:
            numbers["note"] = "no texts: the run's prompts are not there (--prompts PROMPTS)"
        else:
            for modality in space.embedding_space.modalities:
                numbers |= _across(context, space, modality, options)
        return TaskResult(numbers)


def _rule(options: RetrievalOptions) -> str:
    gallery = "training clips" if options.gallery == "train" else "the other test clips"
    return (
        f"Nothing is trained: each test clip ranks {gallery} by the cosine of their features; those of its "
        "class are asked for (mAP, R@k: one of them is among the first k). Between modalities test clips and "
        "prompts of test clips rank each other in the space that the run learned; pair: the own one is asked "
        "for; chance: the same with random vectors. Of clips without classes those of the same prompts count "
        "as one class."
    )


def _no_answer(context: Context, options: RetrievalOptions) -> InputError:
    other, part = ("test", "test") if options.gallery == "train" else ("train", "training")
    return InputError(
        f"no class of the test part of {context.protocol} has a clip in its gallery: search the {part} part, "
        f"retrieval.gallery={other}"
    )


def _skeletons(context: Context, options: RetrievalOptions) -> dict[str, Any]:
    """Skeletons ask for skeletons: by all streams together, and by each alone."""
    labels, within = context.store.labels, options.gallery == "test"
    rows = context.test if within else context.train
    own = np.arange(len(context.test)) if within else None

    def of(query: np.ndarray, gallery: np.ndarray) -> dict[str, Any]:
        found = retrieve(query, context.truth, gallery, labels[rows], own, options.at, context.device)
        if np.isnan(found.average_precision).all():
            raise _no_answer(context, options)
        return found.numbers(context.seed)

    alone = {s: (context.features(s, context.test), context.features(s, rows)) for s in context.encoders}
    numbers = of(*(joined(list(parts)) for parts in zip(*alone.values(), strict=True)))
    if len(alone) > 1:
        numbers["streams"] = {stream: of(*parts) for stream, parts in alone.items()}
    return numbers


def _across(context: Context, space: ClipSpace, modality: str, options: RetrievalOptions) -> dict[str, Any]:
    """Prompts of one modality ask for skeletons, and skeletons for prompts, among the test clips."""
    other, there = space.clip_prompts(modality, context.test)
    called = _CALLED.get(modality, modality)
    if not there.any():
        return {f"{called}_to_skeleton": None, f"skeleton_to_{called}": None}
    rows = context.test[there]
    sides = {"skeleton": space.skeletons(rows), called: other[there]}
    classes, pairs = context.store.labels[rows], np.arange(len(rows))
    if not context.labelled:
        classes = np.unique(other[there].round(4), axis=0, return_inverse=True)[1].reshape(-1)
    drawn = np.random.default_rng(context.seed).normal(size=(2, len(rows), 8))
    by_chance = retrieve(drawn[0], classes, drawn[1], classes, None, options.at, context.device)
    chance = by_chance.numbers(context.seed)
    numbers = {}
    for query, gallery in ((called, "skeleton"), ("skeleton", called)):
        same, pair = (
            retrieve(sides[query], of, sides[gallery], of, None, options.at, context.device)
            for of in (classes, pairs)
        )
        own = {name: rate for name, rate in pair.numbers(context.seed).items() if name.startswith("R@")}
        numbers[f"{query}_to_{gallery}"] = {**same.numbers(context.seed), "pair": own, "chance": chance}
    return numbers
