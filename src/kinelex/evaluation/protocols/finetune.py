"""Task ``finetune``: the run trained further on all labels of the training part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from kinelex.evaluation.context import Context, TaskResult
from kinelex.evaluation.probe_data import Prediction
from kinelex.evaluation.protocols.adapted import adapted_scores, check_adapted
from kinelex.evaluation.streams import WHOLE_ONLY


@dataclass(frozen=True)
class FinetuneOptions:
    """Options of ``finetune``.

    Args:
        changes: changes to the recipe adapt/full, for example epochs=20,optimizer.lr=0.005.
        scratch: also do the same training from random weights, to see what the run's are worth.
    """

    changes: tuple[str, ...] = ()
    scratch: bool = False


class Finetune:
    """Encoder and classifier are trained on all labels of the training part."""

    name: ClassVar[str] = "finetune"
    title: ClassVar[str] = "fine-tuned"
    Options: ClassVar[type] = FinetuneOptions

    def check(self, context: Context, options: FinetuneOptions) -> None:
        """Refuse a change that the recipe does not take."""
        check_adapted(context, context.protocol, options.changes)

    def run(self, context: Context, options: FinetuneOptions) -> TaskResult:
        """Fine-tune a copy of the run and judge it."""
        result = _tuned(context, options, scratch=False)
        learned = context.encoders and all(
            e.classifier is not None and e.class_names == context.class_names
            for e in context.encoders.values()
        )
        classifier = "its classifier" if learned else "a new classifier"
        changed = f" with {' '.join(options.changes)}" if options.changes else ""
        result.numbers["rule"] = (
            f"The run's encoder and {classifier} are trained on all labels of the training part (recipe "
            f"adapt/full{changed}); top-1 over the test clips by the last epoch's weights."
        )
        if options.scratch:
            rates = _tuned(context, options, scratch=True).numbers
            result.numbers["scratch"] = {k: v for k, v in rates.items() if k not in WHOLE_ONLY}
        return result


def _tuned(context: Context, options: FinetuneOptions, scratch: bool) -> TaskResult:
    start = "random weights" if scratch else "the run"
    context.console.print(f"finetune: training from {start}", markup=False)
    scores = adapted_scores(context, context.protocol, options.changes, scratch)
    return context.judged("finetune", {stream: Prediction(of) for stream, of in scores.items()})
