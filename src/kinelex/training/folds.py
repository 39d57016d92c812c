"""A run of several folds: ``RUN/folds/NAME`` is an ordinary run of each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kinelex.data.splits.files import as_file_name
from kinelex.errors import InputError
from kinelex.training.run_directory import RunDirectory

FOLDER = "folds"


def fold_path(run: str | Path, fold: str) -> Path:
    """Where the run of a fold lies.

    >>> str(fold_path("run", "loso:3"))
    'run/folds/loso_3'
    """
    return Path(run) / FOLDER / as_file_name(fold)


def fold_runs(run: str | Path) -> dict[str, Path]:
    """The runs of each fold, by the fold's protocol; none for another run.

    Raises:
        InputError: no run, or the training of a fold has not finished.
    """
    directory = RunDirectory(run)
    paths = {fold: fold_path(run, fold) for fold in _folds(directory.config)}
    open_ = [fold for fold, path in paths.items() if not (path / "encoder.safetensors").is_file()]
    if open_:
        raise InputError(
            f"the training of {directory.path} has not finished ({', '.join(open_)}): go on with --resume"
        )
    return paths


def check_no_folds(run: RunDirectory) -> None:
    """Refuse a run of several folds where one encoder is asked for, and say how each is called."""
    if folds := _folds(run.config):
        raise InputError(
            f"{run.path} holds the runs of {len(folds)} folds: name the run of one, "
            f"{fold_path(run.path, folds[0])}"
        )


def _folds(config: dict[str, Any]) -> list[str]:
    return list(config.get("folds") or ())
