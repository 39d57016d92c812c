"""How much a run loses when the test clips get worse: curves over the strength of each change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import numpy as np
import torch

from kinelex.data.batch import Batch
from kinelex.errors import InputError, unknown_name
from kinelex.evaluation import degrade
from kinelex.evaluation.context import Context, TaskResult
from kinelex.evaluation.degrade import Change
from kinelex.evaluation.frozen_classifier import SAID, WAYS, FrozenClassifier, chosen_way
from kinelex.evaluation.statistics import bootstrap_interval
from kinelex.evaluation.streams import hits_of
from kinelex.skeleton import SkeletonLayout
from kinelex.skeleton.layout import PARTS

_AXES = {
    "noise": ("joint noise", "share of the body's size"),
    "joints": ("missing joints", "share of the joints"),
    "parts": ("hidden part", "part"),
    "frames": ("dropped frames", "share of the frames"),
    "rate": ("frame rate", "every n-th frame"),
    "rotation": ("rotation", "degrees about the vertical, in 2-D in the plane"),
}
_LIMITS = {"noise": (0.0, np.inf), "joints": (0.0, 1.0), "frames": (0.0, 1.0), "rotation": (0.0, 360.0)}


@dataclass(frozen=True)
class RobustnessOptions:
    """Options of ``robustness``. An empty list leaves a change out.

    Args:
        by: who classifies: classify (the run's own classifier), knn, linear (a probe), or auto: the run's
            own where it has one, else knn. Fitted on clean training clips.
        noise: standard deviations of noise on every joint, shares of the body's size.
        joints: shares of the joints that are missing.
        parts: parts that are hidden: torso, left_arm, right_arm, left_leg, right_leg.
        frames: shares of the frames that are dropped.
        rate: only every so many-th frame is kept.
        rotation: degrees that clips are turned about the vertical (y), or in 2-D in the picture's plane.
    """

    by: str = "auto"
    noise: tuple[float, ...] = (0.02, 0.05, 0.1, 0.2)
    joints: tuple[float, ...] = (0.1, 0.2, 0.4, 0.6)
    parts: tuple[str, ...] = PARTS
    frames: tuple[float, ...] = (0.25, 0.5, 0.75, 0.9)
    rate: tuple[int, ...] = (2, 4, 8)
    rotation: tuple[float, ...] = (15.0, 30.0, 60.0, 90.0)

    def __post_init__(self) -> None:
        if self.by not in WAYS:
            raise unknown_name("way to classify", self.by, WAYS)
        for part in self.parts:
            if part not in PARTS:
                raise unknown_name("part of the body", part, PARTS)
        for name, (low, high) in _LIMITS.items():
            wrong = [v for v in getattr(self, name) if not low < v < high]
            if wrong:
                bounds = f"above {low:g}" + (f" and below {high:g}" if high < np.inf else "")
                raise InputError(f"expects robustness.{name} {bounds}, got {wrong[0]:g}")
        if any(factor < 2 for factor in self.rate):
            raise InputError(f"expects robustness.rate of at least 2, got {min(self.rate)}")
        if not any(getattr(self, kind) for kind in _AXES):
            raise InputError("robustness has nothing to change: every list is empty")


class Robustness:
    """Accuracy under joint noise, missing joints, hidden parts, dropped frames, frame rate, rotation."""

    name = "robustness"
    title = "robustness: mean over all changes"
    Options = RobustnessOptions

    def check(self, context: Context, options: RobustnessOptions) -> None:
        """Refuse a classifier that the run does not have, and changes that are none of these clips."""
        chosen_way(context, options.by)
        if any(encoder.pipeline.config.scores for encoder in context.encoders.values()):
            raise InputError("robustness changes coordinates, the run reads scores beside them: leave it out")
        if next(changes(options, context.store.layout), None) is None:
            raise InputError(f"nothing of what robustness was asked for can be done to {context.store.path}")

    def run(self, context: Context, options: RobustnessOptions) -> TaskResult:
        """Judge changed test clips."""
        self.check(context, options)
        fitted = FrozenClassifier(context, options.by)
        clean = self._hits(context, fitted, "", None)
        hits: dict[str, dict[Any, np.ndarray]] = {}
        for kind, value, change in changes(options, context.store.layout):
            name = f"{kind}-{value}" if kind == "parts" else f"{kind}-{value:g}"
            context.console.print(f"robustness: {name}", markup=False)
            hits.setdefault(kind, {})[value] = self._hits(context, fitted, name, change)
        every = np.mean([h for of in hits.values() for h in of.values()], axis=0)
        numbers = {
            "rule": f"Nothing is trained on changed clips: {SAID[fitted.by]} classifies test clips that were "
            "changed as loaded, before they are centred and scaled; top-1 is the mean over all changes.",
            "by": fitted.by,
            **self._rate(every, context),
            "clean": self._rate(clean, context),
            "kept": float(every.mean() / clean.mean()) if clean.any() else None,
            "changes": {
                kind: {_key(v): self._rate(h, context) for v, h in of.items()} for kind, of in hits.items()
            },
        }
        return TaskResult(numbers, curves={kind: _curve(kind, clean, of) for kind, of in hits.items()})

    @staticmethod
    def _hits(context: Context, fitted: FrozenClassifier, variant: str, change: Change | None) -> np.ndarray:
        """Per test clip 1 where it was right: (n_test,)."""
        found = {s: context.features(s, context.test, variant, change) for s in context.encoders}
        return hits_of(fitted.fused(found), context.truth)

    @staticmethod
    def _rate(hits: np.ndarray, context: Context) -> dict[str, Any]:
        return {"top1": float(hits.mean()), "ci95": list(bootstrap_interval(hits, context.seed))}


def changes(options: RobustnessOptions, layout: SkeletonLayout) -> Iterator[tuple[str, Any, Change]]:
    """The changes that options ask for: kind, strength, and what makes it of a batch.

    Parts are left out where the layout has no joint of them.

    >>> from kinelex.skeleton import get_layout
    >>> options = RobustnessOptions(noise=(), joints=(), parts=("torso",), frames=(), rotation=(), rate=(2,))
    >>> [(kind, value) for kind, value, _ in changes(options, get_layout("ntu25"))]
    [('parts', 'torso'), ('rate', 2)]
    """
    for field in fields(options):
        if field.name not in _AXES:
            continue
        for value in getattr(options, field.name):
            if field.name != "parts" or set(layout.parts[value]) - {layout.root}:
                yield field.name, value, partial(_changed, field.name, value, layout)


def _changed(
    kind: str, value: Any, layout: SkeletonLayout, batch: Batch, generator: torch.Generator
) -> Batch:
    """One kind of change at one strength."""
    match kind:
        case "noise":
            return degrade.joint_noise(batch, value, generator)
        case "joints":
            return degrade.missing_joints(batch, value, layout.root, generator)
        case "parts":
            return degrade.hidden_joints(batch, layout.parts[value], layout.root)
        case "frames":
            return degrade.dropped_frames(batch, value, generator)
        case "rate":
            return degrade.slower_rate(batch, value)
    return degrade.turned(batch, value, generator)


def _key(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def _curve(kind: str, clean: np.ndarray, of: dict[Any, np.ndarray]) -> dict[str, Any]:
    """Top-1 over the strength, the clean clips first (at rate 1, elsewhere at 0; ``none`` of the parts)."""
    label, axis = _AXES[kind]
    start = {"parts": "none", "rate": 1}.get(kind, 0.0)
    rates = [float(h.mean()) for h in (clean, *of.values())]
    return {"x": [start, *of], "y": rates, "label": label, "xlabel": axis}
