"""Networks of blocks in three stages: PYSKL's, and those that were built on CTR-GCN."""

from collections.abc import Callable
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn

from kinelex.encoders.base import Encoder
from kinelex.encoders.layers import Block, ConvNorm, MultiScaleTime, Path, TimeConv, residual, stages
from kinelex.errors import InputError
from kinelex.skeleton import SkeletonLayout

Part = Callable[[int, int], nn.Module]
single_frame = partial(TimeConv, kernel=1)


class StagedNetwork(Encoder):
    """Three stages of blocks; width doubles and frames halve from stage to stage.

    Args:
        graph: builds a graph convolution from its widths before and after.
        time: builds a convolution over time from its width and stride.
        channels: width of the first stage.
        depth: blocks per stage.
        person_norms: 1: all persons share the batch norm of the input, so any number of persons is taken and
            their order does not count. More: each place for a person has its own, as in the published
            networks for two persons; clips with fewer persons are filled up with zeros.
        path: builds the residual path where width or frames change.

    Attributes:
        block_list, names: among the parameters: of the blocks, and in each of graph and time; here PYSKL's.
        frames_last: compute on (B, C, V, T), B persons, with channels last in memory.
        least: width that the first stage must have.

    Shape:
        - x: (N, C, T, V, M), of 2-D poses PYSKL's third coordinate is the score; returns: (N, 4·channels)
    """

    block_list: ClassVar[str] = "gcn"
    names: ClassVar[tuple[str, str]] = ("gcn", "tcn")
    frames_last: ClassVar[bool] = False
    least: ClassVar[int] = 6

    def __init__(
        self,
        layout: SkeletonLayout,
        graph: Part,
        time: Part,
        in_channels: int,
        channels: int,
        depth: tuple[int, int, int],
        person_norms: int,
        path: Path = single_frame,
    ) -> None:
        if min(channels // self.least, person_norms, *depth) < 1:
            raise InputError(
                f"{self.name} expects channels of at least {self.least}, depths and person_norms of at least "
                f"1, got {channels}, {tuple(depth)} and {person_norms}"
            )
        places = person_norms if person_norms > 1 else None
        super().__init__(layout, in_channels, 4 * channels, places, norm="data_bn")
        blocks = list[Block]()
        for before, width, stride in stages(in_channels, channels, depth):
            parts = graph(before, width), time(width, stride)
            beside = residual(before, width, path, stride) if blocks else None
            blocks.append(Block(*parts, beside, self.names))
        self.add_module(self.block_list, nn.ModuleList(blocks))

    def forward_persons(self, x: Tensor) -> Tensor:
        last = self.frames_last  # convolutions and batch norms are fastest on channels last
        x = x.transpose(2, 3).contiguous(memory_format=torch.channels_last) if last else x.contiguous()
        for block in getattr(self, self.block_list):
            x = block(x)
        return x.transpose(2, 3) if last else x


class GraphNetwork(StagedNetwork):
    """Blocks of a graph convolution and :class:`MultiScaleTime`: what CTR-GCN and HD-GCN have in common.

    Args:
        kernel: frames that one convolution over time sees, odd.
        dilations: steps between these frames, a branch of convolutions for each.
    """

    block_list = "blocks"
    names = ("graph", "time")
    frames_last = True
    least = 1
    blocks: nn.ModuleList

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
        time = partial(MultiScaleTime, kernel=kernel, dilations=dilations)
        sizes = (in_channels, channels, depth, person_norms)
        super().__init__(layout, graph, time, *sizes, ConvNorm)
