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
        m = probe_data
        probe = linear_probe(m.train, m.train_labels, m.num_classes, m.groups)
        details = {
            "regularisation": probe.regularisation,
            "fold_accuracy": {f"{strength:g}": rate for strength, rate in probe.fold_accuracy.items()},
            "folds_by": probe.folds_by,
        }
        return Prediction(probe.scores(m.test), details)
