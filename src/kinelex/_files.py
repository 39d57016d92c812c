"""Private machinery of everything that writes: files that appear under their name whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from kinelex.errors import InputError


def beside(path: Path) -> Path:
    """The temporary name of this process for a file that is to become ``path``."""
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def publish(temporary: Path, path: Path) -> None:
    """Flush a finished file to the disk and give it its name."""
    with open(temporary, "rb") as file:
        os.fsync(file.fileno())
    os.replace(temporary, path)


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing that appears under its name when the block ends well.

    When the block fails or the process dies, what was there before stays. Devices (``/dev/stdout``) and pipes
    are written to as they are.
    """
    if is_device(path):
        with open(path, "ab") as file:
            yield file
        return
    temporary = beside(path)
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def is_device(path: Path) -> bool:
    """Whether a path is no place for a file, but a device or a pipe that takes what is written."""
    return path.exists() and not path.is_dir() and (not path.is_file() or path.parent == Path("/dev"))


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file that appears whole or not at all.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "note.txt"
    >>> write_whole(path, "done")
    >>> path.read_text(), len(list(path.parent.iterdir()))
    ('done', 1)
    """
    with whole_file(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def check_target(path: Path) -> None:
    """Refuse a folder where a file is to be written.

    Raises:
        InputError: the path is a folder.
    """
    if path.is_dir():
        raise InputError(f"{path} is a directory, expects the name of a file to write")


def check_place(path: Path, failed: str) -> None:
    """See whether a file or a folder can be made at a path later; nothing is made yet.

    Args:
        path: what is to be made, or written anew.
        failed: how the message begins.

    Raises:
        InputError: a file stands where a folder is needed, or the place is not writable.
    """
    try:
        if is_device(path):
            return
        places = (path, *path.absolute().parents) if path.is_dir() else path.absolute().parents
        there = next(p for p in places if p.exists())
    except OSError as error:  # a name that is too long, a folder that may not be looked into
        raise InputError(f"{failed}: {error.strerror}") from error
    if not there.is_dir():
        raise InputError(f"{failed}: {there} is a file, expects a directory")
    try:
        with tempfile.TemporaryFile(dir=there):  # the rights alone do not tell: /proc, mounted disks
            pass
    except OSError as error:
        raise InputError(f"{failed}: {there} is not writable") from error


def spare_stores(path: Path) -> None:
    """Refuse to write something else in the place of a store.

    Raises:
        InputError: an Arrow file is there.
    """
    if path.is_file():
        with path.open("rb") as file:
            if file.read(6) == b"ARROW1":
                raise InputError(f"{path} is a store, which would be lost: expects another name")


def remove_leftovers(path: Path) -> None:
    """Delete temporary files that killed processes left beside ``path``."""
    for old in path.parent.glob(f".{path.name}.*.tmp"):
        pid = old.name.split(".")[-2]
        if not (pid.isdigit() and int(pid) != os.getpid() and _is_alive(int(pid))):
            old.unlink(missing_ok=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
