"""Small raw files for the tests of the readers."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat


def _write_nw_ucla(folder: Path, name: str, **changes: Any) -> Path:
    action = int(name[1:3])
    actions = (1, 2, 3, 4, 5, 6, 8, 9, 11, 12)
    skeletons = np.random.default_rng(action).normal(size=(3, 20, 3)).round(4).tolist()
    content = {"file_name": name, "skeletons": skeletons, "label": actions.index(action) + 1} | changes
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not ...}))
    return path


def _write_utd_mhad(folder: Path, name: str, variable: str = "d_skel", **changes: Any) -> Path:
    x = np.zeros((20, 3, 4))
    x[:, 0] = np.arange(20)[:, None]
    x[:, 1] = np.arange(4)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}_skeleton.mat"
    savemat(path, {variable: changes.get("value", x)})
    return path


@pytest.fixture
def write_nw_ucla() -> Callable[..., Path]:
    """Writes a clip of 3 frames as the JSON release has it, with fields changed; ``...`` leaves one out."""
    return _write_nw_ucla


@pytest.fixture
def write_utd_mhad() -> Callable[..., Path]:
    """Writes a clip of 4 frames: x is the joint's number in the data set's order, y the frame's."""
    return _write_utd_mhad


@pytest.fixture
def ucla(tmp_path: Path) -> Path:
    """A folder with three good clips of Northwestern-UCLA."""
    folder = tmp_path / "raw" / "all_sqe"
    for name in ("a01_s01_e00_v01", "a12_s02_e03_v03", "a04_s10_e01_v02"):
        _write_nw_ucla(folder, name)
    return folder


@pytest.fixture
def skipped_rows() -> Callable[[Path], list[dict[str, str]]]:
    """Reads the ``skipped.csv`` beside a store."""

    def read(store: Path) -> list[dict[str, str]]:
        with open(store.with_name("skipped.csv"), newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    return read
