"""Adapting a run: batch norm by hand, frozen encoders, fine-tuning, few labels, another layout, lineage."""

import io
import json

import numpy as np
import pytest
import torch
import yaml
from rich.console import Console
from safetensors.torch import load_file

from kinelex.cli import main
from kinelex.data import Sequence, SkeletonStoreWriter, StoreMeta, open_store
from kinelex.data.loader import SkeletonLoader
from kinelex.datasets import get_split
from kinelex.datasets.sysu import CLASSES
from kinelex.errors import InputError
from kinelex.evaluation import evaluate
from kinelex.evaluation.protocols.supervision import check_unseen
from kinelex.inference.features import extract_features
from kinelex.methods import Supervised
from kinelex.skeleton import SkeletonLayout, get_layout, retarget_matrix
from kinelex.training.adapt import AdaptOptions, adapt, estimate_batch_norm
from kinelex.training.encoder_files import load_encoder, load_encoders
from kinelex.training.run_directory import RunDirectory
from kinelex.training.train import train

TINY = ["channels=4", "depth=1,1,1", "out_features=16", "frames=8", "batch_size=24", "accelerator=cpu"]
SHORT = ["epochs=2", "batch_size=12", "accelerator=cpu", "precision=32-true"]
KINECT = get_layout("kinect20")


def quiet() -> Console:
    return Console(file=io.StringIO(), width=160)


@pytest.fixture(scope="module")
def base(small, tmp_path_factory) -> RunDirectory:
    """Two streams of the actors' 24 classes, ntu25."""
    changes = [*TINY, "epochs=2", "precision=32-true", "streams=joint,bone"]
    out = tmp_path_factory.mktemp("base") / "run"
    return train("supervised", small[0], "xsub", out, overrides=changes, console=quiet())


@pytest.fixture(scope="module")
def c2vl(small, tmp_path_factory) -> RunDirectory:
    """One stream, learned without labels."""
    out = tmp_path_factory.mktemp("c2vl") / "run"
    return train("c2vl", *(small[0], "xsub", out, small[1]), [*TINY, "epochs=1", "dim=8"], console=quiet())


@pytest.fixture(scope="module")
def sysu(small, tmp_path_factory):
    """The actors as Kinect v1 would see them, under the names of SYSU: 48 clips, 12 classes, 4 persons."""
    actors, matrix = open_store(small[0]), retarget_matrix(get_layout("ntu25"), KINECT)
    path = tmp_path_factory.mktemp("sysu") / "sysu.arrow"
    with SkeletonStoreWriter(path, StoreMeta("sysu", KINECT, CLASSES)) as writer:
        for i in range(48):
            row = int(np.flatnonzero(actors.labels == i % 12)[i // 12])
            clip = np.einsum("uv,tmvc->tmuc", matrix, actors.sequence(row)[:, :1])
            person = 1 + i // 12
            writer.add(Sequence(f"p{person}_video{1 + i % 12}", clip, i % 12, subject=person))
    return open_store(path)


def weights(run: RunDirectory) -> dict[str, torch.Tensor]:
    return load_file(run.path / "encoder.safetensors")


def moving(name: str) -> bool:
    return name.rpartition(".")[2] in ("running_mean", "running_var", "num_batches_tracked")


def test_batch_norm_of_one_batch_by_hand(base, sysu):
    encoder = load_encoder(base.path, "bone").reading(KINECT)
    norm = next(m for m in encoder.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm))
    momentum, seen = norm.momentum, []
    hook = norm.register_forward_pre_hook(lambda _, given: seen.append(given[0].detach().clone()))
    rows = np.arange(20)
    estimate_batch_norm({"bone": encoder}, sysu, rows)
    hook.remove()
    assert len(seen) == 1
    x = seen[0].movedim(1, 0).flatten(1).double()  # (channels, everything else)
    for c in range(len(x)):
        mean = sum(x[c].tolist()) / x.shape[1]
        variance = sum((v - mean) ** 2 for v in x[c].tolist()) / (x.shape[1] - 1)
        assert float(norm.running_mean[c]) == pytest.approx(mean, abs=1e-5)
        assert float(norm.running_var[c]) == pytest.approx(variance, rel=1e-4, abs=1e-7)
    assert (norm.momentum, encoder.training, norm.training) == (momentum, False, False)


def test_several_batches_count_alike(base, sysu, monkeypatch):
    monkeypatch.setattr("kinelex.training.adapt._CLIPS_AT_A_TIME", 10)
    encoder = load_encoder(base.path).reading(KINECT)
    norm = next(m for m in encoder.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm))
    means = []
    norm.register_forward_pre_hook(lambda _, given: means.append(given[0].movedim(1, 0).flatten(1).mean(1)))
    estimate_batch_norm({"joint": encoder}, sysu, np.arange(30))
    assert len(means) == 3
    torch.testing.assert_close(norm.running_mean, torch.stack(means).mean(0), rtol=1e-5, atol=1e-6)


def test_batch_norm_reads_no_label_and_moves_statistics_alone(base, sysu, tmp_path):
    wrong = tmp_path / "wrong.arrow"
    with SkeletonStoreWriter(wrong, sysu.meta) as writer:
        for i, clip in enumerate(sysu.ids):
            writer.add(Sequence(clip, sysu.sequence(i), None, int(sysu.subjects[i])))
    one = adapt(base.path, sysu.path, "setting2:1", tmp_path / "one", "batch_norm", console=quiet())
    two = adapt(base.path, wrong, "setting2:1", tmp_path / "two", "batch_norm", console=quiet())
    before, after, other = weights(base), weights(one), weights(two)
    assert all(torch.equal(after[k], other[k]) for k in after)
    assert {k for k in after if not torch.equal(before[k], after[k])} == {k for k in after if moving(k)}
    for stream, encoder in load_encoders(one.path).items():
        assert encoder.source == KINECT
        assert encoder.layout == get_layout("ntu25")
        mine, theirs = encoder.last_layer(), load_encoder(base.path, stream).last_layer()
        np.testing.assert_array_equal(mine[0], theirs[0])
    result = evaluate(one.path, tasks=("knn",), baselines=False, console=quiet())
    assert result["counts"]["test"] == len(get_split(sysu, "setting2:1").test)
    with pytest.raises(InputError, match="learned 24 classes.*has 12 classes"):
        evaluate(one.path, console=quiet())
    actors = open_store(base.config["data"])
    with pytest.raises(InputError, match=r"learned the labels of .* \(trained on xsub\)"):
        check_unseen(one, actors, get_split(actors, "xview").test)
    check_unseen(one, sysu, np.arange(48))


def test_linear_learns_on_frozen_encoders(base, sysu, tmp_path):
    changes = [*SHORT, "epochs=6"]
    made = adapt(
        base.path,
        sysu.path,
        "setting2:1",
        tmp_path / "new",
        "linear",
        AdaptOptions(overrides=changes),
        console=quiet(),
    )
    before, after = weights(base), weights(made)
    assert all(torch.equal(before[k], after[k]) for k in before)  # statistics of batch norm too
    losses = [row["loss"] for row in made.metrics()]
    assert losses[-1] < losses[0]
    config = made.config
    assert config["method"]["frozen"] is True
    assert config["method"]["streams"] == ["joint", "bone"]
    assert config["input"]["frames"] == 8  # as the run prepared its clips
    assert config["input"]["centre"] == base.config["input"]["centre"]
    assert config["input"]["rotation"] == [0.0, 0.0, 0.0]  # augmentation is the recipe's
    assert config["adapted"]["mode"] == "linear"
    assert config["adapted"]["run"] == str(base.path.resolve())
    assert config["adapted"]["from"]["protocol"] == "xsub"
    result = evaluate(made.path, baselines=False, console=quiet())
    assert set(result["classify"]["streams"]) == {"joint", "bone"}
    assert set(result["classify"]["per_class"]) == set(CLASSES)
    with pytest.raises(InputError, match=r"learned the labels of .*trained on setting2:1"):
        evaluate(made.path, protocol="setting1:1", console=quiet())
    again = adapt(
        made.path,
        sysu.path,
        "setting2:1",
        tmp_path / "again",
        "full",
        AdaptOptions(overrides=SHORT),
        console=quiet(),
    )
    assert again.config["adapted"]["from"]["adapted"]["from"]["dataset"] == "actors"
    actors = open_store(base.config["data"])
    with pytest.raises(InputError, match=r"trained on xsub\)"):
        check_unseen(again, actors, get_split(actors, "xview").test)


def test_the_retargeted_run_computes_what_its_encoder_does_on_retargeted_clips(base, sysu, tmp_path):
    matrix = retarget_matrix(KINECT, get_layout("ntu25"))
    path = tmp_path / "ntu.arrow"
    with SkeletonStoreWriter(path, StoreMeta("sysu", get_layout("ntu25"), CLASSES)) as writer:
        for i in range(6):
            clip = np.einsum("uv,tmvc->tmuc", matrix, sysu.sequence(i))
            writer.add(Sequence(sysu.ids[i], clip, int(sysu.labels[i])))
    for stream, encoder in load_encoders(base.path).items():
        expected = extract_features(encoder, open_store(path), np.arange(6))
        found = extract_features(encoder.reading(KINECT), sysu, np.arange(6))
        np.testing.assert_allclose(found, expected, atol=1e-5, err_msg=stream)


@pytest.mark.parametrize("same", [True, False])
def test_full_keeps_the_classifier_where_the_classes_are_the_same(base, small, sysu, tmp_path, same):
    data, protocol = (small[0], "xview") if same else (sysu.path, "setting1:1")
    changes = [*SHORT, "epochs=1", "optimizer.lr=1e-12"]
    made = adapt(
        base.path, data, protocol, tmp_path / "new", "full", AdaptOptions(overrides=changes), console=quiet()
    )
    before = load_file(base.path / "classifier.safetensors")
    after = load_file(made.path / "classifier.safetensors")
    assert len(after["joint.weight"]) == (24 if same else 12)
    if same:
        torch.testing.assert_close(after, before, rtol=0, atol=1e-6)
    else:
        assert not torch.allclose(after["joint.weight"], before["joint.weight"][:12], atol=1e-2)
    changed = {k: v for k, v in weights(made).items() if not moving(k)}
    torch.testing.assert_close(changed, {k: weights(base)[k] for k in changed}, rtol=0, atol=1e-6)


def test_clips_are_prepared_as_the_run_prepares_them(small, tmp_path):
    """Whatever says how, but for augmentations, is the run's."""
    how = {"mutual": True, "whole_clip": True, "centre": "mean", "align": "torso", "persons": 2}
    changes = ["encoder.name=gru", "encoder.hidden=4", "encoder.apart=true", "frames=8", *SHORT, "epochs=0"]
    changes += [f"input.{key}={str(value).lower()}" for key, value in how.items()]
    run = train("supervised", small[0], "xsub", tmp_path / "run", overrides=changes, console=quiet())
    options = AdaptOptions(overrides=[*SHORT, "epochs=0"])
    made = adapt(run.path, small[0], "xsub", tmp_path / "new", "full", options, console=quiet())
    assert {key: made.config["input"][key] for key in how} == how
    row, store = np.array([0]), open_store(small[0])
    np.testing.assert_allclose(
        *(extract_features(load_encoder(r.path), store, row) for r in (run, made)), rtol=1e-4, atol=1e-5
    )


def test_full_moves_everything_and_few_labels_are_the_published_subsets(c2vl, small, tmp_path):
    made = adapt(
        c2vl.path,
        small[0],
        "xsub",
        tmp_path / "new",
        "full",
        AdaptOptions(0.5, [*SHORT, "seed=3"]),
        console=quiet(),
    )
    before, after = weights(c2vl), weights(made)
    assert not any(torch.equal(before[k], after[k]) for k in before if k.endswith("weight"))
    assert made.config["protocol"] == "xsub:few-balanced:0.5:3"
    store = open_store(small[0])
    few = get_split(store, "xsub:few-balanced:0.5:3")
    assert 0 < len(few.train) < len(get_split(store, "xsub").train)
    loaded = load_encoder(made.path)
    assert loaded.class_names == store.class_names
    result = evaluate(made.path, baselines=False, console=quiet())
    assert result["counts"]["test"] == len(few.test)
    assert "classify" in result


def test_interrupted_and_resumed_equals_uninterrupted(base, sysu, tmp_path, monkeypatch):
    given = (base.path, sysu.path, "setting2:1")
    whole = adapt(*given, tmp_path / "whole", "full", AdaptOptions(overrides=SHORT), console=quiet())
    forward, calls = Supervised.forward, []

    def counted(self, *arguments):
        calls.append(1)
        if len(calls) == 3:
            raise RuntimeError("the power is gone")
        return forward(self, *arguments)

    monkeypatch.setattr(Supervised, "forward", counted)
    changes = [*SHORT, "checkpoint_every=1"]
    with pytest.raises(RuntimeError, match="the power"):
        adapt(*given, tmp_path / "cut", "full", AdaptOptions(overrides=changes), console=quiet())
    monkeypatch.undo()
    with pytest.raises(InputError, match="go on with `kinelex adapt ... --resume`"):
        train("supervised", sysu.path, "setting2:1", tmp_path / "cut", resume=True)
    with pytest.raises(InputError, match="was not adapted from .* with --mode linear"):
        adapt(*given, tmp_path / "cut", "linear", AdaptOptions(resume=True))
    with pytest.raises(InputError, match="not empty: pass --resume"):
        adapt(*given, tmp_path / "cut", "full", console=quiet())
    cut = adapt(
        *given, tmp_path / "cut", "full", AdaptOptions(overrides=changes, resume=True), console=quiet()
    )
    one, two = weights(whole), weights(cut)
    assert all(torch.equal(one[k], two[k]) for k in one)


def test_wrong_wishes_are_one_message_and_write_nothing(base, c2vl, sysu, small, tmp_path):
    out = tmp_path / "new"

    def refused(message, run=base.path, data=sysu.path, protocol="setting1:1", mode="full", **more):
        with pytest.raises(InputError, match=message):
            adapt(run, data, protocol, out, mode, AdaptOptions(**more), quiet())
        assert not out.exists()

    refused("unknown mode 'batchnorm': did you mean 'batch_norm'", mode="batchnorm")
    refused("no run directory", run=tmp_path)
    refused("leave out lr=1", mode="batch_norm", overrides=["lr=1"])
    refused("leave out --labels", mode="batch_norm", labels=0.1)
    refused("keeps its encoders: leave out encoder.channels", overrides=["channels=8"])
    refused("keeps its encoders: leave out encoder.name", overrides=["encoder.name=gru"])
    refused("leave out method.name", overrides=["method.name=cmd"])
    refused("leave out method.frozen", overrides=["frozen=true"])
    refused("leave out method.streams", overrides=["streams=joint"])
    refused(
        "leave out input.stream", run=c2vl.path, data=small[0], protocol="xsub", overrides=["stream=bone"]
    )
    refused("did you mean 'epochs'", overrides=["epohs=3"])
    refused("a share|above 0|ratio", labels=1.5)
    for name, layout, channels, said in (
        ("legs", SkeletonLayout("legs", ("pelvis", "left_knee"), (0, 0)), 3, "layout legs has neither"),
        ("flat", get_layout("coco17"), 2, "reads 3-D coordinates, .* has 2-D ones"),
    ):
        with SkeletonStoreWriter(tmp_path / name, StoreMeta(name, layout, ("a", "b"))) as writer:
            for i in range(4):
                writer.add(Sequence(f"s{i}", np.ones((3, 1, layout.num_joints, channels)), i % 2))
        refused(said, data=tmp_path / name, protocol="random:0.5:0")
        refused(said, data=tmp_path / name, protocol="random:0.5:0", mode="batch_norm")


@pytest.mark.parametrize("mode", ["batch_norm", "linear"])
def test_a_place_that_is_taken_is_refused_before_the_work(base, small, tmp_path, monkeypatch, mode):
    def work(*args, **more):
        raise AssertionError

    monkeypatch.setattr("kinelex.training.adapt.estimate_batch_norm", work)
    monkeypatch.setattr("kinelex.training.train.build_module", work)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()
    for name, said in (("taken", "exists and is not empty"), ("taken/file/new", "cannot be made: .* a file")):
        with pytest.raises(InputError, match=said):
            adapt(base.path, small[0], "xsub", tmp_path / name, mode, console=quiet())
    assert [path.name for path in (tmp_path / "taken").iterdir()] == ["file"]


def test_an_encoder_without_batch_norm_is_told(base, small, tmp_path, monkeypatch):
    monkeypatch.setattr("kinelex.training.adapt._batch_norms", lambda encoder: [])  # all of ours have some
    with pytest.raises(InputError, match="have no batch norm: adapt with --mode linear or full"):
        adapt(base.path, small[0], "xsub", tmp_path / "new", "batch_norm")
    assert not (tmp_path / "new").exists()


def test_sysus_setting_from_the_command_line(base, sysu, tmp_path, capsys):
    new, numbers = tmp_path / "new", tmp_path / "n.json"
    common = [str(base.path), "--data", str(sysu.path), "--protocol", "setting2:1", "--out", str(new)]
    assert (
        main(["adapt", *common, "--mode", "linear", *SHORT, "--labels", "0.5", "--json", str(numbers)]) == 0
    )
    assert f"run directory: {new}" in capsys.readouterr().out
    assert json.loads(numbers.read_text())["epoch"] == 1
    assert yaml.safe_load((new / "config.yaml").read_text())["protocol"] == "setting2:1:few-balanced:0.5:0"
    assert main(["info", str(new)]) == 0
    assert "adapted" in capsys.readouterr().out
    assert main(["evaluate", str(new)]) == 0
    assert "sysu setting2:1:few-balanced:0.5:0" in capsys.readouterr().out
    assert main(["adapt", *common, "--mode", "batch_norm"]) == 2
    error = capsys.readouterr().err
    assert "exists and is not empty: pass another --out" in error


def test_loader_batches_stay_what_they_were(sysu):
    """The pipeline retargets after resampling: clips with two persons keep the absent one at zero."""
    path = sysu.path.with_name("pair.arrow")
    with SkeletonStoreWriter(path, StoreMeta("pair", KINECT, ("a",))) as writer:
        clip = np.random.default_rng(0).normal(size=(5, 2, 20, 3))
        clip[:, 1] = 0
        writer.add(Sequence("s", clip, 0))
    from kinelex.transforms import InputConfig, InputPipeline

    store, ntu = open_store(path), get_layout("ntu25")
    batch = SkeletonLoader(store, np.arange(1), 1).batch(np.arange(1))
    x = InputPipeline(ntu, InputConfig(frames=8, centre="none"), KINECT)(batch)
    assert x.shape == (1, 3, 8, 25, 2)
    assert not x[..., 1].any()
    plain = InputPipeline(KINECT, InputConfig(frames=8, centre="none"))(batch)
    for j, joint in enumerate(ntu.joints):
        if joint in KINECT.joints:
            torch.testing.assert_close(x[:, :, :, j], plain[:, :, :, KINECT.joints.index(joint)])
