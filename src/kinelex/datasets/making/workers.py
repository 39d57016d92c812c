"""Worker processes of ``prepare``: chunks of raw files into parts, several at a time."""

from __future__ import annotations

import os
import pickle
import signal
import threading
import time
from collections.abc import Generator
from pathlib import Path

from kinelex.data import StoreMeta
from kinelex.datasets.making.parts import Chunk, write_part
from kinelex.datasets.reader import Item, Reader
from kinelex.errors import InputError

_MOST = 32  # workers unless another number is asked for: more wait for the disk and take memory
_job = b""  # of a worker: reader and meta, pickled


class WorkerLost(InputError):
    """A worker was killed from outside; what is parsed is kept."""


def usable_cores() -> int:
    """How many workers there are unless a number is asked for: the cores this process may use."""
    from joblib import cpu_count  # here: help imports this module

    return min(cpu_count(), _MOST)


def make_parts(
    chunks: list[Chunk], reader: Reader, meta: StoreMeta, count: int
) -> Generator[Chunk, None, None]:
    """Parse chunks into parts by ``count`` processes; gives the chunks in order as their parts are there.

    The processes are loky's (of joblib): unlike those of ``multiprocessing`` they do not import the user's
    script again; a reader that the script defines is sent along. They end with the generator, and with the
    process that began them, however it ends.

    Raises:
        WorkerLost: a worker was killed.
        OSError: a part cannot be written.
    """
    if min(count, len(chunks)) < 2:
        for chunk in chunks:
            write_part(chunk.path, reader, meta, chunk.items)
            yield chunk
        return
    from joblib.externals.loky.backend.reduction import dumps
    from joblib.externals.loky.process_executor import ProcessPoolExecutor, TerminatedWorkerError

    executor = ProcessPoolExecutor(
        min(count, len(chunks)),
        initializer=_begin,
        initargs=(os.getpid(), bytes(dumps((reader, meta)))),
        env={"OMP_NUM_THREADS": "1"},
    )
    futures = []
    try:
        futures = [(chunk, executor.submit(_make, chunk.path, chunk.items)) for chunk in chunks]
        for chunk, future in futures:
            try:
                future.result()
            except TerminatedWorkerError as error:
                raise _loss(str(error), chunk.items[0].path) from error
            yield chunk
    finally:
        unfinished = not all(future.done() for _, future in futures)
        executor.shutdown(kill_workers=unfinished)  # parts are whole or not there: nothing finished is lost


def _loss(text: str, path: Path) -> Exception:
    """What to say of a worker that ended by itself."""
    if "SIGKILL" in text:
        return WorkerLost(
            f"a worker process was killed while it read {path} or what follows it, most likely because "
            "memory ran out: run the same again with fewer --workers; what is read already is kept"
        )
    return RuntimeError(f"a worker process of prepare ended while it read {path} or what follows it: {text}")


def _begin(parent: int, job: bytes) -> None:
    global _job
    _job = job
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that began this one
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(0)


def _make(path: Path, items: tuple[Item, ...]) -> None:
    reader, meta = pickle.loads(_job)
    write_part(path, reader, meta, items)
