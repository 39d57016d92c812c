"""Exported runs say what `predict` says: every encoder, every kind of preparation, every head."""

import io
import json
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from encoder_cases import CASES, make, name_of
from rich.console import Console

import kinelex
from kinelex import encoders, runtime
from kinelex.encoders import Encoder
from kinelex.errors import InputError
from kinelex.inference.calibration import Calibration
from kinelex.inference.export import agreement
from kinelex.inference.export.graph import RunGraph, _head
from kinelex.inference.fusion import joined
from kinelex.inference.heads import LinearHead, NearestHead, TextHead
from kinelex.inference.known_clips import KnownClips
from kinelex.inference.model import Model
from kinelex.skeleton import get_layout
from kinelex.training.encoder_files import SkeletonEncoder
from kinelex.transforms import InputConfig, InputPipeline
from kinelex.transforms.base import TRANSFORMS, Transform, register

NAMES = ("up", "down", "still")
FORMS = {name_of(case): case for case in CASES} | {"stgcn": "stgcn, present_only", "gru": "gru"}


def linear(*widths, standardised=False):
    rng = np.random.default_rng(0)
    layers = {f"s{i}": rng.normal(0, 0.1, (len(NAMES), w)) for i, w in enumerate(widths)}
    biases = {s: rng.normal(size=len(NAMES)) for s in layers}
    means = {s: rng.normal(size=w.shape[1]) for s, w in layers.items()} if standardised else {}
    scales = {s: rng.uniform(0.5, 2, w.shape[1]) for s, w in layers.items()} if standardised else {}
    return LinearHead(NAMES, layers, biases, means, scales)


def model_of(encoder, config, layout="sbu15"):
    network = SkeletonEncoder(encoder, InputPipeline(get_layout(layout), config)).eval()
    return Model(Path("drawn"), {"s0": network}, linear(encoder.num_features), "drawn", Calibration(1.5, 0.1))


class Whole(Encoder):
    """The input itself as features: what a preparation comes to."""

    def __init__(self, layout, frames, persons):
        super().__init__(layout, 3, 3 * frames * layout.num_joints * persons, norm=None)

    def forward(self, x, present=None):
        return x.flatten(1)


def test_every_encoder_has_a_form():
    assert set(FORMS) == set(encoders.names())


@pytest.mark.parametrize("case", FORMS.values())
def test_every_encoder_exports_to_onnx(case, tmp_path):
    model = model_of(make(case), InputConfig(frames=9, centre="none", persons=2))
    made = kinelex.export(model, tmp_path / "new" / "run.onnx")
    assert [row["frames"] for row in made.differences] == list(agreement.LENGTHS)
    assert (tmp_path / "new" / "run.onnx").stat().st_size > 1000
    assert made.about["calibration"]["temperature"] == 1.5


def test_clips_that_the_run_knows_are_in_the_file_unless_they_are_many(tmp_path, monkeypatch):
    model = model_of(make("stgcn"), InputConfig(frames=9, centre="none", persons=2))
    rng = np.random.default_rng(0)
    model.known_clips = KnownClips(5 + rng.normal(size=(40, model.encoders["s0"].num_features)), k=3)
    model.calibration = Calibration(1.5, 0.1, 0.8)
    made = kinelex.export(model, tmp_path / "run.onnx")
    assert made.about["outputs"][-1] == "neighbour"
    assert agreement.largest(made.differences)["neighbour"] < 1e-5
    clip = rng.normal(size=(30, 15, 3))
    one, other = runtime.load(tmp_path / "run.onnx").predict(clip), model.predict(clip)
    assert (one.threshold, one.score) == (0.8, pytest.approx(other.score, abs=1e-5))
    monkeypatch.setattr("kinelex.inference.export._MOST_NUMBERS", 100)
    model.console = Console(file=io.StringIO())
    kinelex.export(model, tmp_path / "small.onnx")
    assert "are left out" in model.console.file.getvalue()
    small = runtime.load(tmp_path / "small.onnx").predict(clip)
    model.known_clips = None
    other = model.predict(clip)
    assert (small.threshold, small.score) == (0.1, pytest.approx(other.score, abs=1e-4))


PREPARATIONS = {
    "cmd": {
        "whole_clip": True,
        "fill": True,
        "centre": "frame",
        "align": "body",
        "scale": "clip",
        "stream": "motion",
    },
    "rate": {"sampling": "frames", "fps": 20.0, "align": "torso", "scale": "body", "stream": "bone_motion"},
    "rate, crop": {"fps": 40.0, "centre": "none", "rotation": (0.1, 0.1, 0.1), "noise": 0.1},
}


@pytest.mark.parametrize("form", PREPARATIONS)
def test_the_preparation_in_the_file_is_that_of_predict(form, tmp_path):
    layout = get_layout("kinect20")
    config = InputConfig(frames=12, persons=2, **PREPARATIONS[form])
    model = model_of(Whole(layout, 12, 2).eval(), config, "kinect20")
    made = kinelex.export(model, tmp_path / "run.onnx", features=form == "cmd")
    assert agreement.largest(made.differences)["features"] < 1e-5
    assert made.about["outputs"][1:] == ([] if form == "cmd" else ["scores", "probabilities"])


def test_a_file_may_read_another_layout_and_be_a_program_of_torch(tmp_path):
    model = model_of(make("stgcn", "kinect20"), InputConfig(frames=9, persons=1), "kinect20")
    kinelex.export(model, tmp_path / "run.pt2", "torch", layout="ntu25")
    extra = {"kinelex": ""}
    program = torch.export.load(tmp_path / "run.pt2", extra_files=extra)
    assert json.loads(extra["kinelex"])["layout"]["name"] == "ntu25"
    x = torch.randn(4, 30, 1, 25, 3)
    features, _, probabilities = program.module(check_guards=False)(
        x, torch.ones(4, 30, 1, 25, dtype=torch.bool)
    )
    clips = [clip.numpy() for clip in x]
    said = model.predict(clips, layout="ntu25")
    torch.testing.assert_close(probabilities, torch.from_numpy(said.probabilities).float(), atol=1e-5, rtol=0)
    assert features.shape == (4, model.encoders["s0"].num_features)


def test_a_joint_that_is_not_present_counts_as_in_a_store(tmp_path):
    """Whatever stands in its place, NaN too."""
    model = model_of(make("stgcn"), InputConfig(frames=9, persons=2))
    graph = RunGraph(model, model.encoders, 2, True).eval()
    clips = agreement.drawn_clips(get_layout("sbu15"), 3, 2)
    said = agreement.said_by(model, clips, classes=True)
    x = torch.from_numpy(np.array(clips.sequence(4)))[None]
    there = (x != 0).any(dim=4)
    with torch.no_grad():
        found = graph(torch.where(there[..., None], x, torch.nan), there)
    np.testing.assert_allclose(found[2][0], said["probabilities"][4], atol=1e-5)


class Space(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.map = torch.nn.Linear(5, 4)

    def embed(self, modality, x):
        return torch.nn.functional.normalize(self.map(x), dim=1)


def heads():
    rng = np.random.default_rng(1)
    yield "one stream", linear(5)
    yield "standardised", linear(5, 6, standardised=True)
    two = [rng.normal(size=(7, 5)), rng.normal(size=(7, 6))]
    yield "nearest", NearestHead(NAMES, joined(two), np.array([2, 0, 1, 1, 0, 2, 2]), ("s0", "s1"))
    yield "texts", TextHead(NAMES, Space(), rng.normal(size=(3, 4)))


@pytest.mark.parametrize("head", [pytest.param(head, id=name) for name, head in heads()])
@torch.no_grad()
def test_every_head_scores_in_a_graph_as_in_numpy(head):
    streams = (
        ["s0"] if isinstance(head, TextHead) or len(getattr(head, "weights", "ab")) == 1 else ["s0", "s1"]
    )
    rng = np.random.default_rng(2)
    features = {s: rng.normal(size=(9, 5 + i)).astype(np.float32) for i, s in enumerate(streams)}
    scores = _head(SimpleNamespace(head=head))({s: torch.from_numpy(x) for s, x in features.items()})
    np.testing.assert_allclose(scores, head.scores(features), atol=1e-5)


def test_wrong_input_is_one_message_and_no_file(tmp_path, monkeypatch):
    config = InputConfig(frames=9, persons=1, centre="none")
    model, out = model_of(make("stgcn"), config), tmp_path / "run.onnx"
    with pytest.raises(InputError, match="did you mean 'onnx'"):
        kinelex.export(model, out, "onx")
    for place, message in ((tmp_path, "is a directory"), (Path(__file__) / "run.onnx", "is a file")):
        with pytest.raises(InputError, match=message):
            kinelex.export(model, place)
    with pytest.raises(InputError, match="option of load_model"):
        kinelex.export(model, out, head="linear")
    with pytest.raises(InputError, match=r"input\.persons"):
        kinelex.export(model_of(make("stgcn"), InputConfig(frames=9)), out)
    with monkeypatch.context() as patch:
        patch.setattr("kinelex.inference.export.find_spec", lambda name: None)
        with pytest.raises(InputError, match=r"kinelex\[export\]"):
            kinelex.export(model, out)
    with monkeypatch.context() as patch:
        patch.setattr(agreement, "TOLERANCE", -1.0)
        with pytest.raises(InputError, match="does not say what the run says"):
            kinelex.export(model, out, "torch")
    monkeypatch.setitem(TRANSFORMS, "by_numpy", None)  # is forgotten when the test ends
    del TRANSFORMS["by_numpy"]

    @register
    @dataclass(frozen=True)
    class ByNumpy(Transform):
        def apply(self, batch, params=None):
            batch.x.copy_(torch.from_numpy(np.sqrt(np.abs(batch.x.numpy()))))
            return batch

    numpy = InputConfig(persons=1, transforms=({"name": "crop_resize", "frames": 9}, "by_numpy"))
    with pytest.raises(InputError, match=r"no form in a graph: one of its transforms \(.*by_numpy\)"):
        kinelex.export(model_of(make("stgcn"), numpy), out)
    assert list(tmp_path.iterdir()) == []
