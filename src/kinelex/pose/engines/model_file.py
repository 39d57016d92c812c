"""Where the file of a model is: named by the user, kept from an earlier run, or loaded from its maker."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from kinelex.errors import InputError, one_line
from kinelex.files.atomic import whole_file

VARIABLE = "KINELEX_POSE_MODEL"
_TIMEOUT = 20  # seconds that a server may say nothing
_BLOCK = 1 << 20


def cache_folder() -> Path:
    """Where kinelex keeps the files of models, as the system wants it."""
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


def find_model(given: str | None, address: str, sha256: str) -> Path:
    """The file of a model: the one that is given, that of ``KINELEX_POSE_MODEL``, the kept one, or a new one.

    Args:
        given: the user's file.
        address: where its maker offers it.
        sha256: the digest of what is there.

    Raises:
        InputError: no such file, or it cannot be loaded, or is not the one that is expected.
    """
    named, how = (given, "pose.model") if given else (os.environ.get(VARIABLE), VARIABLE)
    if named:
        path = Path(named).expanduser()
        if not path.is_file():
            raise InputError(
                f"{how}: there is no file {path}: expects a model file such as {Path(address).name}"
            )
        return path
    path = cache_folder() / Path(address).name
    if not path.is_file():
        _load(address, path, sha256)
    return path


def _load(address: str, path: Path, sha256: str) -> None:
    print(f"loading {address} into {path.parent}", file=sys.stderr)
    digest = hashlib.sha256()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with urlopen(address, timeout=_TIMEOUT) as answer, whole_file(path) as file:
            while block := answer.read(_BLOCK):
                digest.update(block)
                file.write(block)
            if digest.hexdigest() != sha256:
                raise InputError(
                    f"{address} is not the file that is expected (SHA-256 {sha256}): nothing was kept"
                )
    except (URLError, OSError) as error:
        raise InputError(
            f"there is no model file {path}, and {address} cannot be loaded ({one_line(error)}): load it "
            f"where there is a network, and name it with pose.model=FILE or {VARIABLE}=FILE"
        ) from error
