"""Task ``semi``: few labels of the training part, drawn several times, at random or balanced."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from kinelex.datasets import get_split
from kinelex.errors import InputError, unknown_name
from kinelex.evaluation.context import Context, TaskResult
from kinelex.evaluation.probe_data import Prediction, ProbeData
from kinelex.evaluation.protocols.adapted import FULL, adapted_scores, check_adapted, refuse_learned
from kinelex.evaluation.protocols.linear import Linear, LinearOptions
from kinelex.evaluation.statistics import mean_sd
from kinelex.evaluation.streams import fused, hits_of

KINDS = ("random", "balanced")
WAYS = ("full", "linear")
_SCRATCH = ", random weights"


@dataclass(frozen=True)
class SemiOptions:
    """Options of ``semi``.

    Args:
        ratios: shares of the training part's labels.
        kinds: random draws over all clips, balanced the same number of every class.
        draws: how often each share is drawn anew.
        by: full fine-tunes everything, linear fits logistic regression on frozen features.
        changes: changes to the recipe, for example epochs=20,batch_size=16.
        scratch: also do the same from random weights, to see what the run's are worth.
        recipe: what is trained and how: adapt/full, adapt/cmd_semi (CMD's published training of the joint
            stream), or a file.
        together: of semi.by=linear, fit one regression on all streams' features, as linear.together does.
    """

    ratios: tuple[float, ...] = (0.01, 0.05, 0.1, 0.2)
    kinds: tuple[str, ...] = KINDS
    draws: int = 5
    by: str = "full"
    changes: tuple[str, ...] = ()
    scratch: bool = False
    recipe: Path = FULL
    together: bool = False

    def __post_init__(self) -> None:
        for kind in self.kinds:
            if kind not in KINDS:
                raise unknown_name("kind of few labels", kind, KINDS)
        if self.by not in WAYS:
            raise unknown_name("way to learn from few labels", self.by, WAYS)
        if not self.ratios or not self.kinds or self.draws < 1:
            raise InputError("semi expects one share, one kind and one draw or more")
        wrong = next((r for r in self.ratios if not 0 < r <= 1), None)
        if wrong is not None:
            raise InputError(f"expects semi.ratios above 0 and up to 1, got {wrong:g}")
        if (self.changes or self.recipe != FULL) and self.by != "full":
            said = "semi.changes are" if self.changes else "semi.recipe is"
            raise InputError(f"{said} of semi.by=full, not of {self.by}: leave it out")
        if self.together and self.by != "linear":
            raise InputError(f"semi.together is of semi.by=linear, not of {self.by}: leave it out")


class Semi:
    """Accuracy of what is trained on a share of the labels, drawn several times."""

    name: ClassVar[str] = "semi"
    title: ClassVar[str] = "few labels"
    Options: ClassVar[type] = SemiOptions

    def check(self, context: Context, options: SemiOptions) -> None:
        """Refuse a run that learned labels of the training part, and what cannot be drawn or trained."""
        refuse_learned(context.run, context.store, context.train, self.name)
        for kind in options.kinds:
            protocols = [_few(context, kind, ratio, 0) for ratio in sorted(options.ratios)]
            for protocol in protocols:
                get_split(context.store, protocol)
            if options.by == "full":
                changes = (f"training.seed={context.seed}", *options.changes)
                check_adapted(context, protocols[0], changes, options.recipe)

    def run(self, context: Context, options: SemiOptions) -> TaskResult:
        """Learn from each draw and judge on all test clips."""
        refuse_learned(context.run, context.store, context.train, self.name)
        numbers: dict[str, Any] = {"rule": _rule(options), "by": options.by}
        curves = {}
        for scratch in (False, True)[: 1 + options.scratch]:
            place = numbers.setdefault("scratch", {}) if scratch else numbers
            start = context.untrained() if scratch else context
            for kind in options.kinds:
                rates = {ratio: _drawn(start, options, kind, ratio, scratch) for ratio in options.ratios}
                place[kind] = {f"{100 * ratio:g}%": of for ratio, of in rates.items()}
                curves[kind + "-scratch" * scratch] = {
                    "x": [100 * ratio for ratio in rates],
                    "y": [of["mean"] for of in rates.values()],
                    "sd": [of["sd"] for of in rates.values()],
                    "label": f"few labels, {kind}{_SCRATCH * scratch}",
                    "xlabel": "% of the training part's labels",
                }
        return TaskResult(numbers, curves=curves)


def _rule(options: SemiOptions) -> str:
    what = f"logistic regression is fitted on frozen features{' of all streams' * options.together}"
    if options.by == "full":
        changed = f" with {' '.join(options.changes)}" if options.changes else ""
        recipe = options.recipe.as_posix()
        what = f"the run's encoder and a new classifier are trained (recipe {recipe}{changed})"
    return (
        f"Of the training part's labels a share is drawn {options.draws} times, from it {what}; top-1 over "
        "all test clips, mean and standard deviation over the draws."
    )


def _few(context: Context, kind: str, ratio: float, draw: int) -> str:
    """The protocol of one draw of few labels."""
    return f"{context.protocol}:few-{kind}:{ratio:g}:{context.seed + draw}"


def _drawn(context: Context, options: SemiOptions, kind: str, ratio: float, scratch: bool) -> dict[str, Any]:
    """Top-1 of each draw of one share."""
    rates, labels, classes = [], [], []
    for draw in range(options.draws):
        protocol = _few(context, kind, ratio, draw)
        rows = get_split(context.store, protocol).train
        said = f"semi: {kind}, {100 * ratio:g} %, draw {draw + 1} of {options.draws}{_SCRATCH * scratch}"
        context.console.print(said, markup=False)
        if options.by == "full":
            changes = (f"training.seed={context.seed + draw}", *options.changes)
            alone = adapted_scores(context, protocol, changes, scratch, options.recipe)
            whole = fused("linear", {stream: Prediction(scores) for stream, scores in alone.items()})
        else:
            whole = _probed(context.probe_data(rows), options.together)
        rates.append(float(hits_of(whole.scores, context.truth).mean()))
        labels.append(len(rows))
        classes.append(len(np.unique(context.store.labels[rows])))
    return {**mean_sd(rates), "draws": rates, "labels": labels, "classes": classes}


def _probed(parts: Mapping[str, ProbeData], together: bool) -> Prediction:
    """What probes fitted on few clips say of the test clips."""
    probe, options = Linear(), LinearOptions(together)
    whole = probe.together(parts, options)
    return whole or fused("linear", {stream: probe.judge(m, options) for stream, m in parts.items()})
