"""Private machinery: what the graph convolutional networks since CTR-GCN have in common.

Batch norm of the input, blocks (graph convolution, then convolutions over time at several scales, with a
residual path), the mean over frames, joints and persons. Inside, tensors are (B, C, V, T), B persons, with
channels last in memory, which convolutions and batch norms are fastest on.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from kinelex.encoders.base import Encoder, normed_persons
from kinelex.errors import InputError
from kinelex.skeleton import SkeletonLayout


def init_by_outputs(weight: Tensor, outputs: int) -> None:
    """He's initialisation by the number of numbers that one input reaches ("fan out")."""
    nn.init.normal_(weight, std=(2 / outputs) ** 0.5)


class ConvNorm(nn.Module):
    """A 1×1 convolution and batch norm: the residual path where width or frames change."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 1, (1, stride))
        self.norm = nn.BatchNorm2d(out_channels)
        init_by_outputs(self.conv.weight, out_channels)
        nn.init.zeros_(self.conv.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x))


class MultiScaleTime(nn.Module):
    """Convolutions over time in parallel branches: one per dilation, one max-pool, one 1×1.

    Each branch has its share of the channels. The 1×1 convolutions that all branches but the last begin
    with are one, and so are the batch norms they end with.

    Shape:
        - x: (B, C, V, T)
        - returns: (B, C, V, T'), T' = ceil(T / stride)
    """

    def __init__(self, channels: int, stride: int, kernel: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.width = width = channels // (len(dilations) + 2)
        self.enter = nn.Conv2d(channels, channels - width, 1)
        self.enter_norm = nn.BatchNorm2d(channels - width)
        self.dilated = nn.ModuleList(
            nn.Conv2d(width, width, (1, kernel), (1, stride), (0, kernel // 2 * d), (1, d)) for d in dilations
        )
        self.pool = nn.MaxPool2d((1, 3), (1, stride), (0, 1))
        self.straight = nn.Conv2d(channels, width, 1, (1, stride))
        self.leave_norm = nn.BatchNorm2d(channels)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                init_by_outputs(module.weight, width * module.kernel_size[1])
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.normal_(module.weight, 1.0, 0.02)

    def forward(self, x: Tensor) -> Tensor:
        *parts, pooled = self.enter_norm(self.enter(x)).relu_().split(self.width, dim=1)
        branches = [conv(part) for conv, part in zip(self.dilated, parts, strict=True)]
        return self.leave_norm(torch.cat([*branches, self.pool(pooled), self.straight(x)], dim=1))


class Block(nn.Module):
    """A graph convolution, then convolutions over time, with a residual path.

    Args:
        graph: (B, in_channels, V, T) → (B, out_channels, V, T).
        in_channels, out_channels: widths before and after.
        stride: 2 halves the frames.
        kernel, dilations: of the convolutions over time.
        residual: False leaves the residual path out, as in the first block.
    """

    def __init__(
        self,
        graph: nn.Module,
        in_channels: int,
        out_channels: int,
        stride: int,
        kernel: int,
        dilations: tuple[int, ...],
        residual: bool,
    ) -> None:
        super().__init__()
        self.graph = graph
        self.time = MultiScaleTime(out_channels, stride, kernel, dilations)
        self.has_residual = residual
        self.residual: nn.Module = nn.Identity()
        if residual and (in_channels != out_channels or stride != 1):
            self.residual = ConvNorm(in_channels, out_channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.time(self.graph(x))
        if self.has_residual:
            y += self.residual(x)
        return y.relu_()


class GraphNetwork(Encoder):
    """Three stages of blocks; width doubles and frames halve from stage to stage.

    Args:
        layout: the skeleton layout.
        graph: builds a graph convolution from its widths before and after.
        in_channels: coordinates per joint.
        channels: width of the first stage.
        depth: blocks per stage.
        kernel: frames that one convolution over time sees, odd.
        dilations: steps between these frames, a branch of convolutions for each.
        person_norms: 1: all persons share the batch norm of the input, so any number of persons is taken and
            their order does not count. More: each place for a person has its own, as in the published
            networks for two persons; clips with fewer persons are filled up with zeros.

    Shape:
        - x: (N, C, T, V, M)
        - returns: (N, 4·channels)

    Raises:
        InputError: an option out of range, or more persons than ``person_norms`` where that is not 1.
    """

    def __init__(
        self,
        layout: SkeletonLayout,
        graph: Callable[[int, int], nn.Module],
        in_channels: int,
        channels: int,
        depth: tuple[int, int, int],
        kernel: int,
        dilations: tuple[int, ...],
        person_norms: int,
    ) -> None:
        branches = len(dilations) + 2
        if kernel % 2 == 0 or min(kernel, person_norms, *depth, *dilations) < 1:
            raise InputError(
                f"{self.name} expects an odd kernel and depths, dilations and person_norms of at least 1, "
                f"got {kernel}, {tuple(depth)}, {tuple(dilations)} and {person_norms}"
            )
        if channels < branches or channels % branches:
            raise InputError(
                f"{self.name} expects channels to be a multiple of {branches}, the branches over time (one "
                f"per dilation and two), got {channels}"
            )
        super().__init__(layout, in_channels, 4 * channels)
        self.person_norms = person_norms
        self.places = person_norms if person_norms > 1 else None
        self.data_bn = nn.BatchNorm1d(person_norms * layout.num_joints * in_channels)
        widths = [channels * 2**stage for stage in range(3) for _ in range(depth[stage])]
        starts = {depth[0], depth[0] + depth[1]}  # the first blocks of stages two and three halve the frames
        self.blocks = nn.ModuleList()
        for i, width in enumerate(widths):
            before, stride = widths[i - 1] if i else in_channels, 2 if i in starts else 1
            block = Block(graph(before, width), before, width, stride, kernel, dilations, residual=i > 0)
            self.blocks.append(block)

    def forward_features(self, x: Tensor) -> Tensor:
        """Features before pooling.

        Shape:
            - x: (N, C, T, V, M)
            - returns: (N, M, F, T', V)
        """
        self.check(x)
        x = self.with_places(x)
        n, m = x.shape[0], x.shape[4]
        x = normed_persons(self.data_bn, x).transpose(1, 2)  # (B, C, V, T)
        x = x.contiguous(memory_format=torch.channels_last)
        for block in self.blocks:
            x = block(x)
        return x.transpose(2, 3).unflatten(0, (n, m))

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_features(x).mean(dim=(3, 4)).mean(dim=1)
