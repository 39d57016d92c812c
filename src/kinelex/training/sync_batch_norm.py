"""Batch norm over the clips of all processes, so that several devices learn what one does."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from kinelex.losses.gather import is_alone


class SyncBatchNorm(_BatchNorm):
    """Synchronised batch norm on any device; PyTorch's own computes on GPUs alone, and DDP refuses it else.

    Statistics are those of all processes' values, of which each may have another number. In evaluation, and
    where there is one process, it is plain batch norm.

    Shape:
        - x: (N, C, ...)
        - returns: (N, C, ...)
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise a batch."""
        if not self.training or is_alone():
            return super().forward(x)
        values = x if x.dtype in (torch.float32, torch.float64) else x.float()
        others = [0, *range(2, x.ndim)]
        count = values.new_tensor([values.numel() // values.shape[1]])
        total = _SumOverProcesses.apply(torch.cat([values.sum(others), count]))
        mean, n = total[:-1] / total[-1], total[-1].detach()
        shape = (1, -1, *[1] * (x.ndim - 2))
        centred = values - mean.view(shape)
        variance = _SumOverProcesses.apply(centred.square().sum(others)) / n
        if self.track_running_stats:
            self._follow(mean.detach(), variance.detach() * n / (n - 1).clamp(min=1))
        out = centred * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            out = out * self.weight.view(shape) + self.bias.view(shape)
        return out.to(x.dtype)

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of dimensions: the layer that this one stands for has had its say."""

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        """Bring the running statistics up to date: the unbiased variance, as batch norm does."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        share: Any = 1 / self.num_batches_tracked if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
        self.running_var.lerp_(variance.to(self.running_var.dtype), share)


def synchronise_batch_norms(module: nn.Module) -> None:
    """Make every batch norm in a module one over all processes, in place: parameters and names stay.

    >>> net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    >>> synchronise_batch_norms(net)
    >>> type(net[1]).__name__, sorted(net.state_dict())[0]
    ('SyncBatchNorm', '0.bias')
    """
    for layer in module.modules():
        if isinstance(layer, _BatchNorm):
            layer.__class__ = SyncBatchNorm


class _SumOverProcesses(torch.autograd.Function):
    """The sum of all processes' values; the gradient of every process' loss comes back summed."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        grad = grad.clone()
        dist.all_reduce(grad)
        return grad
