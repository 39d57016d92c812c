"""Task ``transfer``: what the run learned, probed or fine-tuned on another data set, joints retargeted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from kinelex.data import open_store
from kinelex.data.persons import say_crowded
from kinelex.datasets import get_split
from kinelex.errors import InputError, unknown_name
from kinelex.evaluation.baselines import chance
from kinelex.evaluation.context import Context, TaskResult
from kinelex.evaluation.frozen import FrozenTask
from kinelex.evaluation.probe_data import Prediction
from kinelex.evaluation.protocols.adapted import adapted_scores, check_adapted
from kinelex.evaluation.protocols.knn import Knn
from kinelex.evaluation.protocols.linear import Linear
from kinelex.evaluation.protocols.supervision import check_unseen, retargeted
from kinelex.training.encoder_files import load_encoders

WAYS = ("knn", "linear", "full")
_RATES = ("top1", "ci95", "top5", "mean_class", "top1_without_copies")
_WORDS = {
    "knn": "the nearest training clip on frozen features votes",
    "linear": "logistic regression is fitted on frozen features",
    "full": "encoder and classifier are trained (recipe adapt/full)",
}


@dataclass(frozen=True)
class TransferOptions:
    """Options of ``transfer``.

    Args:
        data: the other data set's skeleton store.
        protocol: a protocol of it, for example xsub.
        by: knn, linear (both on frozen features) and full (fine-tuned); the row in tables is the last one's.
        changes: changes to the recipe adapt/full, for example epochs=20,optimizer.lr=0.005.
        scratch: also train from random weights where by has full; knn and linear always have that beside.
    """

    data: Path | None = None
    protocol: str = ""
    by: tuple[str, ...] = ("linear", "full")
    changes: tuple[str, ...] = ()
    scratch: bool = False

    def __post_init__(self) -> None:
        for way in self.by:
            if way not in WAYS:
                raise unknown_name("way to transfer", way, WAYS)
        if not self.by:
            raise InputError("transfer expects one way or more: transfer.by=linear,full")
        if self.changes and "full" not in self.by:
            raise InputError(
                "transfer.changes are of full, which transfer.by leaves out: leave them out, too"
            )


class Transfer:
    """The run on another data set: probed, or fine-tuned on its labels."""

    name: ClassVar[str] = "transfer"
    title: ClassVar[str] = "transfer"
    Options: ClassVar[type] = TransferOptions

    def check(self, context: Context, options: TransferOptions) -> None:
        """Refuse another set that the run cannot go to, or a change that the recipe does not take."""
        other = _context_on(context, options)
        if "full" in options.by:
            check_adapted(other, other.protocol, options.changes)

    def run(self, context: Context, options: TransferOptions) -> TaskResult:
        """Probe or fine-tune on the training part of the other set, judge on its test part."""
        other = _context_on(context, options)
        store, first = other.store, next(iter(other.encoders.values()))
        rows = np.concatenate([other.train, other.test])
        say_crowded(context.console, store, rows, first.pipeline.config.persons)
        untrained, ways = other.untrained(), dict[str, dict[str, Any]]()
        for way in options.by:
            context.console.print(f"transfer: {way} on {store.meta.dataset}", markup=False)
            ways[way] = _judged(other, way, options)
            if way != "full" or options.scratch:
                rates = _judged(other if way == "full" else untrained, way, options, scratch=True)
                ways[way]["scratch"] = {key: rates[key] for key in _RATES if key in rates}
        row = ways[options.by[-1]]
        guesses = chance(store.labels[other.train], other.truth, len(store.class_names))
        numbers = {
            "title": f"transfer to {store.meta.dataset} {options.protocol}",
            "rule": f"The run's encoder goes to {store.meta.dataset}; there, on the training part of "
            f"{options.protocol}, {_WORDS[options.by[-1]]}; top-1 over its test clips.",
            "to": store.meta.dataset,
            "to_protocol": options.protocol,
            "retargeted": retargeted(store, first),
            "clips": {"train": len(other.train), "test": len(other.test)},
            "chance": guesses["chance"].top1,
            "majority": guesses["majority"].top1,
            **{key: row[key] for key in _RATES if key in row},
            "by": ways,
        }
        return TaskResult(numbers)


def _context_on(context: Context, options: TransferOptions) -> Context:
    """The same run, on the other store."""
    if options.data is None or not options.protocol:
        raise InputError(
            "transfer needs the other data set: transfer.data=STORE transfer.protocol=P, for example xsub"
        )
    store = open_store(options.data)
    if store.fingerprint == context.store.fingerprint:
        raise InputError(
            f"{options.data} is the store that is judged anyway: transfer.data expects another data set's"
        )
    split = get_split(store, options.protocol)
    train, test = (rows[store.labels[rows] >= 0] for rows in (split.train, split.test))
    if not len(train) or not len(test):
        raise InputError(f"{store.path}: {options.protocol} has no labelled clip in one of its parts")
    check_unseen(context.run, store, test)
    clips = {"store": store, "protocol": split.name, "train": train, "test": test, "prompts": None}
    return replace(context, encoders=load_encoders(context.run.path, store=store), **clips)


def _judged(other: Context, way: str, options: TransferOptions, scratch: bool = False) -> dict[str, Any]:
    """The numbers of one way."""
    if way == "full":
        scores = adapted_scores(other, other.protocol, options.changes, scratch)
        return other.judged("finetune", {stream: Prediction(of) for stream, of in scores.items()}).numbers
    task: FrozenTask = Knn() if way == "knn" else Linear()
    predictions = {stream: task.judge(m, task.Options()) for stream, m in other.probe_data().items()}
    return other.judged(way, predictions).numbers
