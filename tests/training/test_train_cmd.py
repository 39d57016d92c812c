"""CMD through training: no prompts, an encoder per stream, resume bit by bit, evaluation after it."""

import io
import math
import shutil
import signal

import pytest
import torch
from processes import run_python
from rich.console import Console
from safetensors.torch import load_file

from kinelex.cli import main
from kinelex.cli.describe import describe
from kinelex.errors import InputError
from kinelex.evaluation import evaluate
from kinelex.training.run_directory import RunDirectory
from kinelex.training.train import train

SMALL = [
    *("hidden=4", "layers=1", "frames=8", "epochs=3", "batch_size=24", "accelerator=cpu", "dim=8"),
    *("queue=40", "top_k=16", "precision=32-true"),
]


@pytest.fixture(scope="module")
def finished(small, tmp_path_factory):
    out = tmp_path_factory.mktemp("cmd") / "run"
    return train("cmd", small[0], "xsub", out, overrides=SMALL, console=Console(file=io.StringIO()))


def test_a_training_without_prompts(finished, small):
    assert finished.config["prompts"] is None
    assert finished.config["recipe"] == "cmd/actors"
    state = load_file(finished.path / "encoder.safetensors")
    assert {name.split(".")[0] for name in state} == {"joint", "motion", "bone"}
    rows = finished.metrics()
    assert len(rows) == 3
    wanted = {"loss", "loss/joint", "accuracy/motion", "distillation/joint_bone", "teacher_entropy/bone"}
    assert wanted <= set(rows[0])
    assert rows[-1]["loss"] != rows[0]["loss"]
    result = evaluate(finished.path, tasks=("knn",), console=Console(file=io.StringIO()))
    assert set(result["knn"]["streams"]) == {"joint", "motion", "bone"}
    assert not any(key.startswith("prompt") for key in result["baselines"])


def test_killed_and_resumed_equals_uninterrupted(finished, small, tmp_path):
    """Queues, pointer and key encoders are part of what is resumed: SIGKILL in the middle of an epoch."""
    out = tmp_path / "run"
    code = (
        "import os, signal\n"
        "from kinelex.methods import CMD\n"
        "from kinelex.training.train import train\n"
        "forward, calls = CMD.forward, [0]\n"
        "def counted(self, *a):\n"
        "    calls[0] += 1\n"
        "    if calls[0] == 6: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return forward(self, *a)\n"
        "CMD.forward = counted\n"
        f"train('cmd', {str(small[0])!r}, 'xsub', {str(out)!r},"
        f" overrides={[*SMALL, 'checkpoint_every=1']!r})\n"
    )
    ended = run_python(code)
    assert ended.returncode == -signal.SIGKILL, ended.stderr[-2000:]
    run = train("cmd", small[0], "xsub", out, resume=True)
    one, two = load_file(finished.path / "encoder.safetensors"), load_file(out / "encoder.safetensors")
    assert all(torch.equal(one[k], two[k]) for k in one)
    for a, b in zip(finished.metrics(), run.metrics(), strict=True):
        assert a["loss"] == pytest.approx(b["loss"], rel=1e-6)
    checkpoints = [torch.load(r.checkpoint, weights_only=True)["state_dict"] for r in (finished, run)]
    assert {"method.queue", "method.pointer"} <= set(checkpoints[0])
    assert all(torch.equal(checkpoints[0][k], checkpoints[1][k]) for k in checkpoints[0])


def test_prompts_it_does_not_read_are_refused(small, tmp_path):
    store, prompts = small
    with pytest.raises(InputError, match="cmd reads no prompts: leave out --prompts"):
        train("cmd", store, "xsub", tmp_path / "a", prompts, SMALL)
    with pytest.raises(InputError, match="cmd reads no prompts: leave out training.modalities"):
        train("cmd", store, "xsub", tmp_path / "b", None, [*SMALL, "modalities=[language]"])
    with pytest.raises(InputError, match="makes its streams from the joints"):
        train("cmd", store, "xsub", tmp_path / "c", None, [*SMALL, "stream=bone"])
    with pytest.raises(InputError, match="c2vl needs prompts"):
        train("c2vl", store, "xsub", tmp_path / "d", None, ["epochs=1"])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["queue=16"], "a queue of at least 24 keys"),
        (["encoder.persons=1", "input.persons=2"], "at most 1 persons, got 2: set encoder.persons=2"),
    ],
)
def test_what_no_step_could_do_is_said_before_anything_is_written(small, tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        train("cmd", small[0], "xsub", tmp_path / "run", overrides=[*SMALL, *change])
    assert not list(tmp_path.iterdir())


def test_a_diverged_training_stops_and_says_since_when(small, tmp_path, capsys):
    hot = ["optimizer.name=sgd", "optimizer.lr=1e38", "optimizer.warmup=0", "epochs=2"]
    fast = [change for change in SMALL if change != "epochs=3"]
    words = ["train", "cmd", "--data", str(small[0]), "--protocol", "xsub", "--out", str(tmp_path / "run")]
    assert main([*words, *fast, *hot]) == 1
    (message,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("kinelex")]
    assert "the training has diverged: no finite numbers since step 2 of epoch 1 in loss/joint" in message
    run = RunDirectory(tmp_path / "run")
    assert not run.checkpoint.exists()  # one that is no good would be gone on with
    assert math.isnan(run.metrics()[0]["loss"])
    with pytest.raises(InputError, match="its training has not finished"):
        evaluate(run.path, tasks=("linear",), console=Console(file=io.StringIO()))


def test_another_encoder_and_other_streams(small, tmp_path):
    changes = ["encoder.name=stgcn", "channels=2", "depth=[1,1,1]", "streams=[joint,bone_motion]"]
    common = [s for s in SMALL if s.split("=")[0] not in ("hidden", "layers", "epochs")]
    run = train("cmd", small[0], "xsub", tmp_path / "run", overrides=[*changes, *common, "epochs=1"])
    assert run.config["encoder"]["name"] == "stgcn"
    assert "hidden" not in run.config["encoder"]
    state = load_file(run.path / "encoder.safetensors")
    assert {name.split(".")[0] for name in state} == {"joint", "bone_motion"}


def test_info_shows_a_command_with_brackets(finished, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(finished.path, copy)
    (copy / "environment.json").write_text('{"command": "kinelex train cmd streams=[joint]"}')
    shown = Console(file=io.StringIO(), width=200)
    shown.print(describe(copy)[1])
    assert "streams=[joint]" in shown.file.getvalue()


def test_info_names_the_streams_and_a_damaged_description(finished, tmp_path):
    assert describe(finished.path)[0]["streams"] == ["joint", "motion", "bone"]
    broken = tmp_path / "run"
    shutil.copytree(finished.path, broken)
    (broken / "encoder.json").write_text("{")
    with pytest.raises(InputError, match="encoder.json is damaged"):
        describe(broken)
