"""The space of clips and prompts: kept with the run, and the same as the training's own."""

import numpy as np
import pytest
import torch

from kinelex.data import open_prompts, open_store
from kinelex.data.clip_prompts import StorePrompts
from kinelex.errors import InputError
from kinelex.training.build import build_module
from kinelex.training.embedding_space_files import FILE, load_embedding_space, save_embedding_space
from kinelex.training.recipe import find_recipe, resolve
from kinelex.training.train import train

QUICK = ("encoder.channels=4", "input.frames=8", "training.epochs=1", "training.batch_size=32")


def test_a_c2vl_run_keeps_its_space_and_others_have_none(small, tmp_path):
    data, prompts = small
    run = train("c2vl", data, "xsub", tmp_path / "c2vl", prompts, QUICK)
    space = load_embedding_space(run.path)
    checkpoint = torch.load(run.checkpoint, weights_only=True)["state_dict"]
    for name in ("projectors.language.0.weight", "projectors.skeleton.2.bias"):
        torch.testing.assert_close(space.state_dict()[name], checkpoint[f"method.student.{name}"])
    other = train(
        "supervised", data, "xsub", tmp_path / "supervised", None, ("training.epochs=1", *QUICK[:2])
    )
    assert load_embedding_space(other.path) is None


@pytest.mark.parametrize(
    "changes", [("method.prompt=mean", "method.segments=2"), ("method.projector_norm=true",)]
)
def test_what_is_read_embeds_as_the_method_does(small, tmp_path, changes):
    store = open_store(small[0])
    rows = np.arange(40)
    recipe = resolve(
        *find_recipe("c2vl", "actors"), [*QUICK, "training.precision=32-true", "method.prompt=mean", *changes]
    )
    module = build_module(recipe, store, rows, small[1])
    method = module.method.eval()
    save_embedding_space(tmp_path, method.embedding_space)
    space = load_embedding_space(tmp_path)
    batch = module.loader.batch(rows)
    made = method.prompts(batch.prompts, torch.Generator())
    features = torch.randn(len(rows), method.student.encoder.num_features)
    with torch.no_grad():
        expected = torch.nn.functional.normalize(
            method.student.projectors["language"](made["language"]), dim=1
        )
        language = StorePrompts(open_prompts(small[1]), store, ("language",)).embedded["language"]
        vectors = space.prompts.vectors("language", language[torch.from_numpy(rows)])
        torch.testing.assert_close(vectors, made["language"])
        torch.testing.assert_close(space.embed("language", vectors), expected)
        own = torch.nn.functional.normalize(method.student.projectors["skeleton"](features), dim=1)
        torch.testing.assert_close(space.embed("skeleton", features), own)


def test_a_damaged_file_is_refused(small, tmp_path):
    assert load_embedding_space(tmp_path) is None
    (tmp_path / FILE).write_bytes(b"\x00" * 40)
    with pytest.raises(InputError, match=r"projectors\.safetensors is damaged"):
        load_embedding_space(tmp_path)
