"""The verb ``train``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kinelex.cli.slurm import Job, command_of, write_job


def train(
    recipe: str,
    *overrides: str,
    data: Path,
    protocol: str,
    out: Path,
    prompts: Path | None = None,
    resume: bool = False,
    slurm: Path | None = None,
    dry_run: bool = False,
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
        slurm: write a job script for SLURM to this file, and do not train.
        dry_run: say what the training will cost, from a few steps of it: memory, time, disk; write nothing.
    """
    given = dict(locals())
    if slurm is not None or not resume:  # a resumed training keeps its own
        training = _checked(recipe, data, overrides).training
    if slurm is not None:
        job = Job(
            out.name,
            training.num_nodes,
            training.devices,
            None if training.accelerator == "cpu" else training.devices,
            training.threads or 8,
            resume=None if resume else out / "config.yaml",
        )
        return write_job(slurm, command_of(train, given), job)
    if dry_run:
        from kinelex.training.cost import cost

        return cost(recipe, data, protocol, prompts, overrides)
    from kinelex.files.lock import is_first_process
    from kinelex.training.train import train as train_method

    run = train_method(recipe, data, protocol, out, prompts, overrides, resume, describe=_describe)
    if not is_first_process():
        return None
    print(f"run directory: {run.path}")
    return (run.metrics() or [{}])[-1]


def _checked(recipe: str, data: Path, overrides: tuple[str, ...]) -> Any:
    """The recipe, its keys checked before the trainer is imported, which takes longer than the rest."""
    from kinelex.data.several import open_stores
    from kinelex.training.recipe import resolve
    from kinelex.training.store_defaults import recipe_for

    return resolve(*recipe_for(recipe, open_stores(data)), overrides)


def _describe(run: Any) -> Any:
    """What trackers show of the finished run."""
    from kinelex.reports.run.description import describe_run

    return describe_run(run)
