"""Adapt, then evaluate: what fine-tuning, few labels and transfer share, with ``kinelex adapt`` itself.

The training is :func:`kinelex.training.adapt.adapt`, into ``<run>/evaluation/unfinished/<key>``. What it
gives on the test clips goes to the cache, then the folder is deleted. Of a process that was killed a run is
left that has no ``encoder.json``, which nothing takes for a finished one; the next call with the same
settings goes on with it.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console

from kinelex.data import SkeletonStore
from kinelex.datasets import get_split
from kinelex.errors import InputError
from kinelex.evaluation.context import Context
from kinelex.evaluation.protocols.supervision import known_of
from kinelex.files.lock import InUseError, sole_writer
from kinelex.inference.cache import digest, run_digest
from kinelex.inference.features import extract_all
from kinelex.training.encoder_files import SkeletonEncoder, load_encoders, save_encoders
from kinelex.training.learned import learned_parts
from kinelex.training.recipe import find_recipe
from kinelex.training.run_directory import RunDirectory

if TYPE_CHECKING:
    from kinelex.training.adapt import AdaptOptions

FULL = Path("adapt/full")  # the recipe


def adapted_scores(
    context: Context,
    protocol: str,
    changes: Sequence[str] = (),
    scratch: bool = False,
    recipe: Path = FULL,
) -> dict[str, np.ndarray]:
    """Logits of a protocol's labelled test clips by the run after fine-tuning on its training part.

    The seed and the device are the context's; from ``scratch`` the same training begins with random weights.

    Returns:
        (n_test, classes of the store) by stream.

    Raises:
        InputError: what :func:`~kinelex.training.adapt.adapt` refuses, or another process at the same work.
    """
    from kinelex.training.adapt import adapt  # brings the trainer, which other tasks do not wait for

    store, split = context.store, get_split(context.store, protocol)
    test = split.test[store.labels[split.test] >= 0]
    options, settings = _options(context, changes, recipe), find_recipe(str(recipe), store.meta.dataset)
    parts = (protocol, (split.train, test), options.overrides, scratch, settings)
    key = digest(run_digest(context.run.path), context.encoder_digests, context.store_digest, *parts)
    cached = context.cache.read("adapted", key)
    if cached is not None:
        return cached
    out = context.run.evaluation_dir / "unfinished" / key
    untrained = out.with_name(f"{key}-base")
    with _alone(out):
        can_go_on = (out / "config.yaml").is_file() and (out / "checkpoints" / "last.ckpt").is_file()
        if context.fresh or not can_go_on:
            shutil.rmtree(out, ignore_errors=True)
        base = _untrained(context, untrained) if scratch else context.run.path
        options = _options(context, changes, recipe, resume=out.exists())
        trained = _finished(out) or adapt(
            base, store.path, protocol, out, "full", options, Console(quiet=True)
        )
        encoders = load_encoders(trained.path)
        scores = class_scores(encoders, store, test, context.batch_size, context.device)
        context.cache.write("adapted", key, scores)
        for folder in (out, untrained):
            shutil.rmtree(folder, ignore_errors=True)
    return scores


def check_adapted(context: Context, protocol: str, changes: Sequence[str], recipe: Path = FULL) -> None:
    """See whether :func:`adapted_scores` can do its work, before anything is trained."""
    from kinelex.training.adapt import check_adapt  # brings the trainer, which other tasks do not wait for

    check_adapt(context.run.path, context.store, protocol, "full", _options(context, changes, recipe))


def class_scores(
    encoders: Mapping[str, SkeletonEncoder],
    store: SkeletonStore,
    rows: np.ndarray,
    batch_size: int | None,
    device: str,
) -> dict[str, np.ndarray]:
    """Logits (n, classes) of clips by the classifiers of the encoders that have one, by stream."""
    features = extract_all(encoders, store, rows, batch_size, device)
    layers = {stream: encoder.last_layer() for stream, encoder in encoders.items()}
    return {s: features[s] @ layer[0].T + layer[1] for s, layer in layers.items() if layer is not None}


def refuse_learned(run: RunDirectory, store: SkeletonStore, train: np.ndarray, task: str) -> None:
    """Refuse a run that has learned the labels which a task is to take away."""
    for _, count in known_of(learned_parts(run.config), store, train):
        raise InputError(
            f"{task} asks what few labels are worth, and {run.path} has learned those of {count} of the "
            f"{len(train)} training clips: leave {task} out"
        )


def _options(context: Context, changes: Sequence[str], recipe: Path, resume: bool = False) -> AdaptOptions:
    """The evaluation's seed and device, and what was asked for."""
    from kinelex.training.adapt import AdaptOptions

    accelerator = "cpu" if context.device.startswith("cpu") else "gpu"
    overrides = [f"training.seed={context.seed}", f"training.accelerator={accelerator}", *changes]
    return AdaptOptions(overrides=overrides, recipe=str(recipe), resume=resume)


def _finished(out: Path) -> RunDirectory | None:
    """The run, where its training was done before the process ended."""
    return RunDirectory(out) if (out / "encoder.json").is_file() else None


def _untrained(context: Context, path: Path) -> Path:
    """A run as the context's before its training: random weights, no classifier."""
    shutil.rmtree(path, ignore_errors=True)
    encoders = load_encoders(context.run.path, untrained_seed=context.seed)
    first, config = next(iter(encoders.values())), context.run.config
    sections: dict[str, Any] = {k: config[k] for k in ("method", "encoder", "input") if k in config}
    RunDirectory.create(path, {"recipe": None, **sections})
    options = {k: v for k, v in config["encoder"].items() if k != "in_channels"}
    save_encoders(path, {s: e.encoder for s, e in encoders.items()}, options, first.pipeline)
    return path


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Hold the folder against other processes that evaluate the same run."""
    try:
        with sole_writer(out):
            yield
    except InUseError as error:
        raise InputError(
            f"another process is fine-tuning the same in {out}: wait for it, then call again"
        ) from error
    with suppress(OSError):  # something is left to go on with
        out.parent.rmdir()
