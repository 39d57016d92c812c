"""A small store with prompts that a training of seconds can learn from."""

import numpy as np
import pytest

from kinelex.data import (
    ClipPrompts,
    ModalityPrompts,
    PromptMeta,
    PromptStoreWriter,
    open_store,
)
from kinelex.datasets.synthetic import write_actors


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """Paths of a store of 120 acted clips and of prompts that tell the actions apart."""
    folder = tmp_path_factory.mktemp("small")
    write_actors(folder / "store.arrow", clips=120, seed=0)
    store = open_store(folder / "store.arrow")
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(len(store.class_names), 8))
    meta = PromptMeta("actors", store.fingerprint, {"language": {}}, {"language": 8})
    with PromptStoreWriter(folder / "prompts.arrow", meta) as writer:
        for clip, label in zip(store.ids, store.labels, strict=True):
            embeddings = centres[label] + 0.3 * rng.normal(size=(4, 8))
            writer.add(ClipPrompts(clip, ModalityPrompts(np.arange(4), embeddings, ["text"] * 4)))
    return folder / "store.arrow", folder / "prompts.arrow"
