"""Python processes for tests that kill them, forked from a server that has imported the trainer once.

Importing it takes seconds, and the killed processes of the tests need nothing else of a fresh interpreter.
"""

import multiprocessing
import os
import sys
import tempfile
from dataclasses import dataclass

import torch

_FORKSERVER = multiprocessing.get_context("forkserver")
_FORKSERVER.set_forkserver_preload(["kinelex.training.train", "kinelex.reports"])


@dataclass(frozen=True)
class Ended:
    """How a process ended: its status, negative for a signal, and what it wrote to its standard error."""

    returncode: int
    stderr: str


def run_python(code: str, *words: str, timeout: float = 300) -> Ended:
    """What ``python -c code words…`` does, without the wait for imports."""
    with tempfile.NamedTemporaryFile("r", encoding="utf-8") as stderr:
        process = _FORKSERVER.Process(target=_main, args=(code, words, stderr.name))
        process.start()
        process.join(timeout)
        assert process.exitcode is not None, f"still running after {timeout} s"
        return Ended(process.exitcode, stderr.read())


def _main(code: str, words: tuple[str, ...], stderr: str) -> None:
    for number in (1, 2):
        os.dup2(os.open(stderr if number == 2 else os.devnull, os.O_WRONLY), number)
    torch.set_num_threads(1)
    sys.argv = ["-c", *words]
    exec(compile(code, "<a test's process>", "exec"), {"__name__": "__main__"})
