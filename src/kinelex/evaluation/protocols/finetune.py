"""Task ``finetune``: the run trained further on all labels of the training part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from kinelex.evaluation.context import Context, TaskResult
from kinelex.evaluation.probe_data import Prediction
from kinelex.evaluation.protocols.adapted import adapted_scores, check_adapted

_NOT_AGAIN = ("per_class", "confusion")


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
        """Refuse what cannot be trained.

        Raises:
            InputError: a change that the recipe does not take.
        """
        check_adapted(context, context.store, context.protocol, options.changes)

    def run(self, context: Context, options: FinetuneOptions) -> TaskResult:
        """Fine-tune a copy of the run and judge it.

        Raises:
            InputError: a change that the recipe does not take.
        """

        def judged(scratch: bool) -> TaskResult:
            start = "random weights" if scratch else "the run"
            context.console.print(f"finetune: training from {start}", markup=False)
            found = adapted_scores(context, context.store, context.protocol, options.changes, scratch)
            return context.judged(self.name, {stream: Prediction(scores) for stream, scores in found.items()})

        result = judged(scratch=False)
        learned = context.encoders and all(
            e.classifier is not None and e.class_names == context.class_names
            for e in context.encoders.values()
        )
        result.numbers["rule"] = (
            "The run's encoder and "
            + ("its classifier" if learned else "a new classifier")
            + " are trained on all labels of the training part (recipe adapt/full"
            + (f" with {' '.join(options.changes)}" if options.changes else "")
            + "); top-1 over the test clips by the last epoch's weights."
        )
        if options.scratch:
            result.numbers["scratch"] = _short(judged(scratch=True).numbers)
        return result


def _short(numbers: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in numbers.items() if key not in _NOT_AGAIN}
