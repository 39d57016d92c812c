"""Curves that tasks leave (robustness, few labels, calibration): one panel each, of one run or of several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from kinelex.evaluation.report._style import MUTED, SERIES, as_inline_svg, panels

Panels = dict[str, dict[str, Any]]


def panels_of(by_group: Mapping[str, Sequence[Mapping[str, Any]]]) -> Panels:
    """Put curves of the same name into one panel.

    Args:
        by_group: per line the curves of its runs, by name ``x``, ``y``, ``label`` and ``xlabel``.

    >>> panels_of({"a": [{"noise": {"x": [0, 1], "y": [0.9, 0.5], "label": "joint noise"}}]})
    {'joint noise': {'xlabel': '', 'diagonal': False, 'lines': {'a': ([0, 1], [0.9, 0.5])}}}
    """
    panels: Panels = {}
    for name, runs in by_group.items():
        for key in dict.fromkeys(key for curves in runs for key in curves):
            curves = [of[key] for of in runs if key in of]
            first = curves[0]
            alike = [curve["y"] for curve in curves if curve["x"] == first["x"]]
            mean = [None if None in values else float(np.mean(values)) for values in zip(*alike, strict=True)]
            panel = {"xlabel": first.get("xlabel", ""), "diagonal": key == "reliability", "lines": {}}
            title = first.get("label", key)
            panels.setdefault(title, panel)["lines"][name] = (first["x"], mean)
    return panels


@as_inline_svg
def task_curves(curves: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Small multiples of a task's curves.

    Args:
        curves: by title of the panel ``xlabel`` and ``lines``: by name x and y, rates from 0 to 1.
    """
    figure, axes = panels(len(curves), 2, 4.7, 3.0)
    count = max(len(curve["lines"]) for curve in curves.values())
    for panel, (label, curve) in zip(axes, curves.items(), strict=True):
        lines = list(curve["lines"].items())
        named = any(isinstance(value, str) for _, (x, _) in lines for value in x)
        for place, (colour, (name, (x, y))) in enumerate(zip(line_colours(count), lines, strict=False)):
            rates = np.array([np.nan if value is None else 100 * value for value in y])
            if named:
                width = 0.7 / len(lines)
                left = np.arange(len(x)) - 0.35 + width * (place + 0.5)
                panel.bar(left, rates, width, color=colour, label=name)
                panel.set_xticks(np.arange(len(x)), [str(value).replace("_", " ") for value in x])
                panel.tick_params(axis="x", labelrotation=30)
            else:
                panel.plot(x, rates, "o-", color=colour, label=name, markersize=4)
                panel.xaxis.set_major_locator(MaxNLocator(5))
        if curve.get("diagonal"):
            panel.plot([0, 1], [0, 100], color=MUTED, linestyle="--", linewidth=1.1)
        panel.set_title(label)
        panel.set_xlabel(curve.get("xlabel", ""))
        panel.set_ylabel("%")
        panel.set_ylim(0, 102)
    if count > 1:
        legend_below(figure, axes[0], count)
    return figure


def legend_below(figure: Figure, axes: Any, count: int) -> None:
    """One legend for all panels, below them."""
    if count > 1:
        handles, labels = axes.get_legend_handles_labels()
        columns = max(1, min(4, 110 // (8 + max(map(len, labels), default=1))))
        figure.legend(handles, labels, loc="outside lower left", ncols=columns, fontsize=9)


def line_colours(count: int) -> list[str]:
    """Colours of lines: those of the house, and steps of one scale where these are too few.

    >>> len(set(line_colours(12)))
    12
    """
    if count <= len(SERIES):
        return list(SERIES[:count])
    return [to_hex(c) for c in matplotlib.colormaps["viridis"](np.linspace(0.1, 0.9, count))]
