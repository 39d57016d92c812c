"""The map of the features (t-SNE) and the confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from kinelex.evaluation.report._style import BLUE, GRID, INK, as_svg, class_style, panels

_WHITE_TO_BLUE = LinearSegmentedColormap.from_list("house", ["#ffffff", "#cfe0f2", BLUE, "#0e3057"])
_MOST_NUMBERS, _MOST_NAMES = 30, 65  # classes up to which the matrix shows counts, and names


def project(features: np.ndarray, seed: int = 0) -> np.ndarray:
    """Two dimensions by t-SNE on unit vectors (after PCA to 50), the same for the same seed.

    Shape:
        - features: (N, F), N of 4 or more
        - returns: (N, 2)
    """
    unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    size = min(50, *unit.shape)
    reduced = PCA(size, random_state=seed).fit_transform(unit)
    perplexity = min(30.0, (len(unit) - 1) / 3)
    return TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(reduced)


@as_svg
def feature_maps(maps: dict[str, np.ndarray], labels: np.ndarray, class_names: Sequence[str]) -> Figure:
    """Projections side by side, coloured by class, with each class's number at its middle.

    Args:
        maps: per title a projection.
        labels: classes of the points.
        class_names: one name per class, for the legend.

    Shape:
        - each map: (N, 2); labels: (N,)
    """
    present = np.unique(labels)
    columns = 4 if max(len(class_names[c]) for c in present) < 22 else 3
    legend_rows = -(-len(present) // columns)
    figure, axes = panels(len(maps), 2, 6.0, 5.4 + 0.22 * legend_rows)
    for panel, (title, points) in zip(axes, maps.items(), strict=True):
        for c in present:
            colour, marker = class_style(int(c))
            mine = points[labels == c]
            panel.scatter(
                mine[:, 0], mine[:, 1], s=26, c=colour, marker=marker, linewidths=0.4, edgecolors="white"
            )
        for c in present:
            halo = [withStroke(linewidth=3, foreground="white")]
            x, y = _middle(points[labels == c])
            panel.text(x, y, str(c), ha="center", va="center", weight="bold", path_effects=halo)
        panel.set_title(title)
        panel.set_xticks([])
        panel.set_yticks([])
        panel.set_box_aspect(1)
        panel.spines[:].set_color(GRID)
        panel.spines[:].set_visible(True)
    handles = []
    for c in present:
        colour, marker = class_style(int(c))
        name = f"{c}  {class_names[c]}"
        handles.append(Line2D([], [], color=colour, marker=marker, linestyle="", markersize=7, label=name))
    figure.legend(handles=handles, loc="outside lower left", ncols=columns, fontsize=10, handletextpad=0.3)
    return figure


def _middle(points: np.ndarray) -> tuple[float, float]:
    """The point that is nearest to the others: unlike a mean it lies in a group, not between two."""
    distances = np.linalg.norm(points[:, None] - points[None], axis=2).sum(axis=1)
    x, y = points[distances.argmin()]
    return float(x), float(y)


@as_svg
def confusion_figure(confusion: np.ndarray, class_names: Sequence[str]) -> Figure:
    """Rows are true classes; the colour is the share of the row, the number the count of clips.

    Shape:
        - confusion: (classes, classes) counts
    """
    count = len(class_names)
    side = min(max(4.2, 0.38 * count), 13.0)
    figure, (axes,) = panels(1, 1, side + 2.2, side + 1.6)
    share = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    axes.imshow(share, cmap=_WHITE_TO_BLUE, vmin=0, vmax=1)
    axes.grid(visible=False)
    axes.spines[:].set_visible(True)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    if count <= _MOST_NAMES:
        size = 10 if count <= _MOST_NUMBERS else 7
        axes.set_xticks(range(count), class_names, rotation=50, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(count), class_names)
        axes.tick_params(labelsize=size, labelcolor=INK, length=0)
    if count <= _MOST_NUMBERS:
        for i, j in np.argwhere(confusion > 0):
            colour = "white" if share[i, j] > 0.5 else INK
            axes.text(j, i, str(confusion[i, j]), ha="center", va="center", color=colour, fontsize=9)
    return figure


def worst_confusions(
    confusion: np.ndarray, class_names: Sequence[str], most: int = 8
) -> list[tuple[str, str, int, int]]:
    """The most frequent mistakes: true class, predicted class, how many, out of how many.

    >>> worst_confusions(np.array([[3, 1], [0, 5]]), ["sit", "walk"])
    [('sit', 'walk', 1, 4)]
    """
    wrong = confusion * ~np.eye(len(confusion), dtype=bool)
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    pairs = [divmod(int(flat), len(confusion)) for flat in order]
    totals = confusion.sum(axis=1)
    return [
        (class_names[i], class_names[j], int(wrong[i, j]), int(totals[i])) for i, j in pairs if wrong[i, j]
    ]
