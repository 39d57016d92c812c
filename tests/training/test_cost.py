"""``train --dry-run``: what it says, and that it leaves nothing."""

import json

import pytest

from kinelex.cli import main
from kinelex.errors import InputError
from kinelex.training import rehearsal as room
from kinelex.training.cost import cost
from kinelex.training.encoder_files import load_encoders

SMALL = ["encoder.name=stgcn", "channels=4", "depth=[1,1,1]", "frames=16", "batch_size=24", "accelerator=cpu"]
SMALL += ["epochs=3", "precision=32-true"]


def test_it_says_what_a_training_costs_and_writes_nothing(acted, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = sorted(acted.folder.iterdir())
    words = ["train", "cmd", "--data", str(acted.store), "--protocol", "xsub", "--out", "run", *SMALL]
    assert main([*words, "queue=48", "top_k=8", "--dry-run", "--json", "cost.json"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["cost.json"]
    assert sorted(acted.folder.iterdir()) == before
    found = json.loads((tmp_path / "cost.json").read_text())
    assert found["steps"] == 77 // 24
    assert found["measured"]
    assert found["epoch_seconds"] >= found["steps"] * found["step_seconds"]
    assert found["seconds"] == pytest.approx(3 * found["epoch_seconds"])
    assert found["memory"] == pytest.approx(found["memory_base"] + 24 * found["memory_per_clip"])
    assert found["largest_batch"] is None or found["largest_batch"] > 24
    assert main([*words, "queue=48", "top_k=8", "epochs=1", "logger=[]"]) == 0
    checkpoint = (tmp_path / "run" / "checkpoints" / "last.ckpt").stat().st_size
    assert found["checkpoint_bytes"] == pytest.approx(checkpoint, rel=0.05)
    trained = sum(p.numel() for e in load_encoders(tmp_path / "run").values() for p in e.encoder.parameters())
    assert found["trained_parameters"] > trained
    assert found["encoder_bytes"] == pytest.approx(
        (tmp_path / "run" / "encoder.safetensors").stat().st_size, rel=0.05
    )


def test_what_does_not_fit_is_guessed(acted, monkeypatch):
    monkeypatch.setattr(room, "_available", lambda: 0.0)
    monkeypatch.setattr(room, "_memory", lambda key: 1e6 if key == "VmRSS" else 2e9)
    found = cost("supervised", acted.store, "xsub", overrides=SMALL)
    assert not found["measured"]
    assert found["memory"] == 2e9


def test_flops_are_those_of_the_layers(acted):
    """A linear layer of K inputs and D outputs: 2 K D per row forward, as much twice backward."""
    found = [
        cost("supervised", acted.store, "xsub", overrides=[*SMALL, f"channels={width}"]) for width in (4, 8)
    ]
    assert found[1]["flops_per_clip"] > 2 * found[0]["flops_per_clip"]
    assert found[1]["parameters"] > found[0]["parameters"]


def test_flops_of_a_gru_are_counted(acted):
    """A step of SkeletonCLR: forward of query and key, backward of the query about twice as much."""
    words = ["encoder.name=gru", "hidden=32", "layers=1", "bidirectional=false", "frames=8", "crop=[1,1]"]
    words += ["encoder.persons=1", "queue=48", "dim=8", "batch_size=24"]
    words += ["accelerator=cpu", "precision=32-true"]
    found = cost("skeletonclr", acted.store, "xsub", overrides=words)
    forward = (
        2 * 2 * 3 * 32 * (75 + 32) * 8
    )  # two GRUs, three gates of 32 units, 25 joints in space, 8 frames
    assert 3.4 * forward < found["flops_per_clip"] < 4.6 * forward


def test_wrong_input_is_told(acted):
    with pytest.raises(InputError, match="unknown recipe key"):
        cost("supervised", acted.store, "xsub", overrides=["chanels=3"])
    with pytest.raises(InputError, match="a batch size that 2 devices can share"):
        cost("supervised", acted.store, "xsub", overrides=[*SMALL, "batch_size=9", "devices=2"])
    with pytest.raises(InputError, match="needs prompts"):
        cost("c2vl", acted.store, "xsub", overrides=SMALL)
