"""Figures of a comparison: bars with intervals, training curves, differences by class, curves of tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kinelex.evaluation.comparison.model import Column, Comparison, Group, Number
from kinelex.reports.run.style import (
    BLUE,
    GREY,
    INK,
    MUTED,
    ORANGE,
    PAPER,
    Panel,
    as_inline_svg,
    as_panels,
    epoch_panel,
    legend,
    panel,
    panels,
    plain,
)
from kinelex.reports.run.task_curves import line_colours
from kinelex.training.learned import reads_labels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CURVES = (
    ("Loss", ("loss",)),
    ("Target softness α", ("alpha",)),
    ("Entropy of the targets (nats)", ("target_entropy", "teacher_entropy")),
    ("Entropy of the predictions (nats)", ("prediction_entropy",)),
    ("Target mass on the diagonal", ("target_diagonal",)),
    ("Contrastive accuracy", ("accuracy",)),
    ("Training accuracy", ("accuracy",)),
)
_BY_LABELS = {"Contrastive accuracy": False, "Training accuracy": True}  # of methods that read them or not
_MOST_CLASSES = 40  # of the figure of differences


@as_panels
def bars(columns: Sequence[Column], groups: Sequence[Group], reference: int) -> list[Panel]:
    """A panel per number: a bar per group, a dot per run, the 95 % interval over the clips as a line.

    Numbers of few labels have curves instead; one that a single group of several has needs none.
    """
    drawn = [c for c in columns if sum(n is not None for n in c.numbers) > 1 or len(groups) == 1]
    return [Panel(f"{c.name}, %", _bars(c, groups, reference)) for c in drawn if c.task != "semi"]


def _bars(column: Column, groups: Sequence[Group], reference: int) -> Figure:
    from matplotlib.patheffects import withStroke

    shown = [(g, n, i == reference) for i, (g, n) in enumerate(zip(groups, column.numbers, strict=True)) if n]
    figure, axes = panel(height=0.6 + 0.42 * len(shown))
    halo = [withStroke(linewidth=3, foreground=PAPER)]
    top = max(_end(number) for _, number, _ in shown)
    for y, (group, number, is_reference) in enumerate(shown):
        mean = 100 * number.mean
        axes.barh(y, mean, color=GREY if is_reference else BLUE, alpha=0.55, height=0.42)
        if number.interval is not None:
            low, high = (100 * end for end in number.interval)
            axes.plot([low, high], [y, y], color=INK, linewidth=1.4)
        if len(number.values) > 1:
            values = [100 * value for value in number.values]
            axes.plot(values, [y] * len(values), "o", color=INK, markersize=3, alpha=0.8)
        end = _end(number) + 0.015 * top
        axes.text(end, y, f"{mean:.1f}", va="center", color=INK, size=9, path_effects=halo)
        axes.text(0, y - 0.26, plain(group.name), va="bottom", color=INK, size=9)
        if is_reference and len(shown) > 1:
            axes.axvline(mean, color=MUTED, linestyle="--", linewidth=1)
    axes.set_yticks([])
    axes.set_ylim(len(shown) - 0.7, -0.85)
    axes.set_xlim(0, 1.14 * top)
    axes.grid(axis="y", visible=False)
    return figure


def _end(number: Number) -> float:
    return 100 * max(*number.values, *(number.interval or ()), number.mean)


def training_curves(groups: Sequence[Group]) -> str | None:
    """Loss, α and entropies over the epochs: means over the seeds; None where nothing was logged."""
    logged, found = [[run.metrics() for run in group.runs] for group in groups], []
    labels = [reads_labels(group.runs[0].config) for group in groups]
    for title, metrics in _CURVES:
        shown = [_BY_LABELS.get(title, read) == read for read in labels]
        lines = [_curve(of if s else [[]], metrics) for of, s in zip(logged, shown, strict=True)]
        if any(len(values) for _, values in lines):
            found.append((title, lines))
    colours = line_colours(len(groups))
    several = [(group.name, colour) for group, colour in zip(groups, colours, strict=True)]
    return _drawn_curves(found, colours) + legend(several if len(groups) > 1 else ()) if found else None


def _curve(metrics: Sequence[Sequence[Mapping[str, float]]], names: Sequence[str]) -> tuple[Any, Any]:
    """Epochs that all runs have, and a metric's values (runs, epochs)."""
    for name in names:
        rows = [{row.get("epoch", i): row[name] for i, row in enumerate(of) if name in row} for of in metrics]
        common = sorted(set(rows[0]).intersection(*rows[1:]))
        if common:
            return common, np.array([[row[epoch] for epoch in common] for row in rows])
    return [], np.zeros((0, 0))


@as_panels
def _drawn_curves(found: Sequence[tuple[str, Any]], colours: Sequence[str]) -> list[Panel]:
    drawn = []
    for title, lines in found:
        figure, axes = epoch_panel()
        for colour, (epochs, values) in zip(colours, lines, strict=True):
            if len(values):
                style: dict[str, Any] = {"marker": "o"} if len(epochs) < 3 else {}
                axes.plot(epochs, values.mean(axis=0), color=colour, **style)
                if len(values) > 1:
                    edges = values.min(axis=0), values.max(axis=0)
                    axes.fill_between(epochs, *edges, color=colour, alpha=0.15, linewidth=0)
        drawn.append(Panel(title, figure))
    return drawn


def class_differences(comparison: Comparison, column: Column) -> str | None:
    """Points by class more or less than the reference; None without clips or with one group."""
    if column.per_class is None or len(comparison.groups) < 2:
        return None
    lead = 100 * (column.per_class - column.per_class[comparison.reference])
    places = [i for i in range(len(lead)) if i != comparison.reference and np.isfinite(lead[i]).any()]
    lead = lead[places]
    classes = np.flatnonzero(np.isfinite(lead).all(axis=0))
    if not places or not len(classes):
        return None
    size = np.abs(lead[:, classes]).max(axis=0)
    shown = classes[np.argsort(-size, kind="stable")][:_MOST_CLASSES]
    shown = shown[np.argsort(-lead[:, shown].mean(axis=0), kind="stable")]
    names = [comparison.class_names[c] for c in shown]
    if len(places) == 1:
        return _class_bars(lead[0, shown], names)
    return _class_map(lead[:, shown].T, names, [comparison.groups[i].name for i in places])


@as_inline_svg
def _class_bars(lead: np.ndarray, names: Sequence[str]) -> Figure:
    figure, (axes,) = panels(1, 1, 7.0, 0.9 + 0.24 * len(names))
    axes.barh(range(len(names)), lead, color=[BLUE if v >= 0 else ORANGE for v in lead], height=0.7)
    axes.axvline(0, color=MUTED, linewidth=1)
    axes.set_yticks(range(len(names)), [plain(name) for name in names], color=INK)
    axes.invert_yaxis()
    axes.set_xlabel("points more or less than the reference")
    axes.grid(axis="y", visible=False)
    return figure


@as_inline_svg
def _class_map(lead: np.ndarray, names: Sequence[str], groups: Sequence[str]) -> Figure:
    from matplotlib.patches import Rectangle

    figure, (axes,) = panels(1, 1, min(9.0, 3.2 + 0.75 * len(groups)), 1.4 + 0.25 * len(names))
    most = max(5.0, float(np.abs(lead).max()))
    axes.set_xlim(0, len(groups))
    axes.set_ylim(0, len(names))
    for (row, place), value in np.ndenumerate(lead):
        share, colour = abs(value) / most, BLUE if value > 0 else ORANGE
        axes.add_patch(Rectangle((place, row), 1, 1, color=colour, alpha=0.95 * share, linewidth=0))
        ink = PAPER if share > 0.6 else INK
        text = f"{value:+.0f}".replace("-", "−")
        text = "0" if text[1:] == "0" else text
        axes.text(place + 0.5, row + 0.5, text, ha="center", va="center", color=ink, fontsize=8)
    axes.set_yticks(np.arange(len(names)) + 0.5, [plain(name) for name in names], color=INK)
    shown = [plain(name) for name in groups]
    turned: dict[str, Any] = {"rotation": 30, "ha": "left", "rotation_mode": "anchor"}
    axes.set_xticks(np.arange(len(groups)) + 0.5, shown, color=INK, **turned)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.invert_yaxis()
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    return figure
