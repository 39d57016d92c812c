"""``precision: auto``: what is faster is taken, said and kept, and leaves no trace in the training."""

import io

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from kinelex.training import precision
from kinelex.training.rehearsal import Rehearsal
from kinelex.training.train import train

SMALL = ["encoder.name=stgcn", "channels=2", "depth=[1,1,1]", "frames=8", "batch_size=24", "epochs=2"]
SMALL += ["accelerator=cpu", "logger=[]"]


@pytest.fixture
def trained(small, tmp_path, monkeypatch):
    """Trains where bf16 takes so many seconds and float32 one; gives the run and what was said."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True, raising=False)
    monkeypatch.setattr(precision, "_FEW", 4)
    real = Rehearsal.steps

    def make(bf16: float, *words: str):
        def steps(self, size, number, seconds=0.0):
            real(self, size, number, seconds)
            self.times = [9.0, bf16 if self.module.recipe.training.precision == "bf16-mixed" else 1.0]
            return self

        monkeypatch.setattr(Rehearsal, "steps", steps)
        said, out = io.StringIO(), tmp_path / f"run{len(list(tmp_path.iterdir()))}"
        words = (*SMALL, "precision=auto", *words)
        run = train(
            "supervised", small[0], "xsub", out, overrides=words, console=Console(file=said, width=200)
        )
        return run, said.getvalue()

    return make


def test_the_faster_is_taken_and_said_and_kept_for_the_next_training(trained):
    run, said = trained(0.5)
    assert run.config["training"]["precision"] == "bf16-mixed"
    assert "precision=bf16-mixed: a step takes 1 s in float32, 0.5 s in bf16" in said
    again, said = trained(2.0, "seed=1")  # another seed of a study trains as the first
    assert again.config["training"]["precision"] == "bf16-mixed"
    assert "a step takes" not in said
    wider, _ = trained(2.0, "channels=4")
    assert wider.config["training"]["precision"] == "32-true"


@pytest.mark.parametrize("bf16", [0.5, 0.99])
def test_the_training_is_that_of_the_stated_precision(trained, small, tmp_path, bf16):
    run, _ = trained(bf16)
    chosen = run.config["training"]["precision"]
    assert chosen == ("bf16-mixed" if bf16 < precision._GAIN else "32-true")
    stated = train(
        "supervised", small[0], "xsub", tmp_path / "stated", overrides=[*SMALL, f"precision={chosen}"]
    )
    one, two = (load_file(of.path / "encoder.safetensors") for of in (run, stated))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_training_of_few_steps_measures_nothing(trained, monkeypatch):
    monkeypatch.setattr(precision, "_FEW", 1000)
    run, said = trained(0.5)
    assert run.config["training"]["precision"] == "32-true"
    assert "a step takes" not in said
