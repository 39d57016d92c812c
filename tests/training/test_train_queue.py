"""SkeletonCLR, AimCLR and AMR through training: recipes, resume bit by bit, evaluation after it."""

import io

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from kinelex.errors import InputError
from kinelex.evaluation import evaluate
from kinelex.methods import method_class
from kinelex.training.train import train

COMMON = ("frames=16", "epochs=3", "batch_size=24", "accelerator=cpu", "precision=32-true")
QUEUE = ("channels=8", "encoder.depth=[1,1,1]", "dim=8", "queue=48")
SMALL = {
    "skeletonclr": QUEUE,
    "aimclr": QUEUE,
    "amr": ("encoder.dim=16", "depth=1", "encoder.heads=2", "decoder_depth=1", "decoder_heads=2"),
}
LOGGED = {
    "skeletonclr": {"loss/joint", "accuracy/joint"},
    "aimclr": {"loss/joint", "accuracy/joint", "loss/extreme", "loss/dropped"},
    "amr": {"loss/motion"},
}


def quiet():
    return Console(file=io.StringIO())


@pytest.fixture(scope="module", params=list(SMALL))
def finished(request, acted, tmp_path_factory):
    name = request.param
    out, changes = tmp_path_factory.mktemp(name) / "run", [*COMMON, *SMALL[name]]
    return name, train(name, acted.store, "xsub", out, overrides=changes, console=quiet())


def test_a_training_without_prompts_and_its_evaluation(finished):
    name, run = finished
    assert run.config["prompts"] is None
    rows = run.metrics()
    assert len(rows) == 3
    assert LOGGED[name] <= set(rows[0])
    assert 0 < evaluate(run.path, tasks=("knn",), console=quiet())["knn"]["top1"] <= 1


def test_stopped_and_resumed_equals_uninterrupted(finished, acted, tmp_path, monkeypatch):
    """Queue, pointer, key branch and when neighbours are mined are part of what is resumed."""
    name, whole = finished
    kind, calls = method_class(name), []
    step = kind.step

    def stops(self, batch):
        calls.append(1)
        if len(calls) == 6:  # in the second epoch
            raise KeyboardInterrupt
        return step(self, batch)

    changes = [*COMMON, *SMALL[name]]
    with monkeypatch.context() as patch:
        patch.setattr(kind, "step", stops)
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            train(name, acted.store, "xsub", tmp_path / "run", overrides=changes, console=quiet())
    run = train(name, acted.store, "xsub", tmp_path / "run", resume=True, console=quiet())
    first, second = (torch.load(r.checkpoint, weights_only=True)["state_dict"] for r in (whole, run))
    assert all(torch.equal(first[key], second[key]) for key in first)
    first, second = (load_file(r.path / "encoder.safetensors") for r in (whole, run))
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert [row["loss"] for row in whole.metrics()] == pytest.approx([row["loss"] for row in run.metrics()])


def test_other_extreme_views_from_the_command_line(acted, tmp_path):
    """A list of names, and of mappings with options."""
    words = [*COMMON[2:], *QUEUE, "frames=16", "epochs=1"]
    views = 'extreme=[swap_sides,{"name":"axis_mask","probability":1.0}]'
    run = train("aimclr", acted.store, "xsub", tmp_path / "run", overrides=[*words, views], console=quiet())
    assert run.config["method"]["extreme"] == ["swap_sides", {"name": "axis_mask", "probability": 1.0}]
    with pytest.raises(InputError, match="did you mean 'swap_sides'"):
        train("aimclr", acted.store, "xsub", tmp_path / "no", overrides=[*words, "extreme=[swap_side]"])
    assert not (tmp_path / "no").exists()
