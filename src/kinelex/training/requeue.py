"""A training that a cluster's scheduler asks to make room: a checkpoint at the next step, then the end."""

from __future__ import annotations

import signal
import threading
from typing import Any

import lightning as L

from kinelex.errors import StoppedError
from kinelex.training.module import MethodModule
from kinelex.training.run_directory import RunDirectory


class Requeue(L.Callback):
    """Ends a training when SIGUSR1 comes, with a checkpoint from which ``--resume`` goes on bit by bit.

    It listens within its ``with`` block. The signal is only noted where it finds the process; the checkpoint
    is written between two steps. All processes of a training stop at the same step, whichever heard the
    signal first. Lightning's own requeue writes its checkpoint inside a step, wherever that is in each
    process, and under a name of its own.
    """

    def __init__(self, run: RunDirectory) -> None:
        self.run, self.asked = run, False
        self._before: Any = None

    def __enter__(self) -> Requeue:
        if threading.current_thread() is threading.main_thread() and hasattr(signal, "SIGUSR1"):
            self._before = signal.signal(signal.SIGUSR1, self._note)
        return self

    def __exit__(self, *error: object) -> None:  # not a hook: Lightning puts back what it found in the middle
        if self._before is not None:
            signal.signal(signal.SIGUSR1, self._before)
            self._before = None

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        last = batch_idx + 1 >= trainer.num_training_batches  # the epoch's own checkpoint follows
        if not last and self._is_asked(trainer):
            assert isinstance(module, MethodModule)
            module.check_finite()
            trainer.save_checkpoint(self.run.checkpoint)
            self._stop(trainer, batch_idx + 1)

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        last = trainer.current_epoch + 1 >= (trainer.max_epochs or 1)  # the training ends by itself
        if not last and self._is_asked(trainer):
            self._stop(trainer, int(trainer.num_training_batches))

    def _note(self, signum: int, frame: Any) -> None:
        self.asked = True

    def _is_asked(self, trainer: L.Trainer) -> bool:
        if trainer.world_size == 1:
            return self.asked
        return bool(trainer.strategy.reduce_boolean_decision(self.asked, all=False))

    def _stop(self, trainer: L.Trainer, step: int) -> None:
        raise StoppedError(
            f"asked by SIGUSR1, the training has stopped after step {step} of epoch "
            f"{trainer.current_epoch + 1}; {self.run.checkpoint} is written: go on with --resume"
        )
