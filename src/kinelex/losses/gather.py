"""Embeddings of all processes, with gradient."""

import torch
import torch.distributed as dist
from torch import Tensor


class _AllGather(torch.autograd.Function):
    """All ranks' rows in rank order; the gradient of every rank's loss comes back summed."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        parts = [torch.empty_like(x) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, x.contiguous())
        ctx.rows = len(x)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:
        grad = grad.contiguous()
        dist.all_reduce(grad)
        start = dist.get_rank() * ctx.rows
        return grad[start : start + ctx.rows]


def is_alone() -> bool:
    """Whether this is the only process of a training."""
    return not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1


def gather(x: Tensor) -> Tensor:
    """Rows of all processes, as many in each, with gradient; ``x`` itself when there is one process.

    With the loss computed on the gathered rows in each of W processes and gradients averaged over them (DDP),
    the result is that of one process with all rows.

    Shape:
        - x: (N, ...); returns: (W·N, ...)

    >>> gather(torch.ones(2, 3)).shape  # one process
    torch.Size([2, 3])
    """
    if is_alone():
        return x
    if x.dtype == torch.bool:
        return _AllGather.apply(x.to(torch.uint8)).bool()
    return _AllGather.apply(x)


def mean_over_processes(x: Tensor) -> Tensor:
    """The mean of all processes' values, with the gradient of the own one; ``x`` where there is one process.

    The loss that each process computes on its own rows is then that of all rows in one process, and so are
    gradients averaged over the processes (DDP).

    Shape:
        - x: any; the same in every process.

    >>> mean_over_processes(torch.tensor(2.0)).item()  # one process
    2.0
    """
    if is_alone():
        return x
    mean = x.detach().clone()
    dist.all_reduce(mean)
    return x + (mean / dist.get_world_size() - x.detach())
