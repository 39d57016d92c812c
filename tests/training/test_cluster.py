"""Clusters: the signal that asks for room, job scripts, and two processes as torchrun starts them."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import lightning as L
import pytest
import torch
from safetensors.torch import load_file

import kinelex.training.fit as fit_module
from kinelex import plugins
from kinelex.cli import main
from kinelex.cli.slurm import Job, write_job
from kinelex.datasets.synthetic import write_actors
from kinelex.errors import StoppedError
from kinelex.training import registry
from kinelex.training.run_directory import RunDirectory
from kinelex.training.train import train

SMALL = ["encoder.name=stgcn", "channels=2", "depth=[1,1,1]", "frames=8", "batch_size=12", "accelerator=cpu"]
SMALL += ["epochs=3", "logger=[]"]


class Signal(L.Callback):
    """Sends SIGUSR1 to this process in a step, as a scheduler does."""

    def __init__(self, epoch: int, step: int) -> None:
        self.at = epoch, step

    def on_train_batch_start(self, trainer, module, batch, batch_idx) -> None:
        if (trainer.current_epoch, batch_idx) == self.at:
            os.kill(os.getpid(), signal.SIGUSR1)


@pytest.fixture(scope="module")
def uninterrupted(acted, tmp_path_factory):
    out = tmp_path_factory.mktemp("uninterrupted") / "run"
    return train("supervised", acted.store, "xsub", out, overrides=SMALL)


@pytest.mark.parametrize(("at", "after"), [((1, 2), "step 3 of epoch 2"), ((0, 5), "step 6 of epoch 1")])
def test_a_training_that_was_asked_to_make_room_goes_on_bit_by_bit(
    acted, uninterrupted, tmp_path, monkeypatch, at, after
):
    run, before = tmp_path / "run", signal.getsignal(signal.SIGUSR1)
    monkeypatch.setitem(registry.CALLBACKS, "signal", lambda: Signal(*at))
    with pytest.raises(StoppedError, match=f"stopped after {after}; .*go on with --resume"):
        train("supervised", acted.store, "xsub", run, overrides=[*SMALL, "callbacks=signal"])
    assert signal.getsignal(signal.SIGUSR1) == before
    assert not (run / "encoder.safetensors").exists()
    monkeypatch.setitem(registry.CALLBACKS, "signal", L.Callback)
    resumed = train("supervised", acted.store, "xsub", run, resume=True)
    timed = ("seconds", "clips_per_second")
    rows = [
        [{k: v for k, v in row.items() if k not in timed} for row in r.metrics()]
        for r in (resumed, uninterrupted)
    ]
    assert rows[0] == rows[1]
    weights = [load_file(r.path / "encoder.safetensors") for r in (resumed, uninterrupted)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[1])


def test_the_verb_ends_with_a_status_of_its_own(acted, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(registry.CALLBACKS, "signal", lambda: Signal(0, 0))
    words = ["train", "supervised", "--data", str(acted.store), "--protocol", "xsub", *SMALL]
    assert main([*words, "callbacks=signal", "--out", str(tmp_path / "run")]) == 75
    assert "asked by SIGUSR1" in capsys.readouterr().err


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """A folder with a ``srun``, a ``scontrol`` and a Python that note how they are called."""
    commands = tmp_path / "bin"
    commands.mkdir()
    scripts = {
        "srun": 'exec "$@"',
        "scontrol": 'echo "scontrol $*" >> calls.txt',
        "python": 'echo "$*" >> calls.txt; exit "$(cat status.txt)"',
    }
    for name, line in scripts.items():
        (commands / name).write_text(f"#!/bin/bash\n{line}\n")
        (commands / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}:{os.environ['PATH']}")
    monkeypatch.setattr(sys, "executable", str(commands / "python"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _submit(folder: Path, status: int, **variables: str) -> tuple[int, list[str]]:
    (folder / "status.txt").write_text(str(status))
    (folder / "calls.txt").write_text("")
    variables |= {"SLURM_JOB_ID": "7"}
    done = subprocess.run(["bash", "job.sh"], cwd=folder, env={**os.environ, **variables}, check=False)
    return done.returncode, (folder / "calls.txt").read_text().splitlines()


def test_a_training_s_job_is_queued_again_and_goes_on(acted, cluster, capsys):
    words = ["train", "cmd", "--data", str(acted.store), "--protocol", "xsub", "--out", "my run"]
    assert main([*words, "epochs=2", "devices=4", "num_nodes=2", "--slurm", "job.sh"]) == 0
    assert "submit with `sbatch job.sh`" in capsys.readouterr().out
    assert not (cluster / "my run").exists()
    script = (cluster / "job.sh").read_text()
    for line in ("nodes=2", "ntasks-per-node=4", "gpus-per-node=4", "signal=USR1@180", "requeue"):
        assert f"\n#SBATCH --{line}\n" in script
    begun = "-m kinelex.cli train cmd epochs=2 devices=4 num_nodes=2 "
    begun += f"--data {acted.store} --protocol xsub --out my run"
    assert _submit(cluster, 0) == (0, [begun])
    assert _submit(cluster, 2) == (2, [begun])
    assert _submit(cluster, 138) == (138, [begun, "scontrol requeue 7"])
    (cluster / "my run").mkdir()
    (cluster / "my run" / "config.yaml").touch()
    assert _submit(cluster, 75) == (75, [f"{begun} --resume", "scontrol requeue 7"])


def test_shares_of_studies_and_prompts_are_arrays(acted, cluster):
    words = [
        "study",
        "beta",
        "--data",
        str(acted.store),
        "--protocol",
        "xsub",
        "--out",
        "s",
        "accelerator=cpu",
    ]
    assert main([*words, "--shard", "1/8", "--slurm", "job.sh"]) == 0
    assert "\n#SBATCH --array=1-8\n" in (cluster / "job.sh").read_text()
    assert "\n##SBATCH --gpus-per-node=1\n" in (cluster / "job.sh").read_text()
    [call] = _submit(cluster, 0, SLURM_ARRAY_TASK_ID="3")[1]
    assert call.startswith("-m kinelex.cli study beta accelerator=cpu")
    assert call.endswith("--shard 3/8")
    words = ["prompts", str(acted.store), "--out", "p.arrow", "--language", "kinematic", "--shard", "1/2"]
    assert main([*words, "--slurm", "job.sh"]) == 0
    [call] = _submit(cluster, 0, SLURM_ARRAY_TASK_ID="2")[1]
    assert call.endswith("--shard 2/2")
    assert not (cluster / "s").exists()


def test_a_job_has_the_plugins_of_the_command(cluster, monkeypatch):
    monkeypatch.setenv(plugins.VARIABLE, "own_a,own_b")
    write_job(Path("job.sh"), ["train", "mine"], Job("mine"))
    assert _submit(cluster, 0)[1] == ["-m kinelex.cli train mine --plugin own_a,own_b"]


# At the recipe's rate of learning rounding grows a thousandfold in twelve steps (a tenth of the rate leaves
# less than a twentieth of the differences); a small rate shows whether gradients are the same.
STILL = [
    *("crop=[1,1]", "rotation=[0,0,0]", "noise=0", "scaling=[1,1]"),
    *("method.dropout=0", "encoder.dropout=0", "precision=32-true", "epochs=2", "lr=0.001"),
]


def in_two_processes(
    store: Path | str, out: Path, words: list[str], shape: str = "devices=2"
) -> RunDirectory:
    """A training as torchrun starts it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [sys.executable, "-m", "kinelex.cli", "train", "supervised", "--data", str(store)]
    command += ["--protocol", "xsub", "--out", str(out), *words]
    common = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "x"}
    processes = []
    for rank in range(2):
        local, node = (rank, 0) if shape == "devices=2" else (0, rank)
        own = {"RANK": str(rank), "LOCAL_RANK": str(local), "GROUP_RANK": str(node)}
        processes.append(subprocess.Popen(command, env={**os.environ, **common, **own}))
    assert [process.wait(300) for process in processes] == [0, 0]
    return RunDirectory(out)


def assert_same(two: RunDirectory, one: RunDirectory) -> None:
    """Losses and weights are those of one process."""
    for found, wanted in zip(two.metrics(), one.metrics(), strict=True):
        assert found["loss"] == pytest.approx(wanted["loss"], rel=1e-5)
    weights = [load_file(run.path / "encoder.safetensors") for run in (two, one)]
    for name, value in weights[1].items():
        torch.testing.assert_close(weights[0][name], value, rtol=1e-4, atol=5e-5)


@pytest.fixture(scope="module")
def alone(acted, tmp_path_factory):
    """A training without chance in its input, batch norm synchronised, in one process."""
    out = tmp_path_factory.mktemp("alone") / "run"
    return train("supervised", acted.store, "xsub", out, overrides=[*SMALL[:-2], *STILL])


@pytest.mark.parametrize(
    "shape", [["devices=2"], ["devices=1", "num_nodes=2"]], ids=["one node", "two nodes"]
)
def test_two_processes_of_torchrun_equal_one(acted, alone, tmp_path, shape):
    words = [*SMALL[:-2], *STILL, *shape]
    assert_same(in_two_processes(acted.store, tmp_path / "two", words, shape[0]), alone)


def test_a_training_goes_on_in_another_number_of_processes(acted, alone, tmp_path, monkeypatch):
    """Stopped within the second epoch of one process, it ends in two as if it had never been stopped."""
    run = tmp_path / "run"
    monkeypatch.setattr(fit_module, "callbacks_of", lambda names: [Signal(1, 2)])
    with pytest.raises(StoppedError):
        train("supervised", acted.store, "xsub", run, overrides=[*SMALL[:-2], *STILL])
    two = in_two_processes(acted.store, run, ["--resume", "devices=2"])
    assert_same(two, alone)


def test_two_processes_on_several_stores_equal_one(acted, tmp_path):
    """Other layouts and persons in one batch, stores drawn by the root of their sizes; each has its run."""
    write_actors(tmp_path / "kinect.arrow", clips=60, layout="kinect20")
    stores = f"{acted.store},{tmp_path / 'kinect.arrow'}"
    words = [*SMALL[:-2], *STILL]
    one = train("supervised", stores, "xsub", tmp_path / "one", overrides=words)
    two = in_two_processes(stores, tmp_path / "two", [*words, "devices=2"])
    assert_same(two, one)
    assert sorted(path.name for path in (two.path / "stores").iterdir()) == ["actors", "kinect"]
