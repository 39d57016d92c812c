"""Private machinery of everything that writes: two processes never make the same thing at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from kinelex.errors import InputError

_HELD: set[Path] = set()  # by this process


# What torchrun, SLURM's srun, and Lightning within a node and over nodes call a process of one training.
_RANKS = ("RANK", "SLURM_PROCID", "LOCAL_RANK", "NODE_RANK")


def is_first_process() -> bool:
    """Whether this process speaks for a training, in which there may be several, on several nodes."""
    return not any(os.environ.get(name, "0").strip() not in ("", "0") for name in _RANKS)


class InUseError(InputError):
    """Another process makes the same thing."""


@contextmanager
def sole_writer(path: str | Path, shared: bool = False) -> Iterator[None]:
    """Hold an output against other processes for as long as the block runs.

    The hidden file ``.NAME.lock`` beside the output is locked meanwhile and deleted afterwards. The system
    lets go of the lock when the process dies, however it dies, so that nothing has to be unlocked by hand.
    Where the file system has no locks, or nothing can be written, nobody is stopped.

    Args:
        shared: let others in that share too: processes that each make a part.

    Raises:
        InUseError: another process holds it.
    """
    path = Path(os.path.realpath(path))
    lock = path.with_name(f".{path.name}.lock")
    if lock in _HELD or not is_first_process():
        yield
        return
    made = [folder for folder in lock.parents if not folder.exists()]
    file = None
    with suppress(OSError, ImportError):
        lock.parent.mkdir(parents=True, exist_ok=True)
        file = _locked(lock, path, shared)
    _HELD.add(lock)
    try:
        yield
    finally:
        _HELD.discard(lock)
        if file is not None:
            _let_go(lock, file, shared)
        with suppress(OSError):  # nothing came of it: no folder stays
            for folder in made:
                folder.rmdir()


def _locked(lock: Path, path: Path, shared: bool) -> BinaryIO:
    import fcntl

    how = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    while True:
        file = open(lock, "ab")  # noqa: SIM115
        try:
            fcntl.flock(file, how | fcntl.LOCK_NB)
            if os.fstat(file.fileno()).st_ino == lock.stat().st_ino:
                return file
        except BlockingIOError as error:
            file.close()
            raise InUseError(
                f"another process is making {path}: wait until it has ended, or pass another name"
            ) from error
        except FileNotFoundError:
            pass  # whoever held it has just deleted it: this is the lock of nothing
        except BaseException:
            file.close()
            raise
        file.close()


def _let_go(lock: Path, file: BinaryIO, shared: bool) -> None:
    import fcntl

    with suppress(OSError), file:
        if shared:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails while others share: the last one deletes
        lock.unlink(missing_ok=True)
