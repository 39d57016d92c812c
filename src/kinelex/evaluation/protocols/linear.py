"""Task ``linear``: a linear probe on frozen features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kinelex.evaluation.context import Context, TaskResult
from kinelex.evaluation.frozen import FrozenTask
from kinelex.evaluation.probe_data import Prediction, ProbeData, side_by_side
from kinelex.inference.fusion import softmax
from kinelex.inference.linear_probe import linear_probe
from kinelex.progress import working


@dataclass(frozen=True)
class LinearOptions:
    """Options of ``linear``.

    Args:
        together: of several streams fit one regression on their features side by side, each of length 1,
            instead of the mean of each stream's own.
    """

    together: bool = False


class Linear(FrozenTask):
    """A linear probe: multinomial logistic regression on frozen features."""

    name = "linear"
    title = "linear probe"
    rule = (
        "Logistic regression on frozen, standardised features of the training clips, its penalty chosen on "
        "folds of the training part; top-1 over the test clips."
    )

    Options = LinearOptions

    def run(self, context: Context, options: LinearOptions) -> TaskResult:
        """Judge the run."""
        parts = context.probe_data()
        with working(self.title):
            alone = {stream: self.judge(m, options) for stream, m in parts.items()}
            result = context.judged(self.name, alone, self.together(parts) if options.together else None)
        result.numbers["rule"] = self.rule
        return result

    def together(self, parts: Mapping[str, ProbeData]) -> Prediction:
        """What one probe says that reads all streams, as softmax scores; with one stream its own logits."""
        found = self.judge(side_by_side(parts), None)
        if len(parts) == 1:
            return found
        how = {"fused": "one regression on the streams' features side by side"}
        return Prediction(softmax(found.scores), {**found.details, **how})

    def judge(self, probe_data: ProbeData, options: Any) -> Prediction:
        """Logits of the fitted probe."""
        m = probe_data
        probe = linear_probe(m.train, m.train_labels, m.num_classes, m.groups)
        details = {
            "regularisation": probe.regularisation,
            "fold_accuracy": {f"{strength:g}": rate for strength, rate in probe.fold_accuracy.items()},
            "folds_by": probe.folds_by,
        }
        return Prediction(probe.scores(m.test), details)
