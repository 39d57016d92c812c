"""Gather what the report shows, and render it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kinelex import __version__
from kinelex.errors import InputError
from kinelex.evaluation.baselines import raw_features
from kinelex.evaluation.context import Context
from kinelex.evaluation.published import published_numbers
from kinelex.evaluation.rows import classifying_tasks, percent, result_rows, task_titles
from kinelex.files.atomic import write_whole
from kinelex.files.npy import read_npz
from kinelex.inference.cache import Cache, digest
from kinelex.inference.fusion import joined
from kinelex.reports.page.templates import template
from kinelex.reports.page.view import seen_from
from kinelex.reports.run.examples import Gallery, nearest_clips
from kinelex.reports.run.figures import curves, similarity_histograms
from kinelex.reports.run.maps import (
    confusion_figure,
    feature_maps,
    map_caption,
    project,
    worst_confusions,
)
from kinelex.reports.run.task_sections import other_sets, published_section, task_sections
from kinelex.training.learned import reads_labels
from kinelex.training.run_directory import RunDirectory

_MOST_POINTS = 1500  # test clips on the map


def write_report(
    context: Context,
    result: Mapping[str, Any],
    metric: str = "cosine",
    against: RunDirectory | None = None,
    map_by: str = "tsne",
) -> Path:
    """Write ``report.html`` into a run directory: one file, no reference to anything outside.

    Args:
        context: the run that was evaluated, and its clips.
        result: what :func:`kinelex.evaluation.evaluate` returns.
        metric: of the nearest neighbours that are shown, ``cosine`` or ``euclidean``.
        against: another run to compare similarity histograms with, for example of hard targets.
        map_by: how the features are brought to two dimensions, ``tsne`` or ``umap``.

    Returns:
        The file's path.

    Raises:
        InputError: no such map, or UMAP without umap-learn.
    """
    run, store = context.run, context.store
    features = joined([context.features(stream, context.test) for stream in context.encoders])
    metrics = run.metrics()
    task = classifying_tasks(result)[0]
    confusion = np.asarray(result[task]["confusion"])
    names, titles = store.class_names, task_titles(result)
    judged = [of for of in titles if "top1" in result[of]]
    histograms, missing = _histograms(context, metrics, against)
    neighbours = nearest_clips(context, features, metric)
    gallery = Gallery(store, context.train, context.test, neighbours, context.prompts)
    filters = {
        "percent": percent,
        "capfirst": lambda text: text[:1].upper() + text[1:],
    }
    page = template("kinelex.reports.run", filters=filters).render(
        title=f"{run.config['method']['name']} on {store.meta.dataset}",
        protocol=result["protocol"],
        version=__version__,
        verdict=_verdict(result),
        rows=result_rows(result),
        published=published_section(published_numbers(result["dataset"], result["protocol"], judged), titles),
        tasks=task_sections(result),
        others=other_sets(run),
        counts=result["counts"],
        settings=_settings(run),
        epochs=len(metrics),
        curves=_drawn(context, curves, metrics, reads_labels(run.config)) if metrics else None,
        histograms=histograms,
        no_histograms=missing,
        map=_map(context, features, map_by),
        map_caption=map_caption(map_by, min(len(context.test), _MOST_POINTS)),
        task=titles[task],
        confusion=_drawn(context, confusion_figure, confusion, names),
        worst=worst_confusions(confusion, names),
        per_class=_per_class(result, names, confusion),
        hardest=gallery.hardest(confusion),
        examples=gallery.hits(),
        has_prompts=context.prompts is not None,
        seen_from=seen_from(store.layout, store.channels),
    )
    path = run.path / "report.html"
    write_whole(path, page)
    return path


def flatten(tree: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested settings as rows of dotted name and value.

    >>> flatten({"method": "c2vl", "encoder": {"name": "stgcn", "width": 32}})
    [('method', 'c2vl'), ('encoder.name', 'stgcn'), ('encoder.width', '32')]
    """
    rows = []
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            rows += flatten(value, f"{prefix}{key}.")
        else:
            rows.append((f"{prefix}{key}", "–" if value is None else str(value)))
    return rows


def _settings(run: RunDirectory) -> list[tuple[str, list[tuple[str, str]]]]:
    """Titled tables of settings: what was trained on, one per section of the recipe, the environment."""
    plain = {k: v for k, v in run.config.items() if not isinstance(v, Mapping)}
    sections = [(k, flatten(v)) for k, v in run.config.items() if isinstance(v, Mapping)]
    return [("data", flatten(plain)), *sections, ("environment", flatten(run.environment))]


def _verdict(result: Mapping[str, Any]) -> list[str]:
    """Sentences that say whether training paid, by the numbers."""
    baselines = result.get("baselines", {})
    sentences = []
    for task, kind, alike in (
        ("classify", "The run's own classifier", "linear"),
        ("knn", "Nearest neighbours on the features", "knn"),
        ("linear", "The linear probe", "linear"),
    ):
        if task in result:
            together = ", all streams together" if "streams" in result[task] else ""
            parts = [f"{kind}{together}: {100 * result[task]['top1']:.1f} % top-1"]
            for key, name in (
                (f"untrained_{alike}", f"the untrained encoder{' with a linear probe' * (alike != task)}"),
                ("raw_knn", "raw coordinates"),
                ("raw_knn_aligned", "raw coordinates in the body's frame"),
            ):
                if baselines.get(key) is not None:
                    lead = 100 * (result[task]["top1"] - baselines[key])
                    points = f"{abs(lead):.1f} points {'above' if lead >= 0 else 'below'}"
                    parts.append(f"{'level with' if abs(lead) < 0.05 else points} {name}")
            sentences.append(parts[0] + (", " + ", ".join(parts[1:]) if parts[1:] else "") + ".")
    return sentences


def _per_class(result: Mapping[str, Any], names: tuple[str, ...], confusion: np.ndarray) -> dict[str, Any]:
    """Rates of the classes by task; the hardest of the first task come first."""
    tasks = classifying_tasks(result)
    rates = confusion.diagonal() / np.maximum(confusion.sum(axis=1), 1)
    order = np.argsort(np.where(confusion.sum(axis=1) > 0, rates, np.inf), kind="stable")
    rows = [(names[c], [result[t]["per_class"][names[c]] for t in tasks]) for c in order]
    return {"tasks": [t.replace("_", " ") for t in tasks], "rows": rows}


def _drawn(context: Context, draw: Callable[..., str], *content: Any) -> str:
    """A figure, kept in the run's cache: to import matplotlib and draw takes longer than all the rest."""
    name = f"figure-{draw.__name__}"
    key = digest(name, content)
    found = context.cache.read_json(name, key)
    if found is None:
        found = draw(*content), {}
        context.cache.write_json(name, key, found[0])
    return str(found[0])


def _projected(cache: Cache, features: np.ndarray, method: str) -> np.ndarray:
    """Features in two dimensions, kept: t-SNE takes longer than the rest of the page."""
    key = digest(features, method)
    found = cache.read("map", key)
    if found is None or "places" not in found:
        found = {"places": project(features, method=method)}
        cache.write("map", key, found)
    return found["places"]


def _map(context: Context, features: np.ndarray, method: str) -> str | None:
    """Maps of features and raw coordinates, or None with too few clips."""
    test, store = context.test, context.store
    if len(test) < 4:
        return None
    places = np.arange(len(test))
    if len(test) > _MOST_POINTS:
        places = np.sort(np.random.default_rng(0).choice(len(test), _MOST_POINTS, replace=False))
    raw = raw_features(store, test[places], frames=32)
    maps = {
        "features of the encoder": _projected(context.cache, features[places], method),
        "raw coordinates": _projected(context.shared, raw, method),
    }
    return _drawn(context, feature_maps, maps, store.labels[test[places]], store.class_names)


def _histograms(
    context: Context, metrics: list[dict[str, float]], against: RunDirectory | None
) -> tuple[str | None, str]:
    """The figure of similarity histograms, or None and why."""
    mine = _diagnostics(context.run)
    if mine is None:
        return None, "the run recorded no similarities"
    hard = bool(metrics) and metrics[0].get("alpha") == 0
    other = _diagnostics(against) if against else None
    states = {}
    for pair, counts in mine[1].items():
        states[pair] = {
            "first epoch" + (" (α = 0: hard targets)" if hard else ""): counts[0],
            "last epoch" + (f" (α = {metrics[-1]['alpha']:.2g})" if hard else ""): counts[-1],
        }
        if against and other and pair in other[1] and np.array_equal(other[0], mine[0]):
            states[pair][f"last epoch of {against.path.name}"] = other[1][pair][-1]
    return _drawn(context, similarity_histograms, mine[0], states), ""


def _diagnostics(run: RunDirectory) -> tuple[np.ndarray, dict[str, np.ndarray]] | None:
    file = run.path / "diagnostics.npz"
    if not file.is_file():
        return None
    content, prefix = read_npz(file), "off_diagonal/"
    pairs = {n.removeprefix(prefix): values for n, values in content.items() if n.startswith(prefix)}
    if pairs and len({len(values.T) for values in pairs.values()} | {len(content.get("bins", ())) - 1}) > 1:
        raise InputError(f"{file} is damaged: bins and counts do not fit each other")
    return (content["bins"], pairs) if pairs else None
