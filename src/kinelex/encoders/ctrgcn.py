"""CTR-GCN: graph convolution whose topology is refined for each clip and channel.

Chen et al., "Channel-wise Topology Refinement Graph Convolution for Skeleton-Based Action Recognition",
ICCV 2021, arXiv 2107.12213; the encoder of MMCL (arXiv 2407.15706). Given the published weights it computes
the published values. Differs from the published code in that the three subsets of the graph are computed in
one go, from embeddings of the mean over frames instead of the mean of embeddings (the same, they are linear),
that frames come last inside, and that any layout and number of persons is taken.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from kinelex.encoders.graph_network import GraphNetwork
from kinelex.encoders.layers import (
    ConvNorm,
    MultiScaleTime,
    as_autocast,
    has_own_backward,
    init_by_outputs,
    residual,
)
from kinelex.encoders.registry import register
from kinelex.skeleton import SkeletonLayout, spatial_subsets


def _mixed(x: Tensor, graphs: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Joints' values, mixed along graphs, and the values.

    Shape:
        - x: (B, C, V, T); graphs: (B·C', K·V from, V to); weight: (C'·K, C); bias: (C'·K)
        - returns: (B, C', V, T) and (B, C'·K, V·T)
    """
    n, _, v, t = x.shape
    # One product per clip and channel: channels go first in memory, and last again after it.
    values = torch.baddbmm(bias[:, None], weight.expand(n, -1, -1), x.flatten(2))
    y = torch.bmm(graphs.transpose(1, 2), values.view(-1, graphs.shape[1], t))
    return y.view(n, -1, v, t), values


class _Mixed(torch.autograd.Function):
    """:func:`_mixed`, whose gradients come in the order of what they belong to, so that none is copied."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, graphs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        y, values = _mixed(x, graphs, weight, bias)
        ctx.save_for_backward(x, graphs, weight, values)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        x, graphs, weight, values = ctx.saved_tensors
        n, _, v, t = x.shape
        grad = grad.reshape(-1, v, t)
        d_graphs = torch.bmm(values.view(-1, graphs.shape[1], t), grad.transpose(1, 2))
        d_values = torch.bmm(graphs, grad).view_as(values)
        d_x = torch.bmm(d_values.transpose(1, 2), weight.expand(n, -1, -1))  # (B, V·T, C): channels last
        d_weight = torch.bmm(d_values, x.flatten(2).transpose(1, 2)).sum(dim=0)
        d_bias = d_values.sum(dim=2).sum(dim=0)  # of bf16 both at once would be copied into float32
        return d_x.view(n, v, t, -1).permute(0, 3, 1, 2), d_graphs, d_weight, d_bias


class RefinedGraphConv(nn.Module):
    """Mix joints along K graphs, each learnt and refined for each clip and channel.

    Graph k carries joint v to joint u in channel c with the weight ``topology[k, u, v]`` plus ``alpha``
    times a linear map of tanh(a(u) − b(v)), a and b small embeddings of the joints' means over frames.

    Shape:
        - adjacency: (K, V, V), where the graphs start; x: (B, in_channels, V, T)
        - returns: (B, out_channels, V, T)

    Source: Sections 3.2 and 3.3.
    """

    def __init__(self, adjacency: Tensor, in_channels: int, out_channels: int, embedding: int) -> None:
        super().__init__()
        self.subsets = subsets = len(adjacency)
        self.topology = nn.Parameter(adjacency.clone())
        self.alpha = nn.Parameter(torch.zeros(1))
        self.relate = nn.Conv1d(in_channels, 2 * subsets * embedding, 1)  # all a, then all b
        self.refine = nn.Conv2d(subsets * embedding, subsets * out_channels, 1, groups=subsets)
        self.value = nn.Conv2d(in_channels, out_channels * subsets, 1)  # subsets within a channel
        self.norm = nn.BatchNorm2d(out_channels)
        self.down = residual(in_channels, out_channels, ConvNorm)
        widths = (embedding, out_channels, out_channels)
        for conv, outputs in zip((self.relate, self.refine, self.value), widths, strict=True):
            init_by_outputs(conv.weight, outputs)
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
        nn.init.constant_(self.norm.weight, 1e-6)  # published: a block starts as its residual path

    def graphs(self, x: Tensor) -> Tensor:
        """The refined graphs: (B, in_channels, V, T) to (B, K, out_channels, V from, V to)."""
        n = x.shape[0]  # not len(x), which an exporter takes for a constant
        means = x.permute(0, 2, 3, 1).mean(dim=2)  # (B, V, C), so that the gradient has channels last
        related = nn.functional.linear(means, self.relate.weight.squeeze(2), self.relate.bias)
        a, b = related.transpose(1, 2).chunk(2, dim=1)  # (B, K·R, V) each
        relation = torch.tanh(a.unsqueeze(2) - b.unsqueeze(3))  # (B, K·R, V from, V to)
        relation = relation.view(n, self.subsets, -1, self.topology[0].numel())  # (B, K, R, V·V)
        # Two more embeddings, the topology and 1, stand for the topology and the bias: one product makes all.
        topology = self.topology.transpose(1, 2).reshape(1, self.subsets, 1, -1)
        more = torch.cat([topology, torch.ones_like(topology)], dim=2)
        relation = torch.cat([relation, more.expand(n, -1, -1, -1)], dim=2)
        bias = self.refine.bias[:, None]  # type: ignore[index]
        scaled = [self.alpha * self.refine.weight.flatten(1), torch.ones_like(bias), self.alpha * bias]
        weight = torch.cat(scaled, dim=1)
        weight = weight.unflatten(0, (self.subsets, -1))  # (K, out_channels, R + 2)
        return torch.matmul(weight, relation).unflatten(3, self.topology.shape[1:])

    def forward(self, x: Tensor) -> Tensor:
        graphs = self.graphs(x).transpose(1, 2).flatten(0, 1).flatten(1, 2)  # (B·C, K·V, V)
        given = as_autocast(x, graphs, self.value.weight.flatten(1), self.value.bias)  # type: ignore[arg-type]
        y = _Mixed.apply(*given) if has_own_backward() else _mixed(*given)[0]
        y = self.norm(y.contiguous(memory_format=torch.channels_last))
        y += self.down(x)
        return y.relu_()


def _graph(adjacency: Tensor, in_channels: int, out_channels: int) -> RefinedGraphConv:
    return RefinedGraphConv(adjacency, in_channels, out_channels, embedding=max(in_channels // 8, 8))


@register
class CTRGCN(GraphNetwork):
    """Ten (by default) blocks in three stages; see :class:`GraphNetwork` for other options and shapes.

    Args:
        rectify: a ReLU after the convolution over time, before the residual path is added, as PYSKL has it.
    """

    name = "ctrgcn"

    def __init__(
        self,
        layout: SkeletonLayout,
        in_channels: int = 3,
        channels: int = 64,
        depth: tuple[int, int, int] = (4, 3, 3),
        kernel: int = 5,
        dilations: tuple[int, ...] = (1, 2),
        person_norms: int = 1,
        rectify: bool = False,
    ) -> None:
        adjacency = torch.from_numpy(spatial_subsets(layout)).float()
        options = (in_channels, channels, depth, kernel, dilations, person_norms)
        super().__init__(layout, partial(_graph, adjacency), *options)
        for module in self.modules():
            if isinstance(module, MultiScaleTime):
                module.rectify = rectify
