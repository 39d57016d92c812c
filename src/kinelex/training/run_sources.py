"""Where a run is: a folder, a zip file, kinelex itself, an address with its digest, or a hub's repository."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

from kinelex.errors import InputError, check_name, without_secrets
from kinelex.files.download import cache_folder, download, file_digest
from kinelex.files.folder_zip import unpack_folder

# All that answering needs. Checkpoints are pickles: they are neither shared nor loaded.
SHARED = ("README.md", "config.yaml", "encoder.json", "*.safetensors", "evaluation/cache/predict-*.npz")
_REMOTE = re.compile(r"(kinelex|hf|https?):/+")
_OWN = Path(__file__).parents[1] / "models" / "pretrained"  # zip files that `kinelex push` wrote


def run_folder(source: str | Path) -> Path:
    """The folder of a run; what has to be loaded or unpacked is kept in the cache.

    Args:
        source: a run directory; a zip file of one; ``kinelex://actors``, which comes with kinelex;
            ``https://…/run.zip#sha256=…``; ``hf://user/name``, with ``@revision`` behind it or without.

    Raises:
        InputError: an address without a digest or with another one, no zip file, no such run of kinelex's
            own, or nothing to be loaded.

    >>> run_folder("runs/a").as_posix()
    'runs/a'
    """
    text = str(source)
    remote = _REMOTE.match(text)  # a Path has one slash where an address has two
    if remote is None:
        path = Path(source)
        if not path.is_file():
            return path
        if not zipfile.is_zipfile(path):
            raise InputError(f"{path} is no run directory, and no zip file of one")
        return _unpacked(path, file_digest(path), path.stem)
    rest = text[remote.end() :]
    if remote[1] == "kinelex":
        own = {path.stem: path for path in _OWN.glob("*.zip")}
        check_name("run that comes with kinelex", rest, own)
        return _unpacked(own[rest], file_digest(own[rest]), rest)
    if remote[1] == "hf":
        from kinelex.models.hub import download_run

        return download_run(rest, SHARED)
    address, _, digest = f"{remote[1]}://{rest}".partition("#")
    found = re.fullmatch(r"sha256=([0-9a-fA-F]{64})", digest)
    if found is None:
        raise InputError(
            f"{without_secrets(address)}: expects the digest of the zip file behind it, #sha256=… with 64 "
            "signs from 0 to f (`sha256sum run.zip`)"
        )
    sha256 = found[1].lower()
    path = cache_folder() / "runs" / f"{sha256}.zip"
    if not (path.is_file() and file_digest(path) == sha256):
        download(address, path, sha256)
    return _unpacked(path, sha256, "run")


def stands_for_run(source: str | Path) -> bool:
    """Whether a run has to be loaded or unpacked to be a folder.

    >>> stands_for_run("kinelex://actors"), stands_for_run("runs/a")
    (True, False)
    """
    return bool(_REMOTE.match(str(source))) or zipfile.is_zipfile(source)


def _unpacked(path: Path, sha256: str, name: str) -> Path:
    folder = cache_folder() / "runs" / sha256 / name
    if not (folder / "encoder.json").is_file():
        unpack_folder(path, folder, "encoder.json", SHARED)
    return folder
