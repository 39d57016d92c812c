"""One look for all figures, and the way from a figure to a data URI."""

from __future__ import annotations

import base64
import io
import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, MUTED, GRID = "#1d2733", "#66727f", "#e3e7eb"
BLUE, ORANGE, GREEN, RED, GREY = "#1f5fa8", "#d9731a", "#2f8f5b", "#c0392b", "#a9b3bd"
SERIES = (BLUE, ORANGE, GREEN, "#8d4bab", RED, "#8a6d3b", "#d16aa5", "#5d6d7e")
# Classes: every colour in one marker, then every colour in the next.
CLASS_COLOURS = (
    "#1f5fa8", "#e07b1a", "#2f9e5f", "#c8382b", "#8456b3", "#8a5a44", "#e377c2", "#7a7a7a", "#a3a51f",
    "#1aa7b8",
)  # fmt: skip
CLASS_MARKERS = ("o", "^", "s", "D", "v", "P", "X", "*", "<", ">", "h", "p")

# Colours that follow the page's style sheet.
_THEME = {INK: "--ink", MUTED: "--muted", GRID: "--line", BLUE: "--right", ORANGE: "--left", GREY: "--muted"}
_RC: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelcolor": MUTED,
    "axes.edgecolor": GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "svg.hashsalt": "kinelex",
}
_P = ParamSpec("_P")


@contextmanager
def house_style() -> Iterator[None]:
    """Figures made inside look like those of the report; settings of the caller come back after."""
    with matplotlib.rc_context(_RC):
        yield


def as_svg(draw: Callable[_P, Figure]) -> Callable[_P, str]:
    """Turn a function that draws a figure into one that returns it as an SVG data URI."""

    @wraps(draw)
    def drawn(*args: _P.args, **kwargs: _P.kwargs) -> str:
        with house_style():
            file = io.BytesIO()
            nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
            draw(*args, **kwargs).savefig(file, format="svg", bbox_inches="tight", metadata=nothing)
        return "data:image/svg+xml;base64," + base64.b64encode(file.getvalue()).decode()

    return drawn


def as_inline_svg(draw: Callable[_P, Figure]) -> Callable[_P, str]:
    """Turn a function that draws a figure into one that returns it as an ``<svg>`` element.

    Colours of the house become variables of the page's style sheet, so the figure follows its theme.
    """

    @wraps(draw)
    def drawn(*args: _P.args, **kwargs: _P.kwargs) -> str:
        with house_style(), matplotlib.rc_context({"svg.fonttype": "none"}):
            file = io.StringIO()
            nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
            figure = draw(*args, **kwargs)
            figure.savefig(file, format="svg", bbox_inches="tight", metadata=nothing, transparent=True)
        text = file.getvalue()
        text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
        text = re.sub(r' id="(figure|axes|patch|text|line2d|matplotlib|xtick|ytick|legend)[^"]*"', "", text)
        for colour, variable in _THEME.items():
            text = re.sub(colour, f"var({variable})", text, flags=re.IGNORECASE)
        width, height = re.findall(r'(?:width|height)="([\d.]+)pt"', text)[:2]
        size = f'style="width: {float(width) * 4 / 3:.0f}px" viewBox="0 0 {width} {height}"'
        return re.sub(r"^<svg[^>]*>", f'<svg class="figure" role="img" {size}>', text)

    return drawn


def panels(count: int, columns: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """A grid of ``count`` axes, each ``width`` by ``height`` inches; axes beyond the count are hidden."""
    columns = min(columns, count)
    rows = math.ceil(count / columns)
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).ravel())
    for extra in axes[count:]:
        extra.set_visible(False)
    return figure, axes[:count]


def class_style(label: int) -> tuple[str, str]:
    """Colour and marker of a class: distinct for 120 classes."""
    shape = label // len(CLASS_COLOURS) % len(CLASS_MARKERS)
    return CLASS_COLOURS[label % len(CLASS_COLOURS)], CLASS_MARKERS[shape]
