"""Tables and sentences of the page."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from kinelex.reports.prompts.answers import LONG
from kinelex.reports.prompts.judge import PromptQuality

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


def title_of(store: PromptQuality, modality: str, stores: list[PromptQuality]) -> str:
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


def _makers(store: PromptQuality, modality: str) -> dict[str, str]:
    if modality == "both":
        return {"made_by": "", "encoder": ""}
    about = store.engine(modality)
    return {"made_by": _named(about.get("engine")), "encoder": _named(about.get("encoder"))}


def probe_rows(stores: list[PromptQuality]) -> list[dict[str, Any]]:
    """The probes of what every engine made."""
    rows = []
    for s in stores:
        for m, row in s.linear.items():
            rates = {"linear": row.top1, "neighbour": s.neighbour[m].top1, "note": row.note}
            rows.append({"store": s.name, "of": WORDS[m], **_makers(s, m), **rates})
    return rows


_COSTS = {
    "seconds": ("%.3g", "seconds a clip"),
    "prompt_tokens": ("%.0f", "tokens read a clip"),
    "tokens": ("%.0f", "tokens written a clip"),
    "price": ("%.3g", "price a clip"),
}


def cost_columns(stores: Sequence[PromptQuality]) -> dict[str, tuple[str, str]]:
    """Of what any engine recorded: how to write it, and the column's title."""
    found = {key for store in stores for m in store.features for key in store.cost(m)}
    return {key: column for key, column in _COSTS.items() if key in found}


def cost_rows(stores: list[PromptQuality]) -> list[dict[str, Any]]:
    """What every engine counted per clip, beside the probe of what it made."""
    rows = []
    for s in stores:
        for m in s.features:
            rate = s.linear[m].top1 if m in s.linear else None
            rows.append({"store": s.name, "of": WORDS[m], **_makers(s, m), "linear": rate, "cost": s.cost(m)})
    return rows


def verdict(stores: list[PromptQuality], result: dict[str, Any]) -> list[str]:
    """What a reader should take away: a sentence or a few per statement; of several stores, one text each."""
    texts = [_findings(store, result) for store in stores]
    if len(stores) == 1:
        return texts[0]
    return [f"{s.name}: {' '.join(said)}" for s, said in zip(stores, texts, strict=True) if said]


def _findings(store: PromptQuality, result: dict[str, Any]) -> list[str]:
    sentences = []
    rates = {m: row.top1 for m, row in store.linear.items() if m != "both" and row.top1 is not None}
    said = [f"by its {WORDS[m]} in {percent(rate)} % of the cases" for m, rate in rates.items()]
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


def flag_rows(stores: list[PromptQuality]) -> list[dict[str, Any]]:
    """Share of flagged pictures, and the classes that have most of them."""
    rows = []
    for store in stores:
        if store.flagged is None:
            continue
        known = ~np.isnan(store.flagged)
        flagged, labels = store.flagged[known], store.clips.labels[known]
        shares = {c: float(flagged[labels == c].mean()) for c in store.clips.classes if (labels == c).any()}
        worst = sorted((row for row in shares.items() if row[1] > 0), key=lambda row: -row[1])[:6]
        rows.append(
            {
                "store": store.name,
                "share": float(flagged.mean()) if len(flagged) else None,
                "clips": len(flagged),
                "missing": int((~known).sum()),
                "whole": int((flagged == 1).sum()),
                "worst": [(store.clips.class_names[label], share) for label, share in worst],
            }
        )
    return rows


def class_rows(stores: list[PromptQuality]) -> dict[str, Any]:
    """Per class its clips, and per store and modality the linear probe's accuracy."""
    clips = stores[0].clips
    columns = [(s, m) for s in stores for m in s.linear if m != "both"]
    rows = []
    for label in clips.classes:
        numbers = [(s.class_rates(m, int(label)), _diagonal(s, m, int(label))) for s, m in columns]
        rows.append((clips.class_names[label], int((clips.labels == label).sum()), numbers))
    return {"columns": [title_of(s, m, stores) for s, m in columns], "rows": rows if columns else []}


def _diagonal(store: PromptQuality, modality: str, label: int) -> float | None:
    value = float(store.classes[modality][label, label]) if modality in store.classes else np.nan
    return None if np.isnan(value) else value


def text_rows(stores: Sequence[PromptQuality]) -> list[tuple[str, list[str]]]:
    """Per number of the texts its name and its value in every store."""
    return [(n, [_shown(s.answers or {}, k, kind) for s in stores]) for k, n, kind in _TEXT_ROWS]
