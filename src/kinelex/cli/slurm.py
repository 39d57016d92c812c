"""``--slurm FILE``: the command as a job script for a cluster with SLURM, instead of being run."""

from __future__ import annotations

import inspect
import os
import re
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kinelex import plugins
from kinelex.cli.exit_status import TRY_AGAIN
from kinelex.cli.parser import Verb, flag_of, verb_name
from kinelex.errors import InputError
from kinelex.files.atomic import check_target, spare_stores, write_whole

_KILLED = 128 + 10  # by SIGUSR1, where nothing was there to hear it yet
_SHARE = "$SLURM_ARRAY_TASK_ID"


@dataclass(frozen=True)
class Job:
    """What a job asks the cluster for.

    Args:
        name: what it is called.
        nodes: machines.
        tasks: processes on each, one per device.
        gpus: GPUs on each; None leaves the line as a comment.
        cpus: processors of each process.
        shares: number of jobs of an array, or None.
        resume: a file that is there once the work has begun, which ``--resume`` goes on with.
    """

    name: str
    nodes: int = 1
    tasks: int = 1
    gpus: int | None = None
    cpus: int = 8
    shares: int | None = None
    resume: Path | None = None


def command_of(verb: Verb, values: Mapping[str, Any]) -> list[str]:
    """The words of a command line that gives a verb its values; ``--slurm`` is left out.

    >>> def train(recipe: str, *changes: str, data: Path, resume: bool = False): ...
    >>> given = {"recipe": "cmd", "changes": ("epochs=3",), "data": Path("s.arrow"), "resume": True}
    >>> command_of(train, given)
    ['train', 'cmd', 'epochs=3', '--data', 's.arrow', '--resume']
    """
    words = [verb_name(verb)]
    for name, parameter in inspect.signature(verb).parameters.items():
        value = values[name]
        if name == "slurm" or value is None or (value == parameter.default and value != ()):
            continue
        several = [str(v) for v in value] if isinstance(value, (list, tuple)) else [str(value)]
        if parameter.kind is parameter.KEYWORD_ONLY:
            words += [flag_of(name), *([] if value is True else several)]
        else:
            words += several
    return words


def write_job(path: Path, words: list[str], job: Job) -> dict[str, Any]:
    """Write a job script and say how it is submitted; plugins of this process are named in it.

    A job that hears SIGUSR1 before its time is up (``--signal``) ends with a checkpoint and is put into the
    queue again; started again it goes on.

    Returns:
        ``script``, its path, and ``command``, what it runs.
    """
    check_target(path)
    spare_stores(path)
    if path.is_dir():
        raise InputError(f"--slurm expects the name of a script, {path} is a folder")
    if named := os.environ.get(plugins.VARIABLE):
        words = [*words, "--plugin", named]
    name = re.sub(r"\W+", "-", job.name).strip("-") or "kinelex"
    ask = {
        "job-name": f"kinelex-{name}",
        "nodes": job.nodes,
        "ntasks-per-node": job.tasks,
        "cpus-per-task": job.cpus,
        "gpus-per-node": job.gpus or 1,
        "time": "24:00:00",
        "signal": "USR1@180",
        "open-mode": "append",
        "output": "%x-%A_%a.out" if job.shares else "%x-%j.out",
        "chdir": shlex.quote(str(Path.cwd())),
    }
    if job.shares:
        ask["array"] = f"1-{job.shares}"
    lines = [f"#SBATCH --{key}={value}" for key, value in ask.items()] + ["#SBATCH --requeue"]
    if job.gpus is None:
        lines = [f"#{line}" if "--gpus-per-node" in line else line for line in lines]
    command = " ".join(f'"{word}"' if _SHARE in word else shlex.quote(word) for word in words)
    program = f"{shlex.quote(sys.executable)} -m kinelex.cli"
    begun, goes_on = "", ""
    if job.resume is not None:
        begun = f"resume=()\n[ -f {shlex.quote(str(job.resume))} ] && resume=(--resume)\n"
        goes_on = ' "${resume[@]}"'
    script = f"""#!/bin/bash
# Submit with `sbatch {path.name}`. What your cluster wants beside, and another time, can stand there, too:
# `sbatch --partition=gpu --account=me --time=2:00:00 {path.name}`
{chr(10).join(lines)}

{begun}srun {program} {command}{goes_on}
status=$?
case $status in
  {TRY_AGAIN} | {_KILLED}) scontrol requeue "$SLURM_JOB_ID" ;; # asked to make room: go on later
esac
exit $status
"""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, script)
    print(f"job script: {path}; submit with `sbatch {path}`")
    return {"script": str(path), "command": command}


def array_words(words: list[str], share: tuple[int, int] | None) -> list[str]:
    """The words of a command with the array's number instead of that of one share.

    >>> array_words(["study", "beta", "--shard", "1/8"], (1, 8))[-1]
    '$SLURM_ARRAY_TASK_ID/8'
    """
    if share is None:
        return words
    place = words.index("--shard") + 1
    return [*words[:place], f"{_SHARE}/{share[1]}", *words[place + 1 :]]
