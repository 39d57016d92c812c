"""Private machinery of prompt making: the shards over the workers of a Ray cluster."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from kinelex.errors import InputError
from kinelex.prompts._parts import NOTES, Parts
from kinelex.prompts._plan import Made, Plan, jobs_of
from kinelex.prompts._stages import Stage
from kinelex.prompts._work import Begin, Work, bars
from kinelex.prompts.registry import own_parts, register


def begin(plan: Plan, here: str, own: dict[str, Any]) -> bool | None:
    """On a worker: begin the folder of shards; returns whether there was something, None if all is done."""
    from kinelex.prompts.run import made_before

    made = _made(plan, here, own)
    if made_before(plan.out, made.meta, made.clips):
        return None
    return Parts(plan.out, made.meta, made.clips).resumed


class Worker:
    """On a worker: makes shards of one stage, with engines that are loaded once.

    Args:
        plan: what was asked for.
        here: the folder that relative paths are about.
        own: engines and encoders that the user registered.
        what: the stage's name.
    """

    def __init__(self, plan: Plan, here: str, own: dict[str, Any], what: str) -> None:
        made = _made(plan, here, own)
        parts = Parts(plan.out, made.meta, made.clips)
        work = Work(parts, made.jobs(parts))
        stages = work.first if what in [s.what for s in work.first] else work.last()
        self._stage = next(s for s in stages if s.what == what)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Make the shards that begin at some numbers."""
        for start in batch["start"]:
            self._stage.make([int(start)], lambda more: None)
        return batch


def _made(plan: Plan, here: str, own: dict[str, Any]) -> Made:
    with contextlib.suppress(OSError):  # on another machine the folder need not be there
        os.chdir(here)
    for kind, factories in own.items():
        for name, factory in factories.items():
            register(kind, name, factory)
    return Made(plan, f"{NOTES}-{uuid.uuid4().hex[:12]}")


def work_on_cluster(plan: Plan, address: str, workers: int | None, progress: bool) -> bool:
    """Make all shards on the workers of a cluster and put them together here.

    Every worker writes its shards into the folder beside the output, which all of them must see.

    Args:
        plan: what was asked for.
        address: of the cluster; ``local`` starts one here and ends it.
        workers: how many; None takes one per GPU, or one per core where there is none.
        progress: show progress bars.

    Returns:
        Whether an earlier run had done part of the work, or all.

    Raises:
        InputError: Ray is not installed or its cluster not there, or what the engines object to.
    """
    if find_spec("ray") is None or find_spec("pandas") is None:
        raise InputError("work on a Ray cluster needs Ray Data: pip install 'kinelex[ray]'")
    import ray

    out = plan.out.absolute()
    plan = replace(plan, out=out, store=None if plan.store is None else plan.store.absolute())
    if plan.source is not None:
        plan = replace(plan, source=plan.source.absolute())
    with _cluster(address, workers) as (count, gpus):
        arguments = (plan, str(Path.cwd()), own_parts())
        with _own_errors():
            resumed = ray.get(ray.remote(num_gpus=gpus, max_retries=0)(begin).remote(*arguments))
        if resumed is None:
            return True
        parts = Parts.begun(out)
        work = Work(parts, jobs_of(parts))
        with bars(progress) as start_bar:
            for stage in work.first:
                _map(stage, parts, arguments, count, gpus, start_bar)
            for stage in work.last():
                _map(stage, parts, arguments, count, gpus, start_bar)
    work.merge(out)
    return resumed


def _map(
    stage: Stage, parts: Parts, arguments: tuple[Any, ...], workers: int, gpus: int, start_bar: Begin
) -> None:
    """Make the shards of a stage that are not there yet."""
    import ray

    missing = stage.missing(parts)
    advance = start_bar(stage.what, stage.total, stage.total - stage.count(missing))
    if not missing:
        return
    data = ray.data.from_items([{"start": start} for start in missing], override_num_blocks=len(missing))
    done = data.map_batches(
        Worker,
        fn_constructor_args=(*arguments, stage.what),
        batch_size=1,
        concurrency=min(workers, len(missing)),
        num_gpus=gpus,
    )
    with _own_errors():
        for row in done.iter_rows():
            advance(stage.count([int(row["start"])]))


@contextlib.contextmanager
def _cluster(address: str, workers: int | None) -> Iterator[tuple[int, int]]:
    """Join a cluster, or start one; gives the number of workers and the GPUs for each."""
    import ray

    local = address == "local"
    mine = not ray.is_initialized()
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        if mine:
            ray.init(
                address=address,
                num_cpus=workers if local else None,
                include_dashboard=False if local else None,
                configure_logging=True,
                logging_level="ERROR",
                log_to_driver=False,
            )
    except Exception as error:
        raise InputError(
            f"there is no Ray cluster at {address} ({type(error).__name__}: {error}): start one with "
            "`ray start --head` and name its address, or take --ray local"
        ) from error
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    try:
        found = ray.cluster_resources()
        gpus = int(found.get("GPU", 0))
        yield workers or gpus or max(1, int(found.get("CPU", 1))), 1 if gpus else 0
    finally:
        if mine:
            ray.shutdown()


@contextlib.contextmanager
def _own_errors() -> Iterator[None]:
    """Let wrong input that a worker complains about be the caller's error, as without a cluster."""
    import ray

    try:
        yield
    except ray.exceptions.RayError as error:
        cause: BaseException | None = error
        while cause is not None and type(cause) is not InputError:
            cause = getattr(cause, "cause", None) or cause.__cause__
        if cause is None:
            raise
        raise InputError(str(cause)) from error
