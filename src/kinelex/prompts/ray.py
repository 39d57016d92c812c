"""Private machinery of prompt making: the shards over the workers of a Ray cluster."""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import socket
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from kinelex.errors import InputError
from kinelex.prompts.plan import Made, Plan, jobs_of, last_jobs
from kinelex.prompts.registry import own_parts, register
from kinelex.prompts.shards import NOTES, Parts, made_before
from kinelex.prompts.stages import Stage
from kinelex.prompts.work import Begin, Work, bars


@dataclass(frozen=True)
class Surroundings:
    """What a worker must know of the process that sent it.

    Args:
        folder: that relative paths are about.
        paths: where modules are found.
        own: engines and encoders that the user registered, pickled: their modules are in ``paths``.
    """

    folder: str
    paths: list[str]
    own: bytes

    def enter(self) -> None:
        """Be, on a worker, as in the process that sent it."""
        with contextlib.suppress(OSError):  # on another machine the folder need not be there
            os.chdir(self.folder)
        sys.path += [path for path in self.paths if path not in sys.path]
        for kind, factories in pickle.loads(self.own).items():
            for name, factory in factories.items():
                register(kind, name, factory)


def begin(plan: Plan, around: Surroundings) -> bool | None:
    """On a worker: begin the folder of shards; returns whether there was something, None if all is done."""
    made = _made(plan, around)
    if made_before(plan.out, made.meta, made.clips):
        return None
    return Parts(plan.out, made.meta, made.clips).resumed


class Worker:
    """On a worker: makes shards, with engines that are loaded once.

    Args:
        plan: what was asked for.
        around: what to know of the process that sent this.
        last: whether these are the stages that need all texts.
    """

    def __init__(self, plan: Plan, around: Surroundings, last: bool) -> None:
        if last:
            around.enter()
            parts = Parts.begun(plan.out)
            stages = Work(parts, last_jobs(plan, parts)).last()
        else:
            made = _made(plan, around)
            parts = Parts(plan.out, made.meta, made.clips)
            stages = Work(parts, made.jobs(parts)).first
        self._stages = {stage.what: stage for stage in stages}

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Make the shards of the named stages that begin at some numbers."""
        for what, start in zip(batch["what"], batch["start"], strict=True):
            self._stages[str(what)].make([int(start)], lambda more: None)
        return batch


def _made(plan: Plan, around: Surroundings) -> Made:
    around.enter()
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
        own = ray.cloudpickle.dumps(own_parts())
        arguments = (plan, Surroundings(str(Path.cwd()), sys.path, own))
        with _own_errors():
            resumed = ray.get(ray.remote(num_gpus=gpus, max_retries=0)(begin).remote(*arguments))
        if resumed is None:
            return True
        parts = Parts.begun(out)
        work = Work(parts, jobs_of(parts))
        with bars(progress) as start_bar:
            _map(work.first, parts, (*arguments, False), count, gpus, start_bar)
            _map(work.last(), parts, (*arguments, True), count, gpus, start_bar)
    work.merge(out)
    return resumed


def _map(
    stages: list[Stage], parts: Parts, arguments: tuple[Any, ...], workers: int, gpus: int, start_bar: Begin
) -> None:
    """Make the shards of some stages that are not there yet."""
    import ray

    by_name = {stage.what: stage for stage in stages}
    missing = [(stage, start) for stage in stages for start in stage.missing(parts)]
    there = {stage.what: stage.total - stage.count(stage.missing(parts)) for stage in stages}
    advance = {stage.what: start_bar(stage.what, stage.total, there[stage.what]) for stage in stages}
    if not missing:
        return
    items = [{"what": stage.what, "start": start} for stage, start in missing]
    data = ray.data.from_items(items, override_num_blocks=len(items))
    done = data.map_batches(
        Worker,
        fn_constructor_args=arguments,
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(size=min(workers, len(items))),
        num_gpus=gpus,
    )
    with _own_errors():
        for row in done.iter_rows():
            stage = by_name[str(row["what"])]
            advance[stage.what](stage.count([int(row["start"])]))


@contextlib.contextmanager
def _cluster(address: str, workers: int | None) -> Iterator[tuple[int, int]]:
    """Join a cluster, or start one; gives the number of workers and the GPUs for each."""
    import ray

    local = address == "local"
    mine = not ray.is_initialized()
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    if local:
        os.environ.setdefault("RAY_worker_niceness", "0")  # nothing else here is to go first
    try:
        if mine:
            host, colon, port = address.rpartition(":")
            if colon and port.isdigit() and "/" not in host:  # Ray itself tries for minutes
                socket.create_connection((host, int(port)), timeout=10).close()
            ray.init(
                address=address,
                num_cpus=workers if local else None,
                include_dashboard=False if local else None,
                configure_logging=True,
                logging_level=logging.ERROR,
                log_to_driver=False,
            )
    except Exception as error:
        raise InputError(
            f"there is no Ray cluster at {address} ({type(error).__name__}: {error}): start one with "
            "`ray start --head` and name its address, or take --ray local"
        ) from error
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
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
