"""``precision: auto``: what this machine computes fastest, measured once for each recipe."""

from __future__ import annotations

import hashlib
import os
import platform
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from kinelex.data.several import Stores
from kinelex.files.atomic import write_whole
from kinelex.files.download import cache_folder
from kinelex.training.build import InitialWeights, build_module
from kinelex.training.recipe import Recipe
from kinelex.training.rehearsal import Rehearsal

_FLOAT32, _BF16 = "32-true", "bf16-mixed"
_STEPS, _SECONDS = 3, 10.0  # of each precision, twice; the first step counts for nothing
_FEW = 100  # steps of a whole training that are not worth a measurement
_GAIN = 0.95  # bf16 is taken where it needs at most this share of float32's time


def supported_precision(recipe: Recipe) -> Recipe:
    """Turn ``precision: auto`` into bf16 where the processor has it, without a measurement."""
    training = recipe.training
    if training.precision != "auto":
        return recipe
    if training.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        has_bf16 = torch.cuda.is_bf16_supported()
    else:
        has_bf16 = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()
    return _with(recipe, _BF16 if has_bf16 else _FLOAT32)


def measured_precision(
    recipe: Recipe,
    store: Stores,
    rows: np.ndarray,
    prompts: str | Path | None = None,
    start: InitialWeights | None = None,
    console: Console | None = None,
) -> Recipe:
    """Turn ``precision: auto`` into what a few steps of the training take least time in, and say so.

    The answer is kept in the user's cache for the same recipe on the same machine, so that all seeds of a
    study train alike. A training of few steps takes float32; several processes, which have to agree, take
    bf16 where their processors have it. What the steps changed goes with the module that took them.

    Raises:
        InputError: anything that does not fit together.
    """
    supported, training = supported_precision(recipe), recipe.training
    if training.precision != "auto" or supported.training.precision == _FLOAT32 or training.processes > 1:
        return supported
    module = build_module(
        replace(supported, training=replace(supported.training, placement="mmap")),
        store,
        rows,
        prompts,
        start,
    )
    if len(module.loader) * training.epochs < _FEW:
        return _with(recipe, _FLOAT32)
    kept = _kept_at(recipe, store)
    with suppress(OSError, UnicodeDecodeError):
        if (chosen := kept.read_text(encoding="utf-8")) in (_BF16, _FLOAT32):
            return _with(recipe, chosen)
    rehearsal, size = Rehearsal(module), module.loader.batch_size
    seconds: dict[str, float] = {}
    for precision in (_BF16, _FLOAT32) * 2:
        module.recipe = _with(module.recipe, precision)
        times = rehearsal.steps(size, _STEPS, _SECONDS).times
        seconds[precision] = min(times[1:] + [seconds.get(precision, times[0])])
    chosen = _BF16 if seconds[_BF16] < _GAIN * seconds[_FLOAT32] else _FLOAT32
    said = f"{seconds[_FLOAT32]:.3g} s in float32, {seconds[_BF16]:.3g} s in bf16"
    (console or Console()).print(f"precision={chosen}: a step takes {said}", soft_wrap=True)
    with suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_whole(kept, chosen)
    return _with(recipe, chosen)


def _with(recipe: Recipe, precision: str) -> Recipe:
    return replace(recipe, training=replace(recipe.training, precision=precision))


def _kept_at(recipe: Recipe, store: Stores) -> Path:
    """Where the answer is kept: a file named by all that the time of a step depends on."""
    on_gpu = recipe.training.accelerator != "cpu" and torch.cuda.is_available()
    about = [
        *(getattr(recipe, part) for part in ("method", "encoder", "input", "optimizer")),
        (recipe.training.batch_size, recipe.training.threads, store.layout.joints, torch.__version__),
        (platform.machine(), os.cpu_count(), torch.get_num_threads()),
        torch.cuda.get_device_name() if on_gpu else torch.backends.cpu.get_cpu_capability(),
    ]
    name = hashlib.sha256(repr(about).encode()).hexdigest()[:20]
    return cache_folder() / "precision" / f"{name}.txt"
