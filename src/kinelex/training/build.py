"""Private machinery of training: from a recipe and stores to a method that is ready for its first step."""

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
from kinelex.data import SkeletonStore, open_prompts
from kinelex.data.batch import Batch
from kinelex.data.loader import PromptTable, SkeletonLoader
from kinelex.data.persons import with_person_norms, with_places
from kinelex.datasets import Split
from kinelex.encoders import Encoder
from kinelex.errors import InputError
from kinelex.methods import Method, TrainingPart
from kinelex.skeleton import SkeletonLayout
from kinelex.training.config import TrainingConfig
from kinelex.training.encoder_files import SkeletonEncoder
from kinelex.training.module import MethodModule
from kinelex.training.recipe import METHODS, Recipe
from kinelex.training.sync_batch_norm import synchronise_batch_norms
from kinelex.transforms import InputPipeline
from kinelex.transforms.rate import check_rates


@dataclass(frozen=True)
class Start:
    """What a training begins with instead of fresh weights.

    Args:
        encoders: trained encoders by stream; they keep their layout, clips are retargeted to it.
        keeps_classifiers: whether their last layers are taken over too.
        record: where they come from, for ``config.yaml``.
    """

    encoders: Mapping[str, SkeletonEncoder]
    keeps_classifiers: bool
    record: dict[str, Any]

    @property
    def one(self) -> SkeletonEncoder:
        """One of them: they are all of one kind."""
        return next(iter(self.encoders.values()))

    def fill(self, method: Method) -> None:
        """Give a method the weights."""
        for stream, encoder in self.encoders.items():
            method.encoders[stream].load_state_dict(encoder.encoder.state_dict())
            if self.keeps_classifiers and encoder.classifier is not None:
                method.classifiers[stream].load_state_dict(encoder.classifier.state_dict())


def training_rows(recipe: Recipe, store: SkeletonStore, split: Split) -> np.ndarray:
    """The clips to learn from: for a supervised method those with a label."""
    name = recipe.method["name"]
    if not METHODS[name].needs_labels:
        return split.train
    rows = split.train[store.labels[split.train] >= 0]
    if len(rows) == 0:
        raise InputError(f"{name} learns from labels, no clip of the training part of {split.name} has one")
    return rows


def _prompt_table(
    recipe: Recipe, store: SkeletonStore, rows: np.ndarray, prompts: str | Path | None
) -> PromptTable | None:
    """The prompts of a method that reads them, checked; None for one that reads none."""
    name, modalities = recipe.method["name"], recipe.training.modalities
    reads = METHODS[name].reads(recipe.method)
    if not METHODS[name].needs_prompts:
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
    opened = open_prompts(prompts)
    table = PromptTable(opened, store, modalities or opened.modalities if reads is None else reads)
    for modality, present in table.present.items():
        if not present[torch.from_numpy(rows)].any():
            what = "tiled pictures" if modality == "images" else f"{modality} prompts"
            raise InputError(f"{prompts}: no clip of the training part has {what}")
    table.check_images(rows)
    return table


def _make_method(
    recipe: Recipe,
    store: SkeletonStore,
    layout: SkeletonLayout,
    rows: np.ndarray,
    table: PromptTable | None,
) -> Method:
    encoder = dict(recipe.encoder)
    encoder_name = encoder.pop("name")

    def make_encoder() -> Encoder:
        return encoders.create(encoder_name, layout=layout, in_channels=store.channels, **encoder)

    options = dict(recipe.method)
    labels = store.labels[rows]
    part = TrainingPart(
        recipe.input.stream,
        {} if table is None else table.shapes(),
        store.class_names,
        tuple(np.bincount(labels[labels >= 0], minlength=len(store.class_names)).tolist()),
    )
    return METHODS[options.pop("name")].build(make_encoder, part, **options)


def build_module(
    recipe: Recipe,
    store: SkeletonStore,
    rows: np.ndarray,
    prompts: str | Path | None,
    start: Start | None = None,
) -> MethodModule:
    table = _prompt_table(recipe, store, rows, prompts)
    training = recipe.training
    L.seed_everything(training.seed, verbose=False)
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    if training.threads:
        torch.set_num_threads(training.threads)
    _check_hardware(training)
    layout = store.layout if start is None else start.one.layout
    recipe = with_person_norms(recipe, store)
    method = _make_method(recipe, store, layout, rows, table)
    if start is not None:
        start.fill(method)
    recipe = with_places(recipe, next(iter(method.encoders.values())), store)
    if training.devices > 1 and training.sync_batchnorm:
        synchronise_batch_norms(method)
    if table is not None:
        method.fit_prompts(table.statistics(rows))
    if training.batch_size % training.devices:
        raise InputError(
            f"expects a batch size that {training.devices} devices can share, got {training.batch_size}"
        )
    loader = SkeletonLoader(
        store,
        rows,
        training.batch_size // training.devices,
        shuffle=True,
        seed=training.seed,
        placement=training.placement,
        device="cuda" if training.placement == "device" and torch.cuda.is_available() else "cpu",
        prompts=table,
        repeat=training.repeat,
        world_size=training.devices,
        places=recipe.input.persons,
    )
    check_rates(store.fps[rows], recipe.input.fps)
    pipeline = InputPipeline(layout, recipe.input, store.layout)
    method.check_step(loader.batch_size * training.devices)
    _rehearse(method, pipeline, loader.batch(rows[[store.persons[rows].argmax()]]))
    return MethodModule(method, pipeline, loader, recipe, store.class_names)


@torch.no_grad()
def _rehearse(method: Method, pipeline: InputPipeline, crowded: Batch) -> None:
    """What does not suit the clips comes out here, before anything is written.

    Args:
        crowded: the clip with the most persons, which an encoder of few places cannot take.
    """
    pipeline(crowded, pipeline.sample(crowded, torch.Generator().manual_seed(0)))
    x = pipeline(crowded).cpu()
    encoder = next(iter(method.encoders.values()))
    encoder.eval()(x)
    encoder.train()


def _check_hardware(training: TrainingConfig) -> None:
    """Ask Lightning for the devices before anything is written."""
    asked = {name: getattr(training, name) for name in ("accelerator", "devices", "precision")}
    try:
        L.Trainer(**asked, logger=False, enable_checkpointing=False, enable_progress_bar=False)
    except (MisconfigurationException, ValueError) as error:
        words = ", ".join(f"{name}={value}" for name, value in asked.items())
        raise InputError(f"{words} cannot be used on this machine: {error}") from error
