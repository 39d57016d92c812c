"""Task ``transfer``: what the run learned, probed or fine-tuned on another data set, joints retargeted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from kinelex.data import SkeletonStore, open_store
from kinelex.data.persons import say_crowded
from kinelex.datasets import get_split
from kinelex.errors import InputError, unknown_name
from kinelex.evaluation.baselines import chance
from kinelex.evaluation.context import Context, TaskResult
from kinelex.evaluation.probe_data import Prediction
from kinelex.evaluation.protocols.adapted import adapted_scores, check_adapted
from kinelex.evaluation.protocols.knn import Knn, KnnOptions
from kinelex.evaluation.protocols.linear import Linear
from kinelex.evaluation.protocols.supervision import check_unseen
from kinelex.training.encoder_files import SkeletonEncoder, load_encoders

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
        """Refuse another set that the run cannot go to.

        Raises:
            InputError: no store or protocol, the run's own store, joints without counterpart, test clips
                whose labels the run learned, or a change that the recipe does not take.
        """
        store = _other_store(context, options)
        there = _context_on(context, store, options.protocol, load_encoders(context.run.path))
        if "full" in options.by:
            check_adapted(there, store, there.protocol, options.changes)

    def run(self, context: Context, options: TransferOptions) -> TaskResult:
        """Probe or fine-tune on the training part of the other set, judge on its test part.

        Raises:
            InputError: as :meth:`check`.
        """
        store = _other_store(context, options)
        there = _context_on(context, store, options.protocol, load_encoders(context.run.path))
        persons = next(iter(there.encoders.values())).pipeline.config.persons
        say_crowded(context.console, store, np.concatenate([there.train, there.test]), persons)
        bare = replace(there, encoders=_reading(load_encoders(context.run.path, context.seed), store))
        found: dict[str, dict[str, Any]] = {}
        for way in options.by:
            context.console.print(f"transfer: {way} on {store.meta.dataset}", markup=False)
            numbers = _judged(there, way, options, scratch=False)
            if way != "full" or options.scratch:
                rates = _judged(bare if way != "full" else there, way, options, scratch=True)
                numbers["scratch"] = {key: rates[key] for key in _RATES if key in rates}
            found[way] = numbers
        row = found[options.by[-1]]
        layout = next(iter(there.encoders.values())).layout
        labels = store.labels
        rows = chance(labels[there.train], labels[there.test], len(store.class_names))
        numbers = {
            "title": f"transfer to {store.meta.dataset} {options.protocol}",
            "rule": f"The run's encoder goes to {store.meta.dataset}; there, on the training part of "
            f"{options.protocol}, {_WORDS[options.by[-1]]}; top-1 over its test clips.",
            "to": store.meta.dataset,
            "to_protocol": options.protocol,
            "retargeted": None
            if layout.joints == store.layout.joints
            else f"{store.layout.name} to {layout.name}",
            "clips": {"train": len(there.train), "test": len(there.test)},
            "chance": rows["chance"].top1,
            "majority": rows["majority"].top1,
            **{key: row[key] for key in _RATES if key in row},
            "by": found,
        }
        return TaskResult(numbers)


def _other_store(context: Context, options: TransferOptions) -> SkeletonStore:
    if options.data is None or not options.protocol:
        raise InputError(
            "transfer needs the other data set: transfer.data=STORE transfer.protocol=P, for example xsub"
        )
    store = open_store(options.data)
    if store.fingerprint == context.store.fingerprint:
        raise InputError(
            f"{options.data} is the store that is judged anyway: transfer.data expects another data set's"
        )
    return store


def _reading(encoders: dict[str, SkeletonEncoder], store: SkeletonStore) -> dict[str, SkeletonEncoder]:
    return {stream: encoder.for_store(store) for stream, encoder in encoders.items()}


def _context_on(
    context: Context, store: SkeletonStore, protocol: str, encoders: dict[str, SkeletonEncoder]
) -> Context:
    """The same run, on another store."""
    split = get_split(store, protocol)
    train, test = (rows[store.labels[rows] >= 0] for rows in (split.train, split.test))
    if not len(train) or not len(test):
        raise InputError(f"{store.path}: {protocol} has no labelled clip in one of its parts")
    check_unseen(context.run, store, test)
    return Context(
        context.run,
        _reading(encoders, store),
        store,
        split.name,
        train,
        test,
        None,
        context.device,
        context.seed,
        context.batch_size,
        context.console,
        context.fresh,
    )


def _judged(there: Context, way: str, options: TransferOptions, scratch: bool) -> dict[str, Any]:
    """The numbers of one way."""
    if way == "full":
        found = adapted_scores(there, there.store, there.protocol, options.changes, scratch)
        alone = {stream: Prediction(scores) for stream, scores in found.items()}
        return there.judged("finetune", alone).numbers
    if way == "knn":
        task: Knn | Linear = Knn()
        settings: Any = KnnOptions()
    else:
        task, settings = Linear(), Linear.Options()
    predictions = {stream: task.judge(m, settings) for stream, m in there.probe_data().items()}
    return there.judged(way, predictions).numbers
