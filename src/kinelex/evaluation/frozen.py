"""Tasks that look at frozen features alone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

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
    Options: ClassVar[type] = NoOptions

    @abstractmethod
    def judge(self, probe_data: ProbeData, options: Any) -> Prediction:
        """What one stream's features say of the test clips."""

    def together(self, parts: Mapping[str, ProbeData], options: Any) -> Prediction | None:
        """What all streams' features say, where that is not the fusion of what each says; else None."""
        return None

    def run(self, context: Context, options: Any) -> TaskResult:
        """Judge the run."""
        parts = context.probe_data()
        with working(self.title):
            alone = {stream: self.judge(m, options) for stream, m in parts.items()}
            whole = self.together(parts, options)
        result = context.judged(self.name, alone, whole)
        result.numbers["rule"] = self.rule
        return result
