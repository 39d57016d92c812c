"""Adapt a trained run to another data set, or to another part of its own.

Three ways, from no labels to all of them: batch norm's statistics estimated anew on unlabelled clips, a new
linear classifier on frozen encoders, and fine-tuning everything. The result is a run like any other; its
``config.yaml`` says what it came from under ``adapted``. The encoder keeps its layout: clips of another one
are retargeted to it.

Source: MMCL (Liu et al., ACM MM 2024), the adaptation to SYSU-Action; batch norm's statistics after Li, Wang,
Shi, Liu, Hou: Revisiting batch normalization for practical domain adaptation, 2016.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from torch.nn.modules.batchnorm import _BatchNorm

from kinelex.data import SkeletonStore, open_store
from kinelex.data.loader import SkeletonLoader
from kinelex.data.persons import say_crowded
from kinelex.data.scored_clips import clips_to_read
from kinelex.datasets import get_split
from kinelex.errors import InputError, check_name
from kinelex.training.build import InitialWeights
from kinelex.training.encoder_files import SkeletonEncoder, complete_options, load_encoders, save_run
from kinelex.training.recipe import Recipe, find_recipe, listed_changes, plain
from kinelex.training.run_directory import RunDirectory, check_free
from kinelex.training.store_defaults import resolve_for
from kinelex.training.train import rehearse, reopen, store_config, train_resolved

MODES = ("batch_norm", "linear", "full")
# Augmentation is the recipe's; the rest of `input` says how clips are prepared, and belongs to the weights.
_AUGMENTATION = (
    "crop", "crop_minimum", "rotation", "scaling", "view_probability", "noise", "shear", "corrupt",
    "shear_probability", "augment",
)  # fmt: skip
# What must be known of a run that another was adapted from: what it learned, and where.
_ORIGIN = ("method", "dataset", "store_fingerprint", "protocol", "stores", "adapted", "converted")
_CLIPS_AT_A_TIME = 64


@dataclass(frozen=True)
class AdaptOptions:
    """How a run is adapted, beside the mode.

    Args:
        labels: share of the training part's labels to learn from, balanced over the classes: the protocol
            ``PROTOCOL:few-balanced:SHARE:SEED``, with the seed of the training.
        overrides: ``key=value`` changes to the recipe, one or several.
        recipe: the recipe, by name or file; ``adapt/linear`` or ``adapt/full`` by default. Where it names
            streams, those of the run are adapted and the others left out.
        resume: go on with the run that is there.
    """

    labels: float | None = None
    overrides: str | Sequence[str] = ()
    recipe: str | None = None
    resume: bool = False


def adapt(
    run: str | Path,
    data: str | Path,
    protocol: str,
    out: str | Path,
    mode: str,
    options: AdaptOptions = AdaptOptions(),
    console: Console | None = None,
) -> RunDirectory:
    """Adapt a run's encoders to the training part of a protocol.

    Args:
        run: the run directory, of any method.
        data: the skeleton store.
        protocol: a protocol of the store, for example ``xsub``.
        out: the run directory to make, or to go on with.
        mode: ``batch_norm`` estimates batch norm's statistics anew on the training part, whose labels are
            not read; ``linear`` learns a new linear classifier on frozen encoders; ``full`` fine-tunes
            everything, from the run's classifier where the classes are the same, else from a new one.
        options: how.
        console: where to print.

    Raises:
        InputError: anything that does not fit together; nothing is written then.
    """
    check_name("mode", mode, MODES)
    base, store, resume = RunDirectory(run), open_store(data), options.resume
    origin = {key: value for key, value in base.config.items() if key in _ORIGIN and value is not None}
    record = {"mode": mode, "run": str(base.path.resolve()), "from": origin}
    if mode == "batch_norm":
        flags = {"--labels": options.labels, "--resume": resume or None, "--recipe": options.recipe}
        given = [*listed_changes(options.overrides), *(flag for flag in flags if flags[flag] is not None)]
        if given:
            raise InputError(f"batch_norm learns nothing and reads no labels: leave out {' '.join(given)}")
        return _with_new_statistics(base, store, protocol, out, record, console or Console())
    recipe, start = _prepared(base, store, mode, options, record)
    if options.labels is not None:
        protocol = f"{protocol}:few-balanced:{options.labels:g}:{recipe.training.seed}"
    if resume:
        if RunDirectory(out).config.get("adapted") != record:
            raise InputError(f"{out} was not adapted from {run} with --mode {mode}: resume with the same")
        recipe, _ = reopen(out, store, protocol, options.overrides)
    return train_resolved(recipe, store, protocol, out, resume=resume, console=console, start=start)


def check_adapt(
    run: str | Path, store: SkeletonStore, protocol: str, mode: str, options: AdaptOptions
) -> None:
    """See whether a run can be adapted (``linear`` or ``full``), before anything is trained or written."""
    recipe, start = _prepared(RunDirectory(run), store, mode, options, {})
    rehearse(recipe, store, protocol, start)


def _prepared(
    base: RunDirectory, store: SkeletonStore, mode: str, options: AdaptOptions, record: dict[str, Any]
) -> tuple[Recipe, InitialWeights]:
    """The recipe, with the run's structure and preparation of clips, and the weights to begin with."""
    encoders = load_encoders(base.path, store=store)
    name, content = find_recipe(options.recipe or f"adapt/{mode}", store.meta.dataset)
    wanted, frozen = content.get("method", {}), mode == "linear"
    if wanted.get("name") != "supervised" or bool(wanted.get("frozen")) != frozen:
        raise InputError(
            f"recipe {name}: --mode {mode} expects method.name supervised and method.frozen "
            f"{'true' if frozen else 'false'}"
        )
    streams = wanted.get("streams") or list(encoders)
    missing = next((stream for stream in streams if stream not in encoders), None)
    if missing is not None:
        raise InputError(
            f"recipe {name} adapts the stream {missing}, the run has {', '.join(encoders)}: take "
            "another recipe"
        )
    encoders = {stream: encoders[stream] for stream in streams}
    several, first = len(encoders) > 1, next(iter(encoders))
    config = asdict(encoders[first].pipeline.config)
    stream = "joint" if several else first
    fixed = {k: v for k, v in config.items() if k not in _AUGMENTATION} | {"stream": stream}
    content = {
        **content,
        "encoder": {k: v for k, v in complete_options(base.config["encoder"]).items() if k != "in_channels"},
        "method": {**content["method"], "streams": list(encoders) if several else []},
    }
    settled, changed = (resolve_for(store, name, content, o, fixed) for o in ((), options.overrides))
    for section, keys in (("encoder", settled.encoder), ("method", ("name", "streams", "frozen"))):
        before, after = getattr(settled, section), getattr(changed, section)
        wrong = next((k for k in keys if after.get(k) != before[k]), None)
        if wrong is not None:
            raise InputError(f"an adapted run keeps its encoders: leave out {section}.{wrong}=...")
    if changed.input.stream != stream:
        raise InputError("an adapted run keeps its streams: leave out input.stream=...")
    classifiers = [e.classifier is not None and e.class_names == store.class_names for e in encoders.values()]
    return changed, InitialWeights(encoders, mode == "full" and all(classifiers), record)


def _with_new_statistics(
    base: RunDirectory,
    store: SkeletonStore,
    protocol: str,
    out: str | Path,
    record: dict[str, Any],
    console: Console,
) -> RunDirectory:
    """The run of ``batch_norm``."""
    encoders, split = load_encoders(base.path, store=store), get_split(store, protocol)
    check_free(out, can_resume=False)
    if not any(_batch_norms(encoder) for encoder in encoders.values()):
        raise InputError(f"the encoders of {base.path} have no batch norm: adapt with --mode linear or full")
    estimate_batch_norm(encoders, store, split.train)
    first, origin = next(iter(encoders.values())), base.config
    config = {
        "recipe": None,
        "adapted": record,
        **store_config(store, protocol),
        "method": origin["method"],
        "encoder": origin["encoder"],
        "input": plain(asdict(first.pipeline.config)),
        "plugins": origin.get("plugins", []),
    }
    linears = {s: e.classifier for s, e in encoders.items() if e.classifier is not None}
    modules = {stream: encoder.encoder for stream, encoder in encoders.items()}
    options = {k: v for k, v in origin["encoder"].items() if k != "in_channels"}
    run = save_run(out, config, modules, options, first.pipeline, linears, first.class_names)
    say_crowded(console, store, split.train, first.pipeline.config.persons)
    clips = f"{len(split.train)} clips of {store.meta.dataset} ({protocol})"
    console.print(f"batch norm estimated on {clips}, no label read", markup=False, soft_wrap=True)
    return run


@torch.no_grad()
def estimate_batch_norm(
    encoders: dict[str, SkeletonEncoder], store: SkeletonStore, rows: np.ndarray, seed: int = 0
) -> None:
    """Estimate batch norm's statistics anew, in place: their means over batches of clips in random order.

    Clips are prepared as at test time; dropout is off. Labels are not read.
    """
    order = np.random.default_rng(seed).permutation(rows)
    batches = np.array_split(order, -(-len(order) // _CLIPS_AT_A_TIME))
    config = next(iter(encoders.values())).pipeline.config
    clips = clips_to_read(store, order, config.scores)
    loader = SkeletonLoader(clips, order, _CLIPS_AT_A_TIME, places=config.persons)
    norms = [norm for encoder in encoders.values() for norm in _batch_norms(encoder)]
    momenta = [norm.momentum for norm in norms]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    for encoder in encoders.values():
        encoder.to(device).eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches
        norm.train()
    for chosen in batches:
        batch = loader.batch(chosen).to(device)
        for encoder in encoders.values():
            encoder(encoder.pipeline(batch))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()
    for encoder in encoders.values():
        encoder.cpu()


def _batch_norms(encoder: SkeletonEncoder) -> list[Any]:
    return [m for m in encoder.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
