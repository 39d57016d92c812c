"""The verb ``study``, and a help that lists the studies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kinelex.cli.prompts import read_share
from kinelex.cli.slurm import Job, array_words, command_of, write_job
from kinelex.errors import InputError
from kinelex.options import listed, wrapped


def study(
    name: str,
    *changes: str,
    data: Path,
    protocol: str,
    out: Path,
    prompts: list[Path] | None = None,
    seeds: str | None = None,
    tasks: str | None = None,
    shard: str | None = None,
    device: str = "cpu",
    slurm: Path | None = None,
) -> dict[str, Any]:
    """Answer one question by training a grid of recipes, judging each run and comparing them.

    A killed study goes on where it stopped when it is started again; finished runs are left as they are. The
    comparison is written into --out when all runs are finished.

    Any key of the recipes can be changed for all of them, for example epochs=20. A key that the study varies
    takes the values to try: beta=0,0.5.

    Args:
        name: the study, by the name below, or a YAML file.
        changes: changes to the recipes.
        data: the skeleton store.
        protocol: the split to train and judge on; xsub:fold1of4 holds out a part of the training part.
        out: folder for the runs and the comparison.
        prompts: the prompt store; of several each is tried.
        seeds: seeds of the trainings, for example 0,1,2; by default the study's.
        tasks: what judges, comma-separated; by default the study's.
        shard: do share i of n only, for example 3/8: an array job. The last to finish compares.
        device: where the runs are judged: cpu, cuda. Recipes train on training.accelerator.
        slurm: write a job script for SLURM to this file, with --shard 1/n of n jobs, and train nothing.
    """
    share = None if shard is None else read_share(shard)
    if slurm is not None:
        words = array_words(command_of(study, locals()), share)
        gpus = None if "cpu" in " ".join(c for c in changes if "accelerator" in c) else 1
        return write_job(slurm, words, Job(out.name, gpus=gpus, shares=share and share[1]))
    from kinelex.reports import run_study

    asked: dict[str, Any] = {"seeds": None if seeds is None else _read_seeds(seeds), "device": device}
    asked |= {"tasks": None if tasks is None else listed(tasks)}
    asked |= {"share": share, "prompts": prompts or ()}
    return run_study(name, data, protocol, out, changes=changes, **asked)


def _read_seeds(text: str) -> list[int]:
    """Seeds as written on the command line.

    >>> _read_seeds("0,1")
    [0, 1]
    """
    parts = [part.strip() for part in text.split(",")]
    seeds = [int(part) for part in parts if part.isdecimal()]
    if len(set(seeds)) < len(parts):
        raise InputError(f"--seeds expects different whole numbers, for example 0,1,2, got {text!r}")
    return seeds


def studies_help() -> str:
    """The studies and their grids, for the end of the help."""
    from kinelex.evaluation.study import find_study, study_names

    lines = ["studies:"]
    for name in study_names():
        found = find_study(name)
        lines += wrapped(f"{name:14}{found.title}", 2, 16)
        for label, values in found.grid.items():
            lines += wrapped(f"{label}: {', '.join(values)}", 16, 18)
    return "\n".join(lines)
