"""The verb ``quickstart``: the whole way on the built-in actors, with the functions that other verbs call."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kinelex.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

PROTOCOL = "unseen"
CLIPS = (384, 256)  # to train, to test


def quickstart(*, out: Path = Path("quickstart")) -> dict[str, Any]:
    """Go the whole way on the built-in actors: store, prompts, C2VL, evaluation, report.

    Needs no data and no network. Minutes on two cores. Interrupted, it goes on with what is in the folder.

    Args:
        out: folder for everything that is made.
    """
    return run_quickstart(out)


def run_quickstart(
    out: Path, console: Console | None = None, clips: tuple[int, int] = CLIPS, overrides: Iterable[str] = ()
) -> dict[str, Any]:
    """Store, prompts, C2VL with soft and with hard targets, evaluation and report.

    Args:
        out: folder for everything that is made: new, empty, or left unfinished by a quickstart.
        console: where to print.
        clips: how many clips the actors play to train, and to test.
        overrides: ``key=value`` changes to the recipe of both trainings.

    Returns:
        The numbers of the soft run in the form of ``evaluate``, those of the hard run under
        ``hard_targets``, and the seconds of each step under ``seconds``.
    """
    from rich.console import Console

    from kinelex.datasets.synthetic import protocol_keys, write_actors
    from kinelex.evaluation import evaluate as judge
    from kinelex.progress import progress_bar
    from kinelex.prompts import make_prompts
    from kinelex.reports import evaluate
    from kinelex.training.run_directory import RunDirectory
    from kinelex.training.train import train

    console = console or Console()
    if out.exists() and (not out.is_dir() or not _can_go_on(out)):
        raise InputError(f"{out} exists and is not empty: remove it or pass another folder with --out")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out} cannot be made: {error.strerror}") from error
    store, prompts = out / "actors.arrow", out / "prompts.arrow"
    seconds: dict[str, float] = {}

    def step(name: str, title: str) -> None:
        seconds[name] = time.perf_counter()
        console.rule(title)

    def learned(path: Path, changes: list[str]) -> RunDirectory:
        if (path / "encoder.json").is_file():
            return RunDirectory(path)
        begun = (path / "config.yaml").is_file()
        changes = [] if begun else changes  # its own hold
        return train("c2vl", store, PROTOCOL, path, prompts, changes, resume=begun, console=console)

    step("store", "1 The built-in actors: a simulation, for tests and a first look")
    if not store.is_file():
        with progress_bar("prepare actors", True) as update:
            write_actors(store, protocol_keys(PROTOCOL, *clips), progress=update)
    console.print(f"{clips[0]} clips to train, {clips[1]} of other performers and another camera to test")
    step("prompts", "2 Knowledge prompts: sentences computed from the joints, drawings of the pose")
    if not prompts.is_file():
        console.print(
            str(make_prompts(store, prompts, language="kinematic", vision="render", vision_frames=2))
        )
    step("train", "3 C2VL with soft targets")
    overrides = list(overrides)
    run = learned(out / "run", overrides)
    step("train_hard", "4 The same with hard targets (plain InfoNCE), to compare")
    hard = learned(out / "run_hard", [*overrides, "alpha=0"])
    step("evaluate", "5 Evaluation on performers and from a camera that training has not seen")
    hard_result = judge(hard.path, baselines=False, console=Console(quiet=True))
    result = evaluate(run.path, against=hard.path, console=Console(quiet=True))
    step("end", "Results")
    console.print(results_table(result, hard_result))
    marks = list(seconds.items())
    result["seconds"] = {a: round(e - s, 1) for (a, s), (_, e) in zip(marks, marks[1:], strict=False)}
    result["hard_targets"] = {task: hard_result[task] for task in ("knn", "linear")}
    console.print(f"report: {run.path / 'report.html'}", markup=False, soft_wrap=True)
    return result


def _can_go_on(out: Path) -> bool:
    """Whether a folder is empty, or holds nothing but an unfinished quickstart."""
    made = (".", "actors.arrow", "prompts.arrow", "run")  # with what begins so: locks, parts, run_hard
    known = all(path.name.startswith(made) for path in out.iterdir())
    return known and not (out / "run" / "report.html").exists()


def results_table(soft: dict[str, Any], hard: dict[str, Any]) -> Table:
    """C2VL, its hard-target twin and the baselines, top-1 in per cent."""
    from rich.table import Table

    base = soft["baselines"]
    counts = soft["counts"]
    rows = [
        ("C2VL, soft targets", soft["knn"]["top1"], soft["linear"]["top1"]),
        ("C2VL, hard targets", hard["knn"]["top1"], hard["linear"]["top1"]),
        ("the same encoder, untrained", base["untrained_knn"], base["untrained_linear"]),
        ("raw coordinates", base["raw_knn"], None),
        ("raw coordinates, in the body's frame", base["raw_knn_aligned"], None),
        ("probe on the language prompts", None, base.get("prompt_probe_language")),
        ("probe on the vision prompts", None, base.get("prompt_probe_vision")),
        ("chance", base["chance"], base["chance"]),
    ]
    title = "{classes} actions, {train} clips to train, {test} to test, top-1 in %".format(**counts)
    table = Table("", "nearest neighbour", "linear probe", title=title, title_justify="left")
    for name, *values in rows:
        table.add_row(name, *("" if v is None else f"{100 * v:.1f}" for v in values))
    return table
