"""The verb ``train``."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def train(
    recipe: str,
    *overrides: str,
    data: Path,
    protocol: str,
    out: Path,
    prompts: Path | None = None,
    resume: bool = False,
) -> dict[str, Any] | None:
    """Train a method on the training part of a protocol.

    Any key of the recipe can be changed: key=value or --key value, for example epochs=20,
    method.alpha=0.5 or --optimizer.lr 0.001.

    Args:
        recipe: recipe name (c2vl, cmd, mmcl, sofa, ...: the one for the store's data set) or a YAML file.
        data: the skeleton store, or several with commas between them: one encoder learns from all.
        protocol: the split to train on, for example xview; of several stores one for all, or one each with
            commas between them.
        out: the run directory to make.
        prompts: the prompt store, for c2vl and mmcl; of several stores those that there are, with commas
            between them.
        resume: go on with the run in --out where it stopped.
    """
    from kinelex.training.train import is_first_process
    from kinelex.training.train import train as train_method

    run = train_method(recipe, data, protocol, out, prompts, overrides, resume)
    if not is_first_process():
        return None
    print(f"run directory: {run.path}")
    return (run.metrics() or [{}])[-1]
