"""Task ``linear``: a linear probe on frozen features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kinelex.evaluation.frozen import FrozenTask, check_crops
from kinelex.evaluation.probe_data import Prediction, ProbeData, side_by_side
from kinelex.inference.fusion import softmax
from kinelex.inference.linear_probe import linear_probe


@dataclass(frozen=True)
class LinearOptions:
    """Options of ``linear``.

    Args:
        together: of several streams fit one regression on their features side by side, each of length 1,
            instead of the mean of each stream's own.
        crops: random choices of each training clip's frames, drawn as in training, that are learned beside
            the one of test time.
    """

    together: bool = False
    crops: int = 0

    def __post_init__(self) -> None:
        check_crops(self.crops)


class Linear(FrozenTask):
    """A linear probe: multinomial logistic regression on frozen features."""

    name = "linear"
    title = "linear probe"
    rule = (
        "Logistic regression on frozen, standardised features of the training clips, its penalty chosen on "
        "folds of the training part; top-1 over the test clips."
    )
    Options = LinearOptions

    def together(self, parts: Mapping[str, ProbeData], options: LinearOptions) -> Prediction | None:
        """What one probe says that reads all streams, as softmax scores, where that is asked for."""
        if not options.together or len(parts) == 1:
            return None
        found = self.judge(side_by_side(parts), options)
        how = {"fused": "one regression on the streams' features side by side"}
        return Prediction(softmax(found.scores), {**found.details, **how})

    def judge(self, probe_data: ProbeData, options: Any) -> Prediction:
        """Logits of the fitted probe."""
        m = probe_data
        probe = linear_probe(m.train, m.train_labels, m.num_classes, m.groups, crops=m.crops)
        details = {
            "regularisation": probe.regularisation,
            "fold_accuracy": {f"{strength:g}": rate for strength, rate in probe.fold_accuracy.items()},
            "folds_by": probe.folds_by,
        }
        return Prediction(probe.scores(m.test), details)
