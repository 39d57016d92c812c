"""The run directory: what a training leaves behind, and the encoder that comes out of it."""

from __future__ import annotations

import csv
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from kinelex import encoders
from kinelex._files import write_whole
from kinelex.encoders import Encoder
from kinelex.errors import InputError, unknown_name
from kinelex.skeleton import SkeletonLayout
from kinelex.transforms import InputConfig, InputPipeline

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
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            to_resume = "" if "converted" in config else "--resume to go on with the run in it, or "
            raise InputError(f"{path} exists and is not empty: pass {to_resume}another --out")
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
            raise InputError(f"{self.path / 'config.yaml'} is damaged: {_one_line(error)}") from error
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


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


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


class SkeletonEncoder(nn.Module):
    """A trained encoder and the way its input is prepared: all that inference needs.

    Args:
        encoder: the encoder.
        pipeline: from ragged frames to the encoder's input.

    Shape:
        - x: (N, C, T, V, M), prepared as ``pipeline`` does.
        - returns: (N, F)
    """

    def __init__(self, encoder: Encoder, pipeline: InputPipeline) -> None:
        super().__init__()
        self.encoder, self.pipeline = encoder, pipeline

    @property
    def layout(self) -> SkeletonLayout:
        """The skeleton layout it reads."""
        return self.encoder.layout

    @property
    def num_features(self) -> int:
        """Width F of a feature vector."""
        return self.encoder.num_features

    def forward(self, x: Tensor) -> Tensor:
        return self.encoder(x)


def save_encoders(
    run: Path, trained: Mapping[str, Encoder], config: dict[str, Any], pipeline: InputPipeline
) -> None:
    """Write ``encoder.safetensors`` and ``encoder.json``.

    The names of weights are the encoder's own; with several streams they start with the stream's name.

    Args:
        run: the run directory.
        trained: the trained encoders by stream, all of one kind.
        config: their name and options, as in the recipe.
        pipeline: how the input is prepared.
    """
    first = next(iter(trained.values()))
    description = {
        "format_version": 1,
        "encoder": {**config, "in_channels": first.in_channels},
        "layout": first.layout.to_yaml(),
        "input": asdict(pipeline.config),
        "streams": list(trained),
        "num_features": first.num_features,
    }
    state = {
        (f"{stream}.{name}" if len(trained) > 1 else name): value.detach().cpu().contiguous()
        for stream, encoder in trained.items()
        for name, value in encoder.state_dict().items()
    }
    write_whole(run / "encoder.safetensors", save(state))  # save_file: readable by its owner alone
    write_whole(run / "encoder.json", json.dumps(description, indent=2))


def streams_of(run: Path) -> list[str]:
    """The streams that a run has an encoder for; none where its training has not finished.

    Raises:
        InputError: a damaged ``encoder.json``.
    """
    path = run / "encoder.json"
    if not path.is_file():
        return []
    try:
        return _streams(json.loads(path.read_text(encoding="utf-8")))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} is damaged: {_one_line(error)[:200]}") from error


def _streams(description: dict[str, Any]) -> list[str]:
    return description.get("streams", [description["input"]["stream"]])  # once there was one per run


def load_encoder(
    run: str | Path, stream: str | None = None, untrained_seed: int | None = None
) -> SkeletonEncoder:
    """Load the encoder of a run directory, in eval mode on the CPU.

    Args:
        run: the run directory.
        stream: which one where the run has an encoder per stream (``joint``, ``motion``, ``bone``); by
            default the first. Its ``pipeline`` derives the stream.
        untrained_seed: build the same architecture with fresh random weights from this seed instead.

    Raises:
        InputError: the directory has no finished encoder, a damaged one, or none of that stream.
    """
    loaded = load_encoders(run, untrained_seed)
    if stream is None:
        return next(iter(loaded.values()))
    if stream not in loaded:
        raise unknown_name(f"stream of {run}", stream, loaded)
    return loaded[stream]


def load_encoders(run: str | Path, untrained_seed: int | None = None) -> dict[str, SkeletonEncoder]:
    """Load the encoders of all streams of a run directory; see :func:`load_encoder`.

    Raises:
        InputError: the directory has no finished encoder, or a damaged one.
    """
    path = Path(run)
    if not (path / "encoder.json").is_file() or not (path / "encoder.safetensors").is_file():
        hint = (
            "its training has not finished: go on with --resume" if (path / "config.yaml").is_file() else ""
        )
        raise InputError(
            f"{path} has no encoder.json and encoder.safetensors; {hint or 'it is no run directory'}"
        )
    try:
        return _load(path, untrained_seed)
    except (KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"encoder.json and encoder.safetensors in {path} are damaged or do not belong together: "
            f"{_one_line(error)[:200]}"
        ) from error


def _load(path: Path, untrained_seed: int | None) -> dict[str, SkeletonEncoder]:
    description = json.loads((path / "encoder.json").read_text(encoding="utf-8"))
    layout = SkeletonLayout.from_yaml(description["layout"])
    options = dict(description["encoder"])
    name = options.pop("name")
    settings: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in description["input"].items()
    }
    config = InputConfig(**settings)
    streams = _streams(description)
    with torch.random.fork_rng(devices=[]):
        if untrained_seed is not None:
            torch.manual_seed(untrained_seed)
        made = {stream: encoders.create(name, layout=layout, **options) for stream in streams}
    if untrained_seed is None:
        state = load_file(str(path / "encoder.safetensors"))
        for stream, encoder in made.items():
            prefix = f"{stream}." if len(made) > 1 else ""
            own = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
            encoder.load_state_dict(own)
    return {
        stream: SkeletonEncoder(encoder, InputPipeline(layout, replace(config, stream=stream))).eval()
        for stream, encoder in made.items()
    }
