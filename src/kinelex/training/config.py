"""The sections ``optimizer`` and ``training`` of a recipe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kinelex.errors import InputError, check_name
from kinelex.training.registry import TRACKERS, callbacks_of

# Strategies that shard weights write other checkpoints, and encoders of skeletons are small.
STRATEGIES = ("auto", "ddp", "ddp_find_unused_parameters_true")


@dataclass(frozen=True)
class OptimizerConfig:
    """The optimiser and its learning rate over time.

    Args:
        name: ``adamw`` or ``sgd``.
        lr: peak learning rate.
        weight_decay: weight decay.
        momentum: momentum of sgd.
        nesterov: Nesterov's momentum, where there is momentum.
        schedule: ``cosine`` to zero, ``step`` or ``constant``.
        warmup: epochs of linear warm-up.
        warmup_by: the rate rises with every ``step``, or with every ``epoch`` and is constant within it, as
            CTR-GCN and MMCL publish: epoch e of W has (e + 1) / W of the peak.
        milestones: epochs at which ``step`` multiplies the rate by ``gamma``.
        gamma: factor of ``step``.
        clip: largest gradient norm; 0 does not clip.
    """

    name: str = "adamw"
    lr: float = 1e-3
    weight_decay: float = 1e-2
    momentum: float = 0.9
    nesterov: bool = True
    schedule: str = "cosine"
    warmup: float = 2.0
    warmup_by: str = "step"
    milestones: tuple[int, ...] = ()
    gamma: float = 0.1
    clip: float = 0.0

    def __post_init__(self) -> None:
        check_name("optimizer", self.name, ("adamw", "sgd"))
        check_name("schedule", self.schedule, ("cosine", "step", "constant"))
        check_name("warmup_by", self.warmup_by, ("step", "epoch"))
        if self.lr <= 0 or min(self.weight_decay, self.momentum, self.warmup, self.clip) < 0:
            raise InputError(
                "expects a learning rate above 0 and weight decay, momentum, warmup and clip of at least 0, "
                f"got {self.lr}, {self.weight_decay}, {self.momentum}, {self.warmup} and {self.clip}"
            )


@dataclass(frozen=True)
class TrainingConfig:
    """How long and on what.

    Args:
        epochs: passes over the training part; 0 keeps the weights as they begin: an untrained run, which
            every task judges like a trained one.
        batch_size: clips per step, over all processes together.
        repeat: how often an epoch visits each clip, each time augmented anew.
        store_power: with several stores, how often each is read: in proportion to this power of its number of
            training clips; 1 reads all clips as often, 0 all stores.
        seed: the one seed.
        modalities: prompt modalities to use, ``language``, ``vision`` or both; empty is all there are.
        placement: where clips wait: ``memory``, ``mmap`` (in the file) or ``device``.
        accelerator: ``auto``, ``cpu``, ``gpu``, ...
        devices: number of devices, on each node.
        num_nodes: number of machines, see docs/cluster.md.
        strategy: how several processes work together: ``auto``, ``ddp``, or
            ``ddp_find_unused_parameters_true`` for a method that leaves some of its weights out of a step.
        sync_batchnorm: with several devices, batch norm's statistics are those of all of them together.
        precision: ``32-true``, ``bf16-mixed``, ``16-mixed``, ...; ``auto`` is bf16-mixed where the processor
            has it and a few steps are faster in it, else 32-true.
        recompute: compute the encoder's blocks once more in the backward pass instead of keeping what they
            need for it: the same values, less memory, more time.
        threads: CPU threads; 0 leaves PyTorch's choice.
        checkpoint_every: also write a checkpoint every so many steps; 0 writes one per epoch.
        logger: where the training is followed: ``tensorboard``, ``csv``, ``wandb``, ``mlflow``, ``comet``, or
            one of a plugin; several are all used, none is an empty list.
        callbacks: Lightning callbacks of plugins: names, and mappings with a name and options.
    """

    epochs: int = 60
    batch_size: int = 128
    repeat: int = 1
    store_power: float = 0.5
    seed: int = 0
    modalities: tuple[str, ...] = ()
    placement: str = "memory"
    accelerator: str = "auto"
    devices: int = 1
    num_nodes: int = 1
    strategy: str = "auto"
    sync_batchnorm: bool = True
    precision: str = "32-true"
    recompute: bool = False
    threads: int = 0
    checkpoint_every: int = 0
    logger: tuple[str, ...] = ("tensorboard",)
    callbacks: tuple[Any, ...] = ()

    @property
    def processes(self) -> int:
        """How many processes train together."""
        return self.devices * self.num_nodes

    @property
    def hardware(self) -> dict[str, Any]:
        """What Lightning's trainer is asked for, by its own names."""
        names = ("accelerator", "devices", "num_nodes", "strategy", "precision")
        return {name: getattr(self, name) for name in names}

    def __post_init__(self) -> None:
        for m in self.modalities:
            check_name("modality", m, ("language", "vision"))
        if self.epochs < 0 or min(self.repeat, self.devices, self.num_nodes) < 1:
            raise InputError(
                "expects epochs of at least 0 and repeat, devices and num_nodes of at least 1, "
                f"got {self.epochs}, {self.repeat}, {self.devices} and {self.num_nodes}"
            )
        if self.batch_size % self.processes:
            raise InputError(
                f"expects a batch size that {self.processes} devices can share, got {self.batch_size}"
            )
        check_name("strategy", self.strategy, STRATEGIES)
        TRACKERS.check(*self.logger)
        if len(set(self.logger)) < len(self.logger):
            raise InputError(f"training.logger names one twice: {', '.join(self.logger)}")
        callbacks_of(self.callbacks)
        if not 0 <= self.store_power <= 1:
            raise InputError(f"expects training.store_power from 0 to 1, got {self.store_power}")
        if not 0 <= self.seed < 2**32 or min(self.threads, self.checkpoint_every) < 0:
            raise InputError(
                "expects a seed from 0 to 4294967295 and threads and checkpoint_every of at least 0, "
                f"got {self.seed}, {self.threads} and {self.checkpoint_every}"
            )
