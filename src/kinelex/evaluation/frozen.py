"""Tasks that look at frozen features alone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from kinelex.errors import InputError
from kinelex.evaluation.context import Context, TaskResult
from kinelex.evaluation.probe_data import Prediction, ProbeData
from kinelex.progress import working


@dataclass(frozen=True)
class NoOptions:
    """The options of a task that has none."""


class FrozenTask(ABC):
    """A task that looks at each stream's features alone; the streams' scores are then fused, by default."""

    name: ClassVar[str]
    title: ClassVar[str]
    rule: ClassVar[str]
    Options: ClassVar[type] = NoOptions  # with a field crops where the task learns from those
    crops_are: ClassVar[str] = "beside the one of test time"

    @abstractmethod
    def judge(self, probe_data: ProbeData, options: Any) -> Prediction:
        """What one stream's features say of the test clips."""

    def together(self, parts: Mapping[str, ProbeData], options: Any) -> Prediction | None:
        """What all streams' features say, where that is not the fusion of what each says; else None."""
        return None

    def predictions(
        self, parts: Mapping[str, ProbeData], options: Any
    ) -> tuple[dict[str, Prediction], Prediction | None]:
        """What each stream says, and what :meth:`together` says."""
        return {s: self.judge(m, options) for s, m in parts.items()}, self.together(parts, options)

    def run(self, context: Context, options: Any) -> TaskResult:
        """Judge the run."""
        crops = getattr(options, "crops", 0)
        parts = context.probe_data(crops=crops)
        with working(self.title):
            alone, whole = self.predictions(parts, options)
        result = context.judged(self.name, alone, whole)
        result.numbers["rule"] = self.rule + said_of_crops(crops, self.crops_are)
        return result


def check_crops(crops: int, most: int | None = None) -> None:
    """Refuse a number of crops that is none, or that nobody would learn."""
    if crops < 0 or (most is not None and crops > most):
        upper = "" if most is None else f" and, as there are so many epochs, at most {most}"
        raise InputError(f"expects crops of at least 0{upper}, got {crops}")


def said_of_crops(crops: int, how: str) -> str:
    """What a rule adds where a task learns from crops."""
    if not crops:
        return ""
    drawn = "one random choice" if crops == 1 else f"{crops} random choices"
    return f" Of each training clip {drawn} of its frames, as in the run's training, are learned {how}."
