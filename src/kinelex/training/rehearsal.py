"""A few steps of a training, to see what they take; nothing of them stays."""

from __future__ import annotations

import io
import resource
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import lightning as L
import torch

from kinelex.training.fit import trainer_of
from kinelex.training.module import MethodModule


class Rehearsal(L.Callback):
    """Steps of a training, with the time of each and the memory at the peak."""

    def __init__(self, module: MethodModule) -> None:
        self.module, self.device = module, "cpu"
        self._state = {key: value.clone() for key, value in module.state_dict().items()}
        self._trainer: L.Trainer | None = None
        self._seconds = 0.0
        self._last, self._begun = 0.0, 0.0
        self.times: list[float] = []
        self.reads: list[float] = []
        self.peak = 0

    def steps(self, batch_size: int, number: int, seconds: float = 0.0) -> Rehearsal:
        """Take some steps from the first weights on, or as many as some seconds have room for."""
        self.times, self.reads, self._seconds = [], [], seconds
        self.module.load_state_dict(self._state)
        self.module.loader.batch_size = batch_size
        settings: dict[str, Any] = {"enable_checkpointing": False, "logger": False, "callbacks": [self]}
        settings |= {"max_epochs": 1, "limit_train_batches": min(number, len(self.module.loader))}
        recipe = self.module.recipe
        with trainer_of(recipe, **settings) as trainer:
            self._trainer = trainer
            trainer.fit(self.module)
        self.end = time.perf_counter() - self._last
        return self

    @property
    def step(self) -> float:
        """Seconds of a step, without the first, in which much is made that stays."""
        return _mean(self.times[1:] or self.times)

    @property
    def read(self) -> float:
        """Seconds of a step in which clips are read."""
        return _mean(self.reads[1:] or self.reads)

    def free(self) -> float:
        """Bytes that this process may have in all."""
        if self.device == "cuda":
            return float(torch.cuda.mem_get_info()[0] + torch.cuda.memory_allocated())
        for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
            text = Path(path).read_text().strip() if Path(path).is_file() else "max"
            if text.isdigit() and int(text) < 2**50:
                return float(min(int(text), _available() + _memory("VmRSS")))
        return _available() + _memory("VmRSS")

    def checkpoint(self) -> int:
        """Bytes of a checkpoint, which is packed as it would be written."""
        assert self._trainer is not None
        packed = io.BytesIO()
        optimizers = [optimizer.state_dict() for optimizer in self._trainer.optimizers]
        torch.save({"state_dict": self.module.state_dict(), "optimizer_states": optimizers}, packed)
        return packed.tell()

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self.device = module.device.type
        self._last = self._begun = time.perf_counter()
        _forget_peak(self.device)

    def on_train_batch_start(self, trainer: L.Trainer, module: L.LightningModule, *_: Any) -> None:
        self.reads.append(time.perf_counter() - self._last)

    def on_train_batch_end(self, trainer: L.Trainer, module: L.LightningModule, *_: Any) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()
        now = time.perf_counter()
        self.times.append(now - self._last)
        self._last = now
        self.peak = _peak(self.device)
        if self._seconds and now - self._begun > self._seconds:
            trainer.should_stop = True
            trainer.limit_train_batches = 0


def _mean(values: list[float]) -> float:
    return sum(values) / max(len(values), 1)


def _memory(key: str) -> float:
    """Bytes of this process, as Linux calls them; the greatest it ever had elsewhere."""
    if (found := _line(Path("/proc/self/status"), key)) is not None:
        return found
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(most * (1 if sys.platform == "darwin" else 1024))


def _available() -> float:
    """Bytes that are free on this machine; 8 GB where that is not known."""
    found = _line(Path("/proc/meminfo"), "MemAvailable")
    return 8e9 if found is None else found


def _line(path: Path, key: str) -> float | None:
    """The bytes after a key in a file of Linux's that counts in kB."""
    lines = path.read_text().splitlines() if path.is_file() else []
    return next((1024.0 * int(line.split()[1]) for line in lines if line.startswith(key)), None)


def _forget_peak(device: str) -> None:
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return
    with suppress(OSError):  # Linux alone forgets
        Path("/proc/self/clear_refs").write_text("5")


def _peak(device: str) -> int:
    return torch.cuda.max_memory_allocated() if device == "cuda" else int(_memory("VmHWM"))
