"""A run of the slot encoder reads stores of other layouts as they are: evaluated, predicted, adapted."""

import io

import numpy as np
import pytest
from rich.console import Console

from kinelex.data import Sequence, SkeletonStoreWriter, StoreMeta, open_store
from kinelex.evaluation import evaluate
from kinelex.inference.features import extract_features
from kinelex.inference.load_model import load_model
from kinelex.skeleton import SkeletonLayout
from kinelex.training.adapt import AdaptOptions, adapt
from kinelex.training.encoder_files import load_encoder
from kinelex.training.train import train

SLOTS = ["encoder.name=slots", "encoder.dim=8", "encoder.depth=1", "encoder.heads=2", "accelerator=cpu"]
TINY = [*SLOTS, "frames=16", "epochs=1", "batch_size=24"]
STICK = ("pelvis", "left_shoulder", "right_shoulder", "head", "left_wrist", "right_wrist", "left_knee")


def quiet():
    return Console(file=io.StringIO(), width=160)


@pytest.fixture(scope="module")
def run(acted, tmp_path_factory):
    out = tmp_path_factory.mktemp("slots") / "run"
    return train("supervised", acted.store, "xsub", out, overrides=TINY, console=quiet())


@pytest.fixture(scope="module")
def stick(acted, tmp_path_factory):
    """The actors with seven joints, which cannot be retargeted to the 25 of the run."""
    actors, path = open_store(acted.store), tmp_path_factory.mktemp("stick") / "stick.arrow"
    layout = SkeletonLayout("stick7", STICK, (0, 0, 0, 0, 1, 2, 0))
    joints = [actors.layout.index(joint) for joint in STICK]
    meta = StoreMeta("stick", layout, actors.class_names)
    with SkeletonStoreWriter(path, meta) as writer:
        for i, clip in enumerate(actors.ids):
            subject = int(actors.subjects[i])
            label = int(actors.labels[i])
            writer.add(Sequence(clip, np.asarray(actors.sequence(i))[:, :, joints], label, subject=subject))
    return path


def test_features_are_those_of_the_clips_as_they_are(run, stick):
    store, encoder = open_store(stick), load_encoder(run.path)
    with_store = encoder.for_store(store)
    assert with_store.layout == with_store.source == store.layout
    assert "Retarget" not in repr(with_store.pipeline)
    features = extract_features(with_store, store, np.arange(12))
    assert features.shape == (12, 24)
    assert features.std(axis=0).max() > 0.01
    assert encoder.layout.name == "ntu25"


def test_it_is_evaluated_predicted_and_adapted_on_another_layout(run, stick, tmp_path):
    results = evaluate(run.path, data=stick, protocol="random:0.5:0", tasks=("knn",), console=quiet())
    assert 0 <= results["knn"]["top1"] <= 1
    assert len(load_model(run.path).predict(open_store(stick))) == 120
    options = AdaptOptions(overrides=("epochs=1", "batch_size=24", "accelerator=cpu"))
    adapted = adapt(run.path, stick, "random:0.5:0", tmp_path / "adapted", mode="full", options=options)
    assert load_encoder(adapted.path).layout.joints == STICK
