"""Recipes: every one builds, every wrong key is named."""

import pytest
import torch

from kinelex.data.batch import Batch
from kinelex.errors import InputError
from kinelex.methods import Prompts
from kinelex.skeleton import get_layout
from kinelex.training.build import build_method
from kinelex.training.recipe import find_recipe, recipe_names, resolve
from kinelex.transforms import AxisMask, InputPipeline, JointMask


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_builds_and_steps(name):
    recipe = resolve(*find_recipe(name))
    layout = get_layout("kinect20")
    recipe.method.update({"image_size": 64} if "image_size" in recipe.method else {})
    recipe.encoder.update({"hidden": 8} if recipe.encoder["name"] == "gru" else {})
    modalities = ("language", "vision") if recipe.method["name"] == "mmcl" else ("language",)
    prompts = {m: Prompts(torch.randn(3, 2, 8)) for m in modalities}
    statistics = {m: p.statistics() for m, p in prompts.items()}
    method = build_method(recipe, layout, 3, (2, 1), statistics)
    batch = Batch(
        torch.tensor([40, 30, 50]),
        torch.zeros(3, dtype=torch.long),
        torch.arange(3),
        frames=torch.randn(120, 3, 20, 1),
        prompts={**prompts, "images": Prompts(torch.full((3, 64, 64, 3), 9, dtype=torch.uint8))},
    )
    pipeline, generator = InputPipeline(layout, recipe.input), torch.Generator().manual_seed(0)
    method.on_epoch_start(1, recipe.training.epochs)
    views = [pipeline(batch, pipeline.sample(batch, generator)) for _ in range(method.views)]
    loss, _ = method(torch.cat(views), batch.prompts, batch.labels, None, generator)
    loss.backward()
    assert loss.isfinite()
    assert resolve(recipe.name, {k: v for k, v in recipe.to_dict().items() if k != "name"}) == recipe


def test_a_bare_method_takes_the_recipe_of_the_data_set():
    assert find_recipe("c2vl", "nw_ucla")[0] == "c2vl/nw_ucla"
    assert find_recipe("c2vl", "something_else")[0] == "c2vl"
    assert find_recipe("cmd", "ntu120")[0] == "cmd/ntu120"
    with pytest.raises(InputError, match="did you mean 'c2vl'"):
        find_recipe("c2v1")


def test_overrides_by_full_and_short_key():
    base = {"method": {"name": "c2vl"}}
    recipe = resolve("r", base, ["alpha=0.25", "optimizer.lr=1e-3", "--epochs=3", "input.scaling=[0.9, 1.1]"])
    assert recipe.method["alpha"] == 0.25
    assert recipe.optimizer.lr == 0.001
    assert recipe.training.epochs == 3
    assert tuple(recipe.input.scaling) == (0.9, 1.1)
    assert base == {"method": {"name": "c2vl"}}
    assert resolve("r", base, "alpha=0.25").method["alpha"] == 0.25  # one, as a text


@pytest.mark.parametrize(
    ("content", "overrides", "message"),
    [
        ({"metod": {}}, [], "did you mean 'method'"),
        ({"method": {"alfa": 1}}, [], "did you mean 'alpha'"),
        ({"encoder": {"chanels": 8}}, [], "did you mean 'channels'"),
        ({"encoder": {"name": "stgc"}}, [], "did you mean 'stgcn'"),
        ({"method": {"name": "c2v"}}, [], "did you mean 'c2vl'"),
        ({}, ["epohs=3"], "did you mean 'epochs'"),
        ({}, ["scale"], "expects key=value"),
        ({}, ["training.epochs=many"], "epochs"),
        ({}, ["epochs=-1"], "at least 0"),
        ({}, ["repeat=0"], "at least 1"),
        ({}, ["align=bodi"], "did you mean 'body'"),
        ({}, ["optimizer.name=adam"], "did you mean 'adamw'"),
        ({}, ["lr=nan"], "optimizer.lr expects finite numbers, got nan"),
        ({}, ["method.alpha=inf"], "method.alpha expects finite numbers"),
        ({}, ["scaling=0.9,.nan"], "input.scaling expects finite numbers"),
        ({"method": 3}, [], "to be a mapping"),
        ({"encoder": {"name": ["stgcn"]}}, [], r"expects encoder.name to be a text, got \['stgcn'\]"),
        ({"method": {"name": "aimclr"}}, ["extreme=[jitter]"], "unknown transform or preset 'jitter'"),
        ({}, ["batch_size=9", "devices=2"], "a batch size that 2 devices can share, got 9"),
    ],
)
def test_wrong_recipes_are_named(content, overrides, message):
    with pytest.raises(InputError, match=message):
        resolve("r", content, overrides)


def test_recipe_files(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        find_recipe(str(tmp_path / "no.yaml"))
    (tmp_path / "bad.yaml").write_text("a: [")
    with pytest.raises(InputError, match="not valid YAML"):
        find_recipe(str(tmp_path / "bad.yaml"))
    (tmp_path / "list.yaml").write_text("- 1")
    with pytest.raises(InputError, match="expects the sections"):
        find_recipe(str(tmp_path / "list.yaml"))
    for text in ("encoder: stgcn", "input:", "method: supervised"):
        (tmp_path / "section.yaml").write_text(text)
        with pytest.raises(InputError, match=f"expects {text.partition(':')[0]} to be a mapping"):
            find_recipe(str(tmp_path / "section.yaml"))


def test_the_transforms_that_a_method_names_are_parts_of_the_recipe():
    changed = resolve("mine", {"method": {"name": "aimclr"}}, ["method.extreme=[joint_mask]"])
    assert JointMask in changed.parts
    assert AxisMask not in changed.parts
    assert AxisMask in resolve("mine", {"method": {"name": "aimclr"}}).parts
