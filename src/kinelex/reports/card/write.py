"""The data-set card: one self-contained HTML file about a store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from kinelex import __version__
from kinelex.data import SkeletonStore
from kinelex.datasets.describe import grouped, protocol_rows
from kinelex.files.atomic import check_target, spare_stores
from kinelex.reports.card.scan import Findings
from kinelex.reports.card.warn import Warn, percent
from kinelex.reports.page.player import clip_player
from kinelex.reports.page.templates import template, write_page
from kinelex.reports.page.view import seen_from

_BARS, _WIDTH, _HEIGHT = 50, 1000, 170  # of the histogram, in SVG units
_EXAMPLES = 8
_LISTED = 10  # items named per warning
_MOST_BARS = 120  # subjects or cameras; beyond that the rest is one bar


def write_card(
    store: SkeletonStore, path: str | Path, description: dict[str, Any], found: Findings, warnings: list[Warn]
) -> Path:
    """Write the card of a store: no reference to anything outside the file.

    Raises:
        InputError: the file cannot be written.
    """
    path = Path(path)
    check_target(path)
    spare_stores(path)
    copies = next((w.protocols for w in warnings if w.kind == "copies"), {})
    protocols = {n: {**sizes, "copies": copies.get(n, 0)} for n, sizes in description["protocols"].items()}
    filters = {"grouped": lambda number: grouped(number).replace(" ", "\u00a0")}
    page = template("kinelex.reports.card", filters=filters).render(
        title=description["dataset"],
        file=store.path.name,
        version=__version__,
        facts=_facts(description),
        warnings=[_warning(w) for w in warnings],
        sampled=found.scale.clips,
        protocols=protocol_rows(protocols),
        classes=_bars(description["classes"]),
        columns=_columns(description),
        lengths=_lengths(store.lengths),
        missing=_missing(store, found),
        examples=_examples(store, found),
        seen_from=seen_from(store.layout, store.channels),
        details=_details(description),
    )
    return write_page(path, page)


def _facts(d: dict[str, Any]) -> list[tuple[str, str]]:
    facts = [(d["sequences"], "clips"), (len(d["classes"]), "classes"), (d["frames"]["total"], "frames")]
    facts += [(len(d[c]), c) for c in ("subjects", "cameras", "setups") if d[c]]
    facts += [(d["layout"]["joints"], f"joints ({d['layout']['name']})")]
    return [(grouped(value), name) for value, name in facts]


def _warning(warning: Warn) -> dict[str, Any]:
    nouns = {"missing_joints": ("joint", "joints"), "empty_classes": ("class", "classes")}
    one, several = nouns.get(warning.kind, ("clip", "clips"))
    return {
        "count": warning.count,
        "noun": one if warning.count == 1 else several,
        "text": warning.text,
        "listed": warning.items[:_LISTED],
        "more": len(warning.items[_LISTED:]),
        "protocols": list(warning.protocols.items()),
    }


def _bars(counts: dict[str, int]) -> list[dict[str, Any]]:
    largest = max(counts.values(), default=0) or 1
    shown = dict(list(counts.items())[:_MOST_BARS])
    rows = [{"name": n, "share": c / largest, "text": grouped(c)} for n, c in shown.items()]
    rest = list(counts.values())[_MOST_BARS:]
    if rest:
        mean = sum(rest) / len(rest)
        rows.append({"name": f"{len(rest)} more", "share": mean / largest, "text": f"⌀ {mean:.0f}"})
    return rows


def _columns(d: dict[str, Any]) -> list[tuple[str, list[dict[str, Any]]]]:
    names = (("subject", "subjects"), ("camera", "cameras"), ("setup", "setups"))
    persons = {f"{n} person{'' if n == '1' else 's'}": c for n, c in d["persons"].items()}
    found = [(name, _bars(d[column])) for name, column in names if d[column]]
    return sorted([*found, ("number of persons", _bars(persons))], key=lambda column: len(column[1]) > 12)


def _lengths(lengths: np.ndarray) -> dict[str, Any]:
    """Bars and ticks of the histogram; the longest half per cent is in the last bar when far off."""
    low, high, last = int(lengths.min()), int(lengths.max()), int(np.quantile(lengths, 0.995))
    cut = high > 1.5 * last
    top = last if cut else high
    step = max(-(-(top - low + 1) // _BARS), 1)  # frames per bar
    edges = np.arange(low, top + step + 1, step)
    counts = np.histogram(np.minimum(lengths, edges[-1] - 1), edges)[0]
    width, tallest = _WIDTH / len(counts), max(int(counts.max()), 1)
    bars = []
    for i, count in enumerate(counts):
        first, end = int(edges[i]), int(edges[i + 1]) - 1
        span = f"{first}" + f" to {end}" * (end > first)
        if cut and i == len(counts) - 1:
            span = f"{first} or more"
        height = _HEIGHT * int(count) / tallest
        sizes = {"x": i * width + 0.5, "y": 180 - height, "height": height, "width": max(width - 1, 1)}
        title = f"{span} frames: {grouped(count)}"
        bars.append({**{name: f"{size:.1f}" for name, size in sizes.items()}, "title": title})
    middle = float(np.median(lengths))
    place = (min(middle, edges[-1]) - low) / (edges[-1] - low) * _WIDTH
    ticks = [{"x": 0, "anchor": "start", "text": grouped(low)}]
    if 60 < place < _WIDTH - 60:
        ticks.append({"x": f"{place:.1f}", "anchor": "middle", "text": f"median {middle:g}"})
    longest = grouped(min(int(edges[-1]) - 1, high)) + "+" * cut
    ticks.append({"x": _WIDTH, "anchor": "end", "text": longest})
    caption = f"{low} to {grouped(high)}, median {middle:g}."
    return {"bars": bars, "ticks": ticks, "caption": caption}


def _missing(store: SkeletonStore, found: Findings) -> dict[str, Any]:
    frames = store.lengths.sum()
    empty = float((found.empty * store.lengths).sum() / frames)
    text = f"{percent(empty)} of the frames show nobody" if empty else "Every frame shows somebody"
    gone = found.joint_missing
    if not gone.any():
        return {"text": f"{text}, and no body lacks a joint.", "rows": []}
    largest = max(float(gone.max()), 0.01)  # a few single joints do not fill the bars
    rows = [
        {"name": name, "share": share / largest, "text": percent(share)}
        for name, share in zip(store.layout.joints, gone.tolist(), strict=True)
    ]
    return {"text": f"{text}; {percent(float(gone.mean()))} of the bodies' joints are missing.", "rows": rows}


def _examples(store: SkeletonStore, found: Findings) -> list[dict[str, Any]]:
    labels = np.unique(store.labels)
    labels = labels[labels >= 0] if (labels >= 0).any() else labels
    spread = labels[np.unique(np.linspace(0, len(labels) - 1, _EXAMPLES).round().astype(int))]
    return [_drawn(store, _typical(store, found, int(label))) for label in spread]


def _typical(store: SkeletonStore, found: Findings, label: int) -> int:
    """A clip of a class whose length is in the middle, of those that show somebody in most frames."""
    rows = np.flatnonzero(store.labels == label)
    good = rows[found.empty[rows] < 0.1]
    rows = good if len(good) else rows
    return int(rows[np.argsort(store.lengths[rows], kind="stable")[len(rows) // 2]])


def _drawn(store: SkeletonStore, row: int) -> dict[str, Any]:
    label = store.labels[row]
    return {
        "id": store.ids[row],
        "label": store.class_names[label] if label >= 0 else "no label",
        "frames": int(store.lengths[row]),
        "player": clip_player(store.sequence(row), store.layout, store.ids[row], float(store.fps[row])),
    }


def _details(d: dict[str, Any]) -> list[tuple[str, str]]:
    layout = "{name}: {joints} joints of {channels} coordinates".format(**d["layout"])
    rows = [("layout", layout), ("units", d["units"]), ("source", d["source"] or "not recorded")]
    rows += [(f"prepared: {key}", str(value)) for key, value in d["prepared"].items()]
    rows += [("fingerprint", d["fingerprint"]), ("file size", f"{d['bytes'] / 1e6:.1f} MB")]
    if d["captions"]:
        rows.append(("captions", grouped(d["captions"])))
    return rows
