"""One training on several stores: other layouts, dimensions, persons and classes in one batch."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import kinelex
from kinelex.data import Sequence, SkeletonStoreWriter, StoreMeta, open_prompts, open_store
from kinelex.data.loader import SkeletonLoader
from kinelex.data.several import SeveralDataset, SeveralPrompts, SeveralStores, listed_paths, open_stores
from kinelex.data.splits.several import split_of
from kinelex.errors import InputError
from kinelex.evaluation import evaluate
from kinelex.skeleton import SkeletonLayout, get_layout, retarget
from kinelex.training.encoder_files import load_encoder
from kinelex.training.store_runs import store_runs
from kinelex.training.train import train
from kinelex.transforms import InputConfig
from kinelex.transforms.several import SeveralPipelines

ARMS = SkeletonLayout(
    "arms",
    (
        "shoulder_center",
        "left_shoulder",
        "left_elbow",
        "left_hand",
        "right_shoulder",
        "right_elbow",
        "right_hand",
    ),
    (0, 0, 1, 2, 0, 4, 5),
)


@pytest.fixture(scope="module")
def others(acted: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Pictures (coco17, 2-D, pixels, two persons) and arms alone (3-D), from the actors' clips."""
    store, folder = open_store(acted.store), tmp_path_factory.mktemp("others")
    paths = folder / "pictures.arrow", folder / "arms.arrow"
    flat = StoreMeta("pictures", get_layout("coco17"), ("up", "down"), units="pixels")
    arms = StoreMeta("arms", ARMS, store.class_names[:3])
    with SkeletonStoreWriter(paths[0], flat) as pictures, SkeletonStoreWriter(paths[1], arms) as hands:
        for row in range(0, len(store), 3):
            clip = torch.from_numpy(store.sequence(row).copy()).permute(3, 0, 2, 1)  # (C, T, V, M)
            about = {"subject": int(store.subjects[row]), "camera": 1}
            seen = retarget(clip, store.layout, get_layout("coco17")).permute(1, 3, 2, 0)[..., [0, 2]].numpy()
            pair = np.concatenate([seen, seen + 1], axis=1) * 100
            pictures.add(Sequence(f"p{row}", pair.astype(np.float32), label=row % 2, **about))
            bare = retarget(clip, store.layout, ARMS).permute(1, 3, 2, 0).numpy()
            hands.add(Sequence(f"a{row}", bare, label=row % 3, **about))
    return paths


BRIEF = ["epochs=1", "frames=16", "batch_size=24", "accelerator=cpu"]
SMALL = ["encoder.name=stgcn"]  # what the fixture has settings for
SHORT = [*BRIEF, "channels=2", "depth=[1,1,1]"]
GRU = [*BRIEF, "epochs=2", "hidden=8", "queue=32", "top_k=16"]


def text(acted: Any, others: tuple[Path, Path]) -> str:
    return ",".join(map(str, (acted.store, *others)))


def test_rows_and_classes_follow_one_another(acted: Any, others: tuple[Path, Path]) -> None:
    stores = open_stores(text(acted, others))
    assert isinstance(stores, SeveralStores)
    first, second, third = stores.stores
    assert len(stores) == len(first) + len(second) + len(third)
    row = len(first) + 4
    assert stores.class_names[stores.labels[row]] == f"pictures: {second.class_names[second.labels[4]]}"
    assert stores.persons[row] == 2
    which, own = stores.located(np.array([0, row, len(stores) - 1]))
    assert which.tolist() == [0, 1, 2]
    assert own.tolist() == [0, 4, len(third) - 1]
    split = split_of(stores, "random:0.5:0")
    assert len(np.intersect1d(split.train, split.test)) == 0
    assert len(split.train) + len(split.test) == len(stores)


def test_one_store_with_a_comma_in_its_name_is_one(acted: Any, tmp_path: Path) -> None:
    path = tmp_path / "a,b.arrow"
    path.write_bytes(acted.store.read_bytes())
    assert listed_paths(path) == [str(path)]
    assert len(open_stores(path)) == 120


@pytest.mark.parametrize("retargeted", ["partial", "named"])
def test_clips_of_all_stores_lie_side_by_side(acted: Any, others: tuple[Path, Path], retargeted: str) -> None:
    """Each clip's input is what its own store alone gives, in the same layout."""
    stores = open_stores(text(acted, others))
    assert isinstance(stores, SeveralStores)
    rows = np.array([len(stores) - 1, 0, 121, 5])
    dataset = SeveralDataset(stores, rows, places=2)
    layout = get_layout("core16")
    config = InputConfig(frames=8, centre="mean", align="torso", scale="torso", lift=True, persons=2)
    config = InputConfig(**{**vars(config), "retarget": retargeted})
    pipeline = SeveralPipelines(layout, config, [one.layout for one in stores.stores])
    batch = dataset.batch(rows)
    x, presence = pipeline.prepare(batch)
    assert x.shape == (4, 3, 8, 16, 2)
    assert x.isfinite().all()
    assert not x.masked_select(~presence).any()
    assert batch.labels.tolist() == stores.labels[[0, 5, 121, len(stores) - 1]].tolist()
    legs = [
        layout.index(f"{side}_{joint}") for side in ("left", "right") for joint in ("hip", "knee", "ankle")
    ]
    assert presence[:3, :, :, legs, 0].all()
    assert not presence[3, :, :, legs].any()  # arms alone
    wrist = presence[3, 0, 0, layout.index("left_wrist"), 0]
    assert bool(wrist) == (retargeted == "partial")  # the hand stands for it, or nothing does
    assert x[2, :, :, :, 1].abs().sum() > 0  # the second person of the picture
    alone = pipeline._pipelines[1].prepare(batch.parts[1])[0]
    assert torch.equal(x[2:3], alone)


def test_no_joint_in_common_is_refused() -> None:
    config, hand = InputConfig(retarget="partial"), SkeletonLayout("legless", ("palm", "finger"), (0, 0))
    with pytest.raises(InputError, match="no joint of the layout core16 can be had from legless"):
        SeveralPipelines(get_layout("core16"), config, [hand])


def test_a_small_store_is_read_more_often_and_a_large_one_in_turns() -> None:
    groups = np.repeat([0, 1], [90, 10])
    clips = np.ones((100, 3, 2, 25, 1))
    settings = {"batch_size": 10, "shuffle": True, "groups": groups}
    loader = SkeletonLoader(clips, np.arange(100), **settings, group_power=0.5)
    orders = [loader.order(epoch) for epoch in (0, 1, 0)]
    assert np.array_equal(orders[0], orders[2])
    large, small = orders[0][orders[0] < 90], orders[0][orders[0] >= 90]
    assert (len(large), len(small)) == (75, 25)
    assert len(np.unique(large)) == 75
    assert np.bincount(small - 90).tolist() == [2] * 5 + [3] * 5 or set(np.bincount(small - 90)) == {2, 3}
    assert set(orders[1][orders[1] < 90]) != set(large)
    every = SkeletonLoader(clips, np.arange(100), **settings, group_power=1.0).order(0)
    assert sorted(every) == list(range(100))
    ranks = [
        SkeletonLoader(clips, np.arange(100), 5, True, rank=r, world_size=2, groups=groups).order(3)
        for r in (0, 1)
    ]
    assert sorted(np.concatenate(ranks)) == list(range(100))


def test_a_run_is_a_run_of_each_store(acted: Any, others: tuple[Path, Path], tmp_path: Path) -> None:
    """Supervised: one classifier of all classes, of which each store's run has its own."""
    run = train(
        "supervised", text(acted, others), "xsub,random:0.5:0,random:0.5:0", tmp_path / "run",
        overrides=SHORT,
    )  # fmt: skip
    assert run.config["from_store"] == {
        "input.layout": "core16",
        "input.retarget": "partial",
        "input.lift": True,
    }
    assert load_encoder(run.path).layout.name == "core16"
    runs = store_runs(run.path)
    assert [path.name for path in runs] == ["actors", "arms", "pictures"]
    stores = {"actors": acted.store, "pictures": others[0], "arms": others[1]}
    for path in runs:
        assert load_encoder(path).class_names == open_store(stores[path.name]).class_names
    numbers = evaluate(run.path, tasks=["classify", "knn"])
    assert set(numbers["stores"]) == set(stores)
    assert numbers["stores"]["pictures"]["dataset"] == "pictures"
    rates = [numbers["stores"][name]["knn"]["top1"] for name in stores]
    assert numbers["mean"]["nearest neighbour on features"] == pytest.approx(np.mean(rates))
    with pytest.raises(InputError, match="learned the labels"):
        evaluate(run.path, acted.store, "xview", tasks=["knn"])
    with pytest.raises(InputError, match="every store has its own"):
        evaluate(run.path, protocol="xsub")
    model = kinelex.load_model(runs[1])  # arms
    clip = open_store(others[1]).clip(0)
    said = model.predict(clip.coordinates, layout=ARMS, fps=clip.fps)
    assert said.label in open_store(others[1]).class_names


def test_a_store_without_labels_is_left_out_and_the_others_are_judged(
    acted: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, bare = open_store(acted.store), tmp_path / "bare.arrow"
    with SkeletonStoreWriter(bare, StoreMeta("bare", store.layout, ())) as writer:
        for row in range(24):
            writer.add(Sequence(f"b{row}", store.sequence(row)))
    words = [*BRIEF, "hidden=4", "method.queue=24", "method.top_k=8"]
    both = f"{bare},{acted.store}"  # the one without labels is the first
    run = train("cmd", both, "random:0.5:0,xsub", tmp_path / "run", overrides=words)
    numbers = evaluate(run.path, tasks=["knn"])
    assert set(numbers["stores"]) == {"actors"}
    assert (
        numbers["mean"]["nearest neighbour on features, all streams"]
        == (numbers["stores"]["actors"]["knn"]["top1"])
    )
    assert f"left out: {bare}: no clip of the training part has a label" in capsys.readouterr().out
    with pytest.raises(InputError, match="no clip of the training part has a label"):
        evaluate(run.path / "stores" / "bare", tasks=["knn"])


def test_an_encoder_of_any_layout_sees_the_joints_of_each_store(
    acted: Any, others: tuple[Path, Path], tmp_path: Path
) -> None:
    small = [*BRIEF, "dim=8", "encoder.depth=1", "heads=2"]
    run = train(
        "supervised", text(acted, others), "random:0.5:0", tmp_path / "run",
        overrides=["encoder.name=slots", *small, "align=torso", "scale=torso"],
    )  # fmt: skip
    trained = load_encoder(run.path)
    assert set(trained.layout.joints) > {*ARMS.joints, *get_layout("coco17").joints}
    actors, arms, pictures = store_runs(run.path)
    for path, layout in ((actors, get_layout("ntu25")), (pictures, get_layout("coco17"))):
        assert load_encoder(path).reading(layout).layout.joints == layout.joints
    # without a trunk clips are normalised as in training: beside joints that are missing
    assert set(load_encoder(arms).reading(ARMS).layout.joints) >= {"pelvis", *ARMS.joints}
    assert evaluate(arms, tasks=["knn"], baselines=False)["knn"]["top1"] is not None


def test_resumed_training_is_the_same(acted: Any, others: tuple[Path, Path], tmp_path: Path) -> None:
    data, settings = text(acted, others), GRU
    whole = train("cmd", data, "random:0.5:0", tmp_path / "whole", overrides=settings)
    (tmp_path / "part").mkdir()
    for file in ("config.yaml", "environment.json"):
        (tmp_path / "part" / file).write_bytes((whole.path / file).read_bytes())
    resumed = train("cmd", data, "random:0.5:0", tmp_path / "part", resume=True)
    weights = [(run.path / "encoder.safetensors").read_bytes() for run in (whole, resumed)]
    assert weights[0] == weights[1]


def test_words_of_one_store_teach_beside_others(
    acted: Any, others: tuple[Path, Path], quick: list[str], tmp_path: Path
) -> None:
    stores = open_stores(text(acted, others))
    assert isinstance(stores, SeveralStores)
    prompts = SeveralPrompts([open_prompts(acted.prompts)], stores, None)
    assert prompts.present["language"].tolist() == [True] * 120 + [False] * (len(stores) - 120)
    taken = prompts.batch(np.array([3, 125]))["language"]
    own = open_prompts(acted.prompts).bank("language").frame[3]
    assert torch.equal(taken.frame[0], torch.as_tensor(own).to(taken.frame.dtype))
    run = train("c2vl", text(acted, others), "random:0.5:0", tmp_path / "run", acted.prompts, SMALL + quick)
    configs = {path.name: (path / "config.yaml").read_text() for path in store_runs(run.path)}
    assert str(acted.prompts) in configs["actors"]
    assert "prompts: null" in configs["arms"]


def test_what_does_not_fit_is_said(acted: Any, others: tuple[Path, Path], quick: list[str]) -> None:
    data = text(acted, others)
    with pytest.raises(InputError, match="one protocol for all 3 stores, or one each"):
        train("cmd", data, "xsub,random:0.5:0", "nowhere", overrides=GRU)
    with pytest.raises(InputError, match="is there twice"):
        train("cmd", f"{acted.store},{acted.store}", "xsub", "nowhere", overrides=GRU)
    with pytest.raises(InputError, match="was made for another store"):
        train("c2vl", ",".join(map(str, others)), "random:0.5:0", "nowhere", acted.prompts, SMALL + quick)
    with pytest.raises(InputError, match="has neither the joint 'pelvis'"):
        train("cmd", data, "random:0.5:0", "nowhere", overrides=[*GRU, "retarget=complete"])
    assert not Path("nowhere").exists()


def test_stores_of_one_name_have_names_of_their_own(
    acted: Any, others: tuple[Path, Path], tmp_path: Path
) -> None:
    again = tmp_path / others[0].name
    with SkeletonStoreWriter(again, open_store(others[0]).meta) as writer:
        for row, clip in enumerate(open_store(others[0]).ids[:24]):
            coordinates = open_store(others[0]).sequence(row)
            writer.add(Sequence(clip, coordinates, label=row % 2, subject=row % 3, camera=1))
    stores = open_stores(f"{others[0]},{again},{others[1]}")
    assert isinstance(stores, SeveralStores)
    assert stores.names == ("pictures_1", "pictures_2", "arms")
    run = train("supervised", f"{others[0]},{again}", "random:0.5:0", tmp_path / "run", overrides=SHORT)
    assert [path.name for path in store_runs(run.path)] == ["pictures_1", "pictures_2"]


def test_more_names_of_stores_than_fit_into_one_name() -> None:
    paths = [f"clips_of_camera_{number}.arrow" for number in range(20)]
    assert listed_paths(",".join(paths)) == paths


def test_a_store_without_labels_teaches_no_classes(acted: Any, tmp_path: Path) -> None:
    store, bare = open_store(acted.store), tmp_path / "bare.arrow"
    with SkeletonStoreWriter(bare, StoreMeta("bare", store.layout, ("a",))) as writer:
        for row in range(8):
            writer.add(Sequence(f"b{row}", store.sequence(row)))
    with pytest.raises(InputError, match=r"no clip of the training part of random:0.5:0 in .*bare.arrow has"):
        train("supervised", f"{acted.store},{bare}", "random:0.5:0", tmp_path / "run", overrides=SHORT)
