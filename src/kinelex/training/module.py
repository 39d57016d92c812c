"""The adapter between a method and Lightning: steps, seeds, optimiser, epoch means."""

from __future__ import annotations

import math
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor

from kinelex.data.loader import SkeletonLoader
from kinelex.errors import DivergenceError
from kinelex.methods import Method
from kinelex.training.config import OptimizerConfig
from kinelex.training.recipe import Recipe
from kinelex.transforms import InputPipeline


def step_seed(*parts: int) -> int:
    """One seed for (seed, epoch, step, rank): a step's randomness depends on nothing before it."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> 1)


def learning_rate_factor(step: int, config: OptimizerConfig, steps_per_epoch: int, epochs: int) -> float:
    """The learning rate at a step as a fraction of the peak.

    >>> config = OptimizerConfig(schedule="cosine", warmup=1)
    >>> [round(learning_rate_factor(s, config, 10, 3), 2) for s in (0, 9, 10, 20, 30)]
    [0.1, 1.0, 1.0, 0.5, 0.0]
    >>> config = OptimizerConfig(schedule="constant", warmup=5, warmup_by="epoch")
    >>> [learning_rate_factor(s, config, 10, 65) for s in (0, 9, 10, 49, 50)]
    [0.2, 0.2, 0.4, 1.0, 1.0]
    """
    warmup = config.warmup * steps_per_epoch
    if step < warmup and config.warmup_by == "epoch":
        return min(1.0, (step // steps_per_epoch + 1) / config.warmup)
    if step < warmup:
        return (step + 1) / max(1.0, warmup)
    if config.schedule == "cosine":
        share = (step - warmup) / max(1.0, epochs * steps_per_epoch - warmup)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, share)))
    if config.schedule == "step":
        return config.gamma ** sum(step >= m * steps_per_epoch for m in config.milestones)
    return 1.0


class MethodModule(L.LightningModule):
    """Runs a method under Lightning.

    Every step reseeds from (seed, epoch, step, rank), so that a resumed training draws what an
    uninterrupted one does.
    """

    def __init__(
        self,
        method: Method,
        pipeline: InputPipeline,
        loader: SkeletonLoader,
        recipe: Recipe,
    ) -> None:
        super().__init__()
        self.method, self.pipeline, self.loader, self.recipe = method, pipeline, loader, recipe
        self.epoch_sums: dict[str, Tensor] = {}
        self.steps_done = 0
        self.good_steps: dict[str, Tensor] = {}  # of the epoch, until a loss was no finite number
        self._position: tuple[int, int] = (0, 0)

    def configure_optimizers(self) -> Any:
        config, training = self.recipe.optimizer, self.recipe.training
        parameters = self.method.trained_parameters()
        optimizer: torch.optim.Optimizer
        if config.name == "adamw":
            optimizer = torch.optim.AdamW(parameters, lr=config.lr, weight_decay=config.weight_decay)
        else:
            pace: dict[str, Any] = {"lr": config.lr, "weight_decay": config.weight_decay}
            pace |= {"momentum": config.momentum, "nesterov": config.nesterov and config.momentum > 0}
            optimizer = torch.optim.SGD(parameters, **pace)
        steps = len(self.loader)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: learning_rate_factor(step, config, steps, training.epochs)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def train_dataloader(self) -> SkeletonLoader:
        """The loader, once the rank is known."""
        self.loader.rank = self.trainer.global_rank
        return self.loader

    def on_train_start(self) -> None:
        """After a resume in mid-epoch Lightning does not start the epoch anew: do it here."""
        epoch, batch = self._position
        self.loader.set_epoch(self.current_epoch, batch if epoch == self.current_epoch else 0)
        self.method.on_epoch_start(self.current_epoch, self.recipe.training.epochs)

    def on_train_epoch_start(self) -> None:
        self.loader.set_epoch(self.current_epoch)
        self.method.on_epoch_start(self.current_epoch, self.recipe.training.epochs)
        self.epoch_sums, self.good_steps, self.steps_done = {}, {}, 0

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        seed = step_seed(self.recipe.training.seed, self.current_epoch, batch_idx, self.global_rank)
        torch.manual_seed(seed)
        generator = torch.Generator().manual_seed(seed)
        with torch.autocast(self.device.type, enabled=False):  # coordinates keep their precision
            draws = (self.pipeline.sample(batch, generator) for _ in range(self.method.views))
            views = [self.pipeline.prepare(batch, draw) for draw in draws]
        x, presence = views[0] if len(views) == 1 else map(torch.cat, zip(*views, strict=True))
        loss, logs = self.method(x, batch.prompts, batch.labels, presence, generator)
        for name, value in {"loss": loss.detach(), **logs}.items():
            total = self.epoch_sums.get(name)
            self.epoch_sums[name] = total = value.clone() if total is None else total + value
            if name.startswith("loss"):  # what is not finite stays so in the sum
                good = self.good_steps.get(name, self.steps_done)
                self.good_steps[name] = total.isfinite() + good
        self.steps_done = batch_idx + 1
        return loss

    def on_train_epoch_end(self) -> None:
        self.method.on_epoch_end()

    def check_finite(self) -> None:
        """Stop a training whose losses or weights are no finite numbers any more.

        In half precision the step of a loss that overflows is left out, so that weights alone tell.
        """
        good = {name: int(steps) for name, steps in self.good_steps.items()}
        bad = {name: step for name, step in good.items() if step < self.steps_done}
        weights = torch.stack([p.detach().isfinite().all() for p in self.method.parameters()]).all()
        diverged = not weights or (bool(bad) and self.recipe.training.precision != "16-mixed")
        if not self.trainer.strategy.reduce_boolean_decision(diverged, all=False):
            return
        what, step = "the weights", self.steps_done - 1
        if bad:
            step = min(bad.values())
            terms = [name for name, first in bad.items() if first == step]
            parts = [name for name in terms if name != "loss"]  # the terms say more than their sum
            what = " and ".join(parts or terms)
        raise DivergenceError(
            f"the training has diverged: no finite numbers since step {step + 1} of epoch "
            f"{self.current_epoch + 1} in {what}; train anew with a lower optimizer.lr, or with "
            "optimizer.clip=1"
        )

    def epoch_means(self) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        """Means of the scalars over the steps of the epoch so far, and sums of the histograms."""
        steps = max(1, self.steps_done)
        scalars = {k: float(v) / steps for k, v in self.epoch_sums.items() if v.ndim == 0}
        histograms = {k: v.cpu().numpy() for k, v in self.epoch_sums.items() if v.ndim == 1}
        return scalars, histograms

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["kinelex"] = {
            "position": (self.current_epoch, self.steps_done),
            "epoch_sums": {k: v.cpu() for k, v in self.epoch_sums.items()},
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        state = checkpoint["kinelex"]
        self._position = tuple(state["position"])
        self.steps_done = self._position[1]
        self.epoch_sums = {k: v.to(self.device) for k, v in state["epoch_sums"].items()}
