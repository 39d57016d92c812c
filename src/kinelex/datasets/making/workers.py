"""Worker processes of ``prepare``, seen from the process that begins them."""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from kinelex.data import StoreMeta
from kinelex.datasets.making.parts import Chunk
from kinelex.datasets.making.worker import DONE, NO_ROOM
from kinelex.datasets.reader import Reader
from kinelex.errors import InputError

_MOST = 32  # workers unless another number is asked for: more wait for the disk and take memory
_COMMAND = "from kinelex.datasets.making.worker import main; main()"


class WorkerLost(InputError):
    """A worker was killed from outside; what is parsed is kept."""


def usable_cores() -> int:
    """How many workers there are unless a number is asked for: the cores this process may use.

    >>> 1 <= usable_cores() <= 32
    True
    """
    found = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(found, _MOST)


class Workers:
    """Processes that parse chunks into parts, as a context manager; they never outlive it.

    Args:
        count: how many processes.
        reader: reads the items; pickled once to each process.
        meta: what the store says about itself.
    """

    def __init__(self, count: int, reader: Reader, meta: StoreMeta) -> None:
        greeting = pickle.dumps(pickle.dumps((reader, meta)))
        self._all = [_start(greeting) for _ in range(count)]
        self._idle: queue.SimpleQueue[subprocess.Popen[bytes]] = queue.SimpleQueue()
        for process in self._all:
            self._idle.put(process)
        self._threads = ThreadPoolExecutor(count)

    def make(self, chunks: list[Chunk]) -> Iterator[Chunk]:
        """Have the parts of some chunks made; gives the chunks in order as their parts are there.

        Raises:
            WorkerLost: a worker was killed.
            OSError: a part cannot be written.
            RuntimeError: a fault in a reader; the text holds the worker's traceback.
        """
        futures = [(chunk, self._threads.submit(self._make, chunk)) for chunk in chunks]
        for chunk, future in futures:
            future.result()
            yield chunk

    def _make(self, chunk: Chunk) -> None:
        process = self._idle.get()
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(pickle.dumps(pickle.dumps((chunk.path, chunk.items))))
            process.stdin.flush()
            outcome, text = pickle.load(process.stdout)
        except (EOFError, OSError, pickle.UnpicklingError) as error:
            raise _loss(process.wait(), chunk.items[0].path) from error
        finally:
            self._idle.put(process)
        if outcome == NO_ROOM:
            raise OSError(text)
        if outcome != DONE:
            raise RuntimeError(f"a worker process of prepare failed:\n{text}")

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._all:
            process.kill()  # parts are whole or not there: nothing is lost that was finished
        self._threads.shutdown(cancel_futures=True)
        for process in self._all:
            process.wait()
            for pipe in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):  # what was on its way to a worker that is gone
                    pipe.close()  # type: ignore[union-attr]


def _start(greeting: bytes) -> subprocess.Popen[bytes]:
    """A worker in a session of its own, so that Ctrl-C reaches this process alone."""
    paths = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
    process = subprocess.Popen(
        [sys.executable, "-c", _COMMAND],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )
    assert process.stdin is not None
    process.stdin.write(greeting)
    process.stdin.flush()
    return process


def _loss(status: int, path: Path) -> Exception:
    """What to say when a worker ends without an answer."""
    if status == -signal.SIGKILL:
        return WorkerLost(
            f"a worker process was killed while it read {path} and what follows it, most likely because "
            "memory ran out: run the same again with fewer --workers; what is read already is kept"
        )
    return RuntimeError(f"a worker process of prepare ended with status {status} while it read {path}")
