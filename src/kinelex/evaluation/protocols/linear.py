"""Task ``linear``: a linear probe on frozen features."""

from __future__ import annotations

from typing import Any

from kinelex.evaluation.frozen import FrozenTask
from kinelex.evaluation.probe_data import Prediction, ProbeData
from kinelex.inference.linear_probe import linear_probe


class Linear(FrozenTask):
    """A linear probe: multinomial logistic regression on frozen features."""

    name = "linear"
    title = "linear probe"
    rule = (
        "Logistic regression on frozen, standardised features of the training clips, its penalty chosen on "
        "folds of the training part; top-1 over the test clips."
    )

    def judge(self, probe_data: ProbeData, options: Any) -> Prediction:
        """Logits of the fitted probe."""
        probe = linear_probe(
            probe_data.train, probe_data.train_labels, probe_data.num_classes, probe_data.groups
        )
        details = {
            "regularisation": probe.regularisation,
            "fold_accuracy": {f"{strength:g}": rate for strength, rate in probe.fold_accuracy.items()},
            "folds_by": probe.folds_by,
        }
        return Prediction(probe.scores(probe_data.test), details)
