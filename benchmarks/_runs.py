"""One run of a table: trained and judged by the command line, unless it is done."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

KINELEX = (sys.executable, "-m", "kinelex.cli")


def trained_and_judged(
    folder: Path,
    recipe: str,
    data: Sequence[str],
    changes: Sequence[str],
    judge: Sequence[str],
    jobs: int = 1,
) -> dict[str, Any]:
    """What ``kinelex train RECIPE DATA … CHANGES … && kinelex evaluate RUN JUDGE …`` makes.

    Args:
        folder: the run directory. The numbers go beside it, FOLDER.json, and what was printed to FOLDER.log;
            a run with numbers is taken as it is, a training that was interrupted goes on.
        recipe: what to train.
        data: ``--data``, ``--protocol`` and ``--prompts`` with their values.
        changes: ``key=value`` changes to the recipe.
        judge: options of ``kinelex evaluate``.
        jobs: how many such runs share the processor.
    """
    result = folder.with_name(f"{folder.name}.json")
    if not result.exists():
        steps = [[*KINELEX, "evaluate", str(folder), *judge, "--json", str(result)]]
        if not (folder / "encoder.json").exists():
            settings = ["--resume"] if (folder / "config.yaml").exists() else changes
            steps.insert(0, [*KINELEX, "train", recipe, *data, "--out", str(folder), *settings])
        env = {**os.environ, "OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // jobs))}
        with folder.with_name(f"{folder.name}.log").open("a") as log:
            for step in steps:
                subprocess.run(step, env=env, stdout=log, stderr=log, check=True)
    return json.loads(result.read_text(encoding="utf-8"))


def spread(values: Sequence[float]) -> str:
    """Mean ± standard deviation in per cent; of one value the value alone."""
    mean = 100 * statistics.mean(values)
    return f"{mean:.1f}" if len(values) == 1 else f"{mean:.1f} ± {100 * statistics.stdev(values):.1f}"
