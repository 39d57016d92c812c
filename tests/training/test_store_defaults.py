"""The package's recipes suit the store; what a user asks for is done, or refused in one message."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from kinelex.data import Sequence, SkeletonStore, SkeletonStoreWriter, StoreMeta, open_store
from kinelex.data.batch import Batch
from kinelex.errors import InputError
from kinelex.skeleton import SkeletonLayout, get_layout
from kinelex.training.recipe import find_recipe, recipe_names, resolve
from kinelex.training.run_directory import RunDirectory
from kinelex.training.store_defaults import heading_spread, resolve_for, said
from kinelex.training.train import train
from kinelex.transforms import InputConfig, InputPipeline, centre, scale_clip

HAND = SkeletonLayout.from_yaml("name: hand3\njoints: {wrist: wrist, thumb: wrist, index: wrist}")
QUICK = ["epochs=1", "encoder.channels=2", "depth=[1,1,1]", "frames=4", "batch_size=4", "accelerator=cpu"]
# PYSKL's list their transforms, for their own files alone
METHOD_RECIPES = [  # whose input has the short form: a list holds as it is
    name
    for name in recipe_names()
    if not name.startswith("adapt/") and "transforms" not in find_recipe(name)[1]["input"]
]


@pytest.fixture(scope="module")
def stores(tmp_path_factory) -> dict[str, SkeletonStore]:
    folder, rng, made = tmp_path_factory.mktemp("kinds"), np.random.default_rng(0), {}
    for name, layout, channels in (
        ("solid", get_layout("ntu25"), 3),
        ("flat", get_layout("coco17"), 2),
        ("hand", HAND, 3),
        ("flat_hand", HAND, 2),
    ):
        with SkeletonStoreWriter(folder / f"{name}.arrow", StoreMeta(name, layout, ("a", "b"))) as writer:
            for i in range(8):
                x = rng.normal(size=(6, 1, layout.num_joints, channels)).astype(np.float32)
                writer.add(Sequence(f"c{i}", x, label=i % 2, splits=(f"given:{('train', 'test')[i // 4]}",)))
        made[name] = open_store(folder / f"{name}.arrow")
    return made


@pytest.mark.parametrize("name", METHOD_RECIPES)
def test_recipes_of_the_package_give_way_to_the_store(stores: dict[str, SkeletonStore], name: str) -> None:
    content = find_recipe(name)[1]
    written = resolve(name, content)
    assert resolve_for(stores["solid"], name, content).input == written.input
    flat, hand = (resolve_for(stores[kind], name, content).input for kind in ("flat", "hand"))
    assert (flat.align, tuple(flat.rotation)) == ("none", (0, 0, written.input.rotation[2]))
    assert flat.scale == ("torso" if written.input.scale == "none" else written.input.scale)
    assert (hand.align, hand.rotation) == ("none", written.input.rotation)
    assert hand.scale == ("body" if written.input.scale == "torso" else written.input.scale)
    for made, store in ((flat, "flat"), (hand, "hand")):  # and the clips take it
        layout = stores[store].layout
        batch = Batch(torch.tensor([6]), torch.zeros(1), torch.arange(1))
        batch.frames = torch.from_numpy(stores[store].sequence(0).copy()).permute(0, 3, 2, 1)
        pipeline = InputPipeline(layout, made)
        assert pipeline(batch, pipeline.sample(batch, torch.Generator().manual_seed(0))).isfinite().all()


def test_what_the_store_decided_is_said_and_kept(stores, tmp_path, capsys) -> None:
    run = train("supervised", stores["flat"].path, "given", tmp_path / "run", overrides=QUICK)
    line = "2-D store: input.align=none, input.rotation=[0,0,0.1] instead of the recipe's"
    assert capsys.readouterr().out.count(line) == 1
    config = RunDirectory(run.path).config
    assert config["from_store"] == {"input.align": "none", "input.rotation": [0.0, 0.0, 0.1]}
    assert config["input"]["align"] == "none"
    recipe = resolve_for(stores["flat_hand"], *find_recipe("supervised"))
    assert said(recipe, stores["flat_hand"]).startswith(
        "2-D store, layout hand3 without a torso: input.align=none, input.rotation=[0,0,0.1], "
        "input.scale=body"
    )
    given = ["input.align=none", "input.rotation=[0,0,0.3]"]
    assert not resolve_for(stores["flat"], *find_recipe("supervised"), overrides=given).from_store


def facing(path: Path, headings: np.ndarray) -> SkeletonStore:
    """Bodies that stand at some angles to the camera, radians, and sway."""
    ntu, rng = get_layout("ntu25"), np.random.default_rng(0)
    body = rng.normal(size=(25, 3))
    body[[ntu.joints.index(f"{side}_shoulder") for side in ("left", "right")]] = [[0.2, 1, 0], [-0.2, 1, 0]]
    with SkeletonStoreWriter(path, StoreMeta("mine", ntu, ("a", "b"))) as writer:
        for i, angle in enumerate(headings):
            turn = np.array(
                [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
            )
            x = (body @ turn.T)[None, None] + rng.normal(size=(6, 1, 25, 3)) / 50
            tag = f"given:{('train', 'test')[i % 4 == 3]}"
            writer.add(Sequence(f"c{i}", x.astype(np.float32), label=i % 2, splits=(tag,)))
    return open_store(path)


def test_general_recipes_turn_clips_only_where_bodies_face_different_ways(tmp_path: Path, capsys) -> None:
    angles = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    around = facing(tmp_path / "around.arrow", angles)
    alike = facing(tmp_path / "alike.arrow", np.radians(np.linspace(-20, 20, 16)))
    rows = np.arange(16)
    assert heading_spread(around, rows) < 0.1
    expected = np.linalg.norm([np.cos(np.radians(np.linspace(-20, 20, 16))).mean(), 0])
    assert heading_spread(alike, rows) == pytest.approx(expected, abs=0.01)
    name, content = find_recipe("supervised")
    assert resolve_for(around, name, content, rows=rows).input.align == "torso"
    assert resolve_for(alike, name, content, rows=rows).input.align == "none"
    assert resolve_for(alike, name, content, ["align=torso"], rows=rows).input.align == "torso"
    # A data set's own recipe is as it was chosen.
    assert resolve_for(alike, *find_recipe("supervised/utd_mhad"), rows=rows).input.align == "torso"
    train("supervised", alike.path, "given", tmp_path / "run", overrides=QUICK)
    assert "bodies face about one way: input.align=none instead of the recipe's" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        ("flat", "input.align=torso", "align=torso turns skeletons in 3-D, .* pass input.align=none"),
        ("flat", "input.align=body", "align=body turns skeletons in 3-D, .* pass input.align=none"),
        ("flat", "input.rotation=[0.1,0,0.2]", r"2-D .*: pass input.rotation=\[0,0,0.2\]"),
        ("hand", "input.align=torso", "align=torso does not suit .* pass input.align=none"),
        ("hand", "input.scale=torso", "scale=torso does not suit .* pass input.scale=body"),
    ],
)
def test_what_a_user_asks_for_is_refused_where_it_cannot_be(
    stores, tmp_path, kind: str, change: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        train("supervised", stores[kind].path, "given", tmp_path / "run", overrides=[*QUICK, change])
    assert not (tmp_path / "run").exists()
    key, _, value = change.partition("=")
    content = find_recipe("supervised")[1]
    content["input"] |= {"align": "none", "rotation": [0, 0, 0], "scale": "body"}
    content["input"][key.removeprefix("input.")] = yaml.safe_load(value)
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(InputError, match=message):
        train(str(tmp_path / "mine.yaml"), stores[kind].path, "given", tmp_path / "run", overrides=QUICK)


def test_flat_clips_turn_in_their_plane() -> None:
    coco = get_layout("coco17")
    config = InputConfig(frames=4, centre="mean", rotation=(0.0, 0.0, 0.5))
    batch = Batch(torch.tensor([4]), torch.zeros(1), torch.arange(1), torch.randn(4, 2, 17, 1))
    pipeline = InputPipeline(coco, config)
    params = pipeline.sample(batch, torch.Generator().manual_seed(1))
    still = pipeline(batch, {"crop_resize": params["crop_resize"]})
    turned = pipeline(batch, params)
    assert params["random_rotation"].shape == (1, 2, 2)
    torch.testing.assert_close(turned.norm(dim=1), still.norm(dim=1))
    assert (turned - still).abs().max() > 0.01


def test_the_body_scale_is_the_spread_of_all_joints_of_the_first_person() -> None:
    coco = get_layout("coco17")
    x = centre(torch.randn(2, 2, 5, 17, 2) * 90, coco, "mean")
    person = x[1, :, :, :, 0]
    by_hand = [((person[:, t] - person[:, t].mean(1, keepdim=True)) ** 2).sum(0).mean() for t in range(5)]
    expected = x[1] / torch.stack(by_hand).mean().sqrt()
    torch.testing.assert_close(scale_clip(x, coco, "body")[1], expected)
