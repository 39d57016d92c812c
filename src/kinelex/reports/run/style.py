"""One look for all figures, and the way from a figure to a data URI."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from html import escape
from typing import TYPE_CHECKING, Any, ParamSpec

if TYPE_CHECKING:  # imported where something is drawn: who reads drawings from the cache does not wait for it
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, GRID, PAPER = "#1d2733", "#66727f", "#e3e7eb", "#fefefe"
BLUE, ORANGE, GREEN, RED, GREY = "#1f5fa8", "#d9731a", "#2f8f5b", "#c0392b", "#a9b3bd"
SERIES = (BLUE, ORANGE, GREEN, "#8d4bab", RED, "#8a6d3b", "#d16aa5", "#5d6d7e")
# Classes: every colour in one marker, then every colour in the next.
CLASS_COLOURS = (
    "#1f5fa8", "#e07b1a", "#2f9e5f", "#c8382b", "#8456b3", "#8a5a44", "#e377c2", "#7a7a7a", "#a3a51f",
    "#1aa7b8",
)  # fmt: skip
CLASS_MARKERS = ("o", "^", "s", "D", "v", "P", "X", "*", "<", ">", "h", "p")

# Colours that follow the page's style sheet.
_THEME = {INK: "--ink", MUTED: "--muted", GRID: "--line", PAPER: "--paper", GREY: "--grey"}
_THEME |= {BLUE: "--right", ORANGE: "--left"}
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
    from matplotlib import rc_context

    with rc_context(_RC):
        yield


@dataclass(frozen=True)
class Panel:
    """One of several figures that stand side by side where there is room."""

    title: str
    figure: Figure
    hint: str = ""
    legend: Sequence[tuple[str, str]] = ()


def as_inline_svg(draw: Callable[_P, Figure]) -> Callable[_P, str]:
    """Turn a function that draws a figure into one that returns it as an ``<svg>`` element.

    Colours of the house become variables of the page's style sheet, so the figure follows its theme.
    """

    @wraps(draw)
    def drawn(*args: _P.args, **kwargs: _P.kwargs) -> str:
        with house_style():
            return _svg(draw(*args, **kwargs), "tight")

    return drawn


def as_panels(draw: Callable[_P, Sequence[Panel]]) -> Callable[_P, str]:
    """Turn a function that draws panels into one that returns a ``<div>`` of ``<svg>`` elements.

    The page breaks the row of panels where it ends; titles and legends are text of the page.
    """

    @wraps(draw)
    def drawn(*args: _P.args, **kwargs: _P.kwargs) -> str:
        with house_style():
            shown = [
                f'<div class="panel"><h4>{escape(panel.title)}</h4>{_svg(panel.figure)}'
                + legend(panel.legend)
                + (f'<p class="hint">{escape(panel.hint)}</p>' if panel.hint else "")
                + "</div>"
                for panel in draw(*args, **kwargs)
            ]
        return f'<div class="panels">{"".join(shown)}</div>'

    return drawn


def legend(entries: Sequence[tuple[str, str]]) -> str:
    """Names beside their colours; nothing without any.

    >>> legend([("a < b", "#1f5fa8")])
    '<p class="legend"><span><i style="background: var(--right)"></i>a &lt; b</span></p>'
    """
    shown = [f'<span><i style="background: {themed(colour)}"></i>{escape(n)}</span>' for n, colour in entries]
    return f'<p class="legend">{"".join(shown)}</p>' if shown else ""


def _svg(figure: Figure, box: str | None = None) -> str:
    from matplotlib import rc_context

    with rc_context({"svg.fonttype": "none"}):
        file = io.StringIO()
        nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
        figure.savefig(file, format="svg", bbox_inches=box, metadata=nothing, transparent=True)
    text = file.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = re.sub(r' id="(figure|axes|patch|text|line2d|matplotlib|xtick|ytick|legend|Path)[^"]*"', "", text)
    text = themed(text)
    width, height = re.findall(r'(?:width|height)="([\d.]+)pt"', text)[:2]
    size = f'style="width: {float(width) * 4 / 3:.0f}px" viewBox="0 0 {width} {height}"'
    return re.sub(r"^<svg[^>]*>", f'<svg class="figure" role="img" {size}>', text)


def themed(text: str) -> str:
    """Text with the house's colours as variables of the page's style sheet."""
    for colour, variable in _THEME.items():
        text = re.sub(colour, f"var({variable})", text, flags=re.IGNORECASE)
    return text


def panel(width: float = 3.45, height: float = 2.5) -> tuple[Figure, Axes]:
    """A figure of one panel, in inches: three stand beside each other on a page, one on a phone."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def epoch_panel() -> tuple[Figure, Axes]:
    """A panel of curves over the epochs of a training."""
    from matplotlib.ticker import MaxNLocator

    figure, axes = panel()
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    return figure, axes


def panels(count: int, columns: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """A grid of ``count`` axes, each ``width`` by ``height`` inches; axes beyond the count are hidden."""
    from matplotlib.figure import Figure

    columns = min(columns, count)
    rows = math.ceil(count / columns)
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).ravel())
    for extra in axes[count:]:
        extra.set_visible(False)
    return figure, axes[:count]


def plain(name: str) -> str:
    """A name that matplotlib writes as it is: a dollar begins no formula, an underscore hides no label."""
    return name.replace("$", r"\$").replace("_", "\u200b_", 1 if name.startswith("_") else 0)


def class_style(label: int) -> tuple[str, str]:
    """Colour and marker of a class: distinct for 120 classes."""
    shape = label // len(CLASS_COLOURS) % len(CLASS_MARKERS)
    return CLASS_COLOURS[label % len(CLASS_COLOURS)], CLASS_MARKERS[shape]
