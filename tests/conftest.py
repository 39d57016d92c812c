"""Fixtures shared by all tests."""

import os
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import pytest
import torch

torch.set_num_threads(1)  # one test process per core is faster than threads that wait for each other


SLOW = Path(__file__).with_name("slow.txt")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what ``slow.txt`` names: ``make test`` leaves it out."""
    lines = [line.split() for line in SLOW.read_text().splitlines() if line[:1] not in ("", "#")]
    rules = [(line[0] != "!", line[1] if line[0] == "!" else line[0]) for line in lines]
    for item in items:
        told = [is_slow for is_slow, name in rules if _is(item.nodeid, name)]
        if told and told[-1]:
            item.add_marker(pytest.mark.slow)


def _is(test: str, name: str) -> bool:
    """Whether a test is of a file, is a test, or one whose parameters begin so."""
    whole = "[" not in name or name.endswith("]")
    return test == name or (test.startswith(name) and (not whole or test[len(name)] in ":["))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference numbers and real data beside the checkout."""
    path = Path(__file__).resolve().parents[2] / "shared"
    if not path.is_dir():
        pytest.skip("the shared folder with reference numbers and real data is not beside the checkout")
    return path


QUICK = ("epochs=1", "channels=2", "depth=[1,1,1]", "frames=16", "batch_size=24", "dim=8", "hidden=16")
CPU = "accelerator=cpu"


@dataclass(frozen=True)
class Acted:
    """What a user has after a first training: a store of the built-in actors, prompts for it, and a run."""

    folder: Path
    store: Path
    prompts: Path
    run: Path


@pytest.fixture(scope="session")
def quick() -> list[str]:
    """Changes to a recipe that make a training of a fraction of a second."""
    return [*QUICK, CPU]


@pytest.fixture(scope="session")
def acted(tmp_path_factory: pytest.TempPathFactory) -> Acted:
    """120 acted clips (``actors.arrow``), language prompts that tell the actions apart
    (``prompts.arrow``), and a training of one epoch (``run``), all in one folder."""
    import numpy as np

    from kinelex.data import ClipPrompts, ModalityPrompts, PromptMeta, PromptStoreWriter, open_store
    from kinelex.datasets.synthetic import write_actors
    from kinelex.training.train import train

    folder = tmp_path_factory.mktemp("acted")
    there = Acted(folder, folder / "actors.arrow", folder / "prompts.arrow", folder / "run")
    write_actors(there.store, clips=120)
    store = open_store(there.store)
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(len(store.class_names), 8))
    engines = {"language": {"engine": {"name": "told"}, "encoder": {"name": "drawn"}}}
    meta = PromptMeta("actors", store.fingerprint, engines, {"language": 8})
    with PromptStoreWriter(there.prompts, meta) as writer:
        for clip, label in zip(store.ids, store.labels, strict=True):
            embeddings = centres[label] + 0.3 * rng.normal(size=(4, 8))
            texts = [f"This is {store.class_names[label]}."] * 4
            writer.add(ClipPrompts(clip, ModalityPrompts(np.arange(4), embeddings, texts)))
    train("c2vl", there.store, "xsub", there.run, there.prompts, [*QUICK, CPU])
    return there
