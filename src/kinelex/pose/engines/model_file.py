"""Where the file of a model is: named by the user, kept from an earlier run, or loaded from its maker."""

from __future__ import annotations

import os
from pathlib import Path

from kinelex.errors import InputError
from kinelex.files.download import cache_folder, download

VARIABLE = "KINELEX_POSE_MODEL"


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
        download(
            address,
            path,
            sha256,
            f": load it where there is a network, and name it with pose.model=FILE or {VARIABLE}=FILE",
        )
    return path
