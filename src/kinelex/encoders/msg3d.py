"""MS-G3D: disentangled scales of a graph, and graph convolution over windows of space and time at once.

Liu et al., "Disentangling and Unifying Graph Convolutions for Skeleton-Based Action Recognition", CVPR 2020,
arXiv 2003.14111. Given the published weights it computes the published values. Differs from the published
code: any layout is taken; scales beyond the diameter of the graph, which would only repeat the joint itself,
are left out; convolutions that a batch norm follows carry no bias; branches of a temporal convolution share
one reduction and one batch norm, which computes the same. Widths inside a block, which the paper leaves open,
are the code's: the first block widens in its graph convolutions, the later ones when windows are collapsed
and in the strided temporal convolution.
"""

from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kinelex.encoders.base import PERSONS, Encoder
from kinelex.encoders.layers import (
    PointConv,
    along_graphs,
    conv_norm,
    norm_of_branches,
    norm_of_conv,
    residual,
)
from kinelex.encoders.registry import register
from kinelex.encoders.scales import k_adjacency, window_graph
from kinelex.errors import InputError
from kinelex.skeleton import SkeletonLayout

DILATIONS = (1, 2, 3, 4)  # frames between the taps of the temporal branches (Source: section 3.4)
BRANCHES = len(DILATIONS) + 2  # and one that pools, and one that looks at single frames
MASK_INIT = 1e-6  # learnt masks start next to 0, so that training starts from the skeleton


class MultiScaleGraphConv(nn.Module):
    """Gather each scale of a graph of V nodes, then mix the channels of all: (B, C, T, V) to (B, C', T, V).

    Source: section 3.2.
    """

    def __init__(self, in_channels: int, out_channels: int, linked: np.ndarray, scales: int) -> None:
        super().__init__()
        self.adjacency: Tensor
        self.register_buffer("adjacency", torch.from_numpy(k_adjacency(linked, scales)).float())
        self.mask = nn.Parameter(torch.empty_like(self.adjacency).uniform_(-MASK_INIT, MASK_INIT))
        self.mix = nn.Conv2d(len(self.adjacency) * in_channels, out_channels, 1, bias=False)
        self.norm = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        graphs = (self.adjacency + self.mask).transpose(0, 1).flatten(0, 1)  # (V to · K, V from)
        return norm_of_conv(along_graphs(graphs, x), self.mix, self.norm).relu_()


class WindowConv(nn.Module):
    """G3D: graph convolution over windows of frames that slide along a clip, each collapsed to one frame.

    Args:
        in_channels, hidden, out_channels: widths of the input, inside the window, and after the collapse.
        window, dilation, stride: frames per window (odd), from one of them to the next, and between windows.

    Shape:
        - x: (B, in_channels, T, V); returns: (B, out_channels, ⌈T / stride⌉, V)

    Source: section 3.3.
    """

    def __init__(
        self,
        in_channels: int,
        hidden: int,
        out_channels: int,
        layout: SkeletonLayout,
        window: int,
        dilation: int,
        stride: int,
        scales: int,
    ) -> None:
        super().__init__()
        self.window, self.dilation, self.stride = window, dilation, stride
        self.graph = MultiScaleGraphConv(in_channels, hidden, window_graph(layout, window), scales)
        self.collapse = nn.Conv2d(window * hidden, out_channels, 1, bias=False)
        self.norm = nn.BatchNorm2d(out_channels)

    def unfold(self, x: Tensor) -> Tensor:
        """The windows around every stride-th frame, with zeros beyond the ends of the clip.

        Shape:
            - x: (B, C, T, V); returns: (B, C, ⌈T / stride⌉, window·V), frame by frame
        """
        reach = self.window // 2 * self.dilation
        padded = F.pad(x, (0, 0, reach, reach)).permute(0, 2, 3, 1)
        windows = padded.unfold(1, 2 * reach + 1, self.stride)[..., :: self.dilation]  # (B, T', V, C, window)
        return windows.permute(0, 1, 4, 2, 3).flatten(2, 3).permute(0, 3, 1, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = (
            self.graph(self.unfold(x)).unflatten(3, (self.window, -1)).flatten(2, 3)
        )  # (B, hidden, T'·window, V)
        weight = self.collapse.weight.view(len(self.collapse.weight), -1, self.window, 1)
        return self.norm(F.conv2d(y, weight, stride=(self.window, 1)))


class MultiScaleTemporalConv(nn.Module):
    """Six narrow branches over time and a residual path; all joints alike: (B, C, T, V) to (B, C', T', V).

    Source: section 3.4.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, activation: bool = True) -> None:
        super().__init__()
        width = out_channels // BRANCHES
        self.activation = activation
        self.reduce = nn.Sequential(
            nn.Conv2d(in_channels, (BRANCHES - 1) * width, 1, bias=False),
            nn.BatchNorm2d((BRANCHES - 1) * width),
            nn.ReLU(inplace=True),
        )
        self.dilated = nn.ModuleList(
            nn.Conv2d(width, width, (3, 1), (stride, 1), (d, 0), (d, 1), bias=False) for d in DILATIONS
        )
        self.pool = nn.MaxPool2d((3, 1), (stride, 1), (1, 0))
        self.single = PointConv(in_channels, width, (stride, 1), bias=False)
        self.norm = nn.BatchNorm2d(out_channels)
        self.residual = residual(in_channels, out_channels, partial(conv_norm, bias=False), stride)

    def forward(self, x: Tensor) -> Tensor:
        conv, norm, relu = self.reduce
        y = norm_of_conv(x, conv, norm)  # type: ignore[arg-type]
        parts = relu(y).chunk(BRANCHES - 1, dim=1)
        branches = [*zip(parts, [*self.dilated, self.pool], strict=True), (x, self.single)]
        y = norm_of_branches(branches, self.norm) + self.residual(x)
        return y.relu_() if self.activation else y


class Block(nn.Module):
    """Windows beside space-then-time; their sum through one more temporal convolution (section 3.4)."""

    def __init__(
        self,
        in_channels: int,
        hidden: int,
        out_channels: int,
        stride: int,
        layout: SkeletonLayout,
        scales: int,
        windows: tuple[int, ...],
        window_scales: int,
        dilation: int,
    ) -> None:
        super().__init__()
        widths = in_channels, hidden, out_channels
        self.factorised = nn.Sequential(
            MultiScaleGraphConv(in_channels, hidden, window_graph(layout, 1), scales),
            MultiScaleTemporalConv(hidden, out_channels, stride),
            MultiScaleTemporalConv(out_channels, out_channels, activation=False),
        )
        self.windows = nn.ModuleList(
            WindowConv(*widths, layout, window, dilation, stride, window_scales) for window in windows
        )
        self.last = MultiScaleTemporalConv(out_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        y = self.factorised(x)
        for window in self.windows:
            y = y + window(x)
        return self.last(torch.relu(y))


@register
class MSG3D(Encoder):
    """Three blocks; width doubles and frames halve from block to block; the mean over all that is left.

    Args:
        channels: width of the first block, a multiple of 6.
        scales: scales of the skeleton's graph: the joint itself, and up to ``scales - 1`` bones away.
        windows: frames of each G3D window, odd; ``()`` leaves space-then-time alone.
        window_scales: scales of the windows' graphs.
        dilation: frames from one frame of a window to the next.
        person_norms: 1: all persons share the batch norm of the input, so any number of persons is taken and
            their order does not count. More: each place for a person has its own. None is published: as many
            as a run's input has persons, else two.

    Shape:
        - x: (N, C, T, V, M); returns: (N, 4·channels)
    """

    name = "msg3d"
    block_list = "blocks"
    unsaid = {"person_norms": 1}

    def __init__(
        self,
        layout: SkeletonLayout,
        in_channels: int = 3,
        channels: int = 96,
        scales: int = 13,
        windows: tuple[int, ...] = (3, 5),
        window_scales: int = 6,
        dilation: int = 1,
        person_norms: int | None = None,
    ) -> None:
        norms = PERSONS if person_norms is None else person_norms
        if channels < 1 or channels % BRANCHES:
            raise InputError(f"msg3d expects channels to be a multiple of {BRANCHES}, got {channels}")
        if min(scales, window_scales, dilation, norms, *windows) < 1 or any(w % 2 == 0 for w in windows):
            raise InputError(
                "msg3d expects scales, window_scales, dilation and person_norms of at least 1 and odd "
                f"windows, got {scales}, {window_scales}, {dilation}, {norms} and {windows}"
            )
        super().__init__(layout, in_channels, 4 * channels, norms if norms > 1 else None)
        options = layout, scales, windows, window_scales, dilation
        self.blocks = nn.Sequential(
            Block(in_channels, channels, channels, 1, *options),
            Block(channels, channels, 2 * channels, 2, *options),
            Block(2 * channels, 2 * channels, 4 * channels, 2, *options),
        )

    def forward_persons(self, x: Tensor) -> Tensor:
        return self.blocks(x.contiguous(memory_format=torch.channels_last))
