"""The numbers of a comparison: groups of runs that differ only in the seed, from what evaluate wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kinelex.errors import InputError
from kinelex.evaluation.comparison.model import TOP1, Column, Comparison, Group, Number
from kinelex.evaluation.protocols.registry import TASKS
from kinelex.evaluation.protocols.semi import KINDS
from kinelex.evaluation.published import published_numbers
from kinelex.evaluation.scores import load_scores, score_path
from kinelex.evaluation.statistics import bootstrap_interval, mcnemar
from kinelex.evaluation.streams import hits_of
from kinelex.files.bounded import safe_json
from kinelex.training.run_directory import RunDirectory

# What stands for a task in the table: path in its JSON, name, whether more is better.
_HEADS = {
    "calibration": (("ece", "ECE", False),),
    "detection": (("mAP/0.5", "mAP@0.5", True),),
    "open_set": (("auroc/mean", "AUROC", True),),
    "retrieval": (("mAP", "mAP", True), ("R@1", "R@1", True)),
    "zero_shot": (("top1", TOP1, True), ("generalised/harmonic_mean", "generalised H", True)),
}
_TOP1 = (("top1", TOP1, True),)
_DRAWN = "semi"  # a number per kind and share of labels, each a mean over draws


@dataclass(frozen=True)
class _Judged:
    """What a task found of a run."""

    run: RunDirectory
    numbers: Mapping[str, Any]
    seed: int


@dataclass(frozen=True)
class _Hits:
    """Which test clips a group's runs got right."""

    by_seed: dict[int, np.ndarray]
    ids: tuple[str, ...]
    labels: np.ndarray
    classes: tuple[str, ...]

    @property
    def mean(self) -> np.ndarray:
        return np.mean(list(self.by_seed.values()), axis=0)


def compare_groups(
    groups: Sequence[Group], protocol: str, reference: int = 0, tasks: Sequence[str] = tuple(TASKS)
) -> Comparison:
    """Put the results of groups of runs together; ``reference`` is the place of the one to compare with.

    Raises:
        InputError: runs that were not judged on the protocol, on another data set or other clips.
    """
    if not groups:
        raise InputError("expects one run or more to compare")
    results = [[_results(run, protocol, tasks) for run in group.runs] for group in groups]
    every = [result for of in results for result in of]
    about = next(iter(every[0].values()))
    for group, of in zip(groups, results, strict=True):
        for run, result in zip(group.runs, of, strict=True):
            keys = ("dataset", "counts")
            own = next((r for r in result.values() if any(r[k] != about[k] for k in keys)), None)
            if own is not None:
                raise InputError(
                    f"{run.path} was judged on {own['dataset']} with {own['counts']}, the first run on "
                    f"{about['dataset']} with {about['counts']}: judge all on the same data"
                )
    columns: list[Column] = []
    names: tuple[str, ...] = ()
    for task in (task for task in TASKS if any(task in result for result in every)):
        judged = [_judged(group, of, task) for group, of in zip(groups, results, strict=True)]
        hits = [_hits(of, protocol, task) for of in judged]
        known = [h for h in hits if h is not None]
        if any((h.ids, h.classes) != (known[0].ids, known[0].classes) for h in known):
            raise InputError(
                f"the runs' scores of {task} are of different clips: evaluate all on the same data"
            )
        names = known[0].classes if known else names
        columns += _columns(task, judged, hits, reference)
    baselines: dict[str, Any] = next((r["baselines"]["baselines"] for r in every if "baselines" in r), {})
    return Comparison(
        tuple(groups),
        reference,
        tuple(columns),
        about["dataset"],
        protocol,
        about["counts"],
        names,
        {name: rate for name, rate in baselines.items() if rate is not None},
        published_numbers(about["dataset"], protocol, (c.task for c in columns if c.metric == TOP1)),
    )


def _results(run: RunDirectory, protocol: str, tasks: Sequence[str]) -> dict[str, dict[str, Any]]:
    """What evaluate wrote for a protocol, by task, with the baselines."""
    found = {}
    for name in (*tasks, "baselines"):
        try:
            content = safe_json((run.path / "evaluation" / f"{name}.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            raise InputError(f"{run.path}: evaluation/{name}.json is damaged; evaluate it again") from error
        if content.get("protocol") == protocol:
            found[name] = content
    if not set(found) - {"baselines"}:
        raise InputError(
            f"{run.path} was not judged on {protocol}: run `kinelex evaluate {run.path} "
            f"--protocol {protocol}`"
        )
    return found


def _judged(group: Group, results: Sequence[Mapping[str, Any]], task: str) -> list[_Judged]:
    """What a task found of the runs of a group that it judged; a run that says no seed goes by its place."""
    runs = [(run, of[task]) for run, of in zip(group.runs, results, strict=True) if task in of]
    seeds = [int(run.config.get("training", {}).get("seed", place)) for place, (run, _) in enumerate(runs)]
    return [_Judged(*pair, seed) for pair, seed in zip(runs, seeds, strict=True)]


def _hits(judged: Sequence[_Judged], protocol: str, task: str) -> _Hits | None:
    """Which test clips were right, where every run of a group that was judged so has a score file."""
    paths = [score_path(one.run.path, protocol, task) for one in judged]
    if not paths or not all(path.is_file() for path in paths):
        return None
    files = [load_scores(path) for path in paths]
    first = files[0]
    for path, file in zip(paths, files, strict=True):
        if file.ids != first.ids:
            raise InputError(f"{path} scores other clips than {paths[0]}: evaluate both on the same data")
    by_seed = {one.seed: hits_of(f.logits, f.labels) for one, f in zip(judged, files, strict=True)}
    return _Hits(by_seed, first.ids, first.labels, first.classes)


def _columns(
    task: str, judged: Sequence[Sequence[_Judged]], hits: Sequence[_Hits | None], reference: int
) -> list[Column]:
    """The columns of a task."""
    every = [one.numbers for of in judged for one in of]
    title, rule = every[0].get("title", task), _rules(every)
    columns = []
    for path, metric, more in dict.fromkeys(head for numbers in every for head in _heads(task, numbers)):
        found = [_number(of, path) for of in judged]
        if not any(found):
            continue
        clips = [h if n and h and _same(n.values, h) else None for n, h in zip(found, hits, strict=True)]
        numbers = [
            replace(n, interval=bootstrap_interval(h.mean)) if n and h else n
            for n, h in zip(found, clips, strict=True)
        ]
        known = numbers[reference], clips[reference]
        numbers = [
            n if place == reference else _against(n, h, *known)
            for place, (n, h) in enumerate(zip(numbers, clips, strict=True))
        ]
        columns.append(Column(task, title, metric, rule, tuple(numbers), more, _per_class(clips)))
    return columns


def _number(judged: Sequence[_Judged], path: str) -> Number | None:
    """A number of the runs of a group that have it."""
    known = [(value, one.seed) for one in judged if (value := _at(one.numbers, path)) is not None]
    values, seeds = zip(*known, strict=True) if known else ((), ())
    return Number(values, seeds=seeds) if known else None


def _heads(task: str, result: Mapping[str, Any]) -> tuple[tuple[str, str, bool], ...]:
    """What stands for a task in the table.

    >>> [path for path, *_ in _heads("semi", {"rule": "…", "random": {"5%": {}}, "balanced": {"5%": {}}})]
    ['random/5%/mean', 'balanced/5%/mean']
    """
    if task == "transfer":
        there = f"to {result['to']} {result['to_protocol']}"
        return tuple((f"by/{way}/top1", f"{there}, {way}", True) for way in result["by"])
    if task != _DRAWN:
        return _HEADS.get(task, _TOP1)
    kinds = [kind for kind in KINDS if isinstance(result.get(kind), Mapping)]
    return tuple((f"{k}/{share}/mean", f"{share} {k}", True) for k in kinds for share in result[k])


def _rules(found: Sequence[Mapping[str, Any]]) -> str:
    """What a task did; of runs that were judged in several ways, every one, and a warning.

    >>> _rules([{"rule": "By nearest neighbours."}, {"rule": "By a probe."}])
    'By nearest neighbours. Of other runs: By a probe.'
    """
    said = dict.fromkeys(str(numbers.get("rule", "")) for numbers in found)
    changes = {str({k: list(v) for k, v in numbers.get("changes", {}).items()}) for numbers in found}
    warned = " The runs' clips were changed in different ways: their means cannot be compared."
    return " Of other runs: ".join(said) + warned * (len(changes) > 1)


def _same(values: Sequence[float], hits: _Hits) -> bool:
    """Whether a number is the share of clips that were right, over all clips that have scores."""
    rates = [h.mean() for h in hits.by_seed.values()]
    return len(rates) == len(values) and np.allclose(values, rates, atol=1e-6)


def _against(
    number: Number | None, hits: _Hits | None, reference: Number | None, others: _Hits | None
) -> Number | None:
    """The number with its difference to the reference: over the seeds that both have, if they share any."""
    if number is None or reference is None:
        return number
    shared, interval, p = set(number.seeds) & set(reference.seeds), None, ()
    ours, theirs = (
        np.mean([v for v, seed in zip(n.values, n.seeds, strict=True) if seed in shared or not shared])
        for n in (number, reference)
    )
    lead = float(ours - theirs)
    if hits is not None and others is not None:
        pairs = [(hits.by_seed[s], others.by_seed[s]) for s in hits.by_seed if s in others.by_seed]
        if not pairs and len(hits.by_seed) == len(others.by_seed) == 1:
            pairs = list(zip(hits.by_seed.values(), others.by_seed.values(), strict=True))
        by_clip = np.mean([a - b for a, b in pairs], axis=0) if pairs else hits.mean - others.mean
        lead, interval = float(by_clip.mean()), bootstrap_interval(by_clip)
        p = tuple(mcnemar(a.astype(bool), b.astype(bool))["p"] for a, b in pairs)
    return replace(number, difference=lead, difference_interval=interval, p=p)


def _per_class(hits: Sequence[_Hits | None]) -> np.ndarray | None:
    known = next((h for h in hits if h is not None), None)
    if known is None:
        return None
    counts = np.bincount(known.labels, minlength=len(known.classes))
    rows = []
    for h in hits:
        sums = np.zeros(len(counts)) if h is None else np.bincount(h.labels, h.mean, len(counts))
        rows.append(np.where((counts > 0) & (h is not None), sums / np.maximum(counts, 1), np.nan))
    return np.array(rows)


def _at(tree: Mapping[str, Any], path: str) -> float | None:
    """A number in nested results.

    >>> _at({"a": {"b": 0.5}}, "a/b"), _at({}, "a/b") is None
    (0.5, True)
    """
    found: Any = tree
    for key in path.split("/"):
        found = found.get(key) if isinstance(found, Mapping) else None
    return None if found is None else float(found)
