"""The run directory: what a training leaves behind, and the encoder that comes out of it."""

from __future__ import annotations

import csv
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from copy import deepcopy
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
import yaml

from kinelex import __version__
from kinelex.errors import InputError, one_line, without_secrets
from kinelex.facts import Facts
from kinelex.files.atomic import check_place, write_whole
from kinelex.training.run_sources import run_folder

_PACKAGES = ("torch", "lightning", "numpy", "pyarrow", "scikit-learn", "scipy", "transformers")
_TEXTS = ("recipe", "data", "dataset", "store_fingerprint", "protocol", "prompts")  # of config.yaml, or none
_SECTIONS = ("method", "encoder", "input")
# ValueError: no UTF-8, no JSON, no date
_UNREADABLE = (OSError, ValueError, TypeError, RecursionError, yaml.YAMLError, csv.Error)


class RunDirectory(Facts):
    """Files of a run: ``config.yaml``, ``environment.json``, ``metrics.csv``, ``checkpoints/``,
    ``encoder.safetensors`` with ``encoder.json``, ``diagnostics.npz``, ``tensorboard/``, ``evaluation/``
    and ``report.html``.

    Args:
        path: the directory, or what stands for one, see :func:`~kinelex.training.run_sources.run_folder`.
        is_there: False where another process of a training makes it.

    Raises:
        InputError: the directory holds no run.
    """

    def __init__(self, path: str | Path, is_there: bool = True) -> None:
        self.path = run_folder(path) if is_there else Path(path)
        if is_there and not (self.path / "config.yaml").is_file():
            raise InputError(
                f"{self.path} is no run directory (it has no config.yaml); make one with `kinelex train`"
            )

    @classmethod
    def create(cls, path: str | Path, config: dict[str, Any]) -> RunDirectory:
        """Make the directory and write its config and environment."""
        path = Path(path)
        check_free(path, can_resume=config.get("recipe", "") is not None)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"the run directory {path} cannot be made: {error.strerror}") from error
        write_whole(path / "environment.json", json.dumps(environment(), indent=2))
        write_whole(path / "config.yaml", yaml.safe_dump(config, sort_keys=False))
        return cls(path)

    def facts(self) -> dict[str, Any]:
        """Path, recipe, method, encoder, data set and protocol, epochs, and what it was judged by."""
        try:
            config, metrics = self.config, self.metrics()
        except InputError as error:
            return {"path": str(self.path), "damaged": str(error)}
        return {
            "path": str(self.path),
            "recipe": config["recipe"],
            "method": config["method"].get("name"),
            "encoder": config["encoder"].get("name"),
            "dataset": config["dataset"],
            "protocol": config["protocol"],
            "epochs": f"{len(metrics)} of {config.get('training', {}).get('epochs')}",
            "finished": (self.path / "encoder.safetensors").is_file(),
            "evaluations": sorted(file.stem for file in (self.path / "evaluation").glob("*.json")),
        }

    @property
    def config(self) -> dict[str, Any]:
        """Everything the training was told, resolved."""
        path = self.path / "config.yaml"
        with readable(path):
            config = deepcopy(_parsed(path.read_text(encoding="utf-8")))
        return _checked(config, path)

    @property
    def environment(self) -> dict[str, Any]:
        """Versions, commit and hardware; nothing for a run that was shared, which does not say them."""
        path = self.path / "environment.json"
        if not path.exists():
            return {}
        with readable(path):
            content = json.loads(path.read_text(encoding="utf-8"))
        return content if isinstance(content, dict) else {}

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
        with readable(path), path.open(newline="", encoding="utf-8") as file:
            return [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """What goes wrong in reading a file of a run is one message."""
    try:
        yield
    except _UNREADABLE as error:
        raise InputError(f"{path} is missing or damaged: {one_line(error)[:200]}") from error


@lru_cache(maxsize=32)
def _parsed(text: str) -> Any:
    """What a YAML text holds: a config is asked for many times, and takes 20 ms to read."""
    return yaml.safe_load(text)


def _checked(config: Any, path: Path) -> dict[str, Any]:
    """A config with the types that its readers count on; what it may lack is None."""
    if not isinstance(config, dict) or any(not isinstance(config.get(key), dict) for key in _SECTIONS):
        raise InputError(f"{path} is not the config.yaml of a run: expects {', '.join(_SECTIONS)}")
    if any(not isinstance(config.get(key, {}), dict) for key in ("optimizer", "training")):
        raise InputError(f"{path} is damaged: optimizer or training is no mapping")
    config = dict.fromkeys(_TEXTS) | config
    for key in _TEXTS:
        if not isinstance(config[key], str | None):
            raise InputError(f"{path} is damaged: expects {key} to be a text, got {str(config[key])[:80]}")
    for section in _SECTIONS:
        if not all(isinstance(key, str) for key in config[section]):
            raise InputError(f"{path} is damaged: the keys of {section} are no texts")
    return config


def check_free(path: str | Path, can_resume: bool) -> None:
    """See whether a run directory can be made; nothing is made yet.

    Args:
        path: the directory.
        can_resume: whether the message may tell to go on with what is there.
    """
    path = Path(path)
    if path.exists() and (not path.is_dir() or not _is_unborn(path)):
        to_resume = "--resume to go on with the run in it, or " if can_resume else ""
        raise InputError(f"{path} exists and is not empty: pass {to_resume}another --out")
    check_place(path, f"the run directory {path} cannot be made")


def _is_unborn(path: Path) -> bool:
    """Whether a folder holds no more than what a process left that was killed before its run had a config."""
    left = re.compile(r"environment\.json|\.(environment\.json|config\.yaml)\..*\.tmp")
    return all(left.fullmatch(file.name) for file in path.iterdir())


def environment() -> dict[str, Any]:
    """Versions, commit and hardware of this process."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    here, commit = Path(__file__), ""
    if "site-packages" not in here.parts:  # a commit there is that of a project around the environment
        command = ["git", "-C", str(here.parent), "rev-parse", "HEAD"]
        with suppress(OSError):  # there is no git
            commit = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return {
        "kinelex": __version__,
        "commit": commit or None,
        "python": platform.python_version(),
        "platform": platform.system(),
        "machine": platform.machine(),
        "processors": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "packages": versions,
        "command": without_secrets(" ".join([Path(sys.argv[0]).name, *sys.argv[1:]])),
    }
