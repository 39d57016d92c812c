"""The rows of a run's table: its tasks, those of its streams, its baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_DISTINCT = "top1_without_copies"
_TASKS = {
    "classify": "the run's own classifier",
    "knn": "nearest neighbour on features",
    "linear": "linear probe",
    "linear_sgd": "linear probe, papers' SGD",
}
_BASELINES = {
    "raw_knn": "nearest neighbour on raw coordinates",
    "raw_knn_aligned": "the same, in the body's own frame",
    "untrained_knn": "untrained encoder, nearest neighbour",
    "untrained_linear": "untrained encoder, linear probe",
    "prompt_probe_language": "linear probe on language prompts",
    "prompt_probe_vision": "linear probe on vision prompts",
    "prompt_probe_both": "linear probe on both prompts",
    "majority": "most frequent training class",
    "chance": "chance",
}


def percent(rate: float | None) -> str:
    """A rate as it stands in a table.

    >>> percent(0.4567), percent(None)
    ('45.7', '–')
    """
    return "–" if rate is None else f"{100 * rate:.1f}"


def spread(mean: float, sd: float | None) -> str:
    """Mean and standard deviation, in per cent.

    >>> spread(0.5, None), spread(0.55, 0.0707)
    ('50.0', '55.0 ± 7.1')
    """
    return percent(mean) + ("" if sd is None else f" ± {percent(sd)}")


def interval_text(ends: Sequence[float] | None) -> str:
    """The ends of a 95 % interval, in per cent; empty without one."""
    return "" if ends is None else "–".join(map(percent, ends))


@dataclass(frozen=True)
class ResultRow:
    """One row of the results: a rate from 0 to 1, or None where it cannot be had.

    ``comparable``: whether it is of the same clips and classes as the other rows.
    """

    name: str
    top1: float | None
    top5: float | None = None
    ours: bool = False
    note: str = ""
    without_copies: float | None = None
    interval: tuple[float, float] | None = None
    comparable: bool = True


def result_rows(result: Mapping[str, Any]) -> list[ResultRow]:
    """The rows of the results table: the run's tasks, those of its streams, then the baselines.

    >>> rows = result_rows({"knn": {"top1": 0.7, "top5": 0.9}, "baselines": {"chance": 0.1}})
    >>> [(row.name, row.top1, row.ours) for row in rows]
    [('nearest neighbour on features', 0.7, True), ('chance', 0.1, False)]
    """
    rows = []
    for task, name in task_titles(result).items():
        if "top1" in result[task]:
            streams = result[task].get("streams", {})
            whole = f"{name}, all streams" if streams else name
            rows.append(_own_row(whole, result[task], _elsewhere(task, result[task])))
            rows += [_own_row(f"{name}, {stream}", numbers) for stream, numbers in streams.items()]
    details = result.get("baseline_details", {})
    for key, name in _BASELINES.items():
        if key in result.get("baselines", {}):
            more = details.get(key, {})
            rate, top5 = result["baselines"][key], more.get("top5")
            rows.append(ResultRow(name, rate, top5, False, more.get("note", ""), more.get(_DISTINCT)))
    return rows


def task_titles(result: Mapping[str, Any]) -> dict[str, str]:
    """The tasks of a result and their titles, those on frozen features first.

    >>> task_titles({"semi": {"title": "few labels"}, "knn": {"top1": 0.7}, "baselines": {}})
    {'knn': 'nearest neighbour on features', 'semi': 'few labels'}
    """
    known = {task: title for task, title in _TASKS.items() if task in result}
    others = {t: n["title"] for t, n in result.items() if isinstance(n, Mapping) and "title" in n}
    return {**known, **others}


def classifying_tasks(result: Mapping[str, Any]) -> list[str]:
    """The tasks of a result that classify every test clip, in the order of the tables."""
    return [task for task in task_titles(result) if "confusion" in result[task]]


def _own_row(name: str, numbers: Mapping[str, Any], elsewhere: str = "") -> ResultRow:
    interval = tuple(numbers["ci95"]) if "ci95" in numbers else None
    rates = (numbers["top1"], numbers.get("top5"))
    return ResultRow(name, *rates, True, elsewhere, numbers.get(_DISTINCT), interval, not elsewhere)


def _elsewhere(task: str, numbers: Mapping[str, Any]) -> str:
    """What a task was judged on, where that is not every test clip as it is among all classes.

    >>> _elsewhere("one_shot", {"chance": 0.2}), _elsewhere("knn", {})
    ('5 novel classes, chance 20.0 %', '')
    """
    if task in ("one_shot", "zero_shot"):
        novel = "novel" if task == "one_shot" else "unseen"
        return f"{round(1 / numbers['chance'])} {novel} classes, chance {100 * numbers['chance']:.1f} %"
    if task == "transfer":
        return f"another data set, chance {100 * numbers['chance']:.1f} %"
    return "changed clips" if task == "robustness" else ""


def baseline_names(baselines: Mapping[str, float]) -> list[tuple[str, float]]:
    """Baselines in words, in the order of the tables.

    >>> baseline_names({"chance": 0.1, "raw_knn": 0.6})
    [('nearest neighbour on raw coordinates', 0.6), ('chance', 0.1)]
    """
    return [(name, baselines[key]) for key, name in _BASELINES.items() if key in baselines]
