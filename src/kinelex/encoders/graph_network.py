"""Graph networks in three stages: what CTR-GCN and HD-GCN have in common, and what PYSKL's networks have."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from kinelex.encoders.base import Encoder
from kinelex.encoders.layers import Block, ConvNorm, MultiScaleTime, TimeConv, shortcut, stages
from kinelex.errors import InputError
from kinelex.skeleton import SkeletonLayout

Part = Callable[[int, int], nn.Module]


class GraphNetwork(Encoder):
    """Three stages of blocks; width doubles and frames halve from stage to stage.

    Inside, tensors are (B, C, V, T), B persons, with channels last in memory, which convolutions and batch
    norms are fastest on.

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
        graph: Part,
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
        places = person_norms if person_norms > 1 else None
        super().__init__(layout, in_channels, 4 * channels, places, norm="data_bn")
        self.blocks = nn.ModuleList()
        for i, (before, width, stride) in enumerate(stages(in_channels, channels, depth)):
            parts = graph(before, width), MultiScaleTime(width, stride, kernel, dilations)
            residual = shortcut(i, before, width, stride, ConvNorm)
            self.blocks.append(Block(*parts, residual, names=("graph", "time")))

    def forward_persons(self, x: Tensor) -> Tensor:
        x = x.transpose(2, 3).contiguous(memory_format=torch.channels_last)
        for block in self.blocks:
            x = block(x)
        return x.transpose(2, 3)


class PysklNetwork(Encoder):
    """Three stages of blocks under the names of PYSKL's checkpoints.

    Args:
        layout: the skeleton layout.
        graph: builds a graph convolution from its widths before and after.
        time: builds a convolution over time from its width and stride.
        in_channels: coordinates per joint; of 2-D poses PYSKL's third is the score.
        channels: width of the first stage.
        depth: blocks per stage.
        person_norms: 1: all persons share the batch norm of the input; more: each place has its own.

    Shape:
        - x: (N, C, T, V, M)
        - returns: (N, 4·channels)

    Raises:
        InputError: an option out of range, or more persons than ``person_norms`` where that is not 1.
    """

    def __init__(
        self,
        layout: SkeletonLayout,
        graph: Part,
        time: Part,
        in_channels: int,
        channels: int,
        depth: tuple[int, int, int],
        person_norms: int,
    ) -> None:
        if min(channels // 6, person_norms, *depth) < 1:
            raise InputError(
                f"{self.name} expects channels of at least 6, depths and person_norms of at least 1, got "
                f"{channels}, {tuple(depth)} and {person_norms}"
            )
        places = person_norms if person_norms > 1 else None
        super().__init__(layout, in_channels, 4 * channels, places, norm="data_bn")
        self.gcn = nn.ModuleList()
        for i, (before, width, stride) in enumerate(stages(in_channels, channels, depth)):
            parts = graph(before, width), time(width, stride)
            self.gcn.append(Block(*parts, shortcut(i, before, width, stride, _changed)))

    def forward_persons(self, x: Tensor) -> Tensor:
        x = x.contiguous()
        for block in self.gcn:
            x = block(x)
        return x


def _changed(before: int, width: int, stride: int) -> nn.Module:
    return TimeConv(before, width, 1, stride)
