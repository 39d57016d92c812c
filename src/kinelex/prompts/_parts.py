"""Private machinery of prompt making: shards beside the output, so that a killed run can go on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from kinelex._files import whole_file, write_whole
from kinelex.errors import InputError


class Parts:
    """The folder ``<out>.parts``: its settings, and shards that appear whole or not at all.

    Args:
        out: the prompt store to be made.
        settings: everything that changes its content; the folder of another run is refused.

    Raises:
        InputError: the folder was begun with other settings, or is not ours.
    """

    def __init__(self, out: Path, settings: dict[str, Any]) -> None:
        self.folder = out.with_name(out.name + ".parts")
        note = self.folder / "settings.json"
        settings = json.loads(json.dumps(settings))
        if note.is_file():
            check_same(json.loads(note.read_text(encoding="utf-8")), settings, f"{self.folder} was begun")
        elif self.folder.exists() and any(p.suffix != ".tmp" for p in self.folder.iterdir()):
            raise InputError(f"{self.folder} is in the way: it was not begun by `kinelex prompts`; move it")
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(note, json.dumps(settings, indent=1).encode())
        self.resumed = any(self.folder.glob("*-*.npz")) or any(self.folder.glob("*-*.json"))

    def json(self, name: str, make: Callable[[], Any]) -> Any:
        """The shard's content, made and written if it is not there yet."""
        path = self.folder / f"{name}.json"
        if not path.is_file():
            write_whole(path, json.dumps(make(), ensure_ascii=False).encode())
        return json.loads(path.read_text(encoding="utf-8"))

    def arrays(self, name: str, make: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """The shard's arrays, made and written if they are not there yet."""
        path = self.folder / f"{name}.npz"
        if not path.is_file():
            arrays = make()
            with whole_file(path) as file:
                np.savez(file, **arrays)  # type: ignore[arg-type]
        with np.load(path, allow_pickle=False) as content:
            return dict(content)

    def remove(self) -> None:
        """Delete the folder: all is merged."""
        shutil.rmtree(self.folder)


def check_same(old: dict[str, Any], new: dict[str, Any], what: str) -> None:
    """Refuse to go on where two runs differ in their settings, and say in which.

    Raises:
        InputError: the settings differ.

    >>> check_same({"frames": 16}, {"frames": 16}, "x was begun")
    """
    differing = _differences(old, new)
    if differing:
        raise InputError(
            f"{what} with other settings: {'; '.join(differing[:4])}. "
            "Use the same ones, delete it, or write to another file with --out"
        )


def _differences(old: Any, new: Any, key: str = "") -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        keys = sorted(old.keys() | new.keys())
        return [d for k in keys for d in _differences(old.get(k), new.get(k), f"{key}.{k}" if key else k)]
    return [] if old == new else [f"{key} was {old!r}, now {new!r}"]
