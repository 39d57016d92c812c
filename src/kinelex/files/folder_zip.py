"""Folders in zip files, unpacked within bounds: no file outside the folder, none larger than it says."""

from __future__ import annotations

import shutil
import stat
import zipfile
import zlib
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from kinelex.errors import InputError, one_line
from kinelex.files.atomic import whole_file, whole_folder

MOST_BYTES, MOST_FILES = 4 << 30, 1000


def pack_folder(folder: Path, path: Path) -> None:
    """A zip file of all files in a folder."""
    with whole_file(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for one in sorted(p for p in folder.rglob("*") if p.is_file()):
            archive.write(one, one.relative_to(folder).as_posix())


def unpack_folder(path: Path, out: Path, root: str, wanted: tuple[str, ...]) -> None:
    """Unpack the folder in a zip file that holds a file ``root``, whole or not at all.

    Args:
        path: the zip file.
        out: the folder to make.
        root: name of the file that tells the folder.
        wanted: patterns of the files that are unpacked, from that folder on; others are left.

    Raises:
        InputError: no zip file, a damaged one, one without ``root``, or one that unpacks to too much.
    """
    try:
        with zipfile.ZipFile(path) as archive, whole_folder(out) as folder:
            names = [PurePosixPath(info.filename) for info in archive.infolist()]
            top = min((p.parent for p in names if p.name == root), key=lambda p: len(p.parts), default=None)
            if top is None:
                raise InputError(f"{path} has no {root}: expects a zip file of a run")
            total = count = 0
            for info, name in zip(archive.infolist(), names, strict=True):
                inner = name.relative_to(top).as_posix() if name.is_relative_to(top) else ""
                if info.is_dir() or not any(fnmatch(inner, pattern) for pattern in wanted):
                    continue
                if (
                    ".." in name.parts
                    or name.is_absolute()
                    or "\\" in inner
                    or stat.S_ISLNK(info.external_attr >> 16)
                ):
                    raise InputError(f"{path}: {info.filename!r} is no file of a run: nothing was unpacked")
                total, count = total + info.file_size, count + 1
                if total > MOST_BYTES or count > MOST_FILES:
                    most = f"{MOST_BYTES >> 30} GB or {MOST_FILES} files"
                    raise InputError(f"{path} unpacks to more than {most}: nothing was unpacked")
                (folder / inner).parent.mkdir(parents=True, exist_ok=True)
                with archive.open(info) as packed, (folder / inner).open("wb") as file:
                    shutil.copyfileobj(packed, file)  # zipfile gives no more than the size it says
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError) as error:
        raise InputError(f"{path} is no zip file of a run, or damaged: {one_line(error)}") from error
