"""A worker process of ``prepare``: takes pieces of work from stdin, answers on stdout, both pickled.

It is a process of its own, not one of ``multiprocessing``: those import the user's script again, which
goes wrong in scripts without ``if __name__ == "__main__"`` and in notebooks.
"""

from __future__ import annotations

import os
import pickle
import queue
import sys
import threading
import traceback
from functools import lru_cache
from typing import Any, BinaryIO

from kinelex.data import StoreMeta
from kinelex.datasets.making.parts import write_part
from kinelex.datasets.reader import Reader

DONE, NO_ROOM, FAULT = "done", "no room", "fault"


def main() -> None:
    """Do pieces of work until stdin ends, which it also does when the process that began this one dies."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not get among the answers
    pieces: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(sys.stdin.buffer, pieces), daemon=True).start()
    greeting = pieces.get()
    while True:
        piece = pieces.get()
        try:
            reader, meta = _unpacked(greeting)
            path, items = pickle.loads(piece)
            write_part(path, reader, meta, items)
        except OSError as error:  # those of raw files are wrong clips by now: this is the part
            _answer(answers, NO_ROOM, str(error))
        except BaseException:
            _answer(answers, FAULT, traceback.format_exc())
        else:
            _answer(answers, DONE, "")


@lru_cache(maxsize=1)
def _unpacked(greeting: bytes) -> tuple[Reader, StoreMeta]:
    return pickle.loads(greeting)


def _receive(source: BinaryIO, pieces: queue.SimpleQueue[Any]) -> None:
    """Hand on what comes; at the end of it stop the process at once, also in the midst of a piece."""
    while True:
        try:
            pieces.put(pickle.load(source))
        except BaseException:
            os._exit(0)


def _answer(answers: BinaryIO, outcome: str, text: str) -> None:
    pickle.dump((outcome, text), answers)
    answers.flush()
