"""From a recipe and stores to a method that is ready for its first step."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException

from kinelex import encoders
from kinelex.data import open_prompts
from kinelex.data.clip_prompts import PromptStatistics, StorePrompts
from kinelex.data.dataset import ClipDataset
from kinelex.data.loader import SkeletonLoader
from kinelex.data.scored_clips import clips_to_read
from kinelex.data.several import (
    SeveralDataset,
    SeveralPrompts,
    SeveralStores,
    Stores,
    listed_paths,
    target_layout,
)
from kinelex.datasets import Split
from kinelex.encoders import Encoder
from kinelex.errors import InputError
from kinelex.methods import Method, method_class
from kinelex.skeleton import SkeletonLayout
from kinelex.training.config import TrainingConfig
from kinelex.training.encoder_files import SkeletonEncoder
from kinelex.training.module import MethodModule
from kinelex.training.recipe import Recipe
from kinelex.training.recompute import recompute_blocks
from kinelex.training.store_defaults import with_person_norms, with_places
from kinelex.training.sync_batch_norm import synchronise_batch_norms
from kinelex.transforms import InputPipeline
from kinelex.transforms.rate import check_rates
from kinelex.transforms.several import SeveralPipelines


@dataclass(frozen=True)
class InitialWeights:
    """What a training begins with instead of fresh weights.

    Args:
        encoders: trained encoders by stream; they keep their layout and clips are retargeted to it, but for
            those that read any layout.
        keeps_classifiers: whether their last layers are taken over too.
        record: where they come from, for ``config.yaml``.
    """

    encoders: Mapping[str, SkeletonEncoder]
    keeps_classifiers: bool
    record: dict[str, Any]

    def layout_for(self, source: SkeletonLayout) -> SkeletonLayout:
        """The layout in which they read clips of a layout."""
        return next(iter(self.encoders.values())).reading(source).layout

    def load_into(self, method: Method) -> None:
        """Give a method the weights."""
        for stream, encoder in self.encoders.items():
            method.encoders[stream].load_state_dict(encoder.encoder.state_dict())
            if self.keeps_classifiers and encoder.classifier is not None:
                method.classifiers[stream].load_state_dict(encoder.classifier.state_dict())


def training_rows(recipe: Recipe, store: Stores, split: Split) -> np.ndarray:
    """The clips to learn from: for a supervised method those with a label."""
    name = recipe.method["name"]
    if not method_class(name).needs_labels:
        return split.train
    rows = split.train[store.labels[split.train] >= 0]
    stores = store.stores if isinstance(store, SeveralStores) else (store,)
    for one, part in zip(stores, _by_store(store, rows), strict=True):
        if len(part) == 0:
            where = split.name if one is store else f"{split.name} in {one.path}"
            raise InputError(f"{name} learns from labels, no clip of the training part of {where} has one")
    return rows


def _store_prompts(
    recipe: Recipe, store: Stores, rows: np.ndarray, prompts: str | Path | None
) -> StorePrompts | None:
    """The prompts of a method that reads them, checked; None for one that reads none."""
    name, modalities = recipe.method["name"], recipe.training.modalities
    method = method_class(name)
    reads = method.reads(recipe.method)
    if not method.needs_prompts:
        if prompts is not None or modalities:
            given = f"--prompts {prompts}" if prompts is not None else "training.modalities"
            raise InputError(f"{name} reads no prompts: leave out {given}")
        return None
    if reads is not None and modalities:
        raise InputError(f"what {name} reads follows from its own options: leave out training.modalities")
    if reads == ():
        return None
    if prompts is None:
        raise InputError(f"{name} needs prompts: pass --prompts PROMPTS (see `kinelex prompts`)")
    asked = modalities or None if reads is None else reads
    store_prompts: StorePrompts
    if isinstance(store, SeveralStores):
        store_prompts = SeveralPrompts([*map(open_prompts, listed_paths(prompts))], store, asked)
    else:
        opened = open_prompts(prompts)
        store_prompts = StorePrompts(opened, store, asked or opened.modalities)
    for modality, present in store_prompts.present.items():
        if not present[torch.from_numpy(rows)].any():
            what = "tiled pictures" if modality == "images" else f"{modality} prompts"
            raise InputError(f"{prompts}: no clip of the training part has {what}")
    store_prompts.check_images(rows)
    return store_prompts


def build_method(
    recipe: Recipe,
    layout: SkeletonLayout,
    channels: int,
    class_counts: tuple[int, ...],
    prompts: Mapping[str, PromptStatistics],
) -> Method:
    """The method of a recipe, with fresh weights.

    Raises:
        InputError: an option that cannot be, or an input that is no joints where streams are derived.
    """
    encoder, options, stream = dict(recipe.encoder), dict(recipe.method), recipe.input.stream
    encoder_name, method = encoder.pop("name"), method_class(options.pop("name"))

    def make_encoder() -> Encoder:
        return encoders.create(encoder_name, layout=layout, in_channels=channels, **encoder)

    if method.needs_labels:
        options |= {"num_classes": len(class_counts), "class_counts": class_counts}
    if method.needs_prompts:
        options["prompts"] = prompts
    if not (method.derives_streams or options.get("streams")):
        return method(make_encoder(), stream=stream, **options)
    if stream != "joint":
        raise InputError(
            f"{method.name} makes its streams from the joints: leave out input.stream={stream}, or choose "
            "one stream with it and leave out method.streams"
        )
    # made one after another, each before its head: the draws of a seed have this order
    return method(((name, make_encoder()) for name in options["streams"]), **options)


def build_module(
    recipe: Recipe,
    store: Stores,
    rows: np.ndarray,
    prompts: str | Path | None,
    start: InitialWeights | None = None,
) -> MethodModule:
    """The method of a recipe under Lightning, with its loader; a clip has passed through its encoder.

    Raises:
        InputError: anything that does not fit together.
    """
    store_prompts = _store_prompts(recipe, store, rows, prompts)
    training = recipe.training
    L.seed_everything(training.seed, verbose=False)
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    if training.threads:
        torch.set_num_threads(training.threads)
    _check_hardware(training)
    layout = target_layout(recipe.input.layout, store) if start is None else start.layout_for(store.layout)
    recipe = with_person_norms(recipe, store)
    labels = store.labels[rows]
    counts = tuple(np.bincount(labels[labels >= 0], minlength=len(store.class_names)).tolist())
    statistics = {} if store_prompts is None else store_prompts.statistics(rows)
    channels = 3 if recipe.input.scores or recipe.input.lift else store.channels
    method = build_method(recipe, layout, channels, counts, statistics)
    if start is not None:
        start.load_into(method)
    recipe = with_places(recipe, next(iter(method.encoders.values())), store)
    if training.processes > 1 and training.sync_batchnorm:
        synchronise_batch_norms(method)
    if training.recompute:
        recompute_blocks(method.encoders.values())
    check_rates(store.fps[rows], recipe.input.fps)
    loader = _loader(recipe, store, rows, store_prompts)
    method.check_step(loader.batch_size * training.processes)
    pipeline = (
        SeveralPipelines(layout, recipe.input, [one.layout for one in store.stores])
        if isinstance(store, SeveralStores)
        else InputPipeline(layout, recipe.input, store.layout)
    )
    module = MethodModule(method, pipeline, loader, recipe)
    _try_most_persons(
        module, np.array([part[store.persons[part].argmax()] for part in _by_store(store, rows)])
    )
    return module


def _by_store(store: Stores, rows: np.ndarray) -> list[np.ndarray]:
    """The rows of each store."""
    if not isinstance(store, SeveralStores):
        return [rows]
    which = store.located(rows)[0]
    return [rows[which == number] for number in range(len(store.stores))]


def _loader(recipe: Recipe, store: Stores, rows: np.ndarray, prompts: StorePrompts | None) -> SkeletonLoader:
    training = recipe.training
    on_device = training.placement == "device" and torch.cuda.is_available()
    options: dict[str, Any] = {
        "placement": training.placement,
        "device": "cuda" if on_device else "cpu",
        "places": recipe.input.persons,
        "prompts": prompts,
    }
    settings: dict[str, Any] = {"seed": training.seed, "repeat": training.repeat}
    dataset: ClipDataset | SeveralDataset
    if isinstance(store, SeveralStores):
        dataset = SeveralDataset(store, rows, scores=recipe.input.scores, **options)
        settings |= {"groups": store.located(rows)[0], "group_power": training.store_power}
    else:
        dataset = ClipDataset(clips_to_read(store, rows, recipe.input.scores), rows=rows, **options)
    batch_size = training.batch_size // training.processes
    return SkeletonLoader(dataset, rows, batch_size, shuffle=True, world_size=training.processes, **settings)


@torch.no_grad()
def _try_most_persons(module: MethodModule, rows: np.ndarray) -> None:
    """Pass the clips with the most persons through: what does not suit comes out before a file is written."""
    crowded, pipeline = module.loader.batch(rows), module.pipeline
    pipeline(crowded, pipeline.sample(crowded, torch.Generator().manual_seed(0)))
    next(iter(module.method.eval().encoders.values()))(pipeline(crowded).cpu())
    module.method.train()


def _check_hardware(training: TrainingConfig) -> None:
    """Ask Lightning for the devices before anything is written."""
    try:
        L.Trainer(**training.hardware, logger=False, enable_checkpointing=False, enable_progress_bar=False)
    except (MisconfigurationException, ValueError) as error:
        words = ", ".join(f"{name}={value}" for name, value in training.hardware.items())
        raise InputError(f"{words} cannot be used on this machine: {error}") from error
