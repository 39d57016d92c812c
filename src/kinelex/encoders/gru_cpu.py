"""Forward GRUs over whole clips, with a backward pass of their own for float32 on a CPU.

``nn.GRU`` on a CPU adds to the gradient of the recurrent weights once per frame; here it is one product over
all frames, as is that of the input, and the GRUs of a layer go through the frames together: a frame takes as
many calls as for one. Large products of float32 go through oneDNN on processors with AVX-512 (``F.linear``
asks it for lower precision only): on AMD's it is twice as fast as MKL, on those with AVX2 alone no faster.
Same equations and same precision as ``nn.GRU``; sums are taken in another order.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from kinelex.encoders.layers import has_own_backward

WIDE = "AVX512" in torch.backends.cpu.get_cpu_capability()
ONEDNN = getattr(torch.ops.mkldnn, "_linear_pointwise", None) if WIDE else None  # as torch.compile calls it
LARGE = 1 << 24  # multiplications: of smaller products oneDNN's call takes as long as the product
sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input
tanh_backward = torch.ops.aten.tanh_backward.grad_input


def forward_grus(grus: Sequence[nn.GRU], x: Tensor) -> Tensor:
    """Outputs of GRUs of one layer that read the same clips; faster in training, in float32 on a CPU.

    Without gradients, and on other devices and dtypes, under autocast, ``torch.compile``, export and tracing,
    each is computed by itself, as are GRUs with hooks and what has taken a GRU's place. On a CPU gradients
    cannot be differentiated once more: that raises a RuntimeError which says so.

    Args:
        grus: D GRUs of one layer each, of the same sizes.
        x: the clips, frames first.

    Shape:
        - x: (T, N, width); returns: (T, D, N, H)
    """
    plain = all(type(gru) is nn.GRU and not gru._forward_hooks and not gru._forward_pre_hooks for gru in grus)
    exact = plain and x.dtype in (torch.float32, torch.float64) and x.dtype == grus[0].weight_ih_l0.dtype
    usable = exact and has_own_backward() and not torch.is_autocast_enabled("cpu")
    if x.device.type != "cpu" or not usable or not len(x):
        return torch.stack([gru(x)[0] for gru in grus], dim=1)
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    return _OverFrames.apply(x, *(torch.stack([getattr(gru, name) for gru in grus]) for name in names))


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x Wᵀ + b. Shape: x (rows, columns), weight (outputs, columns); returns (rows, outputs)."""
    usable = torch.backends.mkldnn.is_available() and torch.backends.mkldnn.enabled
    small = x.numel() * len(weight) < LARGE
    if small or x.dtype != torch.float32 or ONEDNN is None or not usable:
        return F.linear(x, weight, bias)
    product: Tensor = ONEDNN(x, weight, bias, "none", [], "")
    return product


def _each(x: Tensor, weight: Tensor, add: Tensor) -> Tensor:
    """x Wᵀ + what is added, of each GRU. Shape: x (D, N, columns), weight (D, outputs, columns)."""
    if ONEDNN is None or x[0].numel() * weight.shape[1] < LARGE:
        return torch.baddbmm(add, x, weight.transpose(1, 2))
    return torch.stack([_linear(one, w) for one, w in zip(x, weight, strict=True)]).add_(add)


def linear_flops(x: torch.Size, weight: torch.Size, *others: Any, **named: Any) -> int:
    """Operations of oneDNN's product, for torch's FlopCounterMode, which does not know it; of shapes.

    >>> linear_flops(torch.Size((5, 4)), torch.Size((3, 4)), None, "none", [], "")
    120
    """
    return 2 * x.numel() * weight[0]


COUNTED = {} if ONEDNN is None else {ONEDNN: linear_flops}  # custom_mapping of FlopCounterMode


class _OverFrames(torch.autograd.Function):
    """All frames of GRUs whose states are zero at first; weights (D, …); returns outputs (T, D, N, H)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor) -> Tensor:
        frames, clips, _ = x.shape
        grus, _, hidden = w_hh.shape
        gates = _linear(x.flatten(0, 1), w_ih.flatten(0, 1), b_ih.flatten())  # reset, update, candidate
        gates = gates.view(frames, clips, grus, 3 * hidden).transpose(1, 2)
        inner, output = x.new_empty(2, frames, grus, clips, hidden)
        state = x.new_zeros(grus, clips, hidden)
        for gate, inside, out in zip(gates, inner, output, strict=True):
            from_state = _each(state, w_hh, b_hh[:, None])
            inside.copy_(from_state[..., 2 * hidden :])
            gate[..., : 2 * hidden].add_(from_state[..., : 2 * hidden]).sigmoid_()
            reset, update, candidate = gate.chunk(3, dim=2)
            candidate.addcmul_(reset, inside).tanh_()
            # (h − n)·z + n, as nn.GRU rounds it
            state = torch.sub(state, candidate, out=out).mul_(update).add_(candidate)
        ctx.save_for_backward(x, w_ih, w_hh, gates, inner, output)
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        x, w_ih, w_hh, gates, inner, output = ctx.saved_tensors
        frames, grus, clips, hidden = output.shape
        to_state = x.new_empty(frames, grus, clips, 3 * hidden)  # gradients before the gates
        to_inputs = x.new_empty(frames, clips, grus, 3 * hidden)
        to_input = to_inputs.transpose(1, 2)
        d_state, w = torch.zeros_like(output[0]), w_hh.transpose(1, 2).contiguous()
        for t in reversed(range(frames)):
            reset, update, candidate = gates[t].chunk(3, dim=2)
            d_reset, d_update, d_inner = to_state[t].chunk(3, dim=2)
            d_candidate = to_input[t, ..., 2 * hidden :]
            d_state += grad[t]
            kept = d_state * update
            tanh_backward(d_state - kept, candidate, grad_input=d_candidate)
            change = output[t - 1] - candidate if t else -candidate
            sigmoid_backward(change.mul_(d_state), update, grad_input=d_update)
            sigmoid_backward(d_candidate * inner[t], reset, grad_input=d_reset)
            torch.mul(d_candidate, reset, out=d_inner)
            to_input[t, ..., : 2 * hidden] = to_state[t, ..., : 2 * hidden]
            d_state = _each(to_state[t], w, kept)
        rows, d_b_hh = to_inputs.flatten(2).flatten(0, 1), to_state.sum(dim=(0, 2))
        d_x = _linear(rows, w_ih.flatten(0, 1).t()).view_as(x)
        d_w_ih = _linear(rows.t(), x.flatten(0, 1).t()).view_as(w_ih)
        after, before = (y.transpose(0, 1).flatten(1, 2) for y in (to_state[1:], output[:-1]))
        d_w_hh = torch.stack([_linear(a.t(), b.t()) for a, b in zip(after, before, strict=True)])
        return d_x, d_w_ih, d_w_hh, to_inputs.sum(dim=(0, 1)), d_b_hh
