"""Bars of the numbers, curves of the training, histograms of the similarities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from kinelex.evaluation.report._style import BLUE, GREY, INK, MUTED, ORANGE, SERIES, as_inline_svg, panels

_ENTROPIES = ("target_entropy", "prediction_entropy", "uniform_entropy")
# Panels of the training curves: title, what to look for, and the metric's name before a slash.
_CURVES = (
    ("Loss", "mean over the batches of an epoch", ("loss",)),
    ("Mutual distillation", "loss of teacher → student", ("distillation",)),
    ("Contrastive accuracy", "share of clips whose own key is the nearest", ("accuracy",)),
    ("Teacher entropy (nats)", "of the targets over the neighbours", ("teacher_entropy",)),
    ("Target softness α", "weight of the soft targets", ("alpha",)),
    ("Entropy (nats)", "a prediction near uniform has learnt nothing", _ENTROPIES),
    ("Target mass on the diagonal", "1: a hard target", ("target_diagonal",)),
    ("Alignment", "mean similarity of a clip and its own prompt", ("alignment",)),
    ("Uniformity", "lower is more spread out", ("uniformity",)),
    ("Learning rate", "", ("lr",)),
)
_NO_CURVE = ("epoch", "step", "clips_per_second", "seconds")


@dataclass(frozen=True)
class Bar:
    """One row of the results: a rate from 0 to 1, or None where it cannot be had."""

    name: str
    top1: float | None
    top5: float | None = None
    ours: bool = False
    note: str = ""
    without_copies: float | None = None
    interval: tuple[float, float] | None = None


@as_inline_svg
def bar_chart(rows: Sequence[Bar]) -> Figure:
    """Top-1 of the run beside its baselines, the run's bars in colour."""
    shown = [r for r in rows if r.top1 is not None]
    figure, (axes,) = panels(1, 1, 9.0, 0.6 + 0.36 * len(shown))
    rates = [100 * (r.top1 or 0.0) for r in shown]
    axes.barh(range(len(shown)), rates, color=[BLUE if r.ours else GREY for r in shown], height=0.68)
    for y, (row, rate) in enumerate(zip(shown, rates, strict=True)):
        weight = "bold" if row.ours else "normal"
        axes.text(rate + 0.8, y, f"{rate:.1f}", va="center", color=INK, fontweight=weight)
    axes.set_yticks(range(len(shown)), [r.name for r in shown], color=INK)
    axes.invert_yaxis()
    axes.set_xlim(0, 106)
    axes.set_xticks(range(0, 101, 20))
    axes.set_xlabel("top-1, % of the test clips")
    axes.grid(axis="y", visible=False)
    return figure


def curve_groups(metrics: Sequence[Mapping[str, float]]) -> list[tuple[str, str, list[str]]]:
    """Panels for the metrics that were logged: title, hint, names; unknown names get their own panel."""
    names = [n for n in dict.fromkeys(key for row in metrics for key in row) if n not in _NO_CURVE]
    groups = []
    for title, hint, roots in _CURVES:
        found = [n for n in names if n.split("/")[0] in roots]
        if found:
            groups.append((title, hint, found))
    known = {root for _, _, roots in _CURVES for root in roots}
    others: dict[str, list[str]] = {}
    for name in names:
        if name.split("/")[0] not in known:
            others.setdefault(name.split("/")[0], []).append(name)
    return groups + [(root, "", found) for root, found in others.items()]


@as_inline_svg
def curves(metrics: Sequence[Mapping[str, float]]) -> Figure:
    """Small multiples of everything that was logged per epoch."""
    groups = curve_groups(metrics)
    figure, axes = panels(len(groups), 3, 3.9, 2.9)
    for panel, (title, hint, names) in zip(axes, groups, strict=True):
        for colour, name in zip(SERIES * len(names), names, strict=False):
            points = [(row.get("epoch", i), row[name]) for i, row in enumerate(metrics) if name in row]
            whole = any(other.startswith(name + "/") for other in names)  # the sum, among its parts
            style: dict[str, Any] = {"color": INK, "linewidth": 2.4} if whole else {"color": colour}
            if name == "uniform_entropy":  # a constant to compare with
                style = {"color": MUTED, "linestyle": "--", "linewidth": 1.2}
            marker = "o" if len(points) < 3 else None
            label = name.split("/", 1)[-1].replace("_", " → " if "/" in name else " ")
            panel.plot(*zip(*points, strict=True), label=label, marker=marker, **style)
        panel.set_title(title, pad=20)
        above: dict[str, Any] = {"xytext": (0, 6), "textcoords": "offset points", "xycoords": "axes fraction"}
        panel.annotate(hint, (0, 1), **above, color=MUTED, fontsize=9)
        panel.set_xlabel("epoch")
        panel.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        if len(names) > 1:
            panel.legend(fontsize=8, ncols=2 if len(names) > 3 else 1)
    return figure


@as_inline_svg
def similarity_histograms(bins: np.ndarray, counts: Mapping[str, Mapping[str, np.ndarray]]) -> Figure:
    """Densities of off-diagonal similarities: one panel per pair, one outline per named state.

    Args:
        bins: edges of the bins, from -1 to 1.
        counts: per pair (``skeleton_language``) and state (``first epoch``) the counts per bin.

    Shape:
        - bins: (B + 1,); each count: (B,)
    """
    figure, axes = panels(len(counts), 2, 5.8, 3.2)
    fills = (GREY, BLUE, ORANGE)
    for panel, (pair, states) in zip(axes, counts.items(), strict=True):
        for colour, (state, count) in zip(fills, states.items(), strict=False):
            density = count / max(float((count * np.diff(bins)).sum()), 1e-12)
            panel.stairs(density, bins, fill=True, color=colour, alpha=0.25)
            panel.stairs(density, bins, color=MUTED if colour == GREY else colour, linewidth=1.6, label=state)
        used = np.nonzero(np.sum(list(states.values()), axis=0))[0]
        if len(used):
            panel.set_xlim(bins[max(used[0] - 1, 0)], bins[min(used[-1] + 2, len(bins) - 1)])
        panel.set_title(pair_name(pair))
        panel.set_xlabel("cosine similarity of a clip and another clip's prompt")
        panel.set_yticks([])
        panel.legend(fontsize=8.5, loc="upper left", bbox_to_anchor=(0, -0.24), borderaxespad=0)
    return figure


def pair_name(pair: str) -> str:
    """A pair of modalities in words.

    >>> pair_name("skeleton_language")
    'skeleton and language'
    """
    return " and ".join(pair.split("_"))
