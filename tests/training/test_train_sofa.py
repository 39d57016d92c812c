"""SOfA through training: no prompts, the teacher's encoder in the run, resume bit by bit, evaluation."""

import io

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from kinelex.evaluation import evaluate
from kinelex.training.encoder_files import load_encoder
from kinelex.training.train import train

SMALL = [
    *("encoder.dim=8", "depth=1", "encoder.heads=2", "frames=16", "epochs=2", "batch_size=24"),
    *("prototypes=8", "method.dim=4", "hidden=8", "accelerator=cpu", "precision=32-true"),
]


def quiet():
    return Console(file=io.StringIO())


@pytest.fixture(scope="module")
def finished(acted, tmp_path_factory):
    return train(
        "sofa", acted.store, "xsub", tmp_path_factory.mktemp("sofa") / "run", overrides=SMALL, console=quiet()
    )


def test_a_training_without_prompts(finished):
    assert finished.config["prompts"] is None
    wanted = {"loss", "loss/canonical", "loss/dino", "loss/koleo", "prototypes_used", "prototype_entropy"}
    rows = finished.metrics()
    assert wanted <= set(rows[0])
    assert rows[0]["momentum"] < rows[1]["momentum"] < 1
    checkpoint = torch.load(next(finished.path.glob("checkpoints/*.ckpt")), weights_only=False)
    name = "blocks.0.mlp.1.weight"
    kept = load_encoder(finished.path).encoder.state_dict()[name]
    assert torch.equal(kept, checkpoint["state_dict"][f"method.teacher.encoder.{name}"])
    assert not torch.equal(kept, checkpoint["state_dict"][f"method.student.encoder.{name}"])
    assert 0 < evaluate(finished.path, tasks=("knn",), console=quiet())["knn"]["top1"] <= 1


def test_stopped_and_resumed_equals_uninterrupted(finished, acted, tmp_path, monkeypatch):
    from kinelex.methods import SOFA

    step, calls = SOFA.step, []

    def stops(self, batch):
        calls.append(1)
        if len(calls) == 6:  # in the second epoch
            raise KeyboardInterrupt
        return step(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(SOFA, "step", stops)
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            train("sofa", acted.store, "xsub", tmp_path / "run", overrides=SMALL, console=quiet())
    run = train("sofa", acted.store, "xsub", tmp_path / "run", resume=True, console=quiet())
    first, second = (load_file(r.path / "encoder.safetensors") for r in (finished, run))
    assert all(torch.equal(first[key], second[key]) for key in first)
