"""The run directory: what a training leaves behind, and the encoder that comes out of it."""

from __future__ import annotations

import csv
import json
import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
import yaml

from kinelex._files import check_place, write_whole
from kinelex.errors import InputError, one_line

_PACKAGES = ("torch", "lightning", "numpy", "pyarrow", "scikit-learn", "scipy", "transformers")


class RunDirectory:
    """Files of a run: ``config.yaml``, ``environment.json``, ``metrics.csv``, ``checkpoints/``,
    ``encoder.safetensors`` with ``encoder.json``, ``diagnostics.npz``, ``tensorboard/``, ``evaluation/``
    and ``report.html``.

    Args:
        path: the directory.

    Raises:
        InputError: the directory holds no run.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not (self.path / "config.yaml").is_file():
            raise InputError(
                f"{self.path} is no run directory (it has no config.yaml); make one with `kinelex train`"
            )

    @classmethod
    def create(cls, path: str | Path, config: dict[str, Any]) -> RunDirectory:
        """Make the directory and write its config and environment.

        Raises:
            InputError: something is there already, or the directory cannot be made.
        """
        path = Path(path)
        check_free(path, can_resume=config.get("recipe", "") is not None)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"the run directory {path} cannot be made: {error.strerror}") from error
        write_whole(path / "environment.json", json.dumps(environment(), indent=2))
        write_whole(path / "config.yaml", yaml.safe_dump(config, sort_keys=False))
        return cls(path)

    @property
    def config(self) -> dict[str, Any]:
        """Everything the training was told, resolved.

        Raises:
            InputError: the file is damaged.
        """
        try:
            found = yaml.safe_load((self.path / "config.yaml").read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise InputError(f"{self.path / 'config.yaml'} is damaged: {one_line(error)}") from error
        if not isinstance(found, dict) or "method" not in found:
            raise InputError(f"{self.path / 'config.yaml'} is not the config.yaml of a run")
        return found

    @property
    def environment(self) -> dict[str, Any]:
        """Versions, commit and hardware."""
        return json.loads((self.path / "environment.json").read_text(encoding="utf-8"))

    @property
    def checkpoint(self) -> Path:
        """The newest checkpoint."""
        return self.path / "checkpoints" / "last.ckpt"

    @property
    def evaluation_dir(self) -> Path:
        """Where evaluations are written; made when missing."""
        folder = self.path / "evaluation"
        folder.mkdir(exist_ok=True)
        return folder

    def metrics(self) -> list[dict[str, float]]:
        """One row per epoch; empty before the first is done."""
        path = self.path / "metrics.csv"
        if not path.is_file():
            return []
        with path.open(newline="", encoding="utf-8") as file:
            return [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]


def check_free(path: str | Path, can_resume: bool) -> None:
    """See whether a run directory can be made; nothing is made yet.

    Args:
        path: the directory.
        can_resume: whether the message may tell to go on with what is there.

    Raises:
        InputError: something is there already, or the place is not writable.
    """
    path = Path(path)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        to_resume = "--resume to go on with the run in it, or " if can_resume else ""
        raise InputError(f"{path} exists and is not empty: pass {to_resume}another --out")
    check_place(path, f"the run directory {path} cannot be made")


def environment() -> dict[str, Any]:
    """Versions, commit and hardware of this process."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    commit = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return {
        "kinelex": metadata.version("kinelex"),
        "commit": commit or None,
        "python": platform.python_version(),
        "platform": platform.system(),
        "machine": platform.machine(),
        "processors": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "packages": versions,
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
    }
