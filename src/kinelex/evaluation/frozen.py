"""Tasks that look at frozen features alone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from kinelex.evaluation.context import Context, TaskResult
from kinelex.evaluation.probe_data import Prediction, ProbeData
from kinelex.progress import working


@dataclass(frozen=True)
class NoOptions:
    """The options of a task that has none."""


class FrozenTask(ABC):
    """A task that looks at each stream's features alone; the streams' scores are then fused."""

    name: ClassVar[str]
    title: ClassVar[str]
    rule: ClassVar[str]
    Options: ClassVar[type] = NoOptions

    @abstractmethod
    def judge(self, probe_data: ProbeData, options: Any) -> Prediction:
        """What one stream's features say of the test clips."""

    def run(self, context: Context, options: Any) -> TaskResult:
        """Judge the run."""
        parts = context.probe_data()
        with working(self.title):
            alone = {stream: self.judge(m, options) for stream, m in parts.items()}
        result = context.judged(self.name, alone)
        result.numbers["rule"] = self.rule
        return result
