"""Private machinery of prompt making: a file of lines, one per finished clip, that survives a kill."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any, BinaryIO

from kinelex.errors import InputError
from kinelex.files.bounded import safe_json

_SYNC = 1.0  # seconds between two flushes to the disk: what a failing power supply may cost
_PATIENCE = 10.0  # seconds that a cluster takes to end the workers of a run that was killed


class Journal:
    """Entries by row, each appended as a line of JSON when it is known.

    A line that a kill left torn is cut off. Only one process at a time may have it open.

    Args:
        path: the file, made when the first entry comes.

    Raises:
        InputError: another process has it open.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: dict[int, Any] = {}
        self._file: BinaryIO = path.open("a+b")
        self._synced = 0.0
        self._lock()
        self._read()

    def _lock(self) -> None:
        try:
            import fcntl
        except ImportError:
            return  # a system without locks
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError as error:
                if time.monotonic() > until:
                    self._file.close()
                    raise InputError(
                        f"{self.path} is being written by another process: wait for it, or give each its own "
                        "--shard i/n"
                    ) from error
                time.sleep(0.05)
            except OSError:
                return  # a file system without locks

    def _read(self) -> None:
        self._file.seek(0)
        whole = 0
        for line in self._file:
            try:
                row, entry = safe_json(line)
            except (ValueError, TypeError):
                break
            if not line.endswith(b"\n"):
                break
            self.entries[row] = entry
            whole += len(line)
        self._file.truncate(whole)

    def add(self, row: int, entry: Any) -> None:
        """Note an entry; killed after this it is not lost."""
        self.entries[row] = entry
        self._file.write(json.dumps([row, entry], ensure_ascii=False).encode() + b"\n")
        self._file.flush()
        if time.monotonic() - self._synced > _SYNC:
            os.fsync(self._file.fileno())
            self._synced = time.monotonic()

    def close(self, done: bool = False) -> None:
        """Let go of the file; when ``done`` it is deleted, its content is kept elsewhere."""
        if done:
            self.path.unlink(missing_ok=True)
        self._file.close()
