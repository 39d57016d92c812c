"""Each task's main numbers in a few lines, for the terminal and for the report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kinelex.evaluation.rows import interval_text, percent, spread

_TOP = ("top1", "top5", "mean_class")  # of tasks that the main table has
_FROZEN = ("classify", "knn", "linear", "linear_sgd")
_BY = {"classify": "the run's classifier", "knn": "nearest neighbours", "linear": "linear probe"}
_SKIPPED = ("rule", "title", "note", "curves", "confusion", "per_class", "streams")


@dataclass(frozen=True)
class TaskLine:
    """Some numbers of a task that stand together."""

    of: str
    numbers: tuple[tuple[str, str], ...]
    without: str = ""


def task_lines(task: str, numbers: Mapping[str, Any]) -> list[TaskLine]:
    """The main numbers of a task that the table of top-1 does not have.

    >>> task_lines("finetune", {"top1": 0.7, "scratch": {"top1": 0.5, "ci95": [0.4, 0.6]}})
    [TaskLine(of='from random weights', numbers=(('top-1', '50.0 [40.0–60.0]'),), without='')]
    """
    if task in _FROZEN:
        return []
    lines = _LINES.get(task, _others)(numbers)
    return [
        TaskLine(of, (), found) if isinstance(found, str) else TaskLine(of, tuple(found))
        for of, found in lines
        if found
    ]


_Lines = Iterator[tuple[str, list[tuple[str, str]] | str]]  # numbers, or why there are none


def _others(numbers: Mapping[str, Any]) -> _Lines:
    """A task of one's own: its plain numbers as they are."""
    named = {k: v for k, v in numbers.items() if k not in (*_SKIPPED, *_TOP) and isinstance(v, int | float)}
    yield "", [(k.replace("_", " "), f"{v:.4g}") for k, v in named.items() if not isinstance(v, bool)]


def _retrieval(numbers: Mapping[str, Any]) -> _Lines:
    def rates(found: Mapping[str, Any]) -> list[tuple[str, str]]:
        names = [name for name in found if name == "mAP" or name.startswith("R@")]
        return [(name, percent(found[name]) + _interval(found) * (name == "mAP")) for name in names]

    streams = numbers.get("streams", {})
    if "mAP" in numbers:
        yield "all streams" if streams else "skeleton → skeleton", rates(numbers)
    for stream, found in streams.items():
        yield f"{stream} alone", rates(found)
    for key, found in numbers.items():
        if "_to_" in key and key != "skeleton_to_skeleton":
            of = key.replace("_to_", " → ")
            if found is None:
                yield of, "no test clip has these prompts"
                continue
            yield of, rates(found)
            yield f"{of}, own one", rates(found.get("pair", {}))
            yield f"{of}, by chance", rates(found.get("chance", {}))


def _calibration(numbers: Mapping[str, Any]) -> _Lines:
    def of(found: Mapping[str, Any]) -> list[tuple[str, str]]:
        rates = [(name.upper(), percent(found[name])) for name in ("ece", "mce")]
        return [*rates, ("NLL", f"{found['nll']:.3f}"), ("Brier", f"{found['brier']:.3f}")]

    streams = numbers.get("streams", {})
    yield "all streams" if streams else _BY.get(numbers["by"], numbers["by"]), of(numbers)
    for stream, found in streams.items():
        yield f"{stream} alone", of(found)


def _semi(numbers: Mapping[str, Any]) -> _Lines:
    for start, place in (("", numbers), (", random weights", numbers.get("scratch", {}))):
        for kind, found in place.items():
            if isinstance(found, Mapping) and all("mean" in of for of in found.values()):
                shares = {share.replace("%", " %"): of for share, of in found.items()}
                yield kind + start, [(share, _spread(of)) for share, of in shares.items()]
                if not start:
                    yield f"labels, {kind}", [(share, _range(of["labels"])) for share, of in shares.items()]


def _robustness(numbers: Mapping[str, Any]) -> _Lines:
    kept = numbers.get("kept")
    yield "unchanged", [_top1(numbers["clean"])] + [("kept when changed", percent(kept))] * (kept is not None)
    for kind, found in numbers.get("changes", {}).items():
        yield kind, [(value.replace("_", " "), percent(of["top1"])) for value, of in found.items()]


def _zero_shot(numbers: Mapping[str, Any]) -> _Lines:
    def generalised(found: Mapping[str, Any]) -> list[tuple[str, str]]:
        names = ("seen", "unseen", "harmonic_mean")
        return [(name.replace("_", " "), percent(found["generalised"][name])) for name in names]

    chance = ("chance", percent(numbers["chance"]))
    yield f"{len(numbers['unseen'])} unseen classes", [_top1(numbers), chance]
    yield "generalised", generalised(numbers)
    if "text_space" in numbers:
        yield "clips' own texts", [_top1(numbers["text_space"])]
        yield "the same, generalised", generalised(numbers["text_space"])


def _one_shot(numbers: Mapping[str, Any]) -> _Lines:
    draws, raw, chance = numbers["draws"], numbers["raw"]["top1"], numbers["chance"]
    rates = [("top-1", _spread(draws)), ("draws", str(draws["n"]))]
    rates += [("raw coordinates", percent(raw)), ("chance", percent(chance))]
    yield f"{round(1 / chance)} novel classes", rates


def _open_set(numbers: Mapping[str, Any]) -> _Lines:
    draws = numbers["draws"]
    ways = {"neighbour": "by near training clips", "score": "by the highest score"}
    left_out = ("classes left out", str(len(draws[0]["unknown"])))
    yield "", [left_out, ("draws", str(len(draws))), ("predict tells", ways[numbers["known_by"]])]
    for name, way in ways.items():
        found = [("AUROC", _spread(numbers[f"auroc_{name}"]))]
        for key, what in (("kept", "known kept"), ("refused", "unknown refused")):
            if numbers[f"{key}_{name}"] is not None:
                found.append((what, _spread(numbers[f"{key}_{name}"])))
        yield way, found


def _detection(numbers: Mapping[str, Any]) -> _Lines:
    rates = {
        tiou: percent(rate) + _interval(numbers) * (tiou == "0.5") for tiou, rate in numbers["mAP"].items()
    }
    yield "mAP at tIoU", list(rates.items())
    for name, found in numbers["baselines"].items():
        of = "raw coordinates" if name == "nearest" else name
        yield of, [(tiou, percent(rate)) for tiou, rate in found["mAP"].items()]


def _finetune(numbers: Mapping[str, Any]) -> _Lines:
    if "scratch" in numbers:
        yield "from random weights", [_top1(numbers["scratch"])]


def _transfer(numbers: Mapping[str, Any]) -> _Lines:
    for way, found in numbers["by"].items():
        rates = [_top1(found)]
        if "scratch" in found:
            rates.append(("random weights", percent(found["scratch"]["top1"])))
        yield way, rates
    yield "on the other set", [(name, percent(numbers[name])) for name in ("chance", "majority")]


_LINES: dict[str, Callable[[Mapping[str, Any]], _Lines]] = {
    "retrieval": _retrieval,
    "calibration": _calibration,
    "semi": _semi,
    "robustness": _robustness,
    "zero_shot": _zero_shot,
    "one_shot": _one_shot,
    "open_set": _open_set,
    "detection": _detection,
    "finetune": _finetune,
    "transfer": _transfer,
}


def _top1(found: Mapping[str, Any]) -> tuple[str, str]:
    """Top-1 with its 95 % interval, no-break.

    >>> _top1({"top1": 0.55, "ci95": [0.5, 0.625]})
    ('top-1', '55.0 [50.0–62.5]')
    """
    return "top-1", percent(found["top1"]) + _interval(found)


def _interval(found: Mapping[str, Any]) -> str:
    return f" [{interval_text(found['ci95'])}]" if "ci95" in found else ""


def _spread(found: Mapping[str, Any]) -> str:
    return spread(found["mean"], found["sd"])


def _range(counts: Sequence[int]) -> str:
    """The least and the most of some counts.

    >>> _range([4, 4]), _range([4, 6])
    ('4', '4–6')
    """
    return "–".join(map(str, sorted({min(counts), max(counts)})))
