"""Supervised training: labels, streams, repeats, and an evaluation by the run's own classifier."""

import io
import json
import re
import shutil

import numpy as np
import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from kinelex.data import Sequence, SkeletonStoreWriter, StoreMeta, open_store
from kinelex.data.loader import SkeletonLoader
from kinelex.errors import InputError
from kinelex.evaluation import evaluate
from kinelex.inference.features import extract_features
from kinelex.training.encoder_files import load_encoders
from kinelex.training.train import train

SMALL = [
    *("channels=4", "depth=1,1,1", "out_features=16", "frames=8", "epochs=4", "batch_size=12"),
    *("accelerator=cpu", "precision=32-true", "lr=0.1", "label_smoothing=0"),
]


def quiet():
    return Console(file=io.StringIO())


@pytest.fixture(scope="module")
def finished(small, tmp_path_factory):
    out = tmp_path_factory.mktemp("supervised") / "run"
    return train(
        "supervised",
        small[0],
        "xsub",
        out,
        overrides=[*SMALL, "epochs=12", "streams=joint,bone"],
        console=quiet(),
    )


def test_it_learns_and_its_classifier_is_judged(finished, small):
    rows = finished.metrics()
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert {"loss/joint", "loss/bone", "accuracy/joint", "accuracy/bone"} <= set(rows[0])
    result = evaluate(finished.path, console=quiet())
    assert set(result) >= {"classify", "baselines"}
    assert "knn" not in result
    assert set(result["classify"]["streams"]) == {"joint", "bone"}
    assert rows[-1]["accuracy/joint"] > 2 * result["baselines"]["chance"]
    assert (finished.path / "evaluation" / "classify.json").is_file()


def test_saved_classifiers_give_the_scores(finished, small):
    store = open_store(small[0])
    encoders = load_encoders(finished.path)
    state = load_file(finished.path / "classifier.safetensors")
    assert set(state) == {"joint.weight", "joint.bias", "bone.weight", "bone.bias"}
    assert json.loads((finished.path / "encoder.json").read_text())["class_names"] == list(store.class_names)
    checkpoint = torch.load(finished.checkpoint, weights_only=True)["state_dict"]
    for stream, encoder in encoders.items():
        assert torch.equal(state[f"{stream}.weight"], checkpoint[f"method.streams.{stream}.linear.weight"])
        features = extract_features(encoder, store, np.arange(3))
        weight, bias = encoder.last_layer()
        with torch.inference_mode():
            scores = encoder.classifier(torch.from_numpy(features)).numpy()
        assert np.allclose(features @ weight.T + bias, scores, atol=1e-5)
    assert all(e.last_layer() is None for e in load_encoders(finished.path, untrained_seed=0).values())


def test_labels_that_were_learned_are_not_judged(finished):
    with pytest.raises(InputError, match=r"learned the labels of \d+ of the \d+ test clips"):
        evaluate(finished.path, protocol="xview", console=quiet())


def test_a_damaged_classifier_is_named(finished, tmp_path):
    shutil.copytree(finished.path, tmp_path / "run")
    (tmp_path / "run" / "classifier.safetensors").write_bytes(b"junk")
    with pytest.raises(InputError, match=r"classifier\.safetensors in .*run is damaged, or they do not"):
        load_encoders(tmp_path / "run")


def test_a_classifier_is_not_read_as_one_of_other_classes(finished, small, tmp_path):
    store = open_store(small[0])
    meta = StoreMeta("mine", store.layout, ("jump", "run"))
    with SkeletonStoreWriter(tmp_path / "other.arrow", meta) as writer:
        for i in range(6):
            clip = np.random.default_rng(i).normal(size=(8, 1, store.layout.num_joints, 3))
            writer.add(Sequence(f"c{i}", clip, label=i % 2, subject=i // 2))
    first = load_encoders(finished.path)["joint"].class_names[0]
    with pytest.raises(
        InputError,
        match=rf"learned 24 classes .* has 2 classes \(jump, run\), '{re.escape(first)}' in the place of "
        "'jump': judge its features",
    ):
        evaluate(finished.path, tmp_path / "other.arrow", "loso:0", ("classify",), console=quiet())
    result = evaluate(finished.path, tmp_path / "other.arrow", "loso:0", ("knn",), console=quiet())
    assert result["counts"]["test"] == 2


def test_classify_needs_labels(small, tmp_path):
    self_supervised = train(
        "cmd",
        small[0],
        "xsub",
        tmp_path / "run",
        overrides=[
            "hidden=4",
            "layers=1",
            "frames=8",
            "epochs=1",
            "batch_size=24",
            "accelerator=cpu",
            "dim=8",
        ]
        + ["queue=40", "top_k=16"],
        console=quiet(),
    )
    with pytest.raises(InputError, match="classify needs a run that learned from labels"):
        evaluate(self_supervised.path, tasks=("classify",), console=quiet())


def test_clips_without_labels_are_left_out(small, tmp_path):
    store = open_store(small[0])
    for name, keep in (("some", 0.5), ("none", 0.0)):
        with SkeletonStoreWriter(tmp_path / f"{name}.arrow", store.meta) as writer:
            for i, clip in enumerate(store.ids):
                label = int(store.labels[i]) if i < keep * len(store) else None
                writer.add(Sequence(clip, store.sequence(i), label=label, subject=int(store.subjects[i])))
    printed = Console(file=io.StringIO(), width=200)
    train(
        "supervised",
        tmp_path / "some.arrow",
        "loso:1",
        tmp_path / "r",
        overrides=SMALL,
        console=printed,
    )
    learned = sum(store.subjects[: len(store) // 2] != 1)
    assert f": {learned} clips of actors" in printed.file.getvalue()
    with pytest.raises(InputError, match="no labelled clip|no clip .* has one"):
        train(
            "supervised", tmp_path / "none.arrow", "loso:1", tmp_path / "q", overrides=SMALL, console=quiet()
        )
    assert not (tmp_path / "q").exists()


def test_repeat_visits_every_clip_several_times(small):
    loader = SkeletonLoader(open_store(small[0]), np.arange(10), 4, shuffle=True, repeat=3)
    assert len(loader) == 7
    visits = np.concatenate([b.indices.numpy() for b in loader])
    assert len(visits) == 28
    assert np.bincount(visits, minlength=10).max() <= 3
