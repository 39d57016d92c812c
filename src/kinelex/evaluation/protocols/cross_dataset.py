"""A classifier trained on one data set, judged on another: classes by a map, joints by retargeting.

Source: MMCL (Liu et al., ACM MM 2024): the classifier of NTU RGB+D 120 on six actions of UTD-MHAD.
"""

from __future__ import annotations

from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from kinelex.data import open_store
from kinelex.data.persons import say_crowded
from kinelex.data.splits.files import as_file_name
from kinelex.data.splits.seen_classes import class_index
from kinelex.datasets import get_split
from kinelex.errors import InputError, unknown_name
from kinelex.evaluation.evaluate import check_report_place
from kinelex.evaluation.metrics import confusion_matrix, top_k
from kinelex.evaluation.output import numbers_table, write_json_file
from kinelex.evaluation.protocols.adapted import class_scores
from kinelex.evaluation.protocols.supervision import check_unseen, retargeted
from kinelex.evaluation.rows import percent
from kinelex.files.bounded import packaged_names, packaged_or_named_yaml
from kinelex.inference.features import check_device
from kinelex.inference.fusion import fuse
from kinelex.training.encoder_files import load_encoders
from kinelex.training.run_directory import RunDirectory

_FORM = "a YAML file {class of the other set, by its name or as a3 for its third: class of the run}"


def evaluate_on(
    run: str | Path,
    data: str | Path,
    class_map: str | Path,
    protocol: str | None = None,
    batch_size: int | None = None,
    device: str = "cpu",
    console: Console | None = None,
) -> dict[str, Any]:
    """Judge a run's classifier on another data set, on the clips of the classes that a map names.

    Clips of another layout are retargeted to the encoder's. Writes ``evaluation/on_<data set>-<protocol, or
    all>-<class map>.json`` into the run directory and prints a table. Rates are fractions of 1.

    Args:
        run: the run directory, of a run that learned from labels.
        data: the other skeleton store.
        class_map: a YAML file of the other set's classes (names, or a3 for the third) and the run's, or
            the name of one that comes with the package: ``utd_mhad_to_ntu120``.
        protocol: judge the test part of this protocol of the other set; by default all clips.
        batch_size: clips per forward pass; by default what is fast.
        device: where the encoder runs.
        console: where the table goes; the terminal by default.

    Returns:
        ``top1``, ``top5`` and ``mean_class`` over all classes that the run knows, ``top1_mapped`` and
        ``mean_class_mapped`` among the mapped ones alone, ``chance`` and ``chance_mapped``, ``per_class``,
        ``confusion`` (rows: the other set's classes, columns: the run's), ``streams`` where there are
        several, ``class_map``, ``class_map_name``, ``retargeted``, ``dataset``, ``protocol`` and ``counts``.

    Raises:
        InputError: a run without a classifier, a class that a set does not have, joints without
            counterpart, more persons than the encoder takes, no clip of the mapped classes, or clips whose
            labels the run learned.
    """
    directory, store = RunDirectory(run), open_store(data)
    check_device(device)
    check_report_place(directory)
    trained = load_encoders(directory.path)
    first = next(iter(trained.values()))
    if any(encoder.classifier is None for encoder in trained.values()):
        raise InputError(
            f"{run} has no classifier: --on judges runs that learned from labels; make one of it with "
            "`kinelex adapt --mode linear`"
        )
    pairs = read_class_map(class_map, store.class_names, first.class_names)
    rows = np.arange(len(store)) if protocol is None else get_split(store, protocol).test
    judged = rows[np.isin(store.labels[rows], list(pairs))]
    if len(judged) == 0:
        raise InputError(f"{store.path} has no clip of the classes in {class_map}")
    check_unseen(directory, store, judged)
    console = console or Console()
    reading = {stream: encoder.for_store(store) for stream, encoder in trained.items()}
    say_crowded(console, store, judged, next(iter(reading.values())).pipeline.config.persons)
    scores = class_scores(reading, store, judged, batch_size, device)
    result = {
        **_judged(scores, store.labels[judged], pairs, store.class_names, first.class_names),
        "class_map": {store.class_names[a]: first.class_names[b] for a, b in pairs.items()},
        "class_map_name": Path(class_map).stem,
        "retargeted": retargeted(store, next(iter(reading.values()))),
        "dataset": store.meta.dataset,
        "run_dataset": _learned_on(directory.config),
        "protocol": protocol,
        "counts": {
            "clips": len(judged),
            "other_clips": len(rows) - len(judged),
            "mapped_classes": len(set(pairs.values())),
            "classes": len(first.class_names),
        },
    }
    parts = (store.meta.dataset, protocol or "all", result["class_map_name"])
    path = directory.evaluation_dir / f"on_{'-'.join(map(as_file_name, parts))}.json"
    write_json_file(path, result)
    console.print(_table(result))
    console.print(f"numbers in {path}", markup=False, soft_wrap=True)
    return result


def _learned_on(config: dict[str, Any]) -> str | None:
    """The data set whose classes a run knows; estimating batch norm anew on another one leaves them.

    >>> adapted = {"mode": "batch_norm", "from": {"dataset": "ntu120"}}
    >>> _learned_on({"dataset": "sysu", "adapted": adapted})
    'ntu120'
    """
    adapted = config.get("adapted") or {}
    return _learned_on(adapted["from"]) if adapted.get("mode") == "batch_norm" else config.get("dataset")


def _judged(
    scores: dict[str, np.ndarray],
    labels: np.ndarray,
    pairs: dict[int, int],
    theirs: tuple[str, ...],
    ours: tuple[str, ...],
) -> dict[str, Any]:
    """The numbers of all streams together, and each one's rates.

    Shape:
        - scores: (N, the run's classes) by stream; labels: (N,), the other set's classes
    """
    whole = next(iter(scores.values())) if len(scores) == 1 else fuse("classify", list(scores.values()))
    truth, among = np.array([pairs[label] for label in labels]), np.unique(list(pairs.values()))
    guess, guess_mapped = whole.argmax(axis=1), among[whole[:, among].argmax(axis=1)]
    confusion = confusion_matrix(guess, labels, max(len(theirs), len(ours)))[list(pairs)]
    shown = sorted({*np.flatnonzero(confusion.any(axis=0)).tolist(), *among.tolist()})
    per_class = {}
    for other, own in pairs.items():
        mine = labels == other
        n = int(mine.sum())
        per_class[theirs[other]] = {
            "class": ours[own],
            "clips": n,
            "top1": float((guess[mine] == own).mean()) if n else None,
            "top1_mapped": float((guess_mapped[mine] == own).mean()) if n else None,
        }
    result: dict[str, Any] = {
        "top1": top_k(whole, truth, 1),
        "top5": top_k(whole, truth, 5),
        "top1_mapped": float((guess_mapped == truth).mean()),
        "mean_class": _mean(per_class, "top1"),
        "mean_class_mapped": _mean(per_class, "top1_mapped"),
        "chance": 1 / len(ours),
        "chance_mapped": 1 / len(among),
        "per_class": per_class,
        "confusion": {
            "rows": [theirs[other] for other in pairs],
            "columns": [ours[own] for own in shown],
            "counts": confusion[:, shown].tolist(),
        },
    }
    if len(scores) > 1:
        mapped = {s: among[x[:, among].argmax(axis=1)] for s, x in scores.items()}
        result["streams"] = {
            s: {"top1": top_k(x, truth, 1), "top1_mapped": float((mapped[s] == truth).mean())}
            for s, x in scores.items()
        }
    return result


def _mean(per_class: dict[str, dict[str, Any]], key: str) -> float:
    return float(np.mean([numbers[key] for numbers in per_class.values() if numbers[key] is not None]))


def _table(result: dict[str, Any]) -> Table:
    counts, part = result["counts"], result["protocol"] or "all clips"
    sets = f"{result['run_dataset'] or 'the run'} on {result['dataset']} ({part})"
    of = (f"top-1 %\nof {counts[known]}" for known in ("classes", "mapped_classes"))
    table = numbers_table(f"{sets}: {counts['clips']} clips", "is the run's", "clips", *of, first="class")
    table.columns[1].justify = "left"
    for name, row in result["per_class"].items():
        rates = (percent(row["top1"]), percent(row["top1_mapped"]))
        table.add_row(escape(name), escape(row["class"]), str(row["clips"]), *rates)
    table.add_section()
    rates = (percent(result["top1"]), percent(result["top1_mapped"]))
    table.add_row("all", "", str(counts["clips"]), *rates, style="bold")
    table.add_row("chance", "", "", percent(result["chance"]), percent(result["chance_mapped"]))
    if result["retargeted"]:
        table.caption = f"joints retargeted: {result['retargeted']}"
    return table


def class_map_names() -> tuple[str, ...]:
    """Names of the class maps that come with the package.

    >>> class_map_names()
    ('utd_mhad_to_ntu120',)
    """
    return packaged_names(_maps())


def read_class_map(given: str | Path, theirs: tuple[str, ...], ours: tuple[str, ...]) -> dict[int, int]:
    """Which class of the run each class of the other set is.

    Args:
        given: a YAML file, or a name of :func:`class_map_names`.
        theirs: the other set's classes.
        ours: the run's classes.

    Returns:
        Indices, the other set's in ascending order to the run's.

    Raises:
        InputError: no such file or name, not of this form, or a class that a set does not have.
    """
    content = packaged_or_named_yaml(str(given), "class map", _maps(), _FORM)
    if not isinstance(content, dict) or not content:
        raise InputError(f"the class map {given} is no mapping: expects {_FORM}")
    found: dict[int, int] = {}
    for key, value in content.items():
        for name in (key, value):
            if not isinstance(name, str):
                raise InputError(f"the class map {given} has {name!r}, which is no text: put it in quotes")
        other = class_index(key, theirs, f"the class map {given}", "the other set")
        if other in found:
            raise InputError(f"the class map {given} has {theirs[other]!r} twice")
        if value not in ours:
            raise unknown_name(f"class of the run in the class map {given}", value, ours)
        found[other] = ours.index(value)
    return dict(sorted(found.items()))


def _maps() -> Traversable:
    return resources.files("kinelex.evaluation").joinpath("class_maps")
