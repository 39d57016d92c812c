"""Folders searched with all folders in them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


def walk(folder: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Each folder with the names of its folders and files, in their order: what :func:`os.walk` gives.

    Links to folders elsewhere are followed. One to a folder that is reached without it, or by another link
    before, is passed over, so that every file is found once and no circle is without end.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> (folder / "a.txt").touch()
    >>> (folder / "again").symlink_to(folder)
    >>> [(names, folders) for _, folders, names in walk(folder)]
    [(['a.txt'], ['again'])]
    """
    root, seen = Path(os.path.realpath(folder)), set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        real = Path(os.path.realpath(parent))
        if real in seen or (root in real.parents and os.path.islink(parent)):
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        yield Path(parent), folders, sorted(names)


def files_under(folder: Path, pattern: str) -> list[Path]:
    """The files under a folder whose end of the path fits a pattern, as in :meth:`pathlib.Path.match`.

    >>> files_under(Path("nowhere"), "*.json")
    []
    """
    found = (parent / name for parent, _, names in walk(folder) for name in names)
    return sorted(path for path in found if path.match(pattern))
