"""A whole training: the run directory, the encoder that comes out, resume after a kill, errors."""

import io
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from processes import run_python
from rich.console import Console
from safetensors.torch import load_file

from kinelex import load_encoder, open_store
from kinelex.data import ClipPrompts, ModalityPrompts, PromptMeta, PromptStoreWriter
from kinelex.errors import InputError
from kinelex.evaluation import evaluate
from kinelex.inference.features import extract_features
from kinelex.prompts import EngineContext, create
from kinelex.prompts.stages import describe
from kinelex.training.run_directory import RunDirectory
from kinelex.training.train import train

SMALL = ["channels=2", "epochs=3", "batch_size=24", "frames=16", "accelerator=cpu", "dim=8", "hidden=16"]


@pytest.fixture(scope="module")
def finished(small, tmp_path_factory):
    store, prompts = small
    return train("c2vl", store, "xsub", tmp_path_factory.mktemp("runs") / "run", prompts, SMALL)


def test_run_directory_is_complete(finished):
    names = {p.name for p in finished.path.iterdir()}
    expected = {"config.yaml", "environment.json", "checkpoints", "encoder.safetensors", "encoder.json"}
    assert expected | {"metrics.csv", "diagnostics.npz", "tensorboard", "projectors.safetensors"} == names
    assert not list(finished.path.rglob("*.tmp"))
    rows = finished.metrics()
    assert [r["epoch"] for r in rows] == [0, 1, 2]
    assert [r["alpha"] for r in rows] == pytest.approx([0, 0.4, 0.8])
    assert rows[0]["target_entropy"] == pytest.approx(0)
    assert rows[2]["target_entropy"] > 0.1
    assert rows[2]["loss/skeleton_language"] < rows[0]["loss/skeleton_language"]
    diagnostics = np.load(finished.path / "diagnostics.npz")
    assert diagnostics["off_diagonal/skeleton_language"].shape == (3, len(diagnostics["bins"]) - 1)
    assert finished.config["training"]["epochs"] == 3
    assert finished.environment["packages"]["torch"]


def test_no_epochs_give_the_untrained_run(small, tmp_path):
    store, prompts = small
    run = train("c2vl", store, "xsub", tmp_path / "run", prompts, [*SMALL, "epochs=0", "seed=3"])
    names = {p.name for p in run.path.iterdir()}
    files = {"config.yaml", "environment.json", "encoder.safetensors", "encoder.json"}
    assert names == files | {"projectors.safetensors"}
    assert run.metrics() == []
    kept = load_encoder(run.path).encoder.state_dict()
    drawn = load_encoder(run.path, untrained_seed=3).encoder.state_dict()
    assert kept.keys() == drawn.keys()
    assert all(torch.equal(kept[k], drawn[k]) for k in kept)
    options = {"finetune": {"changes": ("epochs=1",)}}
    numbers = evaluate(run.path, tasks=("knn", "finetune"), options=options, seed=3)
    assert numbers["knn"]["top1"] == numbers["baselines"]["untrained_knn"]


def test_a_damaged_checkpoint_is_not_resumed(finished, small, tmp_path):
    shutil.copytree(finished.path, tmp_path / "run")
    checkpoint = RunDirectory(tmp_path / "run").checkpoint
    whole = checkpoint.read_bytes()
    content = torch.load(checkpoint, weights_only=True)
    first = next(iter(content["state_dict"]))
    content["state_dict"]["other"] = content["state_dict"].pop(first)
    packed = io.BytesIO()
    torch.save(content, packed)
    for damaged, said in (
        (whole[: len(whole) // 2], r"last\.ckpt is damaged"),
        (b"junk", r"last\.ckpt is damaged"),
        (b"", r"last\.ckpt is damaged"),
        (packed.getvalue(), r"last\.ckpt is of another training"),
    ):
        checkpoint.write_bytes(damaged)
        with pytest.raises(InputError, match=said):
            train("c2vl", small[0], "xsub", tmp_path / "run", resume=True)


def test_one_change_may_be_a_text(small, tmp_path):
    assert (
        train("cmd", small[0], "xsub", tmp_path / "run", overrides="epochs=0").config["training"]["epochs"]
        == 0
    )


def test_encoder_alone_gives_features(finished, small):
    encoder = load_encoder(finished.path)
    features = encoder(torch.randn(2, 3, 16, 25, 2))
    assert features.shape == (2, encoder.num_features)
    store = open_store(small[0])
    found = extract_features(encoder, store, np.arange(5), batch_size=2)
    np.testing.assert_allclose(found, extract_features(encoder, store, np.arange(5), batch_size=5), atol=1e-5)
    fresh = extract_features(load_encoder(finished.path, untrained_seed=0), store, np.arange(5))
    assert np.abs(found - fresh).max() > 1e-3


def test_same_seed_same_weights_other_seed_other_weights(finished, small, tmp_path):
    again = train("c2vl", small[0], "xsub", tmp_path / "again", small[1], SMALL)
    other = train("c2vl", small[0], "xsub", tmp_path / "other", small[1], [*SMALL, "seed=1"])
    one, two, three = (load_file(r.path / "encoder.safetensors") for r in (finished, again, other))
    assert all(torch.equal(one[k], two[k]) for k in one)
    assert any(not torch.equal(one[k], three[k]) for k in one)


@pytest.mark.parametrize("kill_at", [5, 8])
def test_killed_and_resumed_equals_uninterrupted(finished, small, tmp_path, kill_at):
    """SIGKILL in the middle of an epoch (3 steps each), after the checkpoint of some step."""
    out = tmp_path / "run"
    code = (
        "import sys, os, signal\n"
        "from kinelex.methods import C2VL\n"
        "from kinelex.training.train import train\n"
        "forward, calls = C2VL.forward, [0]\n"
        "def counted(self, *a):\n"
        "    calls[0] += 1\n"
        f"    if calls[0] == {kill_at}: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return forward(self, *a)\n"
        "C2VL.forward = counted\n"
        f"train('c2vl', {str(small[0])!r}, 'xsub', {str(out)!r}, {str(small[1])!r},"
        f" {[*SMALL, 'checkpoint_every=1']!r})\n"
    )
    ended = run_python(code)
    assert ended.returncode == -signal.SIGKILL, ended.stderr[-2000:]
    assert not (out / "encoder.safetensors").exists()
    with pytest.raises(InputError, match="--resume"):
        load_encoder(out)
    run = train("c2vl", small[0], "xsub", out, resume=True)
    one, two = load_file(finished.path / "encoder.safetensors"), load_file(out / "encoder.safetensors")
    assert all(torch.equal(one[k], two[k]) for k in one)
    keys = ("loss", "alpha", "target_entropy", "lr", "alignment/skeleton_language")
    for a, b in zip(finished.metrics(), run.metrics(), strict=True):
        assert {k: a[k] for k in keys} == pytest.approx({k: b[k] for k in keys}, rel=1e-6)
    one, two = ((r.path / "diagnostics.npz").read_bytes() for r in (finished, run))
    assert one == two


def test_resuming_a_finished_run_changes_nothing(finished, small):
    before = load_file(finished.path / "encoder.safetensors")
    train("c2vl", small[0], "xsub", finished.path, resume=True)
    after = load_file(finished.path / "encoder.safetensors")
    assert all(torch.equal(before[k], after[k]) for k in before)


def test_nothing_is_lost_or_half_written_on_wrong_input(finished, small, tmp_path):
    store, prompts = small
    with pytest.raises(InputError, match="not empty: pass --resume"):
        train("c2vl", store, "xsub", finished.path, prompts, SMALL)
    with pytest.raises(InputError, match="needs prompts"):
        train("c2vl", store, "xsub", tmp_path / "a", None, SMALL)
    with pytest.raises(InputError, match="none of vision"):
        train("c2vl", store, "xsub", tmp_path / "a", prompts, [*SMALL, "modalities=[vision]"])
    with pytest.raises(InputError, match="no run directory"):
        train("c2vl", store, "xsub", tmp_path / "a", prompts, resume=True)
    with pytest.raises(InputError, match="same data and protocol"):
        train("c2vl", store, "xview", finished.path, prompts, resume=True)
    with pytest.raises(InputError, match="keeps its recipe"):
        train("c2vl", store, "xsub", finished.path, prompts, ["epochs=9"], resume=True)
    assert not (tmp_path / "a").exists()
    with pytest.raises(InputError, match="no run directory"):
        RunDirectory(tmp_path)


def test_ctrl_c_keeps_the_run_resumable(small, tmp_path):
    out = tmp_path / "run"
    command = [
        sys.executable,
        "-m",
        "kinelex.cli",
        "train",
        "c2vl",
        "--data",
        str(small[0]),
        "--protocol",
        "xsub",
    ]
    command += ["--prompts", str(small[1]), "--out", str(out), *SMALL, "epochs=500"]
    # a process that was begun in the background ignores Ctrl-C, and so would its children
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    checkpoint = out / "checkpoints" / "last.ckpt"
    deadline = time.time() + 300  # a busy machine takes its time to begin
    while not checkpoint.exists() and process.poll() is None and time.time() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr.decode()[-2000:]
    assert b"interrupted" in stderr
    assert checkpoint.exists()


def test_auto_precision_is_resolved_into_the_config(small, tmp_path):
    run = train("c2vl", small[0], "xsub", tmp_path / "run", small[1], [*SMALL, "epochs=1", "precision=auto"])
    assert run.config["training"]["precision"] in ("bf16-mixed", "32-true")


def test_a_label_free_method_warns_of_prompts_made_from_labels(small, tmp_path):
    store = open_store(small[0])
    about = describe(create("language engine", "classes", EngineContext(store)))
    for name, engine in (("labels", about), ("none", {"name": "kinematic"})):
        meta = PromptMeta(
            "actors", None, {"language": {"engine": engine}}, {"language": 2}
        )  # as without a store
        with PromptStoreWriter(tmp_path / f"{name}.arrow", meta) as writer:
            for clip in store.ids:
                writer.add(ClipPrompts(clip, ModalityPrompts(np.arange(2), np.eye(2), ["a", "b"])))
        said = Console(file=io.StringIO(), width=200)
        train(
            "c2vl",
            small[0],
            "xsub",
            tmp_path / name,
            tmp_path / f"{name}.arrow",
            [*SMALL, "epochs=1"],
            console=said,
        )
        warned = "was made from labels, so this training is not self-supervised" in said.file.getvalue()
        assert warned == (name == "labels")
