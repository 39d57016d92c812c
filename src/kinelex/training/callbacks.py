"""Callbacks: atomic checkpoints, the epoch's record, progress."""

from __future__ import annotations

import io
import time
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import Checkpoint
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from kinelex.files.atomic import csv_text, whole_file, write_whole
from kinelex.training.module import MethodModule
from kinelex.training.run_directory import RunDirectory


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside its place and renames it when it is whole."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        packed = io.BytesIO()  # of a full disk torch says no more than that writing failed
        torch.save(checkpoint, packed)
        write_whole(target, packed.getbuffer())


class EpochCheckpoint(Checkpoint):
    """Keeps ``checkpoints/last.ckpt`` up to date: after every epoch, and every so many steps.

    A training that diverged is stopped there: its last good checkpoint stays. Lightning calls it after the
    module's own hooks, so what a method makes at the end of an epoch is in the checkpoint.
    """

    def __init__(self, run: RunDirectory, every: int = 0) -> None:
        self.run, self.every = run, every

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        last = batch_idx + 1 >= trainer.num_training_batches  # the epoch's own checkpoint follows at once
        if self.every and not last and (batch_idx + 1) % self.every == 0:
            self._save(trainer, module)

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._save(trainer, module)

    def _save(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        assert isinstance(module, MethodModule)
        module.check_finite()  # the checkpoint before stays, where the numbers were good
        trainer.save_checkpoint(self.run.checkpoint)


class EpochRecorder(L.Callback):
    """Writes ``metrics.csv``, ``diagnostics.npz`` and TensorBoard after every epoch, and warnings."""

    def __init__(self, run: RunDirectory, console: Console) -> None:
        self.run, self.console = run, console
        self.rows: list[dict[str, float]] = []
        self.histograms: dict[str, list[np.ndarray]] = {}
        self._started = 0.0
        self._warned: set[str] = set()

    def state_dict(self) -> dict[str, Any]:
        histograms = {k: [h.tolist() for h in v] for k, v in self.histograms.items()}
        return {"rows": self.rows, "histograms": histograms}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows = list(state_dict["rows"])
        histograms = state_dict["histograms"].items()
        self.histograms = {k: [np.asarray(h, np.float32) for h in v] for k, v in histograms}  # as they were

    def on_train_epoch_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._started = time.perf_counter()

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._started = time.perf_counter()  # of a training that goes on in mid-epoch

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        assert isinstance(module, MethodModule)
        scalars, histograms = module.epoch_means()
        seconds = time.perf_counter() - self._started
        clips = module.steps_done * module.loader.batch_size * trainer.world_size
        row = {
            "epoch": float(trainer.current_epoch),
            "lr": trainer.optimizers[0].param_groups[0]["lr"],
            **scalars,
            "seconds": seconds,
            "clips_per_second": clips / max(seconds, 1e-9),
        }
        self.rows.append(row)
        for name, counts in histograms.items():
            self.histograms.setdefault(name, []).append(counts)
        if not trainer.is_global_zero:
            return
        for text in module.method.warnings(self.rows):
            if text not in self._warned:
                self._warned.add(text)
                self.console.print(f"[yellow]warning[/]: {text}")
        self._write()
        for logger in trainer.loggers:
            logger.log_metrics(row, step=trainer.current_epoch)

    def _write(self) -> None:
        write_whole(self.run.path / "metrics.csv", csv_text(self.rows))
        if self.histograms:
            named = {k.replace("histogram/", "off_diagonal/"): v for k, v in self.histograms.items()}
            arrays = {name: np.stack(counts) for name, counts in named.items()}
            bins = len(next(iter(arrays.values()))[0])
            with whole_file(self.run.path / "diagnostics.npz") as file:
                np.savez(file, bins=np.linspace(-1, 1, bins + 1), **arrays)  # type: ignore[arg-type]


class EpochProgress(L.Callback):
    """One bar for the whole training: steps, loss, rate, time left."""

    def __init__(self, console: Console) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        last = (TextColumn("{task.fields[loss]}"), TimeRemainingColumn())
        self._progress = Progress(*columns, *last, console=console)
        self._task = self._progress.add_task("training", loss="")

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if trainer.is_global_zero:
            total = (trainer.max_epochs or 1) * int(trainer.num_training_batches)
            self._progress.update(self._task, total=total, completed=trainer.global_step)
            self._progress.start()

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        epoch = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
        self._progress.update(self._task, completed=trainer.global_step, description=epoch)

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        assert isinstance(module, MethodModule)
        loss = module.epoch_means()[0].get("loss", float("nan"))
        self._progress.update(self._task, loss=f"loss {loss:.3f}")

    def teardown(self, trainer: L.Trainer, module: L.LightningModule, stage: str) -> None:
        self._progress.stop()
