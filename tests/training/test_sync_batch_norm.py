"""Several processes learn what one does, batch norm included."""

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from descent import descend
from torch import nn

from kinelex import encoders
from kinelex.methods import C2VL, CMD, Supervised
from kinelex.training.recompute import recompute_blocks
from kinelex.training.sync_batch_norm import SyncBatchNorm, synchronise_batch_norms

CLIPS, STEPS = 8, 3
JOINTS = 15  # sbu15


def _encoder():
    return encoders.create("stgcn", layout="sbu15", channels=2, depth=[1, 1, 1])


def _make(name: str) -> nn.Module:
    torch.manual_seed(0)
    if name == "cmd":
        return CMD(_encoder(), ("joint", "motion"), dim=8, queue=32, top_k=8)
    if name == "supervised":
        return Supervised(_encoder(), num_classes=3)
    if name == "recomputed":
        method = Supervised(_encoder(), num_classes=3)
        recompute_blocks(method.encoders.values())
        return method
    return C2VL(_encoder(), {"language": torch.randn(4, 2, 6)}, dim=8, hidden=16, prompt="mean")


def _step(name: str, method: nn.Module, number: int, rank: int = 0, world: int = 1) -> torch.Tensor:
    """One step of plain gradient descent on this process' share; gradients are averaged, as DDP does."""
    generator = torch.Generator().manual_seed(number)
    views = torch.randn(method.views, CLIPS, 3, 8, JOINTS, 1, generator=generator)
    labels, prompts = torch.arange(CLIPS) % 3, torch.randn(CLIPS, 2, 6, generator=generator)
    mine = slice(rank * CLIPS // world, (rank + 1) * CLIPS // world)
    method.on_epoch_start(1, 2)
    loss, _ = method(views[:, mine].flatten(0, 1), {"language": prompts[mine]}, labels[mine])
    descend(method, loss, world, rate=0.05)
    method.on_epoch_end()
    return loss.detach()


def _train(name: str, rank: int = 0, world: int = 1) -> dict:
    method = _make(name)
    if world > 1:
        synchronise_batch_norms(method)
    losses = [_step(name, method, number, rank, world) for number in range(STEPS)]
    return {"losses": torch.stack(losses), "state": method.state_dict()}


def _worker(rank: int, folder: str, names: tuple[str, ...]) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    for name in names:
        torch.save(_train(name, rank, 2), f"{folder}/{name}-{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_equal_one(tmp_path: Path) -> None:
    """Losses and all weights, running statistics among them, after three steps of each method."""
    names = ("supervised", "c2vl", "cmd", "recomputed")
    mp.start_processes(_worker, args=(str(tmp_path), names), nprocs=2, start_method="spawn")
    for name in names:
        one = _train(name)
        assert any("running_var" in key for key in one["state"])
        for rank in range(2):
            found = torch.load(tmp_path / f"{name}-{rank}.pt")
            torch.testing.assert_close(found["losses"], one["losses"], rtol=1e-5, atol=1e-5)
            for key, value in one["state"].items():
                torch.testing.assert_close(
                    found["state"][key],
                    value,
                    rtol=1e-4,
                    atol=1e-5,
                    msg=lambda m, at=(name, key): f"{at}: {m}",
                )


def test_alone_it_is_plain_batch_norm() -> None:
    torch.manual_seed(0)
    plain, synchronised = nn.BatchNorm2d(3), nn.BatchNorm2d(3)
    synchronise_batch_norms(synchronised)
    assert type(synchronised) is SyncBatchNorm
    x = torch.randn(4, 3, 5, 6)
    for _ in range(2):
        torch.testing.assert_close(synchronised(x), plain(x))
    assert torch.equal(synchronised.running_var, plain.running_var)
    torch.testing.assert_close(synchronised.eval()(x), plain.eval()(x))


@pytest.mark.parametrize("momentum", [0.1, None])
def test_its_own_sums_are_those_of_batch_norm(momentum, monkeypatch) -> None:
    """The path of several processes, with one: values, gradients and running statistics."""
    monkeypatch.setattr("kinelex.training.sync_batch_norm.is_alone", lambda: False)
    monkeypatch.setattr(dist, "all_reduce", lambda tensor: None)
    torch.manual_seed(0)
    plain, own = nn.BatchNorm1d(3, momentum=momentum), nn.BatchNorm1d(3, momentum=momentum)
    synchronise_batch_norms(own)
    for _ in range(3):
        x = torch.randn(6, 3) * 3 + 5
        a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
        y, z = plain(a), own(b)
        torch.testing.assert_close(z, y)
        (y**3).sum().backward()
        (z**3).sum().backward()
        torch.testing.assert_close(b.grad, a.grad, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(own.running_var, plain.running_var)
    torch.testing.assert_close(own.running_mean, plain.running_mean)
    assert own.num_batches_tracked == 3
