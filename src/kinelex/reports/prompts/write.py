"""Render the page of a prompt report."""

from collections import Counter
from typing import Any

import numpy as np

from kinelex import __version__
from kinelex.reports.page.templates import template
from kinelex.reports.page.view import seen_from
from kinelex.reports.prompts.answers import LONG
from kinelex.reports.prompts.examples import choose_clips, cut, show
from kinelex.reports.prompts.figures import (
    class_heat_map,
    length_histogram,
    most_alike,
    similarity_histograms,
)
from kinelex.reports.prompts.judge import PromptQuality
from kinelex.reports.prompts.mismatch import NEIGHBOURS, SURE, Mismatch
from kinelex.reports.prompts.tables import (
    WORDS,
    class_rows,
    cost_columns,
    cost_rows,
    flag_rows,
    grouped,
    percent,
    probe_rows,
    text_rows,
    title_of,
    verdict,
)

_MOST_MISMATCHES, _OPEN = 6, 8
_SMALL = 14  # classes up to which a heat map is legible on half of the page


def render_page(stores: list[PromptQuality], result: dict[str, Any], seed: int) -> str:
    """The page: one HTML text without reference to anything outside.

    Besides what was measured it shows the numbers for JSON, and clips that are drawn by seed.
    """
    clips = stores[0].clips
    texts = [s for s in stores if s.answers and s.answers["answers"]]
    lengths = {s.name: s.answers["lengths"] for s in texts if s.answers}
    filters = {
        "percent": percent,
        "grouped": grouped,
        "cut": lambda text: cut(text, 300),
        "short": lambda value: "–" if value is None else f"{round(value, 2) + 0.0:.2f}",
    }
    return template("kinelex.reports.prompts", filters=filters).render(
        version=__version__,
        dataset=stores[0].prompts.meta.dataset,
        result=result,
        several=len(stores) > 1,
        stores=stores,
        probes=probe_rows(stores),
        verdict=verdict(stores, result),
        costs=cost_rows(stores),
        cost_columns=cost_columns(stores),
        text_rows=text_rows(texts),
        texts=texts,
        lengths=length_histogram(lengths, LONG) if lengths else None,
        long=LONG,
        flags=flag_rows(stores),
        agreement=_agreement_figure(stores),
        agreements=[(s.name, WORDS[m], s.to_json()["modalities"][m]) for s in stores for m in s.features],
        similarity=_similarity_figure(stores),
        maps=_maps(stores),
        per_class=class_rows(stores),
        mismatches=[_mismatches(s) for s in stores if s.mismatches is not None],
        neighbours=NEIGHBOURS,
        sure=SURE,
        examples=_examples(stores, seed),
        shown_open=_OPEN,
        classes_known=bool(len(clips.classes)),
        seen_from="" if clips.store is None else seen_from(clips.store.layout, clips.store.channels),
    )


def _agreement_figure(stores: list[PromptQuality]) -> str | None:
    rows = {}
    for store in stores:
        for m, values in store.agreement.items():
            known = values[~np.isnan(values)]
            if len(known):
                groups = {"prompts of one clip": known, "prompts of two clips": store.strangers[m]}
                rows[title_of(store, m, stores)] = groups
    return similarity_histograms(rows) if rows else None


def _similarity_figure(stores: list[PromptQuality]) -> str | None:
    rows = {}
    for store in stores:
        for m, pairs in store.pairs.items():
            if len(pairs.within) and len(pairs.between):
                groups = {"of one class": pairs.within, "of different classes": pairs.between}
                rows[title_of(store, m, stores)] = groups
    return similarity_histograms(rows) if rows else None


def _maps(stores: list[PromptQuality]) -> list[dict[str, Any]]:
    maps = []
    for store in stores:
        for m, similarity in store.classes.items():
            classes = store.clips.classes
            names = [store.clips.class_names[c] for c in classes]
            part = similarity[np.ix_(classes, classes)]
            if len(classes) > 1 and not np.isnan(part).all():
                maps.append(
                    {
                        "title": title_of(store, m, stores),
                        "figure": class_heat_map(part, names),
                        "small": len(names) <= _SMALL,
                        "low": float(np.nanmin(part)),
                        "high": float(np.nanmax(part)),
                        "alike": most_alike(part, names),
                    }
                )
    return maps


def _mismatches(store: PromptQuality) -> dict[str, Any]:
    assert store.mismatches is not None
    clips, names = store.clips, store.clips.class_names
    shown = [
        {
            "id": clips.ids[one.clip],
            "label": names[clips.labels[one.clip]],
            "texts": (names[one.says[0]], round(100 * one.share[0])),
            "pictures": (names[one.says[1]], round(100 * one.share[1])),
            "prompts": [show(store.name, store.prompts, clips, one.clip)],
        }
        for one in _spread_over_classes(store.mismatches.found, clips.labels)[:_MOST_MISMATCHES]
    ]
    return {"store": store.name, "found": store.mismatches, "shown": shown}


def _spread_over_classes(found: list[Mismatch], labels: np.ndarray) -> list[Mismatch]:
    """The surest of every class first, then the second of every class, and so on."""
    seen: Counter[int] = Counter()
    turns = []
    for one in found:
        turns.append(seen[int(labels[one.clip])])
        seen[int(labels[one.clip])] += 1
    return [found[i] for i in np.argsort(turns, kind="stable")]


def _examples(stores: list[PromptQuality], seed: int) -> list[dict[str, Any]]:
    clips = stores[0].clips
    known = [~np.isnan(f[:, 0]) for s in stores for f in s.features.values()]
    everywhere = np.all(known, axis=0)
    present = everywhere if everywhere.any() else np.any(known, axis=0)
    return [
        {
            "id": clips.ids[row],
            "label": clips.class_names[clips.labels[row]] if clips.labels[row] >= 0 else "no class",
            "prompts": [show(s.name, s.prompts, clips, int(row)) for s in stores],
        }
        for row in choose_clips(clips, present, len(stores), seed)
    ]
