"""Shards beside the output, so that a killed run can go on."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from kinelex.data import PromptMeta, open_prompts
from kinelex.errors import InputError
from kinelex.files.atomic import whole_file, write_whole
from kinelex.files.bounded import safe_json
from kinelex.files.npy import MOST_BYTES, read_npz
from kinelex.prompts.clips import Clips
from kinelex.prompts.stages import total_cost

NOTES = "notes"  # folder of what engines note for themselves


def parts_folder(out: Path) -> Path:
    """Where the shards of a prompt store are kept until it is whole."""
    return out.with_name(out.name + ".parts")


class Parts:
    """The folder ``<out>.parts``: what is being made, and shards that appear whole or not at all.

    ``meta`` is everything that changes its content; the folder of another run is refused.
    """

    def __init__(self, out: Path, meta: PromptMeta, clips: Clips) -> None:
        self.folder, self.meta, self.clips = parts_folder(out), meta, clips
        note = self.folder / "settings.json"
        settings = identity(meta)
        if note.is_file():
            check_same(self._settings(), settings, f"{self.folder} was begun")
        elif any(p.suffix != ".tmp" and not p.name.startswith(NOTES) for p in self.folder.glob("*")):
            raise InputError(f"{self.folder} is in the way: it was not begun by `kinelex prompts`; move it")
        self.folder.mkdir(parents=True, exist_ok=True)
        begun = {"meta": asdict(meta), "clips": asdict(clips)}
        # The settings first: another share that begins at this moment recognises the folder by them.
        for name, content in (("settings.json", settings), ("begun.json", begun)):
            if not (self.folder / name).is_file():
                write_whole(self.folder / name, json.dumps(content, indent=1).encode())
        check_same(self._settings(), settings, f"{self.folder} was begun")
        self.resumed = any(self.folder.glob("*-*.*"))

    def _settings(self) -> dict[str, Any]:
        try:
            return dict(self.read_json("settings.json"))
        except (TypeError, ValueError) as error:
            raise InputError(f"{self.folder} is damaged: delete it and start again") from error

    @classmethod
    def begun(cls, out: Path) -> Parts:
        """The folder of a run that was begun before, by what stands in it."""
        try:
            content = safe_json((parts_folder(out) / "begun.json").read_text(encoding="utf-8"))
            meta = PromptMeta(**content["meta"] | {"kept": tuple(content["meta"]["kept"])})
            clips = Clips(**content["clips"])
        except (OSError, ValueError, TypeError, LookupError) as error:
            raise InputError(
                f"there is nothing to merge: {parts_folder(out)} is not there or was not begun by "
                "`kinelex prompts`; make its shards first, with --shard i/n"
            ) from error
        return cls(out, meta, clips)

    def has(self, name: str) -> bool:
        """Whether a shard is there."""
        return (self.folder / name).is_file()

    def write_json(self, name: str, content: Any) -> None:
        """Write a shard of values."""
        write_whole(self.folder / name, json.dumps(content, ensure_ascii=False).encode())

    def read_json(self, name: str) -> Any:
        """The values of a shard."""
        try:
            return safe_json((self.folder / name).read_text(encoding="utf-8"))
        except ValueError as error:
            raise self._damaged(name) from error

    def write_arrays(self, name: str, arrays: dict[str, np.ndarray]) -> None:
        """Write a shard of arrays."""
        with whole_file(self.folder / name) as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]

    def read_arrays(self, name: str) -> dict[str, np.ndarray]:
        """The arrays of a shard."""
        try:
            path = self.folder / name
            return read_npz(path, max(MOST_BYTES, path.stat().st_size))
        except InputError as error:
            raise self._damaged(name) from error

    def _damaged(self, name: str) -> InputError:
        return InputError(f"{self.folder / name} is damaged: delete it and start again, the rest is kept")

    def cost(self, what: str) -> dict[str, float]:
        """What the engine that makes ``what`` took for all shards together."""
        return total_cost(self.read_json(p.name) for p in sorted(self.folder.glob(f"cost-{what}-*.json")))

    def remove(self) -> None:
        """Delete the folder: all is merged. What tells whose it is goes last, should this be killed too."""
        for path in self.folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != "settings.json":
                path.unlink(missing_ok=True)
        shutil.rmtree(self.folder)


def identity(meta: PromptMeta) -> dict[str, Any]:
    """What two runs must have in common for one to go on with the shards of the other."""
    settings = {"dataset": meta.dataset, "store fingerprint": meta.store_fingerprint, **meta.engines}
    return json.loads(json.dumps(settings))


def check_same(old: dict[str, Any], new: dict[str, Any], what: str) -> None:
    """Refuse to go on where two runs differ in their settings, and say in which.

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


def is_complete(out: Path, meta: PromptMeta, clips: Clips) -> bool:
    """Whether the prompt store is there already; anything else in its place is not overwritten."""
    written = meta_of(out)
    if written is None:
        return False
    check_same(identity(written), identity(meta), f"{out} was made")
    if parts_folder(out).exists():  # left over if the last run died while it cleaned up
        Parts(out, meta, clips).remove()
    return True


def meta_of(out: Path) -> PromptMeta | None:
    """What the prompt store in the place of the output says about itself; None if nothing is there."""
    if not out.exists():
        return None
    try:
        return open_prompts(out).meta
    except InputError as error:
        raise InputError(f"{out} is there already and is no prompt store: name another file") from error
