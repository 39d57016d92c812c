"""Recomputed blocks: the values of kept ones, bit by bit, with less in memory."""

import copy
import io

import pytest
import torch
from encoder_cases import CASES, clips, make, name_of
from rich.console import Console
from torch import nn

from kinelex import encoders
from kinelex.errors import InputError
from kinelex.methods import Supervised
from kinelex.training.recompute import recompute_blocks
from kinelex.training.run_directory import RunDirectory
from kinelex.training.train import train

WITHOUT = {"gru"}
DROPOUT = {"stgcn", "stgcnpp", "transformer", "slots"}


def steps(network: encoders.Encoder, number: int = 3) -> tuple[list[float], dict[str, torch.Tensor]]:
    """Losses of some steps of a classifier with dropout, and all its numbers after them."""
    torch.manual_seed(0)
    method = Supervised(network, num_classes=3, dropout=0.2)
    optimizer, losses = torch.optim.SGD(method.parameters(), lr=0.05, momentum=0.9), list[float]()
    for step in range(number):
        torch.manual_seed(step)
        out = method(clips(n=4, seed=step), labels=torch.arange(4) % 3)
        optimizer.zero_grad()
        out.loss.backward()
        optimizer.step()
        losses.append(out.loss.item())
    return losses, method.state_dict()


@pytest.mark.parametrize("case", [case for case in CASES if name_of(case) not in WITHOUT])
def test_values_are_those_of_kept_blocks(case: str) -> None:
    """Losses, weights, and running statistics, which a second pass must not move again."""
    more = {"dropout": 0.3} if name_of(case) in DROPOUT else {}
    network = make(case, **more).train()
    again = copy.deepcopy(network)
    recompute_blocks([again])
    (kept, state), (recomputed, other) = steps(network), steps(again)
    assert recomputed == kept
    for name, value in state.items():
        assert torch.equal(other[name], value), name


def test_blocks_keep_their_inputs_alone() -> None:
    def saved(network: encoders.Encoder) -> int:
        numbers = dict[int, int]()

        def pack(x: torch.Tensor) -> torch.Tensor:
            numbers[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
            return x

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
            y = network(clips(n=4, t=64))
        assert y.requires_grad
        return sum(numbers.values())

    network = encoders.create("stgcn", "sbu15", channels=8)
    kept = saved(network)
    recompute_blocks([network])
    assert saved(network) < kept / 4


def test_a_recomputed_encoder_can_be_copied_and_read() -> None:
    """As the key encoders of a method are; the copy computes with its own weights."""
    network = make("ctrgcn")
    recompute_blocks([network])
    other = copy.deepcopy(network)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    assert other(clips()).abs().sum() > 0
    assert other.state_dict().keys() == make("ctrgcn").state_dict().keys()


def test_frozen_statistics_stay() -> None:
    """A block in evaluation mode, whose statistics a recomputation reads."""
    network, x = make("ctrgcn"), clips()
    network(x).sum().backward()
    gradients = [p.grad.clone() for p in network.parameters()]
    state = {name: value.clone() for name, value in network.state_dict().items()}
    network.zero_grad()
    recompute_blocks([network])
    network(x).sum().backward()
    assert all(map(torch.equal, gradients, (p.grad for p in network.parameters())))
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())


def test_training_is_the_same_and_goes_on_without(small, tmp_path) -> None:
    """A whole training with recomputation, ended without it, is one that never had it."""
    options = ["channels=2", "depth=[1,1,1]", "frames=8", "epochs=2", "accelerator=cpu", "precision=32-true"]
    console = Console(file=io.StringIO())

    def run(name: str, *changes: str, resume: bool = False) -> dict[str, torch.Tensor]:
        asked = changes if resume else [*options, *changes]
        run = train("usdrl", small[0], "xsub", tmp_path / name, None, asked, resume, console)
        state = torch.load(run.checkpoint, weights_only=True)["state_dict"]
        return {key: value for key, value in state.items() if isinstance(value, torch.Tensor)}

    plain, again = run("plain"), run("again", "recompute=true")
    assert all(torch.equal(again[key], value) for key, value in plain.items())
    assert RunDirectory(tmp_path / "again").config["training"]["recompute"] is True
    run("again", "recompute=false", resume=True)


def test_an_encoder_without_blocks_says_which_have_some(small, tmp_path) -> None:
    with pytest.raises(InputError, match=r"blocks \(aagcn, ctrgcn, .*transformer\), gru has none"):
        train("cmd", small[0], "xsub", tmp_path / "run", None, ["recompute=true"])
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", encoders.names())
def test_block_lists_are_there(name: str) -> None:
    network = encoders.create(name)
    assert (network.block_list is None) == (name in WITHOUT)
    if network.block_list is not None:
        blocks = getattr(network, network.block_list)
        inside = sum(p.numel() for block in blocks for p in block.parameters())
        assert isinstance(blocks, (nn.ModuleList, nn.Sequential))
        assert inside > 0.5 * sum(p.numel() for p in network.parameters())
