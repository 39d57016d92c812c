"""Curves that tasks leave (robustness, few labels, calibration): one panel each, of one run or of several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kinelex.reports.run.style import MUTED, SERIES, Panel, as_panels, legend, panel

Panels = dict[str, dict[str, Any]]


def panels_of(by_group: Mapping[str, Sequence[Mapping[str, Any]]]) -> Panels:
    """Put curves of the same name into one panel: of a group the mean of its runs, where these have the same
    places; of runs that have others (reliability), a line each.

    >>> panels_of({"a": [{"noise": {"x": [0, 1], "y": [0.9, 0.5], "label": "joint noise"}}]})
    {'joint noise': {'xlabel': '', 'diagonal': False, 'lines': {'a': [([0, 1], [0.9, 0.5])]}}}
    """
    panels: Panels = {}
    for name, runs in by_group.items():
        for key in dict.fromkeys(key for curves in runs for key in curves):
            curves = [of[key] for of in runs if key in of]
            first, alike = curves[0], dict[tuple[Any, ...], list[Any]]()
            for curve in curves:
                alike.setdefault(tuple(curve["x"]), []).append(curve["y"])
            lines = [
                (list(x), [None if None in v else float(np.mean(v)) for v in zip(*y, strict=True)])
                for x, y in alike.items()
            ]
            panel = {"xlabel": first.get("xlabel", ""), "diagonal": key == "reliability", "lines": {}}
            title = first.get("label", key)
            panels.setdefault(title, panel)["lines"][name] = lines
    return panels


def task_curves(curves: Mapping[str, Mapping[str, Any]]) -> str:
    """Small multiples of a task's curves, and one legend where they have several lines."""
    names = list(dict.fromkeys(name for curve in curves.values() for name in curve["lines"]))
    colours = dict(zip(names, line_colours(len(names)), strict=True))
    return _panels(curves, colours) + legend(list(colours.items()) if len(names) > 1 else ())


@as_panels
def _panels(curves: Mapping[str, Mapping[str, Any]], colours: Mapping[str, str]) -> list[Panel]:
    from matplotlib.ticker import MaxNLocator

    drawn = []
    for title, curve in curves.items():
        figure, axes = panel()
        lines, unit = curve["lines"], 100 if curve["diagonal"] else 1
        shown = [(name, *line) for name, of in lines.items() for line in of]
        places = list(dict.fromkeys(value for _, x, _ in shown for value in x))
        named = any(isinstance(value, str) for value in places)
        width = 0.7 / len(shown)
        for number, (name, x, y) in enumerate(shown):
            rates = np.array([np.nan if value is None else 100 * value for value in y])
            if named:
                left = np.array([places.index(value) for value in x]) - 0.35
                axes.bar(left + width * (number + 0.5), rates, width, color=colours[name])
            else:
                axes.plot([unit * value for value in x], rates, "o-", color=colours[name], markersize=4)
        if named:
            axes.set_xticks(range(len(places)), [str(value).replace("_", " ") for value in places])
            axes.tick_params(axis="x", labelrotation=30)
        else:
            axes.xaxis.set_major_locator(MaxNLocator(5))
        if curve["diagonal"]:
            axes.plot([0, 100], [0, 100], color=MUTED, linestyle="--", linewidth=1.1)
        axes.set_xlabel(curve["xlabel"] + (", %" if curve["diagonal"] else ""))
        axes.set_ylabel("%")
        axes.set_ylim(0, 103)
        hint = "above the line: too cautious, below it: too sure" if curve["diagonal"] else ""
        drawn.append(Panel(title, figure, hint))
    return drawn


def line_colours(count: int) -> list[str]:
    """Colours of lines: those of the house, and steps of one scale where these are too few.

    >>> len(set(line_colours(12)))
    12
    """
    if count <= len(SERIES):
        return list(SERIES[:count])
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return [to_hex(c) for c in colormaps["viridis"](np.linspace(0.1, 0.9, count))]
