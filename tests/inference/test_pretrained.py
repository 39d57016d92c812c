"""The encoder that comes with kinelex: small, without a pickle, read by every verb, never written to."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

import kinelex
from kinelex.cli.main import main
from kinelex.data import open_store
from kinelex.datasets.synthetic import write_actors
from kinelex.errors import InputError

NAME = "kinelex://actors"
FOLDER = Path(kinelex.__file__).parent / "models" / "pretrained"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    before = {path: path.stat().st_mtime_ns for path in FOLDER.iterdir()}
    yield tmp_path / "cache"
    assert {path: path.stat().st_mtime_ns for path in FOLDER.iterdir()} == before


def test_it_is_small_says_its_terms_and_holds_no_pickle(monkeypatch):
    monkeypatch.setattr(torch, "load", None)
    (path,) = FOLDER.glob("*")
    assert path.stat().st_size < 8e6
    with zipfile.ZipFile(path) as archive:
        names, card = archive.namelist(), archive.read("README.md").decode()
        config = archive.read("config.yaml").decode()
    weights = ["encoder.safetensors", "pose_lifter.safetensors"]
    assert sorted(names) == ["README.md", "config.yaml", "encoder.json", *weights]
    assert "Apache-2.0" in card
    assert "Fill in" not in card
    assert "\ndata: actors.arrow\n" in config
    with pytest.raises(
        InputError, match=r"unknown run that comes with kinelex 'actor'.*did you mean 'actors'"
    ):
        kinelex.load_encoder("kinelex://actor")
    with pytest.raises(InputError, match=r"learned no classes.*--examples FOLDER"):
        kinelex.load_model(NAME)


@pytest.mark.parametrize(("layout", "least"), [("smpl24", 0.9), ("mediapipe33", 0.9), ("coco17", 0.9)])
def test_it_reads_a_clip_alike_in_any_layout(acted, tmp_path, layout, least):
    write_actors(tmp_path / "kinect.arrow", clips=24)
    write_actors(tmp_path / "other.arrow", clips=24, layout=layout)
    model = kinelex.load_model(NAME, examples=acted.store)
    own, other = (unit_features(model, tmp_path / name) for name in ("kinect.arrow", "other.arrow"))
    alike = own @ other.T
    assert alike.diagonal().mean() > least
    assert np.median(alike) < 0.6  # of two clips


def unit_features(model, path):
    found = np.concatenate(list(model.features(open_store(path), np.arange(24)).values()), axis=1)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def test_every_verb_takes_it(acted, cache, tmp_path, capsys):
    assert main(["info", NAME]) == 0
    told = tmp_path / "told.json"
    given = ["--data", str(acted.store), "--protocol", "xsub"]
    knn = ["--tasks", "knn", "--no-baselines", "--no-report", "--json", str(told)]
    assert main(["evaluate", NAME, *given, *knn]) == 0
    assert json.loads(told.read_text())["knn"]["top1"] > 0.5
    assert main(["adapt", NAME, *given, "--mode", "linear", "--out", str(tmp_path / "run"), "epochs=1"]) == 0
    assert kinelex.load_model(tmp_path / "run").classes == open_store(acted.store).class_names
    flat = tmp_path / "flat.npy"
    np.save(flat, open_store(acted.store).sequence(0)[..., :2])
    assert main(["predict", NAME, str(flat), "--layout", "ntu25", "--examples", str(acted.store)]) == 0
    for name in ("a", "b"):
        (tmp_path / "few" / name).mkdir(parents=True)
        np.save(tmp_path / "few" / name / "0.npy", np.random.default_rng(0).uniform(size=(30, 17, 3)))
    told_by = ["--examples", str(tmp_path / "few"), "--layout", "coco17"]  # theirs: a store has its own
    assert main(["predict", NAME, str(acted.store), *told_by]) == 0
    assert list(cache.rglob("knn.json"))
    assert main(["evaluate", NAME]) == 2
    assert "pass --data STORE" in capsys.readouterr().err
