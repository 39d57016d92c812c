"""The verb ``ensemble``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kinelex.errors import InputError


def ensemble(
    scores: list[Path],
    *,
    data: Path,
    protocol: str,
    weights: str | None = None,
    search: str | None = None,
    holdout: list[Path] | None = None,
    combine: str = "softmax",
    objective: str = "log_likelihood",
    task: str = "classify",
    order: Path | None = None,
    out: Path | None = None,
) -> dict[str, Any]:
    """Put the scores of several classifiers together.

    Weights are equal unless they are given, or searched on clips that were held out of training. A search on
    the test part is refused.

    Args:
        scores: score files that evaluate wrote, pickles of CTR-GCN's or MMCL's code, or run directories,
            which stand for their score files of the protocol.
        data: the skeleton store.
        protocol: the split whose test part is judged.
        weights: one per score file, for example 1,0.5,1.
        search: holdout searches the weights on the clips of --holdout.
        holdout: scores of the same models in the same order, of clips of the training part that these did
            not learn, for example of runs that were trained and evaluated on xview:fold1of5; or those runs.
        combine: softmax adds softmax scores, logits adds logits, as the published ensembles do.
        objective: what the search makes large: log_likelihood or accuracy.
        task: which scores run directories stand for: classify, linear, knn, linear_sgd.
        order: names of the test clips in the order that pickles with numbers for names count them, where it
            is not known (that of the published protocols of NTU RGB+D is): a text file with a name per line,
            a JSON file, or data/NW-UCLA/val_label.pkl of CTR-GCN.
        out: also write the ensemble's scores to this file (.npz).
    """
    from kinelex.evaluation import ensemble as put_together

    options: dict[str, Any] = {"weights": None if weights is None else _numbers(weights), "search": search}
    options |= {"holdout": holdout or (), "combine": combine, "objective": objective}
    return put_together(scores, data, protocol, out, **options, task=task, order=order)


def _numbers(text: str) -> list[float]:
    """Weights from the command line.

    >>> _numbers("1,0.5")
    [1.0, 0.5]
    """
    try:
        return [float(word) for word in text.split(",")]
    except ValueError:
        raise InputError(f"--weights expects numbers such as 1,0.5,1, got {text!r}") from None
