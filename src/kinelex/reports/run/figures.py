"""Curves of the training, histograms of the similarities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kinelex.reports.run.style import (
    BLUE,
    GREY,
    INK,
    MUTED,
    ORANGE,
    SERIES,
    Panel,
    as_panels,
    epoch_panel,
    legend,
    panel,
)

_ENTROPIES = ("target_entropy", "prediction_entropy", "uniform_entropy")
_LEARNED = ("Training accuracy", "share of the training clips that got their class", ("accuracy",))
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


def curve_groups(
    metrics: Sequence[Mapping[str, float]], labels: bool = False
) -> list[tuple[str, str, list[str]]]:
    """Panels for the metrics that were logged: title, hint, names; unknown names get their own panel."""
    names = [n for n in dict.fromkeys(key for row in metrics for key in row) if n not in _NO_CURVE]
    groups = []
    for title, hint, roots in _CURVES:
        if labels and roots == ("accuracy",):
            title, hint, roots = _LEARNED
        found = [n for n in names if n.split("/")[0] in roots]
        if found:
            groups.append((title, hint, found))
    known = {root for _, _, roots in _CURVES for root in roots}
    others: dict[str, list[str]] = {}
    for name in names:
        if name.split("/")[0] not in known:
            others.setdefault(name.split("/")[0], []).append(name)
    return groups + [(root, "", found) for root, found in others.items()]


def curve_panels(metrics: Sequence[Mapping[str, float]], labels: bool = False) -> list[Panel]:
    """Small multiples of everything that was logged per epoch; see :func:`curve_groups`."""
    drawn = []
    for title, hint, names in curve_groups(metrics, labels):
        figure, axes = epoch_panel()
        lines = []
        for colour, name in zip(SERIES * len(names), names, strict=False):
            points = [(row.get("epoch", i), row[name]) for i, row in enumerate(metrics) if name in row]
            whole = any(other.startswith(name + "/") for other in names)  # the sum, among its parts
            style: dict[str, Any] = {"color": INK, "linewidth": 2.4} if whole else {"color": colour}
            if name == "uniform_entropy":  # a constant to compare with
                style = {"color": MUTED, "linestyle": "--", "linewidth": 1.2}
            marker = "o" if len(points) < 3 else None
            axes.plot(*zip(*points, strict=True), marker=marker, **style)
            label = name.split("/", 1)[-1].replace("_", " → " if "/" in name else " ")
            lines.append((label, style["color"]))
        drawn.append(Panel(title, figure, hint, lines if len(lines) > 1 else ()))
    return drawn


curves = as_panels(curve_panels)


def similarity_histograms(bins: np.ndarray, counts: Mapping[str, Mapping[str, np.ndarray]]) -> str:
    """Densities of off-diagonal similarities: one panel per pair, one outline per named state.

    Shape:
        - bins: (B + 1,); each count: (B,)
    """
    states = dict.fromkeys(state for of in counts.values() for state in of)
    colours = dict(zip(states, (MUTED, BLUE, ORANGE), strict=False))
    return _histograms(bins, counts, colours) + legend(list(colours.items()))


@as_panels
def _histograms(
    bins: np.ndarray, counts: Mapping[str, Mapping[str, np.ndarray]], colours: Mapping[str, str]
) -> list[Panel]:
    drawn = []
    for pair, states in counts.items():
        figure, axes = panel(3.9)
        for state, count in states.items():
            density, colour = count / max(float((count * np.diff(bins)).sum()), 1e-12), colours[state]
            fill = GREY if colour == MUTED else colour
            axes.stairs(density, bins, fill=True, color=fill, alpha=0.25)
            axes.stairs(density, bins, color=colour, linewidth=1.6)
        used = np.nonzero(np.sum(list(states.values()), axis=0))[0]
        if len(used):
            axes.set_xlim(bins[max(used[0] - 1, 0)], bins[min(used[-1] + 2, len(bins) - 1)])
        axes.set_xlabel("cosine of a clip and another's prompt")
        axes.set_yticks([])
        drawn.append(Panel(pair_name(pair), figure))
    return drawn


def pair_name(pair: str) -> str:
    """A pair of modalities in words.

    >>> pair_name("skeleton_language")
    'skeleton and language'
    """
    return " and ".join(pair.split("_"))
