"""What ``kinelex info`` says about a skeleton store."""

from __future__ import annotations

from typing import Any

import numpy as np
from rich.console import Group
from rich.markup import escape
from rich.table import Table

from kinelex.data import SkeletonStore
from kinelex.data.splits.split import split_sizes


def describe_store(store: SkeletonStore) -> dict[str, Any]:
    """Counts, layout, frames and protocols of a store, as plain values that go into JSON.

    Counted columns (``classes``, ``subjects``, ``cameras``, ``setups``, ``persons``) map each value, as
    text, to its number of clips; what the data set does not have is an empty mapping.

    >>> import tempfile, numpy as np
    >>> from pathlib import Path
    >>> from kinelex.skeleton import get_layout
    >>> from kinelex.data import Sequence, SkeletonStoreWriter, StoreMeta, open_store
    >>> path = Path(tempfile.mkdtemp()) / "tiny.arrow"
    >>> with SkeletonStoreWriter(path, StoreMeta("tiny", get_layout("sbu15"), ("wave",))) as writer:
    ...     writer.add(Sequence("a", np.ones((4, 1, 15, 3)), label=0, subject=7))
    >>> found = describe_store(open_store(path))
    >>> found["sequences"], found["classes"], found["subjects"], found["cameras"], found["frames"]
    (1, {'wave': 1}, {'7': 1}, {}, {'min': 4, 'median': 4.0, 'max': 4, 'total': 4})
    """
    lengths, meta = store.lengths, store.meta
    return {
        "path": str(store.path),
        "dataset": meta.dataset,
        "sequences": len(store),
        "classes": {name: int((store.labels == i).sum()) for i, name in enumerate(meta.class_names)},
        "unlabelled": int((store.labels < 0).sum()),
        "subjects": _counts(store.subjects),
        "cameras": _counts(store.cameras),
        "setups": _counts(store.setups),
        "persons": _counts(store.persons),
        "frames": {
            "min": int(lengths.min()),
            "median": float(np.median(lengths)),
            "max": int(lengths.max()),
            "total": int(lengths.sum()),
        },
        "layout": {"name": meta.layout.name, "joints": meta.layout.num_joints, "channels": store.channels},
        "units": meta.units,
        "captions": sum(caption is not None for caption in store.captions),
        "protocols": {
            name: {"train": train, "test": test} for name, (train, test) in split_sizes(store).items()
        },
        "source": meta.source,
        "prepared": dict(meta.prepared),
        "fingerprint": store.fingerprint,
        "bytes": store.path.stat().st_size,
    }


def _counts(values: np.ndarray) -> dict[str, int]:
    """Clips per value; -1 stands for a missing one and is left out."""
    found, clips = np.unique(values[values >= 0], return_counts=True)
    return {str(value): int(count) for value, count in zip(found, clips, strict=True)}


def render_store(description: dict[str, Any]) -> Group:
    """A description of :func:`describe_store` as tables for the terminal."""
    tables = [_overview(description)]
    if description["protocols"]:
        tables.append(_protocols(description["protocols"]))
    if description["classes"]:
        tables.append(_classes(description["classes"]))
    return Group(*tables)


def _overview(d: dict[str, Any]) -> Table:
    table = Table(title=escape(d["path"]), show_header=False, title_justify="left")
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    frames, form = d["frames"], d["layout"]
    table.add_row("data set", escape(d["dataset"]))
    table.add_row("sequences", grouped(d["sequences"]))
    table.add_row("classes", str(len(d["classes"])))
    if d["unlabelled"]:
        table.add_row("without a label", grouped(d["unlabelled"]))
    for column in ("subjects", "cameras", "setups"):
        if d[column]:
            table.add_row(column, _numbers(d[column]))
    table.add_row("persons", ", ".join(f"{p} in {grouped(c)} clips" for p, c in d["persons"].items()))
    table.add_row("frames (min/median/max)", f"{frames['min']}/{frames['median']:g}/{frames['max']}")
    table.add_row("frames in all", grouped(frames["total"]))
    table.add_row("layout", f"{form['name']}: {form['joints']} joints of {form['channels']} coordinates")
    table.add_row("units", escape(d["units"]))
    if d["captions"]:
        table.add_row("captions", grouped(d["captions"]))
    table.add_row("source", escape(d["source"]) or "not recorded")
    prepared = ", ".join(f"{key}: {value}" for key, value in d["prepared"].items())
    table.add_row("prepared", escape(prepared) or "not recorded")
    table.add_row("fingerprint", d["fingerprint"])
    table.add_row("file size", f"{d['bytes'] / 1e6:.1f} MB")
    return table


def _protocols(protocols: dict[str, dict[str, int]]) -> Table:
    table = Table(title="protocols", title_justify="left")
    table.add_column("protocol")
    for part in ("train", "test"):
        table.add_column(part, justify="right")
    for row in protocol_rows(protocols):
        table.add_row(escape(row["name"]), row["train"], row["test"])
    return table


def protocol_rows(protocols: dict[str, dict[str, int]]) -> list[dict[str, str]]:
    """Protocols as rows of a table: three or more that differ by a number share one row.

    >>> sizes = {f"loso:{k}": {"train": 90 + k, "test": 10 - k} for k in (1, 2, 7)}
    >>> protocol_rows({"xview": {"train": 1020, "test": 464}, **sizes})[1]
    {'name': 'loso:1 to loso:7', 'train': '91 to 97', 'test': '3 to 9'}
    """
    families: dict[str, list[str]] = {}
    for name in protocols:
        head, _, number = name.rpartition(":")
        families.setdefault(head if head and number.isdigit() else name, []).append(name)
    rows = []
    for names in families.values():
        shared = [names] if len(names) > 2 else [[name] for name in names]
        rows += [_protocol_row(several, [protocols[name] for name in several]) for several in shared]
    return rows


def _protocol_row(names: list[str], sizes: list[dict[str, int]]) -> dict[str, str]:
    row = {"name": names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"}
    for column in sizes[0]:
        low, high = min(s[column] for s in sizes), max(s[column] for s in sizes)
        row[column] = grouped(low) if low == high else f"{grouped(low)} to {grouped(high)}"
    return row


def _classes(classes: dict[str, int]) -> Table:
    table = Table(title="classes", title_justify="left")
    table.add_column("label", justify="right")
    table.add_column("name")
    table.add_column("clips", justify="right")
    for label, (name, clips) in enumerate(classes.items()):
        table.add_row(str(label), escape(name), grouped(clips))
    return table


def _numbers(counts: dict[str, int]) -> str:
    values = list(counts)
    shown = ", ".join(values) if len(values) <= 20 else f"{values[0]} to {values[-1]}"
    return f"{len(values)} ({shown})"


def grouped(number: int) -> str:
    """A number with a space between thousands."""
    return f"{number:,}".replace(",", " ")
