"""What was computed once is read the next time: files under names made of what the content depends on.

A name holds a digest of everything that the content was made from (weights, clips, options, the number of
:mod:`kinelex.inference.cache_version`), so nothing is ever outdated: whatever changes gets another name.
Damaged files are made anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kinelex.data.splits.files import as_file_name
from kinelex.errors import InputError
from kinelex.files.atomic import whole_file
from kinelex.files.bounded import safe_json
from kinelex.files.npy import MOST_BYTES, read_npz
from kinelex.inference.cache_version import VERSION
from kinelex.training.encoder_files import SkeletonEncoder

_ENTRIES = "entries"  # names of all arrays in a file
_LARGE = 1 << 26  # bytes; to read a larger file once more takes longer than a look into the cache
_SETTLED = 2 * 10**9  # nanoseconds after which a change of a file shows in its time for certain
_FILES: dict[tuple[Path, int, int, int], str] = {}


class Cache:
    """A folder of results, each an ``.npz`` file without pickles.

    Args:
        folder: the folder; made when something is written.
        fresh: read nothing but what this object wrote.
        shared: a folder beside a store, for what all its runs have in common: it is read first, and written
            where it can be.

    >>> import tempfile
    >>> kept = Cache(Path(tempfile.mkdtemp()))
    >>> kept.read("knn", "0a1b") is None
    True
    >>> kept.write("knn", "0a1b", {"scores": np.eye(2)})
    >>> kept.read("knn", "0a1b")["scores"].shape
    (2, 2)
    """

    def __init__(self, folder: Path, fresh: bool = False, shared: Path | None = None) -> None:
        self.folders, self.fresh = (folder,) if shared is None else (shared, folder), fresh
        self._written: set[Path] = set()

    def read(self, name: str, key: str) -> dict[str, np.ndarray] | None:
        """The arrays that were written under a name and a key; None where there are none, or damaged ones."""
        for path in self._paths(name, key):
            if self.fresh and path not in self._written:
                continue
            with contextlib.suppress(OSError, ValueError, KeyError):
                found = read_npz(path, max(MOST_BYTES, path.stat().st_size))
                if found.pop(_ENTRIES).tolist() == sorted(found):
                    return found
        return None

    def write(self, name: str, key: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Keep arrays; the file appears whole or not at all."""
        paths = self._paths(name, key)
        for path in paths:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                with whole_file(path) as file:
                    np.savez(file, **arrays, **{_ENTRIES: np.array(sorted(arrays))})  # type: ignore[arg-type]
                self._written.add(path)
                return
            except OSError as error:
                if path == paths[-1]:
                    raise InputError(f"{path} cannot be written: {error.strerror}") from error

    def read_json(self, name: str, key: str) -> tuple[Any, dict[str, np.ndarray]] | None:
        """What :meth:`write_json` kept: the content, and the arrays beside it."""
        found = self.read(name, key)
        try:
            return None if found is None else (safe_json(str(found.pop("json"))), found)
        except (KeyError, ValueError):
            return None

    def write_json(
        self, name: str, key: str, content: Any, arrays: Mapping[str, np.ndarray] | None = None
    ) -> None:
        """Keep what can stand in JSON, with arrays beside it."""
        self.write(name, key, {"json": np.array(json.dumps(content)), **(arrays or {})})

    def file_digest(self, path: Path) -> str:
        """The SHA-256 of a file; that of a large one is kept, as long as its place, size and time stay."""
        state = path.stat()
        if state.st_size < _LARGE:
            return file_digest(path)
        where = _identity(path)
        key = digest(*map(str, where))
        found = self.read_json("file", key)
        if found is not None:
            return str(_FILES.setdefault(where, found[0]))
        if time.time_ns() - state.st_mtime_ns > _SETTLED:
            self.write_json("file", key, file_digest(path))
        return file_digest(path)

    def _paths(self, name: str, key: str) -> list[Path]:
        return [folder / f"{as_file_name(name)}-{key}.npz" for folder in self.folders]


def digest(*parts: Any) -> str:
    """A name for content: the SHA-256 of values, arrays and tensors, and of files where a path is given.

    >>> digest("knn", {"k": 1}) == digest("knn", {"k": 1}), digest(1.0) == digest("1.0")
    (True, False)
    """
    total = hashlib.sha256(f"{VERSION}".encode())
    for part in parts:
        _update(total, part)
    return total.hexdigest()[:20]


def _update(total: Any, part: Any) -> None:
    if isinstance(part, torch.Tensor):
        total.update(f"{part.dtype}{tuple(part.shape)}".encode())
        part = part.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    if is_dataclass(part) and not isinstance(part, type):
        part = asdict(part)
    if isinstance(part, np.ndarray):
        total.update(f"{part.dtype}{part.shape}".encode())
        total.update(np.ascontiguousarray(part).data)
    elif isinstance(part, Path):
        _update(total, file_digest(part) if part.is_file() else str(part))
    elif isinstance(part, Mapping):
        total.update(b"{")
        for key in sorted(part, key=str):
            _update(total, str(key))
            _update(total, part[key])
        total.update(b"}")
    elif isinstance(part, list | tuple):
        total.update(b"[")
        for item in part:
            _update(total, item)
        total.update(b"]")
    else:
        text = repr(part).encode()
        total.update(f"{type(part).__name__}{len(text)}:".encode() + text)


def file_digest(path: Path) -> str:
    """The SHA-256 of a file; read once per process as long as its size and time stay."""
    where = _identity(path)
    if where not in _FILES:
        with path.open("rb") as file:
            _FILES[where] = hashlib.file_digest(file, "sha256").hexdigest()
    return _FILES[where]


def _identity(path: Path) -> tuple[Path, int, int, int]:
    """What changes when a file does: path, inode, size, time of the last change."""
    state = path.stat()
    return path.resolve(), state.st_ino, state.st_size, state.st_mtime_ns


def encoder_digest(encoder: SkeletonEncoder) -> str:
    """The SHA-256 of all that features depend on but the clips: weights, structure and preparation."""
    return digest(
        f"{type(encoder.encoder).__module__}.{type(encoder.encoder).__qualname__}",
        repr(encoder.encoder),
        dict(encoder.encoder.state_dict()),
        encoder.pipeline.config,
        encoder.layout.to_yaml(),
        encoder.source.to_yaml(),
    )


def run_digest(run: Path) -> str:
    """The SHA-256 of what a run consists of: its config and its weights."""
    files = [run / "config.yaml", run / "encoder.json", *sorted(run.glob("*.safetensors"))]
    return digest([(file.name, file) for file in files if file.is_file()])


Table = tuple[np.ndarray, np.ndarray]  # rows of a store (n,) in order, and their features (n, F) float32


def read_table(cache: Cache, name: str, key: str, width: int) -> Table:
    """What a run's cache has of features of that width; nothing where it is damaged."""
    found = cache.read(name, key) or {}
    rows, values = found.get("rows"), found.get("features")
    if rows is None or values is None or values.ndim != 2 or len(rows) != len(values):
        return np.zeros(0, np.int64), np.zeros((0, width), np.float32)
    return rows, values


def with_rows(table: Table, rows: np.ndarray, features: np.ndarray) -> Table:
    """A table with more rows; those that it has already stay as they are.

    Shape:
        - rows: (n,); features: (n, F)

    >>> table = np.array([2, 5]), np.array([[2.0], [5.0]])
    >>> [values.ravel().tolist() for values in with_rows(table, np.array([5, 3]), np.array([[9.0], [3.0]]))]
    [[2, 3, 5], [2.0, 3.0, 5.0]]
    """
    known, values = table
    new = ~np.isin(rows, known)
    together = np.concatenate([known, rows[new]])
    order = np.argsort(together)
    return together[order], np.concatenate([values, features[new]])[order]
