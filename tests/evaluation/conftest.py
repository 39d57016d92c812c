"""A tiny store of three actions, prompts for it, and a run directory, for the tests of this folder."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from kinelex import encoders
from kinelex.data import (
    ClipPrompts,
    ModalityPrompts,
    PromptMeta,
    PromptStore,
    PromptStoreWriter,
    Sequence,
    SkeletonStore,
    SkeletonStoreWriter,
    StoreMeta,
    open_prompts,
    open_store,
)
from kinelex.skeleton import get_layout
from kinelex.training.encoder_files import save_encoders
from kinelex.training.run_directory import RunDirectory
from kinelex.transforms import InputConfig, InputPipeline

LAYOUT = get_layout("kinect20")


def rotation(angle: float, axis: int) -> np.ndarray:
    i, j = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.eye(3)
    matrix[[i, j], [i, j]] = np.cos(angle)
    matrix[i, j], matrix[j, i] = -np.sin(angle), np.sin(angle)
    return matrix


@pytest.fixture
def store(tmp_path: Path) -> SkeletonStore:
    """Three actions of one body; the last 24 clips are turned about the vertical, moved, and slower.

    It calls itself utd_mhad, so that the protocol xsub (odd subjects train) can be used.
    """
    rng = np.random.default_rng(0)
    body = rng.normal(size=(20, 3))
    body[LAYOUT.index("pelvis")], body[LAYOUT.index("spine")] = (0, 0, 0), (0, 0.3, 0.05)
    body[LAYOUT.index("left_shoulder")], body[LAYOUT.index("right_shoulder")] = (0.2, 0.5, 0), (-0.2, 0.5, 0)
    paths = rng.normal(size=(3, 20, 3))
    path = tmp_path / "tiny.arrow"
    with SkeletonStoreWriter(path, StoreMeta("utd_mhad", LAYOUT, ("a", "b", "c"))) as writer:
        for i in range(48):
            label, test = i % 3, i >= 24
            time = np.linspace(0, 1, 30 if test else 11)[:, None, None]
            clip = body + 1.5 * np.sin(3 * time) * paths[label] + 0.02 * rng.normal(size=(1, 20, 3))
            if test:
                clip = clip @ rotation(rng.uniform(0.8, 2.5), 1).T + rng.normal(size=3)
            writer.add(Sequence(f"clip{i}", clip[:, None], label, subject=2 * (i % 4) + (2 if test else 1)))
    return open_store(path)


def _write_prompts(
    store: SkeletonStore, path: Path, without_vision: set[int], fingerprint: str | None = None
) -> PromptStore:
    """Language tells classes 0 and 1 from 2, vision tells 0 from 1; rows in another order than the store."""
    rng = np.random.default_rng(0)
    meta = PromptMeta("utd_mhad", fingerprint or store.fingerprint, {}, {"language": 6, "vision": 5})
    with PromptStoreWriter(path, meta) as writer:
        for i in reversed(range(len(store))):
            words = np.eye(6)[2 * (store.labels[i] == 2)] + 0.05 * rng.normal(size=(3, 6))
            looks = np.eye(5)[int(store.labels[i] == 1)] + 0.05 * rng.normal(size=(2, 5))
            language = ModalityPrompts(np.array([0, 5, -1]), words, ["He stands.", "He stands.", "He moves."])
            boxes, flags = np.zeros((2, 4)), np.zeros(2, bool)
            vision = ModalityPrompts(np.array([0, 5]), looks, None, boxes, flags)
            writer.add(ClipPrompts(f"clip{i}", language, None if i in without_vision else vision))
    return open_prompts(path)


@pytest.fixture
def make_prompts(store: SkeletonStore, tmp_path: Path) -> Callable[..., PromptStore]:
    """Write prompts for the store; clips in ``without_vision`` have none of that modality."""

    def make(without_vision: set[int] = frozenset(), fingerprint: str | None = None) -> PromptStore:
        return _write_prompts(store, tmp_path / "prompts.arrow", without_vision, fingerprint)

    return make


@pytest.fixture
def run(store: SkeletonStore, tmp_path: Path) -> RunDirectory:
    """A run directory with a random encoder, three epochs of metrics and similarities."""
    return make_run(tmp_path / "run", store)


def make_run(path: Path, store: SkeletonStore, prompts: Path | None = None) -> RunDirectory:
    rng = np.random.default_rng(0)
    encoder_options = {"name": "stgcn", "channels": 4, "depth": [1, 1, 1]}
    config = {
        "recipe": "c2vl",
        "data": str(store.path),
        "protocol": "xsub",
        "prompts": None if prompts is None else str(prompts),
        "method": {"name": "c2vl", "alpha": 0.8},
        "encoder": encoder_options,
        "input": {"frames": 16},
    }
    directory = RunDirectory.create(path, config)
    torch.manual_seed(0)
    encoder = encoders.create("stgcn", layout=store.layout, channels=4, depth=(1, 1, 1))
    pipeline = InputPipeline(store.layout, InputConfig(frames=16))
    save_encoders(path, {"joint": encoder}, encoder_options, pipeline)
    lines = ["epoch,lr,loss,loss/skeleton_language,alpha,target_entropy,alignment/skeleton_language,seconds"]
    lines += [f"{e},0.001,{5 - e},{5 - e},{0.4 * e},{0.5 * e},{0.1 * e},4.0" for e in range(3)]
    (path / "metrics.csv").write_text("\n".join(lines) + "\n")
    counts = rng.integers(0, 50, size=(3, 40))
    similarities = {"off_diagonal/skeleton_language": counts}
    np.savez(path / "diagnostics.npz", bins=np.linspace(-1, 1, 41), **similarities)
    return directory
