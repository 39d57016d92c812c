"""The verb ``adapt``."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def adapt(
    run: Path,
    *overrides: str,
    data: Path,
    protocol: str,
    out: Path,
    mode: str,
    labels: float | None = None,
    recipe: str | None = None,
    resume: bool = False,
) -> dict[str, Any] | None:
    """Adapt a trained run to another data set; the result is a run too.

    The encoder keeps its layout, clips of another one are retargeted to it. The recipe is adapt/linear,
    adapt/full or that of --recipe; any key but those of the encoder can be changed: key=value or --key
    value, for example epochs=20 or --lr 0.01.

    Args:
        run: the run directory, of any method.
        data: the skeleton store.
        protocol: the split whose training part it is adapted to, for example xsub.
        out: the run directory to make.
        mode: batch_norm estimates batch norm's statistics anew, without labels; linear learns a new
            classifier on frozen encoders; full fine-tunes everything.
        labels: share of the training part's labels to learn from, for example 0.1, balanced over the classes.
        recipe: another recipe for the mode: adapt/cmd_semi, or a file.
        resume: go on with the run in --out where it stopped.
    """
    from kinelex.files.lock import is_first_process
    from kinelex.training.adapt import AdaptOptions
    from kinelex.training.adapt import adapt as adapt_run

    adapted = adapt_run(run, data, protocol, out, mode, AdaptOptions(labels, overrides, recipe, resume))
    if not is_first_process():
        return None
    print(f"run directory: {adapted.path}")
    return (adapted.metrics() or [{}])[-1]
