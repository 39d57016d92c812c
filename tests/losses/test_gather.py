"""A loss on gathered embeddings in four processes is that of one, gradients averaged as DDP does."""

from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.nn import functional as F

from kinelex.losses.gather import gather, mean_over_processes
from kinelex.losses.info_nce import pair_logits

WORLD, ROWS = 4, 8


def steps(rank: int = 0, world: int = 1) -> dict[str, torch.Tensor]:
    """Loss and gradients of a linear map of some rows of two modalities."""
    torch.manual_seed(0)
    x, y, own = (torch.randn(ROWS, 6, dtype=torch.float64) for _ in range(3))
    weight = torch.randn(6, 5, dtype=torch.float64, requires_grad=True)
    part = slice(rank * ROWS // world, (rank + 1) * ROWS // world)
    mine = own[part] @ weight
    logits = pair_logits(gather(x[part] @ weight), gather(y[part] @ weight), 0.1)
    loss = F.cross_entropy(logits, torch.arange(ROWS))
    loss = loss + mean_over_processes(mine.square().mean())
    loss.backward()
    if world > 1:
        dist.all_reduce(weight.grad)
    return {"loss": loss.detach(), "gradient": weight.grad / world}


def _worker(rank: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=WORLD)
    torch.save(steps(rank, WORLD), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_four_processes_equal_one(tmp_path: Path):
    mp.start_processes(_worker, args=(str(tmp_path),), nprocs=WORLD, start_method="spawn")
    alone = steps()
    for rank in range(WORLD):
        found = torch.load(tmp_path / f"{rank}.pt")
        for name, value in alone.items():
            torch.testing.assert_close(found[name], value)
