"""The verb ``evaluate``, and a help that lists the tasks and their options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kinelex.errors import InputError
from kinelex.options import listed, option_texts, shown_default, split_options, wrapped


def evaluate(
    run: Path,
    *options: str,
    data: Path | None = None,
    protocol: str | None = None,
    tasks: str | None = None,
    prompts: Path | None = None,
    against: Path | None = None,
    on: Path | None = None,
    class_map: str | None = None,
    device: str = "cpu",
    seed: int = 0,
    map: str = "tsne",
    fresh: bool = False,
    no_baselines: bool = False,
    no_report: bool = False,
) -> dict[str, Any]:
    """Judge a run's encoder beside its baselines and write the report.

    Options of tasks are written TASK.KEY=VALUE, for example knn.k=5; they are listed below. What was computed
    is kept in the run directory and read the next time.

    With --on: judge the run's classifier on another data set, on the classes that --class-map names.

    Args:
        run: the run directory.
        options: TASK.KEY=VALUE, options of the tasks.
        data: the skeleton store; by default the one it was trained on, and of several one after the other.
        protocol: the split; by default the one it was trained on.
        tasks: comma-separated names of those below; by default classify for a run that learned from labels,
            else knn,linear.
        prompts: the prompt store; by default the run's own.
        against: another run whose similarities the report shows beside, for example one with hard targets.
        on: the store of another data set; with --protocol the test part of that protocol, else all clips.
        class_map: YAML file {class of the other set, or a3 for its third: class of the run}, or the name of a
            map that comes with the package: utd_mhad_to_ntu120.
        device: where the encoder runs: cpu, cuda.
        seed: seed of the untrained encoder, of bootstrap intervals and of tasks that draw at random.
        map: what the report's map of the features is made by: tsne, or umap (pip install 'kinelex[umap]').
        fresh: compute everything anew.
        no_baselines: leave out what the run is measured against.
        no_report: leave out the report, and make the numbers alone.
    """
    asked = {name: value for name, value in locals().items() if name not in ("run", "fresh")}
    from kinelex.cli.last_answer import LastAnswer

    last = LastAnswer(run, asked)
    if not fresh and on is None and class_map is None and (found := last.read()) is not None:
        return found
    from kinelex.evaluation import evaluate as numbers_alone
    from kinelex.evaluation import evaluate_on
    from kinelex.evaluation.protocols.registry import TASKS

    if (on is None) != (class_map is None):
        raise InputError("--on STORE and --class-map MAP belong together: see `kinelex evaluate --help`")
    if on is not None and class_map is not None:
        others: dict[str, Any] = {"data": data, "tasks": tasks, "prompts": prompts, "against": against}
        flags = {"fresh": fresh, "no-baselines": no_baselines, "no-report": no_report, "map": map != "tsne"}
        others |= {option: True if given else None for option, given in flags.items()}
        wrong = [f"--{option}" for option, value in others.items() if value is not None]
        wrong += ["TASK.KEY=VALUE"] if options else []
        if wrong:
            raise InputError(f"--on judges the run's classifier on another store: leave out {wrong[0]}")
        return evaluate_on(run, on, class_map, protocol, device=device)
    names = None if tasks is None else listed(tasks)
    settings: dict[str, Any] = {"baselines": not no_baselines, "fresh": fresh, "device": device, "seed": seed}
    settings["console"] = last.console
    settings["options"] = split_options(options, TASKS, "knn.k=5", "evaluate")
    if no_report:
        if against is not None or map != "tsne":
            raise InputError("--against and --map are for the report: leave them out, or --no-report")
        found = numbers_alone(run, data, protocol, names, prompts, **settings)
    else:
        from kinelex.reports import evaluate as with_report

        found = with_report(run, data, protocol, names, prompts, **settings, against=against, map_by=map)
    last.write(found)
    return found


def tasks_help() -> str:
    """Tasks, what they are and their options, for the end of the help."""
    from kinelex.evaluation.protocols.registry import TASKS, find_task

    lines = ["tasks, with options as TASK.KEY=VALUE:"]
    for name in TASKS:
        task = find_task(name)
        about = (type(task).__doc__ or task.title).partition("\n\n")[0].rstrip(".")
        lines += wrapped(f"{name:14}{' '.join(about.split())}", 2, 16)
        for key, (spelled, default, text) in option_texts(task.Options).items():
            lines += wrapped(f"{key}={spelled}  {text.rstrip('.')}{shown_default(default)}", 16, 18)
    return "\n".join(lines)
