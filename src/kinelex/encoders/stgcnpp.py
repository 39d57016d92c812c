"""ST-GCN++: ST-GCN with learnt graphs and convolutions over time in six branches.

Duan et al., "PYSKL: Towards Good Practices for Skeleton Action Recognition", ACM MM 2022, arXiv 2205.09443,
section 3. Given PYSKL's weights it computes PYSKL's values, in the names of its checkpoints, for any layout.
"""

from collections import OrderedDict
from functools import partial

import torch
from torch import Tensor, nn

from kinelex.encoders.graph_network import StagedNetwork
from kinelex.encoders.layers import PointConv, conv_norm, residual
from kinelex.encoders.registry import register
from kinelex.skeleton import SkeletonLayout, spatial_subsets

DILATIONS = (1, 2, 3, 4)  # of the branches that convolve
BRANCHES = len(DILATIONS) + 2  # and one that pools, and one that looks at single frames


class GraphConv(nn.Module):
    """Mix joints along K learnt graphs, with a matrix of channels for each, and add the input.

    Shape:
        - adjacency: (K, V, V), where the graphs start; entry [k, v, w] carries joint v to joint w
        - x: (B, in_channels, T, V); returns: (B, out_channels, T, V)
    """

    def __init__(self, adjacency: Tensor, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.A = nn.Parameter(adjacency.clone())
        self.conv = nn.Conv2d(in_channels, len(adjacency) * out_channels, 1)
        self.bn = nn.BatchNorm2d(out_channels)
        self.down = residual(in_channels, out_channels, conv_norm)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x).unflatten(1, (len(self.A), -1))  # (B, K, C, T, V)
        y = torch.einsum("bkctv,kvw->bctw", y, self.A)
        return (self.bn(y) + self.down(x)).relu()


class BranchedTime(nn.Module):
    """Six branches over time, then one 1×1 convolution: (B, C, T, V) to (B, C, ⌈T / stride⌉, V)."""

    def __init__(self, channels: int, stride: int, dropout: float) -> None:
        super().__init__()
        width = channels // BRANCHES
        first = channels - (BRANCHES - 1) * width  # takes what does not divide

        def begin(out: int) -> list[nn.Module]:
            return [nn.Conv2d(channels, out, 1), nn.BatchNorm2d(out), nn.ReLU()]

        self.branches = nn.ModuleList()
        for i, dilation in enumerate(DILATIONS):
            out = width if i else first
            conv = nn.Conv2d(out, out, (3, 1), (stride, 1), (dilation, 0), (dilation, 1))
            self.branches.append(nn.Sequential(*begin(out), nn.Sequential(OrderedDict(conv=conv))))
        pool = nn.MaxPool2d((3, 1), (stride, 1), (1, 0))
        self.branches.append(nn.Sequential(*begin(width), pool))
        self.branches.append(PointConv(channels, width, (stride, 1)))
        self.transform = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, channels, 1))
        self.bn = nn.BatchNorm2d(channels)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        y = self.transform(torch.cat([branch(x) for branch in self.branches], dim=1))
        return self.drop(self.bn(y))


@register
class STGCNPP(StagedNetwork):
    """Ten (by default) blocks in three stages, as :class:`StagedNetwork`; ``dropout`` comes after time."""

    name = "stgcnpp"

    def __init__(
        self,
        layout: SkeletonLayout,
        in_channels: int = 3,
        channels: int = 64,
        depth: tuple[int, int, int] = (4, 3, 3),
        dropout: float = 0.0,
        person_norms: int = 1,
    ) -> None:
        adjacency = torch.from_numpy(spatial_subsets(layout)).float()
        graph, time = partial(GraphConv, adjacency), partial(BranchedTime, dropout=dropout)
        super().__init__(layout, graph, time, in_channels, channels, depth, person_norms)
