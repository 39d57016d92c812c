"""The shards over the workers of a Ray cluster."""

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
from kinelex.prompts.plan import PromptMakers, PromptOptions, jobs_of, last_jobs
from kinelex.prompts.registry import register, user_parts
from kinelex.prompts.shards import NOTES, Parts, is_complete
from kinelex.prompts.stages import Stage
from kinelex.prompts.work import Work, counted


@dataclass(frozen=True)
class Surroundings:
    """What a worker must know of the process that sent it: where relative paths begin and modules are found.

    ``parts`` are engines and encoders that the user registered, pickled; their modules are in ``paths``.
    """

    folder: str
    paths: list[str]
    parts: bytes

    def enter(self) -> None:
        """Be, on a worker, as in the process that sent it."""
        with contextlib.suppress(OSError):  # on another machine the folder need not be there
            os.chdir(self.folder)
        sys.path += [path for path in self.paths if path not in sys.path]
        for kind, factories in pickle.loads(self.parts).items():
            for name, factory in factories.items():
                register(kind, name, factory)


def begin(asked: PromptOptions, around: Surroundings) -> bool | None:
    """On a worker: begin the folder of shards; returns whether there was something, None if all is done."""
    makers = _makers(asked, around)
    if is_complete(asked.out, makers.meta, makers.clips):
        return None
    return Parts(asked.out, makers.meta, makers.clips).resumed


class Worker:
    """On a worker: makes shards, or those that need all texts (``last``), with engines loaded once."""

    def __init__(self, asked: PromptOptions, around: Surroundings, last: bool) -> None:
        if last:
            around.enter()
            parts = Parts.begun(asked.out)
            stages = Work(parts, last_jobs(asked, parts)).last()
        else:
            makers = _makers(asked, around)
            parts = Parts(asked.out, makers.meta, makers.clips)
            stages = Work(parts, makers.jobs(parts)).first
        self._stages = {stage.what: stage for stage in stages}

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Make the shards of the named stages that begin at some numbers."""
        for what, start in zip(batch["what"], batch["start"], strict=True):
            self._stages[str(what)].make([int(start)], lambda more: None)
        return batch


def _makers(asked: PromptOptions, around: Surroundings) -> PromptMakers:
    around.enter()
    return PromptMakers(asked, f"{NOTES}-{uuid.uuid4().hex[:12]}")


def work_on_cluster(asked: PromptOptions, address: str, workers: int | None, progress: bool) -> bool:
    """Make all shards on the workers of a cluster and put them together here.

    Every worker writes its shards into the folder beside the output, which all of them must see. The address
    ``local`` starts a cluster here and ends it; by default there is a worker per GPU, or per core.

    Returns:
        Whether an earlier run had done part of the work, or all.
    """
    if find_spec("ray") is None or find_spec("pandas") is None:
        raise InputError("work on a Ray cluster needs Ray Data: pip install 'kinelex[ray]'")
    import ray

    places = {name: getattr(asked, name) for name in ("store", "out", "source")}
    asked = replace(asked, **{name: path.absolute() for name, path in places.items() if path is not None})
    with _cluster(address, workers) as (count, gpus):
        around = Surroundings(str(Path.cwd()), sys.path, ray.cloudpickle.dumps(user_parts()))
        arguments = (asked, around)
        with _own_errors():
            resumed = ray.get(ray.remote(num_gpus=gpus, max_retries=0)(begin).remote(*arguments))
        if resumed is None:
            return True
        parts = Parts.begun(asked.out)
        work = Work(parts, jobs_of(parts))
        _map(work.first, parts, (*arguments, False), count, gpus, progress)
        _map(work.last(), parts, (*arguments, True), count, gpus, progress)
    work.merge(asked.out)
    return resumed


def _map(
    stages: list[Stage], parts: Parts, arguments: tuple[Any, ...], workers: int, gpus: int, progress: bool
) -> None:
    """Make the shards of some stages that are not there yet."""
    import ray

    by_name = {stage.what: stage for stage in stages}
    missing = [(stage, start) for stage in stages for start in stage.missing(parts)]
    if not missing:
        return
    total = sum(stage.total for stage in stages)
    left = sum(stage.count([start]) for stage, start in missing)
    items = [{"what": stage.what, "start": start} for stage, start in missing]
    data = ray.data.from_items(items, override_num_blocks=len(items))
    pool = ray.data.ActorPoolStrategy(size=min(workers, len(items)))
    done = data.map_batches(Worker, fn_constructor_args=arguments, batch_size=1, compute=pool, num_gpus=gpus)
    with _own_errors(), counted(stages, total, total - left, progress) as advance:
        for row in done.iter_rows():
            advance(by_name[str(row["what"])].count([int(row["start"])]))


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
            own: dict[str, Any] = {"num_cpus": workers, "include_dashboard": False} if local else {}
            ray.init(address, **own, logging_level=logging.ERROR, log_to_driver=False)
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
        resources = ray.cluster_resources()
        gpus = int(resources.get("GPU", 0))
        yield workers or gpus or max(1, int(resources.get("CPU", 1))), 1 if gpus else 0
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
