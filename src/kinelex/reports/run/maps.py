"""The maps of the features (t-SNE, UMAP) and the confusion matrix."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from kinelex.errors import InputError, unknown_name
from kinelex.inference.threads import one_thread
from kinelex.inference.vectors import unit_rows
from kinelex.reports.run.style import (
    BLUE,
    GRID,
    INK,
    PAPER,
    Panel,
    as_inline_svg,
    as_panels,
    class_style,
    panel,
    panels,
    plain,
    themed,
)
from kinelex.reports.run.tsne import principal_components, tsne

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAPS = {"tsne": "t-SNE", "umap": "UMAP"}
_MOST_NUMBERS, _MOST_NAMES = 30, 65  # classes up to which the matrix shows counts, and names
_SHADES = 20
_PERPLEXITY, _NEIGHBOURS, _DISTANCE = 30.0, 30, 0.5
_SIGNS = dict(zip("o^sDvPX*<>hp", "●▲■◆▼✚✖★◀▶⬢⬟", strict=True))  # markers as letters


def check_map(method: str) -> None:
    """Refuse a map that there is not, or whose package is not installed.

    Raises:
        InputError: no such map, or UMAP without umap-learn.

    >>> check_map("tsne")
    """
    if method not in MAPS:
        raise unknown_name("map", method, MAPS)
    if method == "umap":
        _umap()


def project(features: np.ndarray, seed: int = 0, method: str = "tsne") -> np.ndarray:
    """Two dimensions by t-SNE or UMAP on unit vectors (after PCA to 50), the same for the same seed.

    Shape:
        - features: (N, F), N of 4 or more
        - returns: (N, 2)

    Raises:
        InputError: no such map, or UMAP without umap-learn.
    """
    check_map(method)
    unit = unit_rows(features)
    with one_thread():
        reduced = principal_components(unit, min(50, *unit.shape))
    if method == "tsne":
        return tsne(reduced, _perplexity(len(unit)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a seed leaves one thread
        start = "spectral" if len(unit) > 10 else "random"
        fixed = {"n_components": 2, "min_dist": _DISTANCE, "random_state": seed, "n_jobs": 1}
        how = _umap().UMAP(n_neighbors=_neighbours(len(unit)), init=start, **fixed)
        threads = torch.get_num_threads()
        try:
            return np.asarray(how.fit_transform(reduced))
        finally:  # numba, by which UMAP runs, sets OpenMP's number for all the process
            torch.set_num_threads(threads)


def map_caption(method: str, count: int) -> str:
    """Which map it is, and its parameters.

    >>> map_caption("tsne", 400)
    't-SNE (perplexity 30, after PCA to 50 at most)'
    """
    by = {
        "tsne": f"perplexity {_perplexity(count):g}",
        "umap": f"{_neighbours(count)} neighbours, least distance {_DISTANCE}",
    }
    return f"{MAPS[method]} ({by[method]}, after PCA to 50 at most)"


def _perplexity(count: int) -> float:
    return min(_PERPLEXITY, round((count - 1) / 3, 1))


def _neighbours(count: int) -> int:
    return min(_NEIGHBOURS, count - 1)


def _umap() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it says that TensorFlow is not there
            import umap
    except ImportError as error:
        raise InputError("the map umap needs umap-learn: pip install 'kinelex[umap]'") from error
    return umap


def feature_maps(maps: dict[str, np.ndarray], labels: np.ndarray, class_names: Sequence[str]) -> str:
    """Projections side by side, coloured by class, with each class's number at its middle.

    Shape:
        - each map: (N, 2); labels: (N,)
    """
    names = []
    for c in np.unique(labels):
        colour, marker = class_style(int(c))
        sign = f'<b style="color: {themed(colour)}">{_SIGNS[marker]}</b>'
        names.append(f"<span>{sign}{c}&ensp;{escape(class_names[c])}</span>")
    return f'{_maps(maps, labels)}<p class="classes">{"".join(names)}</p>'


@as_panels
def _maps(maps: dict[str, np.ndarray], labels: np.ndarray) -> list[Panel]:
    from matplotlib.patheffects import withStroke

    drawn = []
    for title, points in maps.items():
        figure, axes = panel(4.6, 4.6)
        for c in np.unique(labels):
            colour, marker = class_style(int(c))
            mine = points[labels == c]
            style: dict[str, Any] = {"linewidths": 0.4, "edgecolors": PAPER}
            axes.scatter(mine[:, 0], mine[:, 1], s=18, c=colour, marker=marker, **style)
        for c in np.unique(labels):
            halo = [withStroke(linewidth=3, foreground=PAPER)]
            x, y = _middle(points[labels == c])
            axes.text(x, y, str(c), size=9, ha="center", va="center", weight="bold", path_effects=halo)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_box_aspect(1)
        axes.spines[:].set_color(GRID)
        axes.spines[:].set_visible(True)
        drawn.append(Panel(title, figure))
    return drawn


def _middle(points: np.ndarray) -> tuple[float, float]:
    """The point that is nearest to the others: unlike a mean it lies in a group, not between two."""
    distances = np.linalg.norm(points[:, None] - points[None], axis=2).sum(axis=1)
    x, y = points[distances.argmin()]
    return float(x), float(y)


@as_inline_svg
def confusion_figure(confusion: np.ndarray, class_names: Sequence[str]) -> Figure:
    """Rows are true classes; the colour is the share of the row, the number the count of clips.

    Shape:
        - confusion: (classes, classes) counts
    """
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    count = len(class_names)
    side = min(max(4.2, 0.36 * count), 13.0)
    figure, (axes,) = panels(1, 1, side + 2.2, side + 1.6)
    share = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    for level in range(1, _SHADES + 1):  # all cells of one shade are one shape: 14 400 would be too many
        cells = np.argwhere(np.ceil(_SHADES * share) == level)
        if len(cells):
            corners = cells[:, None, ::-1] + [[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5], [0, 0]]
            codes = [Path.MOVETO, *[Path.LINETO] * 3, Path.CLOSEPOLY] * len(cells)
            shape = Path(corners.reshape(-1, 2), codes)
            axes.add_patch(PathPatch(shape, color=BLUE, alpha=0.05 + 0.95 * level / _SHADES, linewidth=0))
    for i, j in np.argwhere(confusion > 0) if count <= _MOST_NUMBERS else ():
        colour = PAPER if share[i, j] > 0.65 else INK
        axes.text(j, i, str(confusion[i, j]), ha="center", va="center", color=colour, fontsize=9)
    axes.set_xlim(-0.5, count - 0.5)
    axes.set_ylim(count - 0.5, -0.5)
    axes.set_box_aspect(1)
    axes.grid(visible=False)
    axes.spines[:].set_visible(True)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    axes.set_xticks([])
    axes.set_yticks([])
    if count <= _MOST_NAMES:
        size = 10 if count <= _MOST_NUMBERS else 7
        names = [plain(name) for name in class_names]
        axes.set_xticks(range(count), names, rotation=50, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(count), names)
        axes.tick_params(labelsize=size, labelcolor=INK, length=0)
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
