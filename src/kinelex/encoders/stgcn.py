"""ST-GCN: spatial-temporal graph convolution.

Yan et al., "Spatial Temporal Graph Convolutional Networks for Skeleton-Based Action Recognition", AAAI 2018,
in the form that SkeletonCLR and AimCLR pre-train (ten blocks, learnable edge importance, quarter width) and
that C2VL uses (arXiv 2405.20606). Given the published weights it computes the published values; differs
from the published code in that width, output width and depth are options, and any layout and number of
persons is taken.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kinelex.encoders.base import Encoder
from kinelex.encoders.registry import register
from kinelex.errors import InputError
from kinelex.skeleton import SkeletonLayout, distance_subsets


class GraphConv(nn.Module):
    """Mix joints along the graph's subsets, with a matrix of channels for each subset."""

    def __init__(self, in_channels: int, out_channels: int, subsets: int) -> None:
        super().__init__()
        self.subsets = subsets
        self.conv = nn.Conv2d(in_channels, subsets * out_channels, 1)

    def forward(self, x: Tensor, adjacency: Tensor) -> Tensor:
        n, _, t, v = x.shape
        x = self.conv(x).view(n, self.subsets, -1, t, v)
        return torch.einsum("nkctv,kvw->nctw", x, adjacency)


class Block(nn.Module):
    """Graph convolution, then convolution over time, with a residual path."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        subsets: int,
        kernel: int,
        stride: int,
        dropout: float,
        residual: bool,
    ) -> None:
        super().__init__()
        self.gcn = GraphConv(in_channels, out_channels, subsets)
        self.tcn = nn.Sequential(
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(out_channels, out_channels, (kernel, 1), (stride, 1), (kernel // 2, 0)),
            nn.BatchNorm2d(out_channels),
            nn.Dropout(dropout),
        )
        self.has_residual = residual
        self.residual: nn.Module = nn.Identity()
        if residual and (in_channels != out_channels or stride != 1):
            self.residual = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, (stride, 1)), nn.BatchNorm2d(out_channels)
            )

    def forward(self, x: Tensor, adjacency: Tensor) -> Tensor:
        y = self.tcn(self.gcn(x, adjacency))
        if self.has_residual:
            y = y + self.residual(x)
        return torch.relu(y)


@register
class STGCN(Encoder):
    """Ten (by default) blocks in three stages; width doubles and frames halve from stage to stage.

    Args:
        layout: the skeleton layout.
        in_channels: coordinates per joint.
        channels: width of the first stage: 16 is the quarter width of the self-supervised works, 64 full.
        out_features: width of the last block and of the features; ``None`` is 16 × ``channels`` up to 256.
        depth: blocks per stage.
        kernel: frames that one temporal convolution sees, odd.
        dropout: dropout inside the temporal convolutions, of all blocks but the first (AimCLR).
        present_only: compute and average only the persons who are there in a clip (any coordinate not 0).
            The published code averages absent ones in; where most clips show one person of two this is
            nearly twice as fast. (ours)

    Shape:
        - x: (N, C, T, V, M)
        - returns: (N, out_features)
    """

    name = "stgcn"

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
        super().__init__(layout, in_channels, out_features)
        self.present_only = present_only
        adjacency = torch.from_numpy(distance_subsets(layout)).float()
        self.adjacency: Tensor
        self.register_buffer("adjacency", adjacency)
        self.data_bn = nn.BatchNorm1d(in_channels * layout.num_joints)
        widths = [channels * 2**stage for stage in range(3) for _ in range(depth[stage])]
        widths[-1] = out_features
        starts = {depth[0], depth[0] + depth[1]}  # the first blocks of stages two and three halve the frames
        blocks = []
        for i, width in enumerate(widths):
            previous = widths[i - 1] if i else in_channels
            stride = 2 if i in starts else 1
            lost = dropout if i else 0.0  # published: none in the first block
            blocks.append(Block(previous, width, len(adjacency), kernel, stride, lost, residual=i > 0))
        self.blocks = nn.ModuleList(blocks)
        self.edge_importance = nn.ParameterList(torch.ones_like(adjacency) for _ in blocks)

    def _persons(self, x: Tensor) -> Tensor:
        """Features of single persons: (persons, V·C, T) → (persons, F, T', V)."""
        x = self.data_bn(x).unflatten(1, (self.layout.num_joints, self.in_channels))
        x = x.permute(0, 2, 3, 1).contiguous()  # (persons, C, T, V)
        for block, importance in zip(self.blocks, self.edge_importance, strict=True):
            x = block(x, self.adjacency * importance)
        return x

    def forward_features(self, x: Tensor) -> Tensor:
        """Features before pooling.

        Shape:
            - x: (N, C, T, V, M)
            - returns: (N, M, F, T', V)
        """
        self.check(x)
        persons = x.permute(0, 4, 3, 1, 2).flatten(2, 3)  # (N, M, V·C, T)
        return self._persons(persons.flatten(0, 1)).unflatten(0, persons.shape[:2])

    def forward(self, x: Tensor) -> Tensor:
        if not self.present_only or x.shape[4] == 1:
            return self.forward_features(x).mean(dim=(3, 4)).mean(dim=1)
        self.check(x)
        persons = x.permute(0, 4, 3, 1, 2).flatten(2, 3)  # (N, M, V·C, T)
        there = (persons != 0).flatten(2).any(dim=2)
        there[:, 0] |= ~there.any(dim=1)  # a clip without anybody is its first, empty person
        features = self._persons(persons[there]).mean(dim=(2, 3))  # (persons there, F)
        clip = there.nonzero()[:, 0]
        total = features.new_zeros(len(x), self.num_features).index_add(0, clip, features)
        return total / there.sum(dim=1, keepdim=True)
