"""Files from an address, kept once their digest is the one that is expected."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from kinelex.errors import InputError, one_line, without_secrets
from kinelex.files.atomic import whole_file

MOST_BYTES = 4 << 30
_TIMEOUT = 20  # seconds that a server may say nothing
_BLOCK = 1 << 20


def cache_folder() -> Path:
    """Where kinelex keeps what it loaded, as the system wants it."""
    if sys.platform == "win32":
        place = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        place = Path.home() / "Library" / "Caches"
    else:
        place = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return place / "kinelex"


def file_digest(path: Path) -> str:
    """SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def download(address: str, path: Path, sha256: str, otherwise: str = "") -> None:
    """Load a file whose digest is known.

    Args:
        address: where it is.
        path: the file to make.
        sha256: its digest.
        otherwise: what the message says to do where it cannot be loaded.

    Raises:
        InputError: it cannot be loaded, is too large, or is not the one that is expected: nothing is kept.
    """
    shown, digest, size = without_secrets(address), hashlib.sha256(), 0
    print(f"loading {shown} into {path.parent}", file=sys.stderr)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with urlopen(address, timeout=_TIMEOUT) as answer, whole_file(path) as file:
            while block := answer.read(_BLOCK):
                size += len(block)
                if size > MOST_BYTES:
                    raise InputError(f"{shown} is larger than {MOST_BYTES >> 30} GB: nothing was kept")
                digest.update(block)
                file.write(block)
            if digest.hexdigest() != sha256.lower():
                raise InputError(
                    f"{shown} is not the file that is expected (SHA-256 {sha256}): nothing was kept"
                )
    except (URLError, OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"there is no file {path}, and {shown} cannot be loaded ({one_line(error)}){otherwise}"
        ) from error
