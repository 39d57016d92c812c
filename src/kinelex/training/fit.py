"""The trainer of a recipe: Lightning's, with the callbacks and trackers of a run."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.plugins.environments import SLURMEnvironment, TorchElasticEnvironment
from lightning.pytorch.loggers import Logger
from rich.console import Console

from kinelex.errors import InputError
from kinelex.training.callbacks import AtomicCheckpointIO, EpochCheckpoint, EpochProgress, EpochRecorder
from kinelex.training.module import MethodModule
from kinelex.training.recipe import Recipe
from kinelex.training.registry import callbacks_of
from kinelex.training.requeue import Requeue
from kinelex.training.run_directory import RunDirectory


def fit(
    module: MethodModule,
    recipe: Recipe,
    run: RunDirectory,
    resume: bool,
    console: Console,
    loggers: Sequence[Logger] = (),
) -> None:
    """Train a module for a run.

    Raises:
        InputError: a checkpoint to go on with that is damaged or of another training.
        StoppedError: the cluster's signal came; a checkpoint is written.
    """
    training = recipe.training
    checkpoint = run.checkpoint if resume and run.checkpoint.is_file() else None
    if checkpoint is not None:
        _check_checkpoint(checkpoint, module)
    own = [EpochRecorder(run, console), EpochProgress(console)]
    last = EpochCheckpoint(run, training.checkpoint_every)
    with Requeue(run) as requeue:
        callbacks: list[L.Callback] = [*own, *callbacks_of(training.callbacks), last, requeue]
        settings = {"default_root_dir": run.path, "logger": list(loggers) or False, "callbacks": callbacks}
        with trainer_of(recipe, **settings) as trainer:
            trainer.fit(module, ckpt_path=checkpoint, weights_only=True)


@contextmanager
def trainer_of(recipe: Recipe, **settings: Any) -> Iterator[L.Trainer]:
    """Lightning's trainer as a recipe asks for it; Ctrl-C in the block is a KeyboardInterrupt.

    Args:
        recipe: the recipe, its precision settled.
        **settings: of the trainer, beside the recipe's.
    """
    training = recipe.training
    plugins: list[Any] = [AtomicCheckpointIO()]
    if SLURMEnvironment.detect() and not TorchElasticEnvironment.detect():
        plugins.append(SLURMEnvironment(auto_requeue=False))  # Requeue stands for Lightning's
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        trainer = L.Trainer(
            **{
                "max_epochs": training.epochs,
                **training.hardware,
                "plugins": plugins,
                "gradient_clip_val": recipe.optimizer.clip or None,
                "enable_progress_bar": False,
                "enable_model_summary": False,
                "num_sanity_val_steps": 0,
                "use_distributed_sampler": False,
                **settings,
            }
        )
        try:
            yield trainer
        except SystemExit as ended:  # Lightning turns Ctrl-C into exit(1)
            if trainer.interrupted:
                raise KeyboardInterrupt from ended
            raise


def _check_checkpoint(path: Path, module: MethodModule) -> None:
    """Refuse a checkpoint that cannot be read, or is of another training."""
    anew = "restore it from a copy, or train anew with another --out"
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        shapes = {name: value.shape for name, value in content["state_dict"].items()}
        complete = {"kinelex", "pytorch-lightning_version", "optimizer_states", "loops"} <= content.keys()
    except Exception as error:  # a damaged pickle can raise anything; weights_only keeps it from running
        raise InputError(f"the checkpoint {path} is damaged: {anew}") from error
    if not complete or shapes != {name: value.shape for name, value in module.state_dict().items()}:
        raise InputError(f"the checkpoint {path} is of another training than its config.yaml says: {anew}")
