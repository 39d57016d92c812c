"""Kill every verb at random moments, start it again, and compare what comes out with an undisturbed run.

    python benchmarks/kills.py [--verbs prepare prompts train evaluate study adapt] [--kills 60] [--seed 0]
                               [--each 5] [--folder FOLDER]

A verb works in a folder of its own. It gets SIGKILL, with all its processes, at a moment drawn evenly over
the time that it takes undisturbed, is started again as a user would (``train`` and ``adapt`` with
``--resume`` once there is a run), is killed again, and after ``--each`` kills may finish. Then the folder
must hold the files of an undisturbed run and no other, byte for byte. Of ``metrics.csv`` the columns of the
clock are left out, of what prompts cost (``.cost.json``, measured times) all but the modalities, of a
checkpoint the packing: its weights and states are compared bit by bit.
TensorBoard's logs, which carry the time in their names, are not compared. Input: the built-in actors, and
random clips for ``prepare``. Processes are forked from one that has loaded the libraries, so that kills hit
the work and not the imports.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kinelex.cli import main as kinelex

TINY = ["channels=2", "depth=[1,1,1]", "frames=16", "batch_size=24", "dim=8", "hidden=16"]
CPU = ["accelerator=cpu", "precision=32-true", "checkpoint_every=1"]
CLOCK = ("seconds", "clips_per_second")  # columns of metrics.csv


class Failed(Exception):
    """A command that should have gone on from what a kill left, and did not."""


class Verb:
    """A command of kinelex, killed and finished in a folder.

    Args:
        name: the verb.
        words: its arguments.
        resumes: whether a run that was begun goes on with ``--resume``.
        given: a folder that the verb works on in place, as a copy.
    """

    def __init__(self, name: str, *words: Any, resumes: bool = False, given: Path | None = None) -> None:
        self.name, self.words, self.resumes, self.given = name, [str(w) for w in words], resumes, given

    def place(self, folder: Path) -> None:
        """Make the folder that it works in."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        if self.given is not None:
            shutil.copytree(self.given, folder / "run")

    def start(self, folder: Path) -> int:
        """Start it as a process group of its own; returns the process."""
        again = ["--resume"] if self.resumes and (folder / "out" / "config.yaml").is_file() else []
        process = os.fork()
        if process:
            return process
        os.setsid()
        os.chdir(folder)
        log = os.open(folder.parent / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1)
        os.dup2(log, 2)
        sys.argv = ["kinelex", self.name, *self.words]
        status = 70
        with contextlib.suppress(BaseException):
            status = kinelex([self.name, *self.words, *again])
        os._exit(status)

    def finish(self, folder: Path) -> float:
        """Let it run to its end; returns the seconds."""
        begun = time.perf_counter()
        _, status = os.waitpid(self.start(folder), 0)
        if status:
            text = (folder.parent / "log.txt").read_text(errors="replace")
            raise Failed(f"{self.name} ended with {os.waitstatus_to_exitcode(status)}:\n{text[-4000:]}")
        return time.perf_counter() - begun

    def kill(self, folder: Path, after: float) -> bool:
        """Start it and kill it after so many seconds; False where it had ended before."""
        process = self.start(folder)
        time.sleep(after)
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            if status:
                text = (folder.parent / "log.txt").read_text(errors="replace")
                raise Failed(f"{self.name}, started again, failed:\n{text[-4000:]}")
            return False
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process, signal.SIGKILL)
        os.kill(process, signal.SIGKILL)  # before it has a group of its own
        os.waitpid(process, 0)
        return True


def files_of(folder: Path) -> dict[str, Path]:
    """All files below, hidden ones too, without TensorBoard's."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(p.relative_to(folder)): p for p in found if "tensorboard" not in p.parts}


def same(first: Path, second: Path) -> bool:
    """Whether two files say the same but for the clock."""
    if first.name == "metrics.csv":
        return _timeless(first) == _timeless(second)
    if first.name.endswith(".cost.json"):  # measured times, of the clips whose time was noted before a kill
        return json.loads(first.read_text()).keys() == json.loads(second.read_text()).keys()
    if first.suffix == ".ckpt":
        return _equal(*(torch.load(p, weights_only=True) for p in (first, second)))
    return first.read_bytes() == second.read_bytes()


def _timeless(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return [{k: v for k, v in row.items() if k not in CLOCK} for row in csv.DictReader(file)]


def _equal(first: Any, second: Any) -> bool:
    if isinstance(first, torch.Tensor):
        return first.dtype == second.dtype and torch.equal(first, second)
    if isinstance(first, dict):
        own = [key for key in first if key not in CLOCK]
        return first.keys() == second.keys() and all(_equal(first[key], second[key]) for key in own)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(_equal, first, second))
    return bool(first == second)


def judge(undisturbed: Path, folder: Path) -> list[str]:
    """What differs between two folders, in words."""
    one, two = files_of(undisturbed), files_of(folder)
    said = [f"missing: {name}" for name in one.keys() - two.keys()]
    said += [f"left behind: {name}" for name in two.keys() - one.keys()]
    return said + [f"differs: {n}" for n in one.keys() & two.keys() if not same(one[n], two[n])]


def inputs(folder: Path) -> dict[str, Path]:
    """A store of actors, prompts for it, a run and a folder of raw clips."""
    from kinelex.prompts import make_prompts
    from kinelex.training.train import train

    made = {name: folder / name for name in ("actors.arrow", "prompts.arrow", "run", "raw")}
    if kinelex(["prepare", "actors", "--clips", "96", "--out", str(made["actors.arrow"])]):
        raise SystemExit("no store of actors")
    make_prompts(made["actors.arrow"], made["prompts.arrow"], frames=4, progress=False)
    changes = [*TINY, *CPU, "epochs=1"]
    train("c2vl", made["actors.arrow"], "xsub", made["run"], made["prompts.arrow"], changes)
    rng = np.random.default_rng(0)
    made["raw"].mkdir()
    for number in range(400):
        action = (1, 2, 3, 4, 5, 6, 8, 9, 11, 12)[number % 10]
        name = f"a{action:02d}_s{number % 9 + 1:02d}_e{number // 90:02d}_v{number % 3 + 1:02d}"
        skeletons = np.round(rng.normal(size=(30, 20, 3)), 4).tolist()
        content = {"file_name": name, "skeletons": skeletons, "label": number % 10 + 1}
        (made["raw"] / f"{name}.json").write_text(json.dumps(content))
    return made


def verbs(made: dict[str, Path]) -> Iterator[Verb]:
    """The commands, on small inputs."""
    store, prompts, run = made["actors.arrow"], made["prompts.arrow"], made["run"]
    data = ["--data", store, "--protocol", "xsub"]
    yield Verb("prepare", "nw_ucla", made["raw"], "--out", "out.arrow", "--workers", "2")
    engines = ["--language", "kinematic", "--vision", "render", "--frames", "6", "--vision-frames", "2"]
    yield Verb("prompts", store, *engines, "--out", "out.arrow")
    recipe = [*TINY, *CPU]
    yield Verb(
        "train", "c2vl", *data, "--prompts", prompts, "--out", "out", *recipe, "epochs=4", resumes=True
    )
    yield Verb("evaluate", "run", "--tasks", "knn,linear,finetune", "finetune.changes=epochs=2", given=run)
    grid = ["--seeds", "0", "--tasks", "knn", "beta=0,1", "epochs=2"]
    yield Verb("study", "beta", *data, "--prompts", prompts, "--out", "out", *recipe, *grid)
    mode = ["--mode", "full", "epochs=3", "checkpoint_every=1", "accelerator=cpu"]
    yield Verb("adapt", run, *data, "--out", "out", *mode, resumes=True)


def main() -> None:
    """Kill, compare, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = ["prepare", "prompts", "train", "evaluate", "study", "adapt"]
    parser.add_argument("--verbs", nargs="+", default=names, choices=names)
    parser.add_argument("--kills", type=int, default=60, help="over all verbs together")
    parser.add_argument("--each", type=int, default=5, help="kills of one folder before it may finish")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    folder = given.folder or Path(tempfile.mkdtemp(prefix="kills-"))
    (folder / "inputs").mkdir(parents=True)
    made, moments, wrong = inputs(folder / "inputs"), random.Random(given.seed), 0
    rows = []
    for verb in verbs(made):
        if verb.name not in given.verbs:
            continue
        work, whole = folder / "work", folder / f"undisturbed-{verb.name}"
        verb.place(work)
        seconds = verb.finish(work)
        work.rename(whole)
        kills, runs, said = 0, 0, list[str]()
        while kills < given.kills // len(given.verbs):
            verb.place(work)
            here = 0
            try:
                while here < given.each and kills < given.kills // len(given.verbs):
                    if not verb.kill(work, moments.uniform(0, seconds)):
                        break
                    kills, here = kills + 1, here + 1
                verb.finish(work)
            except Failed as error:
                said.append(str(error))
            runs += 1
            said += judge(whole, work)
        rows.append(f"| {verb.name} | {kills} | {runs} | {len(files_of(whole))} | {len(said)} |")
        print(f"{verb.name}: {seconds:.1f} s, {kills} kills, {runs} finished; {said or 'equal'}", flush=True)
        wrong += len(said)
    print("\n| verb | kills | finished again | files | of them missing, left behind or different |")
    print("\n".join(["|---|---|---|---|---|", *rows]))
    if given.folder is None:
        shutil.rmtree(folder)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
