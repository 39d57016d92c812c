"""Private machinery: what the graph networks of PYSKL have in common, under the names of its checkpoints.

Batch norm of the input, ten blocks in three stages (a graph convolution, then one over time, with a residual
path), the mean over frames and joints, then over persons. Inside, tensors are (B, C, T, V), B persons.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from kinelex.encoders.base import Encoder, normed_persons
from kinelex.errors import InputError
from kinelex.skeleton import SkeletonLayout

Part = Callable[[int, int], nn.Module]


class TimeConv(nn.Module):
    """A convolution over time, and a batch norm.

    Shape:
        - x: (B, C, T, V)
        - returns: (B, C', ⌈T / stride⌉, V)
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int = 9, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, (kernel, 1), (stride, 1), (kernel // 2, 0))
        self.bn = nn.BatchNorm2d(out_channels)
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out")
        nn.init.zeros_(self.conv.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.conv(x))


class Block(nn.Module):
    """A graph convolution, then one over time, with a residual path.

    Args:
        gcn: (B, in_channels, T, V) → (B, out_channels, T, V).
        tcn: (B, out_channels, T, V) → (B, out_channels, ⌈T / stride⌉, V).
        in_channels, out_channels: widths before and after.
        stride: 2 halves the frames.
        residual: False leaves the residual path out, as in the first block.
    """

    def __init__(
        self,
        gcn: nn.Module,
        tcn: nn.Module,
        in_channels: int,
        out_channels: int,
        stride: int,
        residual: bool,
    ) -> None:
        super().__init__()
        self.gcn, self.tcn, self.has_residual = gcn, tcn, residual
        self.residual: nn.Module = nn.Identity()
        if residual and (in_channels != out_channels or stride != 1):
            self.residual = TimeConv(in_channels, out_channels, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.tcn(self.gcn(x))
        return (y + self.residual(x) if self.has_residual else y).relu()


class PysklNetwork(Encoder):
    """Three stages of blocks; width doubles and frames halve from stage to stage.

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
        super().__init__(layout, in_channels, 4 * channels)
        self.places = person_norms if person_norms > 1 else None
        self.data_bn = nn.BatchNorm1d(person_norms * layout.num_joints * in_channels)
        widths = [channels * 2**stage for stage in range(3) for _ in range(depth[stage])]
        starts = {depth[0], depth[0] + depth[1]}  # the first blocks of stages two and three halve the frames
        self.gcn = nn.ModuleList()
        for i, width in enumerate(widths):
            before, stride = widths[i - 1] if i else in_channels, 2 if i in starts else 1
            parts = graph(before, width), time(width, stride)
            self.gcn.append(Block(*parts, before, width, stride, residual=i > 0))

    def forward_features(self, x: Tensor) -> Tensor:
        """Features before pooling.

        Shape:
            - x: (N, C, T, V, M)
            - returns: (N, M, F, T', V)
        """
        self.check(x)
        x = self.with_places(x)
        n, m = x.shape[0], x.shape[4]
        x = normed_persons(self.data_bn, x).permute(0, 2, 3, 1).contiguous()  # (B, C, T, V)
        for block in self.gcn:
            x = block(x)
        return x.unflatten(0, (n, m))

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_features(x).mean(dim=(3, 4)).mean(dim=1)
