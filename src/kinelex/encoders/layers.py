"""Layers that several encoders share; which names their parameters have is that of published checkpoints."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

CHUNK = 1 << 20  # numbers of a product that stays in the cache
Path = Callable[[int, int, int], nn.Module]  # of width before, width after and stride


def stages(in_channels: int, channels: int, depth: tuple[int, int, int]) -> Iterator[tuple[int, int, int]]:
    """Width before, width after and stride of the blocks of three stages.

    >>> list(stages(3, 8, (2, 1, 1)))
    [(3, 8, 1), (8, 8, 1), (8, 16, 2), (16, 32, 2)]
    """
    before = in_channels
    for stage, blocks in enumerate(depth):
        for block in range(blocks):
            width = channels * 2**stage
            yield before, width, 2 if stage and not block else 1
            before = width


def init_by_outputs(weight: Tensor, outputs: int) -> None:
    """He's initialisation by the number of numbers that one input reaches ("fan out")."""
    nn.init.normal_(weight, std=(2 / outputs) ** 0.5)


def is_recorded() -> bool:
    """Whether the steps are recorded, to be compiled or exported, so that they cannot depend on the data."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing()


def can_fold(norm: nn.BatchNorm2d) -> bool:
    """Whether a batch norm is a scale and a shift that nobody learns: at inference."""
    return not (norm.training or torch.is_grad_enabled() or is_recorded())


def scale_and_shift(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """What a batch norm multiplies by and then adds at inference, (channels,) each."""
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)  # type: ignore[operator,arg-type]
    return scale, norm.bias - norm.running_mean * scale  # type: ignore[operator]


def conv_scaled(x: Tensor, conv: nn.Conv2d, scale: Tensor, shift: Tensor) -> Tensor:
    """``scale · conv(x) + shift`` per channel, as one convolution."""
    bias = shift if conv.bias is None else torch.addcmul(shift, conv.bias, scale)
    return conv._conv_forward(x, conv.weight * scale[:, None, None, None], bias)


def norm_of_conv(x: Tensor, conv: nn.Conv2d, norm: nn.BatchNorm2d) -> Tensor:
    """A convolution and its batch norm; at inference they are one convolution."""
    return conv_scaled(x, conv, *scale_and_shift(norm)) if can_fold(norm) else norm(conv(x))


def as_autocast(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Tensors in the dtype that autocast, where it is on, would bring them to for a product."""
    kind = tensors[0].device.type
    if not torch.is_autocast_enabled(kind):
        return tensors
    dtype = torch.get_autocast_dtype(kind)
    return tuple(tensor.to(dtype) for tensor in tensors)


def has_own_backward() -> bool:
    """Whether gradients are wanted, and those that we wrote ourselves may be used."""
    return torch.is_grad_enabled() and not is_recorded()


def along_graphs(graphs: Tensor, x: Tensor) -> Tensor:
    """Gather joints along graphs that all clips and frames share; channels last in memory.

    Shape:
        - graphs: (V to · K, V from); x: (B, C, T, V); returns: (B, K·C, T, V), channels within a graph
    """
    b, c, t, v = x.shape
    graphs, frames = as_autocast(graphs, x.permute(0, 2, 3, 1).reshape(b * t, v, c))  # as it lies in memory
    y = _Shared.apply(graphs, frames) if has_own_backward() else _shared(graphs, frames)
    return y.view(b, t, v, -1).permute(0, 3, 1, 2)


def _shared(graphs: Tensor, frames: Tensor) -> Tensor:
    return torch.bmm(graphs.expand(frames.shape[0], -1, -1), frames)  # len is a constant to an exporter


class _Shared(torch.autograd.Function):
    """One matrix times many; its gradients are summed in pieces, in float32 at least, not all kept first."""

    @staticmethod
    def forward(ctx: Any, graphs: Tensor, frames: Tensor) -> Tensor:
        ctx.save_for_backward(graphs, frames)
        return _shared(graphs, frames)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        graphs, frames = ctx.saved_tensors
        total = torch.zeros_like(graphs, dtype=torch.promote_types(graphs.dtype, torch.float32))
        size = max(CHUNK // graphs.numel(), 1)
        for to, of in zip(grad.split(size), frames.split(size), strict=True):
            total += torch.bmm(to, of.mT).sum(dim=0, dtype=total.dtype)
        return total.to(graphs.dtype), _shared(graphs.t(), grad)


class PointConv(nn.Conv2d):
    """A 1×1 convolution of every stride-th frame or joint, as ``nn.Conv2d`` with that stride.

    Of fewer than 16 channels, what the stride leaves out is taken away first, by pooling, to export for any
    number of frames: where channels come last and are fewer than a register holds (8 with AVX2, 16 with
    AVX-512), the strided convolution of oneDNN 3.12 (torch 2.13), or its gradient, writes past its memory.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: tuple[int, int], bias: bool = True
    ) -> None:
        super().__init__(in_channels, out_channels, 1, stride, bias=bias)

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if self.in_channels >= 16:
            return super()._conv_forward(input, weight, bias)
        return nn.functional.conv2d(nn.functional.avg_pool2d(input, 1, self.stride), weight, bias)


class NormedConv(nn.Sequential):
    """A convolution and a batch norm, which is folded into it at inference."""

    def forward(self, x: Tensor) -> Tensor:
        return norm_of_conv(x, *self)


def conv_norm(in_channels: int, out_channels: int, stride: int = 1, bias: bool = True) -> nn.Sequential:
    """A 1×1 convolution and batch norm: a residual path where width or frames change."""
    conv = PointConv(in_channels, out_channels, (stride, 1), bias)
    return NormedConv(conv, nn.BatchNorm2d(out_channels))


class ConvNorm(nn.Module):
    """:func:`conv_norm` in the names of CTR-GCN, with its initialisation; frames are the last dimension."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = PointConv(in_channels, out_channels, (1, stride))
        self.norm = nn.BatchNorm2d(out_channels)
        init_by_outputs(self.conv.weight, out_channels)
        nn.init.zeros_(self.conv.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        return norm_of_conv(x, self.conv, self.norm)


class TimeConv(nn.Module):
    """A convolution over time and batch norm, in PYSKL's names: (B, C, T, V) to (B, C', ⌈T / stride⌉, V)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, kernel: int = 9) -> None:
        super().__init__()
        if kernel == 1:
            self.conv: nn.Conv2d = PointConv(in_channels, out_channels, (stride, 1))
        else:
            self.conv = nn.Conv2d(in_channels, out_channels, (kernel, 1), (stride, 1), (kernel // 2, 0))
        self.bn = nn.BatchNorm2d(out_channels)
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out")
        nn.init.zeros_(self.conv.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        return norm_of_conv(x, self.conv, self.bn)


def norm_of_branches(branches: Iterable[tuple[Tensor, nn.Module]], norm: nn.BatchNorm2d) -> Tensor:
    """Inputs through convolutions or a pooling, side by side, then a batch norm, folded at inference."""
    if not can_fold(norm):
        return norm(torch.cat([layer(x) for x, layer in branches], dim=1))
    parts = list[Tensor]()
    scales, shifts, start = *scale_and_shift(norm), 0
    for x, layer in branches:
        width = layer.out_channels if isinstance(layer, nn.Conv2d) else x.shape[1]
        scale, shift = (numbers[start : start + width] for numbers in (scales, shifts))
        start += width
        if isinstance(layer, nn.Conv2d):
            parts.append(conv_scaled(x, layer, scale, shift))
        else:
            y = layer(x)
            parts.append(torch.addcmul(shift.to(y)[:, None, None], y, scale.to(y)[:, None, None]))
    return torch.cat(parts, dim=1)


class MultiScaleTime(nn.Module):
    """Convolutions over time in parallel branches: one per dilation, one max-pool, one 1×1.

    Each branch has its share of the channels. The 1×1 convolutions that all branches but the last begin
    with are one, and so are the batch norms they end with: (B, C, V, T) to (B, C, V, ⌈T / stride⌉).
    """

    rectify = False  # end with a ReLU, as PYSKL's does

    def __init__(self, channels: int, stride: int, kernel: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.width = width = channels // (len(dilations) + 2)
        self.enter = nn.Conv2d(channels, channels - width, 1)
        self.enter_norm = nn.BatchNorm2d(channels - width)
        self.dilated = nn.ModuleList(
            nn.Conv2d(width, width, (1, kernel), (1, stride), (0, kernel // 2 * d), (1, d)) for d in dilations
        )
        self.pool = nn.MaxPool2d((1, 3), (1, stride), (0, 1))
        self.straight = PointConv(channels, width, (1, stride))
        self.leave_norm = nn.BatchNorm2d(channels)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                init_by_outputs(module.weight, width * module.kernel_size[1])
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.normal_(module.weight, 1.0, 0.02)

    def forward(self, x: Tensor) -> Tensor:
        parts = norm_of_conv(x, self.enter, self.enter_norm).relu_().split(self.width, dim=1)
        branches = [*zip(parts, [*self.dilated, self.pool], strict=True), (x, self.straight)]
        y = norm_of_branches(branches, self.leave_norm)
        return y.relu_() if self.rectify else y


def residual(before: int, width: int, path: Path, stride: int = 1) -> nn.Module:
    """What the input goes through beside a layer: itself, or ``path`` where width or frames change."""
    return nn.Identity() if before == width and stride == 1 else path(before, width, stride)


class Block(nn.Module):
    """A graph convolution, then one over time, with a residual path; ``names`` of the first two parts."""

    def __init__(
        self,
        graph: nn.Module,
        time: nn.Module,
        residual: nn.Module | None,
        names: tuple[str, str] = ("gcn", "tcn"),
    ) -> None:
        super().__init__()
        self.names = names
        self.add_module(names[0], graph)
        self.add_module(names[1], time)
        self.residual = residual

    def forward(self, x: Tensor, *graphs: Tensor) -> Tensor:
        graph, time = (getattr(self, name) for name in self.names)
        y = time(graph(x, *graphs))
        if self.residual is not None:
            y += self.residual(x)
        return y.relu_()
