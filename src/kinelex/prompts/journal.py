"""Files of JSON lines that are only ever added to, so that what was finished survives a kill."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from kinelex.errors import InputError
from kinelex.files.atomic import hold
from kinelex.files.bounded import safe_json

_SYNC = 1.0  # seconds between two flushes to the disk: what a failing power supply may cost
_PATIENCE = 10.0  # seconds that a cluster takes to end the workers of a run that was killed


class JsonLines:
    """A file of JSON lines. A line that a kill left torn is cut off when the file is read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: BinaryIO = path.open("a+b")
        self._synced = 0.0

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """The whole lines, each with the byte at which it begins."""
        self._file.seek(0)
        begin = 0
        for line in self._file:
            if not line.endswith(b"\n"):
                self.cut(begin)
                return
            yield begin, line
            begin += len(line)

    def cut(self, begin: int) -> None:
        """Cut off what stands from a byte on."""
        self._file.truncate(begin)

    def add(self, content: Any) -> None:
        """Add a line; killed after this it is not lost."""
        self._file.write(json.dumps(content, ensure_ascii=False).encode() + b"\n")
        self._file.flush()
        if time.monotonic() - self._synced > _SYNC:
            self.sync()

    def sync(self) -> None:
        """Have all lines on the disk, as against a failure of power."""
        os.fsync(self._file.fileno())
        self._synced = time.monotonic()

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


class Journal(JsonLines):
    """Entries by row, noted when they are known. Only one process at a time may have it open."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.entries: dict[int, Any] = {}
        self._lock()
        for begin, line in self.lines():
            try:
                row, entry = safe_json(line)
                self.entries[row] = entry
            except (ValueError, TypeError):  # it and what follows is made again
                self.cut(begin)
                break

    def _lock(self) -> None:
        until = time.monotonic() + _PATIENCE
        while not hold(self._file):
            if time.monotonic() > until:
                self.close()
                raise InputError(
                    f"{self.path} is being written by another process: wait for it, or give each its own "
                    "--shard i/n"
                )
            time.sleep(0.05)

    def note(self, row: int, entry: Any) -> None:
        """Note an entry."""
        self.entries[row] = entry
        self.add([row, entry])

    def finish(self) -> None:
        """Delete the file: its content is kept elsewhere."""
        self.path.unlink(missing_ok=True)
        self.close()
