"""A run that was trained on several stores, as a run of each of them: what all that reads runs can read.

``RUN/stores/NAME`` is a run directory with the weights of ``RUN``, whose data and protocol are those of one
store. Of a run that learned labels it has the classes of its store alone.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import yaml
from safetensors.torch import load_file, save

from kinelex.data import PromptStore, open_prompts
from kinelex.data.several import SeveralStores, listed_paths
from kinelex.data.skeleton_store import SkeletonStore
from kinelex.data.splits.files import as_file_name
from kinelex.errors import InputError
from kinelex.files.atomic import write_whole
from kinelex.files.bounded import safe_json
from kinelex.training.folds import check_no_folds
from kinelex.training.run_directory import RunDirectory

FOLDER = "stores"


def write_store_runs(run: RunDirectory, stores: SeveralStores) -> None:
    """Write ``RUN/stores/NAME`` for each store of a finished run."""
    config = run.config
    prompts = [open_prompts(path) for path in listed_paths(config["prompts"] or "")]
    for name, store, part in zip(stores.names, stores.stores, config["stores"], strict=True):
        folder = run.path / FOLDER / as_file_name(name)
        folder.mkdir(parents=True, exist_ok=True)
        for file in run.path.glob("*"):
            if file.is_file() and file.name not in ("config.yaml", "encoder.json", "classifier.safetensors"):
                shutil.copy(file, folder)
        _write_encoder(run.path, folder, name, store)
        own = (
            {key: value for key, value in config.items() if key != "stores"} | part | _prompts(prompts, store)
        )
        write_whole(folder / "config.yaml", yaml.safe_dump(own, sort_keys=False))


def _write_encoder(run: Path, folder: Path, name: str, store: SkeletonStore) -> None:
    """The description of the encoders, and their last layers for the classes of one store."""
    description = safe_json((run / "encoder.json").read_text(encoding="utf-8"))
    classes = [f"{name}: {c}" for c in store.class_names]
    if description["class_names"]:
        rows = [description["class_names"].index(c) for c in classes]
        layers = load_file(str(run / "classifier.safetensors"))
        own = {key: value[rows].contiguous() for key, value in layers.items()}
        write_whole(folder / "classifier.safetensors", save(own))
        description["class_names"] = list(store.class_names)
    description["source_layout"] = store.layout.to_yaml()
    write_whole(folder / "encoder.json", json.dumps(description, indent=2))


def _prompts(prompts: list[PromptStore], store: SkeletonStore) -> dict[str, Any]:
    own = next((one for one in prompts if one.belongs_to(store)), None)
    if own is None:
        return {"prompts": None, "prompts_fingerprint": None}
    return {"prompts": str(own.path), "prompts_fingerprint": own.fingerprint}


def store_runs(run: str | Path) -> list[Path]:
    """The runs of each store of a run that was trained on several; none for another run.

    Raises:
        InputError: no run, or its training has not finished.
    """
    directory = RunDirectory(run)
    if "stores" not in directory.config:
        return []
    folders = sorted(file.parent for file in (directory.path / FOLDER).glob("*/config.yaml"))
    if len(folders) < len(directory.config["stores"]):
        raise InputError(f"the training of {directory.path} has not finished: go on with --resume")
    return folders


def check_one_store(run: RunDirectory) -> None:
    """Refuse a run on several stores where the answer depends on the store, and say how each is called."""
    check_no_folds(run)
    if folders := store_runs(run.path):
        raise InputError(
            f"{run.path} was trained on several stores: name the run of one, {' or '.join(map(str, folders))}"
        )
