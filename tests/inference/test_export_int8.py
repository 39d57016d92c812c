"""Exported runs in 8 bits: smaller, nearly the same answers, and one message where that cannot be."""

import json

import numpy as np
import onnx
import pytest

import kinelex
from kinelex import runtime
from kinelex.cli.main import main
from kinelex.data import open_store
from kinelex.errors import InputError
from kinelex.inference.export import int8
from kinelex.training.train import train

CONVOLUTIONS = ("encoder.name=stgcn", "encoder.channels=24", "encoder.depth=[1,1,1]")
LINEAR = ("encoder.name=transformer", "encoder.dim=96", "encoder.depth=2")
RECURRENT = ("encoder.name=gru", "encoder.hidden=64")


@pytest.fixture
def run_of(acted, tmp_path):
    """An untrained run with an encoder."""

    def make(*encoder: str):
        plain = ("input.frames=16", "input.persons=2", "epochs=0", "accelerator=cpu", "precision=32-true")
        train("supervised", acted.store, "xsub", tmp_path / "run", overrides=[*encoder, *plain])
        return tmp_path / "run"

    return make


def nodes_of(path):
    return onnx.load(path).graph.node


def test_convolutions_and_what_the_verb_says(run_of, acted, tmp_path, capsys) -> None:
    run, out, numbers = run_of(*CONVOLUTIONS), tmp_path / "run.onnx", tmp_path / "e.json"
    assert main(["export", str(run), "--out", str(out), "--int8", "--json", str(numbers)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "get the same label, the lowest cosine of features is" in said
    assert "ms a clip on one core" in said
    found = json.loads(numbers.read_text())["int8"]
    assert found["same_label"] >= 0.9
    assert found["cosine"] > 0.97
    assert found["clips"] > 20
    large, small = found["bytes"]
    assert out.stat().st_size == small < 0.6 * large
    by_kind = {kind: [n for n in nodes_of(out) if n.op_type == kind] for kind in ("Conv", "DequantizeLinear")}
    read = {name for node in by_kind["DequantizeLinear"] for name in node.output}
    assert all(read.issuperset(conv.input[:2]) for conv in by_kind["Conv"])
    said = runtime.load(out).predict(np.array(open_store(acted.store).sequence(0)))
    assert said.probabilities.sum() == pytest.approx(1, abs=1e-5)


def test_linear_layers(run_of, tmp_path) -> None:
    run, out = run_of(*LINEAR), tmp_path / "run.onnx"
    made = kinelex.export(run, out, features=True, int8=True)
    assert made.int8["cosine"] > 0.97
    assert made.int8["same_label"] is None
    assert made.int8["bytes"][1] < 0.6 * made.int8["bytes"][0]
    assert sum(node.op_type == "MatMulInteger" for node in nodes_of(out)) == 1 + 2 * 4
    assert not any(node.metadata_props for node in nodes_of(out))


def test_a_gru_has_no_form(run_of, tmp_path, capsys) -> None:
    run, out = run_of(*RECURRENT), tmp_path / "run.onnx"
    assert main(["export", str(run), "--out", str(out), "--features", "--int8"]) == 2
    assert "it has none of a GRU" in " ".join(capsys.readouterr().err.split())
    assert not out.exists()


def test_what_is_asked_wrongly_is_said_before_the_work(run_of, tmp_path) -> None:
    run, out = run_of(*CONVOLUTIONS), tmp_path / "run.onnx"
    with pytest.raises(InputError, match="int8 is an option of ONNX"):
        kinelex.export(run, out, "torch", int8=True)
    with pytest.raises(InputError, match="leave out the layout coco17"):
        kinelex.export(run, out, features=True, layout="coco17", int8=True)
    model = kinelex.load_model(run)
    model.data = tmp_path / "nowhere.arrow"
    with pytest.raises(InputError, match="is not there"):
        kinelex.export(model, out, int8=True)


@pytest.mark.parametrize("change", [{"same_label": 0.89}, {"same_label": 0.0}, {"cosine": 0.4}])
def test_answers_that_change_are_refused(change) -> None:
    found = {"clips": 9, "same_label": 0.99, "cosine": 0.99, "bytes": [10, 5], "ms": [1.0, 1.0]}
    int8._check(found)
    with pytest.raises(InputError, match="change what the run says: of 9 training clips"):
        int8._check({**found, **change})
