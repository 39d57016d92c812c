"""What a training will cost: parameters, compute, memory, time and disk, measured by a few steps of it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from safetensors.torch import save
from torch.utils.flop_counter import FlopCounterMode

from kinelex.data.several import SeveralStores, listed_paths, open_stores
from kinelex.data.splits.folds import fold_names
from kinelex.data.splits.several import split_of
from kinelex.encoders.gru_cpu import COUNTED
from kinelex.training.build import build_module, training_rows
from kinelex.training.precision import measured_precision
from kinelex.training.rehearsal import Rehearsal
from kinelex.training.store_defaults import recipe_for, resolve_for

_SECONDS = 15.0  # of steps with the whole batch
_SHARE = 0.9  # of the memory that is free, which a training may take


def cost(
    recipe: str,
    data: str | Path,
    protocol: str,
    prompts: str | Path | None = None,
    overrides: str | Iterable[str] = (),
    console: Console | None = None,
) -> dict[str, Any]:
    """Take a few steps of a training, and say what the whole of it will cost; nothing is written.

    Memory is measured at a quarter and at half of the batch and extrapolated to the whole; where that fits,
    steps of the whole batch tell the time, and the memory that they really take. Of several processes this is
    one, with its share of the batch.

    Args:
        recipe, data, protocol, prompts, overrides: as of :func:`kinelex.training.train.train`.
        console: where the table goes; the terminal by default.

    Returns:
        ``parameters``, ``trained_parameters``, ``flops_per_clip`` (of a step, forward and backward),
        ``memory`` (bytes at the peak), ``memory_base`` and ``memory_per_clip``, ``memory_free``,
        ``batch_size`` and ``largest_batch``, ``steps``, ``step_seconds``, ``read_seconds`` (of a step),
        ``epoch_seconds``, ``epochs``, ``folds`` and ``seconds`` of all of it, ``checkpoint_bytes``,
        ``encoder_bytes``, ``data_bytes``, ``precision``.

    Raises:
        InputError: anything that does not fit together.
    """
    store, folds = open_stores(data), [protocol]
    if not isinstance(store, SeveralStores) and "*" in protocol:
        folds = fold_names(store, protocol)
    split = split_of(store, folds[0])
    resolved = resolve_for(store, *recipe_for(recipe, store), overrides, rows=split.train)
    rows = training_rows(resolved, store, split)
    resolved = measured_precision(resolved, store, rows, prompts, console=console)
    alone = replace(resolved.training, devices=1, num_nodes=1, strategy="auto", epochs=1)
    own = replace(alone, batch_size=resolved.training.batch_size // resolved.training.processes)
    module = build_module(replace(resolved, training=own), store, rows, prompts)
    rehearsal = Rehearsal(module)
    batch, steps = module.loader.batch_size, len(rows) * own.repeat // resolved.training.batch_size
    sizes = sorted({max(batch // 4, 1), max(batch // 2, 1)})
    with FlopCounterMode(display=False, custom_mapping=COUNTED) as counter:
        rehearsal.steps(sizes[0], 1)
    peaks = [rehearsal.steps(size, 2).peak for size in sizes]
    per_clip = max((peaks[-1] - peaks[0]) / max(sizes[-1] - sizes[0], 1), 0.0)
    base, free = peaks[0] - per_clip * sizes[0], rehearsal.free()
    peak, size = base + per_clip * batch, batch
    if peak > free:
        size = sizes[-1]
    timed = rehearsal.steps(size, max(len(module.loader), 2), seconds=_SECONDS)
    if size == batch:
        peak = max(float(timed.peak), peaks[-1])
        per_clip = max((peak - peaks[0]) / max(batch - sizes[0], 1), 0.0)
        base = peak - per_clip * batch
    step = timed.step * batch / size
    started = time.perf_counter()
    checkpoint = rehearsal.checkpoint()
    writing = time.perf_counter() - started
    training = resolved.training
    epoch = max(steps, 1) * step + timed.end + writing
    weights = sum(len(save(e.state_dict())) for e in module.method.encoders.values())
    result: dict[str, Any] = {
        "parameters": sum(p.numel() for p in module.method.parameters()),
        "trained_parameters": sum(p.numel() for p in module.method.trained_parameters()),
        "flops_per_clip": counter.get_total_flops() / sizes[0],
        "memory": peak,
        "memory_base": base,
        "memory_per_clip": per_clip,
        "memory_free": free,
        "batch_size": batch,
        "largest_batch": int((_SHARE * free - base) / per_clip) if per_clip else None,
        "steps": max(steps, 1),
        "step_seconds": step,
        "read_seconds": timed.read * batch / size,
        "epoch_seconds": epoch,
        "epochs": training.epochs,
        "folds": len(folds),
        "seconds": epoch * training.epochs * len(folds),
        "checkpoint_bytes": checkpoint,
        "encoder_bytes": weights,
        "data_bytes": sum(p.stat().st_size for p in map(Path, listed_paths(data))),
        "precision": training.precision,
        "measured": size == batch,
    }
    (console or Console()).print(_table(result, training.placement, training.processes, rehearsal.device))
    return result


def _table(found: dict[str, Any], placement: str, processes: int, device: str) -> Table:
    """What :func:`cost` found, for reading."""
    mb = {key: f"{found[key] / 1e6:,.0f} MB" for key in found if "memory" in key or "bytes" in key}
    where = "on the GPU" if device == "cuda" else "of the process"
    of = f" on each of {processes} devices" if processes > 1 else ""
    guess = "" if found["measured"] else "; guessed from half of it, the whole does not fit"
    share = f"in {100 * _SHARE:.0f} % of the {mb['memory_free']} that are free"
    largest = "no limit found" if found["largest_batch"] is None else f"{found['largest_batch']} {share}"
    minutes = found["seconds"] / 60
    whole = f"{minutes / 60:.1f} h" if minutes > 120 else f"{minutes:.1f} min"
    times = f"{found['folds']} folds of " if found["folds"] > 1 else ""
    flops, per_clip = found["flops_per_clip"] / 1e9, found["memory_per_clip"] / 1e6
    epoch = f"an epoch {found['epoch_seconds']:.3g} s"
    rows = {
        "parameters": f"{found['parameters']:,}, {found['trained_parameters']:,} of them trained",
        "compute": f"{flops:.3g} GFLOPs per clip in a step, forward and backward",
        "memory": f"{mb['memory']} {where} at batch {found['batch_size']}{of}: {mb['memory_base']} and "
        f"{per_clip:.2f} MB per clip{guess}",
        "largest batch": largest,
        "time": f"{found['steps']} steps of {found['step_seconds']:.3g} s, {epoch}; "
        f"{times}{found['epochs']} epochs {whole}",
        "disk": f"checkpoint {mb['checkpoint_bytes']}, twice while written; encoder {mb['encoder_bytes']}",
        f"placement={placement}": f"the clips are {mb['data_bytes']} on disk; reading them is "
        f"{1000 * found['read_seconds']:.0f} ms of a step",
        f"precision={found['precision']}": "bf16-mixed halves what a clip takes, and time where the "
        "processor computes in it fast, which precision=auto measures",
    }
    table = Table(title="what it will cost, measured here", title_justify="left", show_header=False)
    for name, text in rows.items():
        table.add_row(name, text)
    return table
