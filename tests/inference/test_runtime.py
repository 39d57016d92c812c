"""`kinelex.runtime` says what `load_model(RUN).predict` says, without torch."""

import json
import subprocess
import sys

import numpy as np
import pytest

from kinelex import runtime
from kinelex.cli.main import main
from kinelex.data import open_store


@pytest.fixture(scope="module")
def exported(judged, model, tmp_path_factory):  # the model's calibration is kept in the run
    folder = tmp_path_factory.mktemp("exported")
    assert (
        main(["export", str(judged), "--out", str(folder / "run.onnx"), "--json", str(folder / "e.json")])
        == 0
    )
    return folder / "run.onnx"


def test_the_same_answer_as_the_run(acted, model, exported):
    store, alone = open_store(acted.store), runtime.load(exported, threads=1)
    numbers = json.loads((exported.parent / "e.json").read_text())
    assert numbers["about"]["persons"] == 2
    assert all(row["probabilities"] < 1e-4 for row in numbers["differences"])
    rows = [*range(5), *np.flatnonzero(store.persons == 2)[:2]]
    clips = [np.array(store.sequence(int(row))) for row in rows]
    for found, wanted in zip(alone.predict(clips, fps=30), model.predict(clips), strict=True):
        pairs = [(found, wanted), *zip(found.persons, wanted.persons, strict=True)]
        for one, other in pairs:
            assert (one.id, one.classes, one.threshold) == (other.id, other.classes, other.threshold)
            assert (one.label, one.known, one.answer) == (other.label, other.known, other.answer)
            assert one.score == pytest.approx(other.score, abs=1e-4)
            np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-4)
    assert alone.predict(clips[0][:, 0]).label == model.predict(clips[0][:, 0]).label
    features = alone.features(clips[:2])
    np.testing.assert_allclose(features[1], alone.features(clips[1]))
    np.testing.assert_allclose(features, next(iter(model.features(store, np.arange(2)).values())), atol=1e-4)
    assert repr(alone) == "ExportedModel('run': 24 classes of ntu25)"


def test_it_needs_numpy_and_onnxruntime_alone(exported):
    """In a process in which nothing but these and Python's own can be imported."""
    code = """
import sys
class Nothing:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in {"kinelex", "numpy", "onnxruntime", *sys.stdlib_module_names}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Nothing())
import numpy as np, kinelex.runtime
model = kinelex.runtime.load(sys.argv[1])
said = model.predict(np.random.default_rng(0).normal(size=(40, 25, 3)))
print(said.label in model.classes, {"torch", "pyarrow", "lightning", "rich"} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code, str(exported)], capture_output=True, text=True)
    assert done.stdout.strip() == "True set()", done.stderr


def test_wrong_input_is_one_message(exported, tmp_path):
    model, clip = runtime.load(exported), np.ones((9, 25, 3))
    for wrong, said in (
        (np.ones((9, 17, 3)), "17, 3"),
        (np.full((9, 25, 3), np.nan), "none"),
        (np.zeros((9, 25, 3)), "no body"),
        (np.ones((0, 25, 3)), "no frames"),
        ([], "at least one"),
        (np.ones((9, 25, 3), bool), "bool"),
    ):
        with pytest.raises(ValueError, match=said):
            model.predict(wrong)
    with pytest.raises(ValueError, match="positive"):
        model.predict(clip, fps=0)
    with pytest.raises(ValueError, match="one fps or one for each of 2 clips, got 3"):
        model.predict([clip, clip], fps=[30, 30, 25])
    (tmp_path / "no.onnx").write_bytes(b"no model")
    with pytest.raises(ValueError, match="cannot be read"):
        runtime.load(tmp_path / "no.onnx")
    with pytest.raises(ValueError, match="is no file"):
        runtime.load(tmp_path / "gone.onnx")
