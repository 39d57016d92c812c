"""ST-GCN: spatial-temporal graph convolution.

Yan et al., "Spatial Temporal Graph Convolutional Networks for Skeleton-Based Action Recognition", AAAI 2018,
in the form that SkeletonCLR and AimCLR pre-train (ten blocks, learnable edge importance, quarter width) and
that C2VL uses (arXiv 2405.20606). Given the published weights it computes the published values; any layout
and number of persons is taken.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kinelex.encoders.base import Encoder
from kinelex.encoders.layers import Block, along_graphs, conv_norm, norm_of_conv, residual, stages
from kinelex.encoders.registry import register
from kinelex.errors import InputError
from kinelex.skeleton import SkeletonLayout, distance_subsets


class GraphConv(nn.Module):
    """Mix joints along the graph's subsets, with a matrix of channels for each subset; channels last."""

    def __init__(self, in_channels: int, out_channels: int, subsets: int) -> None:
        super().__init__()
        self.subsets = subsets
        self.conv = nn.Conv2d(in_channels, subsets * out_channels, 1)

    def forward(self, x: Tensor, adjacency: Tensor) -> Tensor:
        graphs = adjacency.permute(2, 0, 1).flatten(0, 1)  # (V to · K, V from)
        weight = self.conv.weight.view(self.subsets, -1, x.shape[1]).transpose(0, 1).flatten(1)
        y = F.conv2d(along_graphs(graphs, x), weight[:, :, None, None]).permute(0, 2, 3, 1)
        bias = self.conv.bias.view(self.subsets, -1)  # type: ignore[union-attr]
        y += adjacency.sum(dim=1).t() @ bias  # (V, C')
        return y.permute(0, 3, 1, 2)


class NormedTime(nn.Sequential):
    """Convolution over time between batch norms, the second of which is folded into it at inference."""

    def __init__(self, channels: int, kernel: int, stride: int, dropout: float) -> None:
        super().__init__(
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, (kernel, 1), (stride, 1), (kernel // 2, 0)),
            nn.BatchNorm2d(channels),
            nn.Dropout(dropout),
        )

    def forward(self, x: Tensor) -> Tensor:
        norm, relu, conv, last, drop = self
        return drop(norm_of_conv(relu(norm(x)), conv, last))  # type: ignore[arg-type]


@register
class STGCN(Encoder):
    """Ten (by default) blocks in three stages; width doubles and frames halve from stage to stage.

    Args:
        channels: width of the first stage: 16 is the quarter width of the self-supervised works, 64 full.
        out_features: width of the last block and of the features; ``None`` is 16 × ``channels`` up to 256.
        depth: blocks per stage.
        kernel: frames that one temporal convolution sees, odd.
        dropout: dropout inside the temporal convolutions, of all blocks but the first (AimCLR).
        present_only: compute and average only the persons who are there in a clip (any coordinate not 0).
            The published code averages absent ones in; where most clips show one person of two this is
            nearly twice as fast. (ours)

    Shape:
        - x: (N, C, T, V, M); returns: (N, out_features)
    """

    name = "stgcn"
    block_list = "blocks"

    def __init__(
        self,
        layout: SkeletonLayout,
        in_channels: int = 3,
        channels: int = 16,
        out_features: int | None = None,
        depth: tuple[int, int, int] = (4, 3, 3),
        kernel: int = 9,
        dropout: float = 0.0,
        present_only: bool = False,
    ) -> None:
        if kernel % 2 == 0 or min(kernel, channels, *depth) < 1 or not 0 <= dropout < 1:
            raise InputError(
                "stgcn expects an odd kernel, channels and depths of at least 1 and a dropout from 0 to 1, "
                f"got {kernel}, {channels}, {depth} and {dropout}"
            )
        out_features = out_features or min(16 * channels, 256)
        super().__init__(layout, in_channels, out_features, norm="data_bn")
        self.present_only = present_only
        adjacency = torch.from_numpy(distance_subsets(layout)).float()
        self.adjacency: Tensor
        self.register_buffer("adjacency", adjacency)
        plan = list(stages(in_channels, channels, depth))
        plan[-1] = (plan[-1][0], out_features, plan[-1][2])
        self.blocks = nn.ModuleList()
        for i, (before, width, stride) in enumerate(plan):
            graph = GraphConv(before, width, len(adjacency))
            time = NormedTime(
                width, kernel, stride, dropout if i else 0.0
            )  # published: none in the first block
            self.blocks.append(Block(graph, time, residual(before, width, conv_norm, stride) if i else None))
        self.edge_importance = nn.ParameterList(torch.ones_like(adjacency) for _ in plan)

    def forward_persons(self, x: Tensor) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        for block, importance in zip(self.blocks, self.edge_importance, strict=True):
            x = block(x, self.adjacency * importance)
        return x
