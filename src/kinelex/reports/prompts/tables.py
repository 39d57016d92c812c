"""Tables and sentences of the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kinelex.reports.prompts.answers import LONG
from kinelex.reports.prompts.judge import Judged

WORDS = {"language": "texts", "vision": "pictures", "both": "both"}
_TEXT_ROWS = (
    ("answers", "answers", "count"),
    ("empty", "empty answers", "share"),
    ("repeated", "repeats: an earlier answer of the same clip, word for word", "share"),
    ("loops", "loops: a sentence twice, or a phrase three times on end", "share"),
    ("long", f"over-long: more than {LONG} words", "share"),
    ("distinct_texts", "different answers", "count"),
    ("distinct_sentences", "different sentences", "count"),
    ("distinct_words", "different words", "count"),
    ("distinct_per_clip", "different answers of a clip, mean share", "share"),
)


def title_of(store: Judged, modality: str, stores: list[Judged]) -> str:
    return f"{store.name}: {WORDS[modality]}" if len(stores) > 1 else WORDS[modality]


def percent(rate: float | None) -> str:
    """A share as a percentage; small ones are not rounded away.

    >>> percent(0.4321), percent(0.0002), percent(0.0), percent(None)
    ('43.2', '0.02', '0', '–')
    """
    if rate is None or np.isnan(rate):
        return "–"
    if rate in (0, 1):
        return f"{100 * rate:.0f}"
    return f"{100 * rate:.1f}" if rate >= 0.001 else f"{100 * rate:.1g}"


def grouped(number: int) -> str:
    """A count with thin gaps between its thousands."""
    return f"{number:,}".replace(",", "\u202f")


def _shown(answers: dict[str, Any], key: str, kind: str) -> str:
    return grouped(answers[key]) if kind == "count" else f"{percent(answers[key])} %"


def _named(part: Any) -> str:
    """An engine or encoder as a reader knows it: its name, and the model if it has one."""
    if not isinstance(part, dict):
        return str(part or "not recorded")
    model = part.get("model")
    return f"{part.get('name', '?')} ({model})" if model else str(part.get("name", "?"))


def probe_rows(stores: list[Judged]) -> list[dict[str, Any]]:
    rows = []
    for store in stores:
        for m, linear in store.linear.items():
            engine = store.engine(m) if m != "both" else {}
            rows.append(
                {
                    "store": store.name,
                    "of": WORDS[m],
                    "made_by": "" if m == "both" else _named(engine.get("engine")),
                    "encoder": "" if m == "both" else _named(engine.get("encoder")),
                    "linear": linear.top1,
                    "neighbour": store.neighbour[m].top1,
                    "note": linear.note,
                }
            )
    return rows


_COSTS = {
    "seconds": ("%.3g", "seconds a clip"),
    "prompt_tokens": ("%.0f", "tokens read a clip"),
    "tokens": ("%.0f", "tokens written a clip"),
    "price": ("%.3g", "price a clip"),
}


def cost_columns(stores: Sequence[Judged]) -> dict[str, tuple[str, str]]:
    """Of what any engine recorded: how to write it, and the column's title."""
    found = {key for store in stores for m in store.features for key in store.cost(m)}
    return {key: column for key, column in _COSTS.items() if key in found}


def cost_rows(stores: list[Judged]) -> list[dict[str, Any]]:
    """What every engine counted per clip, beside the probe of what it made."""
    rows = []
    for store in stores:
        for m in store.features:
            rate = store.linear[m].top1 if m in store.linear else None
            row = {"store": store.name, "of": WORDS[m], "made_by": _named(store.engine(m).get("engine"))}
            rows.append({**row, "linear": rate, "cost": store.cost(m)})
    return rows


def verdict(stores: list[Judged], result: dict[str, Any]) -> list[str]:
    """What a reader should take away: a sentence or a few per statement; of several stores, one text each."""
    texts = [_findings(store, result) for store in stores]
    if len(stores) == 1:
        return texts[0]
    return [f"{s.name}: {' '.join(said)}" for s, said in zip(stores, texts, strict=True) if said]


def _findings(store: Judged, result: dict[str, Any]) -> list[str]:
    sentences = []
    rates = {m: row.top1 for m, row in store.linear.items() if m != "both"}
    said = [
        f"by its {WORDS[m]} in {percent(rate)} % of the cases"
        for m, rate in rates.items()
        if rate is not None
    ]
    if said:
        sentences.append(
            f"A linear probe names the class of a test clip rightly {', '.join(said)}; "
            f"chance is {percent(result['baselines']['chance'])} %."
        )
    if store.answers and store.answers["answers"]:
        a = store.answers
        sentences.append(
            f"{percent(a['empty'])} % of {grouped(a['answers'])} answers are empty, "
            f"{percent(a['repeated'])} % repeat an earlier one of the same clip, "
            f"{percent(a['long'])} % have more than {LONG} words."
        )
    if store.mismatches is not None and store.mismatches.compared:
        share = len(store.mismatches.found) / store.mismatches.compared
        sentences.append(f"In {percent(share)} % of the clips texts and pictures point to different classes.")
    return sentences


def flag_rows(stores: list[Judged]) -> list[dict[str, Any]]:
    """Share of flagged pictures, and the classes that have most of them."""
    rows = []
    for store in stores:
        if store.flagged is None:
            continue
        there = ~np.isnan(store.flagged)
        worst = []
        for label in store.clips.classes:
            mine = store.flagged[there & (store.clips.labels == label)]
            if len(mine) and mine.mean() > 0:
                worst.append((store.clips.class_names[label], float(mine.mean())))
        share = float(store.flagged[there].mean()) if there.any() else None
        rows.append(
            {
                "store": store.name,
                "share": share,
                "clips": int(there.sum()),
                "missing": int((~there).sum()),
                "whole": int((store.flagged[there] == 1).sum()),
                "worst": sorted(worst, key=lambda row: -row[1])[:6],
            }
        )
    return rows


def class_rows(stores: list[Judged], test: np.ndarray) -> dict[str, Any]:
    """Per class its clips, and per store and modality the linear probe's accuracy."""
    clips = stores[0].clips
    columns = [(s, m) for s in stores for m in s.linear if m != "both"]
    rows = []
    for label in clips.classes:
        numbers = [(s.class_rates(m, int(label), test), _diagonal(s, m, int(label))) for s, m in columns]
        rows.append((clips.class_names[label], int((clips.labels == label).sum()), numbers))
    return {"columns": [title_of(s, m, stores) for s, m in columns], "rows": rows if columns else []}


def _diagonal(store: Judged, modality: str, label: int) -> float | None:
    value = float(store.classes[modality][label, label]) if modality in store.classes else np.nan
    return None if np.isnan(value) else value


def text_rows(stores: Sequence[Judged]) -> list[tuple[str, list[str]]]:
    """Per number of the texts its name and its value in every store."""
    return [(n, [_shown(s.answers or {}, k, kind) for s in stores]) for k, n, kind in _TEXT_ROWS]
