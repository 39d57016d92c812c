"""Private machinery of everything that writes: files that appear under their name whole or not at all."""

from __future__ import annotations

import contextlib
import csv
import errno
import io
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from kinelex.errors import InputError

NO_ROOM = {getattr(errno, name) for name in ("ENOSPC", "EDQUOT", "EFBIG") if hasattr(errno, name)}
_STREAM = re.compile(r"/dev/(stdout|stderr|null|fd/\d+)|/proc/(self|\d+)/fd/\d+")


def file_place(path: Path) -> Path:
    """Where a file that is to be written lies: a link stays, and the file that it leads to is replaced.

    >>> folder = Path(tempfile.mkdtemp()).resolve()
    >>> (folder / "real").touch()
    >>> (folder / "link").symlink_to("real")
    >>> file_place(folder / "link").name, file_place(folder / "new").name
    ('real', 'new')
    """
    kind = _special(path)
    if kind is not None:
        raise InputError(f"{path} is {kind}, expects the name of a file to write")
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def _special(path: Path) -> str | None:
    """What stands in the way of a file, in words; None for a file, or a name that is free."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return f"a link to {os.readlink(path)}, which does not exist" if path.is_symlink() else None
    except OSError as error:
        if path.is_symlink():
            return f"a link that cannot be followed ({error.strerror})"
        return None  # a name that is too long, a file in the place of a folder: opening it tells
    kinds = {stat.S_ISDIR: "a directory", stat.S_ISCHR: "a device", stat.S_ISBLK: "a device"}
    kinds |= {stat.S_ISFIFO: "a pipe", stat.S_ISSOCK: "a socket"}
    return next((words for is_kind, words in kinds.items() if is_kind(mode)), None)


def is_stream(path: Path) -> bool:
    """Whether a path is a standard stream of this process (``/dev/stdout``), which numbers may be sent to."""
    return _STREAM.fullmatch(str(path)) is not None and path.exists()


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

    When the block fails or the process dies, what was there before stays; what killed processes left is
    deleted. Of a link the file that it leads to is replaced. A full disk is said with the file's name.
    """
    path = file_place(path)
    remove_leftovers(path)
    temporary = beside(path)
    try:
        with open(temporary, "wb") as file:
            hold(file)
            yield file
            file.flush()
            os.fsync(file.fileno())
            os.replace(temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in NO_ROOM and error.filename is None:
            error.filename = str(path)  # the system tells it for open, not for write
        raise


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A new folder that appears under its name when the block ends well."""
    if os.path.lexists(path) and (not path.is_dir() or any(path.iterdir())):
        raise InputError(f"{path} is there already: expects the name of a folder to make")
    path = Path(os.path.realpath(path)) if path.is_symlink() else path
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path)
    temporary = beside(path)
    temporary.mkdir()
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def write_whole(path: Path, content: str | bytes | memoryview) -> None:
    """Write a file that appears whole or not at all.

    >>> path = Path(tempfile.mkdtemp()) / "note.txt"
    >>> write_whole(path, "done")
    >>> path.read_text(), len(list(path.parent.iterdir()))
    ('done', 1)
    """
    with whole_file(path) as file:
        file.write(encoded(content) if isinstance(content, str) else content)


def encoded(text: str) -> bytes:
    """A text in UTF-8; what of a file's name is no text is written as its escape.

    >>> encoded("Käse"), encoded("\\udcff")
    (b'K\\xc3\\xa4se', b'\\\\udcff')
    """
    return text.encode("utf-8", "backslashreplace")


def csv_text(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] = ()) -> str:
    """Rows as CSV text under the names of these columns, or of all that there are.

    >>> csv_text([{"a": 1}, {"a": 2, "b": 3}])
    'a,b\\r\\n1,\\r\\n2,3\\r\\n'
    """
    text = io.StringIO(newline="")
    names = columns or list(dict.fromkeys(key for row in rows for key in row))
    writer = csv.DictWriter(text, names, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def write_numbers(path: Path, content: str) -> None:
    """Write what ``--json`` asks for; folders are made, a standard stream takes it as it is."""
    try:
        if is_stream(path):
            with open(path, "ab") as file:
                file.write(encoded(content))
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)
    except BrokenPipeError:  # whoever reads the stream has gone
        raise
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from error


def check_target(path: Path) -> None:
    """Refuse what is no place for a file."""
    file_place(path)


def refuse_special(path: Path) -> None:
    """Refuse what is no place for a file and none for a folder."""
    kind = _special(path)
    if kind is not None and not path.is_dir():
        raise InputError(f"{path} is {kind}, expects the name of something to write")


def check_place(path: Path, failed: str) -> None:
    """See whether a file or a folder can be made at a path later; nothing is made yet."""
    try:
        if path.is_symlink():
            if not path.exists():
                raise InputError(f"{failed}: it is {_special(path)}")
            path = Path(os.path.realpath(path))
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
    """Refuse to write something else in the place of a store."""
    if path.is_file():
        with path.open("rb") as file:
            if file.read(6) == b"ARROW1":
                raise InputError(f"{path} is a store, which would be lost: expects another name")


def remove_leftovers(path: Path) -> None:
    """Delete temporary files and folders that killed processes left beside ``path``."""
    with contextlib.suppress(OSError), os.scandir(path.parent) as entries:
        found = [e.name for e in entries if e.name.startswith(f".{path.name}.") and e.name.endswith(".tmp")]
        for name in found:
            pid = name.removeprefix(f".{path.name}.").removesuffix(".tmp")
            old = path.with_name(name)
            if pid.isdigit() and not _is_alive(int(pid)) and hold_path(old):
                shutil.rmtree(old, ignore_errors=True) if old.is_dir() else old.unlink(missing_ok=True)


def hold(file: Any) -> bool:
    """Lock an open file until it is closed; False where another process holds it.

    The system lets go of the lock when the process dies, also on another machine.
    """
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):  # a system or a file system without locks
        pass
    return True


def hold_path(path: Path) -> bool:
    """Whether no process holds a file."""
    try:
        with open(path, "rb") as file:
            return hold(file)
    except OSError:  # a folder; or gone meanwhile
        return True


def _is_alive(pid: int) -> bool:
    """Whether another process of this number runs; this one leaves nothing behind while it does."""
    if pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True
