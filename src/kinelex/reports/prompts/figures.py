"""Histograms and heat maps that take the colours of the page, light or dark."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from kinelex.reports.run.style import BLUE, INK, MUTED, ORANGE, SERIES, as_inline_svg, panels, plain
from kinelex.reports.run.task_curves import line_colours

_MOST_NAMES = 65  # classes up to which a heat map has names


@as_inline_svg
def length_histogram(lengths: Mapping[str, Sequence[int]], long: int) -> Figure:
    """Answers by number of words, from 0 on, an outline per prompt store, and a line after ``long`` words."""
    figure, (axes,) = panels(1, 1, 9.0, 2.6)
    last = max(int(np.searchsorted(np.cumsum(n), 0.999 * np.sum(n))) for n in lengths.values())
    width = max(1, (last + 1) // 60)
    edges = np.arange(0, last + 2 * width, width)
    for colour, (name, counts) in zip(line_colours(len(lengths)), lengths.items(), strict=True):
        cut = np.minimum(np.arange(len(counts)), edges[-1] - 1)
        bars = np.histogram(cut, edges, weights=np.asarray(counts, float))[0]
        _outline(axes, 100 * bars / max(bars.sum(), 1), edges - 0.5, colour, plain(name))
    if last > long:
        axes.axvline(long + 0.5, color=MUTED, linestyle="--", linewidth=1)
    axes.set_xlabel("words in an answer")
    axes.set_ylabel("% of the answers")
    _legend(axes, len(lengths))
    return figure


@as_inline_svg
def similarity_histograms(rows: Mapping[str, Mapping[str, np.ndarray]]) -> Figure:
    """One panel per title, one outline per named group of similarities, each with an area of 100 %."""
    figure, axes = panels(len(rows), 2, 5.4, 2.7)
    for panel, (title, groups) in zip(axes, rows.items(), strict=True):
        values = np.concatenate(list(groups.values()))
        low, high = np.quantile(values, [0.001, 0.999]) if len(values) else (0.0, 1.0)
        edges = np.linspace(low, max(high, low + 1e-3), 51)
        for colour, (name, group) in zip((ORANGE, BLUE, SERIES[2]), groups.items(), strict=False):
            bars = np.histogram(np.clip(group, edges[0], edges[-1]), edges)[0]
            _outline(panel, 100 * bars / max(bars.sum(), 1), edges, colour, name)
        panel.set_title(plain(title))
        panel.set_xlabel("cosine similarity")
        panel.set_ylabel("%")
        _legend(panel, len(groups))
    return figure


def _outline(axes: Axes, heights: np.ndarray, edges: np.ndarray, colour: str, name: str) -> None:
    axes.stairs(heights, edges, fill=True, color=colour, alpha=0.25)
    axes.stairs(heights, edges, color=colour, linewidth=1.5, label=name)


def _legend(axes: Axes, count: int) -> None:
    if count > 1:
        axes.legend(fontsize=9, loc="upper left", bbox_to_anchor=(0, -0.24), borderaxespad=0, ncols=3)


@as_inline_svg
def class_heat_map(similarity: np.ndarray, names: Sequence[str]) -> Figure:
    """Mean similarity of clips of two classes: the stronger the colour, the more alike."""
    count = len(names)
    side = min(max(3.6, 0.26 * count), 11.0)
    figure, (axes,) = panels(1, 1, side + 1.6, side + 1.2)
    low, high = np.nanmin(similarity), np.nanmax(similarity)
    strength = np.nan_to_num((similarity - low) / max(high - low, 1e-6))
    colour = np.broadcast_to(to_rgb("#3b82cf"), (count, count, 3))
    rgba = np.concatenate([colour, strength[..., None]], axis=2)
    axes.imshow(rgba, interpolation="none")
    axes.grid(visible=False)
    axes.spines[:].set_visible(True)
    if count <= _MOST_NAMES:
        size = 10 if count <= 30 else 7.5
        shown = [plain(name) for name in names]
        axes.set_xticks(range(count), shown, rotation=50, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(count), shown)
        axes.tick_params(labelsize=size, labelcolor=INK, length=0)
    return figure


def most_alike(
    similarity: np.ndarray, names: Sequence[str], most: int = 8
) -> list[tuple[str, str, float, float]]:
    """Pairs of different classes whose clips are most alike: names, their similarity, and that within them.

    >>> most_alike(np.array([[0.9, 0.7, 0.1], [0.7, 0.8, 0.2], [0.1, 0.2, 0.6]]), ["sit", "squat", "wave"], 1)
    [('sit', 'squat', 0.7, 0.8)]
    """
    first, second = np.triu_indices(len(names), 1)
    values = similarity[first, second]
    order = [i for i in np.argsort(-values, kind="stable") if not np.isnan(values[i])][:most]
    within = np.diag(similarity)
    pairs = [(first[i], second[i], float(values[i])) for i in order]
    return [(names[a], names[b], alike, float(np.fmin(within[a], within[b]))) for a, b, alike in pairs]
