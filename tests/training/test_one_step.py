"""One step of the optimiser by hand: what the recipe says about it is what happens."""

import io

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from kinelex import open_store
from kinelex.datasets import get_split
from kinelex.training.train import train

LR = 0.01


@pytest.fixture(scope="module")
def one_step(small, tmp_path_factory):
    """Runs a supervised training of a single step; gives its trained weights by name."""
    clips = len(get_split(open_store(small[0]), "xsub").train)
    recipe = ("channels=2", "depth=[1,1,1]", "frames=8", "epochs=1", f"batch_size={clips}", "repeat=1")
    plain = (f"lr={LR}", "schedule=constant", "warmup=0", "accelerator=cpu", "precision=32-true")

    def run(*changes):
        out = tmp_path_factory.mktemp("step") / "run"
        console = Console(file=io.StringIO())
        train("supervised", small[0], "xsub", out, None, [*recipe, *plain, *changes], console=console)
        state = {
            f"{part}.{name}": value
            for part in ("encoder", "classifier")
            for name, value in load_file(out / f"{part}.safetensors").items()
        }
        fixed = ("adjacency", "running_mean", "running_var", "num_batches_tracked")
        return {name: value for name, value in state.items() if not name.endswith(fixed)}

    return run


@pytest.fixture(scope="module")
def before(one_step):
    """The weights before the first step."""
    return one_step("epochs=0")


def test_weight_decay_of_adamw_is_decoupled(one_step, before):
    """It moves every weight by lr · decay · weight, whatever the gradient does."""
    free = one_step("optimizer.name=adamw", "weight_decay=0")
    held = one_step("optimizer.name=adamw", "weight_decay=0.5")
    for name, start in before.items():
        torch.testing.assert_close(held[name] - free[name], -LR * 0.5 * start, rtol=1e-3, atol=1e-6)


def test_weight_decay_of_sgd_adds_to_the_gradient(one_step, before):
    sgd = ("optimizer.name=sgd", "momentum=0", "nesterov=false")
    free, held = one_step(*sgd, "weight_decay=0"), one_step(*sgd, "weight_decay=0.5")
    for name, start in before.items():
        torch.testing.assert_close(held[name] - free[name], -LR * 0.5 * start, rtol=1e-3, atol=1e-6)


def test_clipping_bounds_the_norm_of_the_whole_gradient(one_step, before):
    sgd = ("optimizer.name=sgd", "momentum=0", "nesterov=false", "weight_decay=0")

    def gradient(*changes):
        after = one_step(*sgd, *changes)
        return torch.cat([(after[name] - start).flatten() for name, start in before.items()]) / -LR

    free = gradient("clip=0")
    bound = float(free.norm()) / 4
    clipped = gradient(f"clip={bound}")
    torch.testing.assert_close(float(clipped.norm()), bound, rtol=1e-3, atol=0.0)
    torch.testing.assert_close(clipped, free / 4, rtol=1e-2, atol=1e-4)
    torch.testing.assert_close(gradient(f"clip={8 * bound}"), free, rtol=1e-5, atol=1e-6)
