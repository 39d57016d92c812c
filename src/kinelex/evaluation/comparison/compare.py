"""Compare runs: those that differ only in the seed are one row; each two are tested on shared clips."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from kinelex.errors import InputError
from kinelex.evaluation.comparison.model import Comparison, Group, Number
from kinelex.evaluation.comparison.numbers import compare_groups
from kinelex.evaluation.comparison.tables import difference, probability
from kinelex.evaluation.protocols.registry import TASKS
from kinelex.evaluation.rows import percent, spread
from kinelex.evaluation.scores import ScoreFile, load_scores, score_path
from kinelex.evaluation.statistics import bootstrap_interval, holm, mcnemar, mean_sd
from kinelex.evaluation.streams import hits_of
from kinelex.inference.cache import digest
from kinelex.training.run_directory import RunDirectory

# Of a run's config: where files lay, and how the machine went through the work.
_NOT_SETTINGS = ("data", "prompts", "recipe", "out")
_HARDWARE = ("threads", "devices", "num_nodes", "strategy", "accelerator", "placement")
_NOT_TRAINING = ("seed", "checkpoint_every", "logger", *_HARDWARE)


def compare(
    runs: Sequence[str | Path],
    protocol: str | None = None,
    console: Console | None = None,
    write: Callable[[Comparison], None] | None = None,
) -> dict[str, Any]:
    """Compare what ``kinelex evaluate`` found for several runs on the same clips.

    Args:
        runs: the run directories; the others are compared with the first one's row.
        protocol: what they were judged on; by default the one that all were trained on.
        console: where the tables go; the terminal by default.
        write: what else becomes of the numbers, for example a page.

    Returns:
        ``groups``: runs that differ only in the seed, with ``mean``, ``sd`` and ``n`` of each number by name,
        its ``ci95``, its ``difference`` to the first group and the interval of that. ``pairs``: by task every
        two runs with score files: ``top1`` of both, ``difference`` with ``ci95``, and McNemar's exact ``p``
        with ``only_first`` and ``only_second``; ``p_holm`` is corrected for the number of pairs.
        ``dataset``, ``protocol``, ``counts``.

    Raises:
        InputError: fewer than two runs, one twice, or runs that were not judged on the same clips.
    """
    directories = [RunDirectory(run) for run in runs]
    places = [directory.path.resolve() for directory in directories]
    if len(places) < 2:
        raise InputError("expects two runs or more: kinelex compare RUN_A RUN_B")
    twice = next((place for place in places if places.count(place) > 1), None)
    if twice is not None:
        raise InputError(f"{twice} is given twice")
    protocol = protocol or _common_protocol(directories)
    groups = group_runs(directories)
    comparison = compare_groups(groups, protocol)
    result = {
        "groups": [_group_numbers(comparison, place) for place in range(len(groups))],
        "pairs": _pairs(directories, protocol),
        **{key: getattr(comparison, key) for key in ("dataset", "protocol", "counts")},
    }
    console = console or Console()
    console.print(_means_table(comparison))
    for task, pairs in result["pairs"].items():
        console.print(_pairs_table(task, pairs))
    if write is not None:
        write(comparison)
    return result


def group_runs(runs: Sequence[RunDirectory]) -> list[Group]:
    """Put runs together whose configs differ in nothing but the seed, in the order of their first ones.

    Where files lay and how a machine went through the work (threads, placement) does not tell runs apart.
    """
    found: dict[str, list[RunDirectory]] = {}
    for run in runs:
        found.setdefault(digest(settings(run.config)), []).append(run)
    names = [_name([run.path.resolve().name for run in together]) for together in found.values()]
    for place, (name, together) in enumerate(zip(names, found.values(), strict=True)):
        if names.count(name) > 1:
            names[place] = str(together[0].path)
    return [Group(name, tuple(together)) for name, together in zip(names, found.values(), strict=True)]


def settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """What of a run's config tells it from others: all but the seed, paths and the machine.

    >>> settings({"data": "a.arrow", "method": {"name": "cmd"}, "training": {"seed": 1, "epochs": 9}})
    {'method': {'name': 'cmd'}, 'training': {'epochs': 9}}
    """
    kept = {key: value for key, value in config.items() if key not in _NOT_SETTINGS}
    if isinstance(kept.get("training"), Mapping):
        training = {k: v for k, v in kept["training"].items() if k not in _NOT_TRAINING}
        if training.get("callbacks") == []:  # old runs lack it
            del training["callbacks"]
        kept["training"] = training
    if isinstance(kept.get("adapted"), Mapping):  # what the run was adapted from has a seed, too
        adapted = {k: v for k, v in kept["adapted"].items() if k not in ("run", "from")}
        kept["adapted"] = {**adapted, "from": settings(config["adapted"].get("from") or {})}
    return kept


def _name(names: Sequence[str]) -> str:
    """What runs of several seeds are called.

    >>> _name(["c2vl_s0", "c2vl_s1"]), _name(["cmd"]), _name(["a", "b"])
    ('c2vl', 'cmd', 'a and 1 more')
    >>> _name(["beta=0+seed=0", "beta=0+seed=1"])
    'beta=0'
    """
    if len(names) == 1:
        return names[0]
    common = re.sub(r"[-_. +]*(seed|s)?[-_. =]*$", "", os.path.commonprefix(list(names)))
    return common or f"{names[0]} and {len(names) - 1} more"


def _common_protocol(runs: Sequence[RunDirectory]) -> str:
    silent = next((run for run in runs if run.config.get("protocol") is None), None)
    if silent is not None:
        raise InputError(
            f"{silent.path} does not say which protocol it was trained on: pass --protocol P, the one that "
            "all runs were judged on"
        )
    for key, called in (("dataset", "data sets"), ("protocol", "protocols")):
        found = sorted({str(run.config[key]) for run in runs if run.config.get(key) is not None})
        if len(found) > 1:
            raise InputError(
                f"the runs were trained on several {called} ({', '.join(found)}): pass --protocol P, the one "
                "that all were judged on"
            )
    return found[0]


def _group_numbers(comparison: Comparison, place: int) -> dict[str, Any]:
    group, numbers = comparison.groups[place], {}
    for column in comparison.columns:
        n = column.numbers[place]
        if n is not None:
            numbers[column.name] = {
                **mean_sd(n.values),
                "values": list(n.values),
                "ci95": n.interval and list(n.interval),
                "difference": n.difference,
                "difference_ci95": n.difference_interval and list(n.difference_interval),
            }
    return {"name": group.name, "runs": [str(run.path) for run in group.runs], "numbers": numbers}


def _pairs(runs: Sequence[RunDirectory], protocol: str) -> dict[str, list[dict[str, Any]]]:
    """Every two runs on their shared clips, by task."""
    found = {}
    for task in TASKS:
        paths = [(run, score_path(run.path, protocol, task)) for run in runs]
        files = [(run, load_scores(path)) for run, path in paths if path.is_file()]
        pairs = [_pair(first, second, task) for first, second in combinations(files, 2)]
        for pair, p in zip(pairs, holm([pair["p"] for pair in pairs]), strict=True):
            pair["p_holm"] = p
        if pairs:
            found[task] = pairs
    return found


def _pair(
    first: tuple[RunDirectory, ScoreFile], second: tuple[RunDirectory, ScoreFile], task: str
) -> dict[str, Any]:
    (a, ours), (b, theirs) = first, second
    same = ours.store_fingerprint == theirs.store_fingerprint and ours.ids == theirs.ids
    if not same or not np.array_equal(ours.labels, theirs.labels):
        raise InputError(f"{a.path} and {b.path} have scores of {task} for other clips: evaluate both anew")
    hits, others = hits_of(ours.logits, ours.labels), hits_of(theirs.logits, theirs.labels)
    return {
        "first": str(a.path),
        "second": str(b.path),
        "top1": [float(hits.mean()), float(others.mean())],
        "difference": float(hits.mean() - others.mean()),
        "ci95": list(bootstrap_interval(hits - others)),
        **mcnemar(hits.astype(bool), others.astype(bool)),
    }


def _means_table(comparison: Comparison) -> Table:
    """A line per number and group: mean ± standard deviation, and the difference to the first group."""
    clips = comparison.counts.get("test")
    title = f"{comparison.dataset} {comparison.protocol}: {clips} test clips"
    table = Table(title=escape(title), title_justify="left", box=SIMPLE_HEAD)
    for name in ("number", "run"):
        table.add_column(name, overflow="fold")
    for name in ("seeds", "%", "less the first\n[95 %]"):
        table.add_column(name, justify="right", no_wrap=True)
    for column in comparison.columns:
        known = [(g, n) for g, n in zip(comparison.groups, column.numbers, strict=True) if n is not None]
        for place, (group, number) in enumerate(known):
            name = "" if place else escape(column.name)
            rates = (str(len(number.values)), spread(number.mean, number.sd), difference(number))
            table.add_row(name, escape(group.name), *rates, end_section=place == len(known) - 1)
    return table


def _pairs_table(task: str, pairs: Sequence[Mapping[str, Any]]) -> Table:
    """A line per two runs: the rate of each, their difference, the clips that only one of them got right."""
    title = f"{task}: each two runs on the same clips, by McNemar's test"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 0))
    table.add_column("runs", overflow="fold")
    columns = ("top-1 %", "first less second\n[95 %]", "only one", "p")
    for name in columns + ("p, Holm",) * (len(pairs) > 1):
        table.add_column(name, justify="right", no_wrap=True)
    paths = dict.fromkeys(path for pair in pairs for path in (pair["first"], pair["second"]))
    names = [Path(path).resolve().name for path in paths]
    called = {p: name if names.count(name) == 1 else p for p, name in zip(paths, names, strict=True)}
    for pair in pairs:
        lead = Number(tuple(pair["top1"]), None, pair["difference"], tuple(pair["ci95"]))
        table.add_row(
            escape(f"{called[pair['first']]} : {called[pair['second']]}"),
            " : ".join(map(percent, pair["top1"])),
            difference(lead),
            f"{pair['only_first']} : {pair['only_second']}",
            probability(pair["p"]),
            *([probability(pair["p_holm"])] if len(pairs) > 1 else []),
        )
    return table
