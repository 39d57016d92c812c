"""A forward GRU over whole clips, with its own backward pass for float32 on a CPU.

``nn.GRU`` on a CPU adds to the gradient of the recurrent weights once per frame; here it is one product over
all frames, as is that of the input. Products of float32 go through oneDNN, which ``F.linear`` asks for lower
precision only (on an AMD processor twice as fast as MKL). Same equations and same precision as ``nn.GRU``;
sums are taken in another order.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

ONEDNN = getattr(torch.ops.mkldnn, "_linear_pointwise", None)  # what torch.compile puts for F.linear
sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input
tanh_backward = torch.ops.aten.tanh_backward.grad_input


class ForwardGRU(nn.GRU):
    """A GRU of one layer, forward in time: the weights and values of ``nn.GRU``, faster in float32 on a CPU.

    Other devices and dtypes, autocast, ``torch.compile``, export and tracing take the way of ``nn.GRU``.
    On a CPU gradients cannot be differentiated once more: that raises a RuntimeError which says so.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__(width, hidden)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        weights = self.weight_ih_l0, self.weight_hh_l0, self.bias_ih_l0, self.bias_hh_l0
        exact = x.dtype in (torch.float32, torch.float64) and x.dtype == weights[0].dtype
        recorded = torch.compiler.is_compiling() or torch.jit.is_tracing()
        if x.device.type != "cpu" or not exact or recorded or torch.is_autocast_enabled("cpu") or not len(x):
            output, last = super().forward(x)
            return output, last
        output = _OverFrames.apply(x, *weights)
        return output, output[-1:]


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x Wᵀ + b. Shape: x (rows, columns), weight (outputs, columns); returns (rows, outputs)."""
    usable = torch.backends.mkldnn.is_available() and torch.backends.mkldnn.enabled
    if x.dtype != torch.float32 or ONEDNN is None or not usable or not x.numel():
        return F.linear(x, weight, bias)
    product: Tensor = ONEDNN(x, weight, bias, "none", [], "")
    return product


def linear_flops(x: torch.Size, weight: torch.Size, *others: Any, **named: Any) -> int:
    """Operations of oneDNN's product, for torch's FlopCounterMode, which does not know it; of shapes.

    >>> linear_flops(torch.Size((5, 4)), torch.Size((3, 4)), None, "none", [], "")
    120
    """
    return 2 * x.numel() * weight[0]


class _OverFrames(torch.autograd.Function):
    """All frames of one GRU whose state is zero at first; returns its outputs."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor) -> Tensor:
        frames, clips, _ = x.shape
        hidden = w_hh.shape[1]
        gates = _linear(x.flatten(0, 1), w_ih, b_ih)  # reset, update, candidate
        gates = gates.view(frames, clips, 3 * hidden)
        inner, output = x.new_empty(2, frames, clips, hidden)
        state = x.new_zeros(clips, hidden)
        for gate, inside, out in zip(gates, inner, output, strict=True):
            from_state = _linear(state, w_hh, b_hh)
            inside.copy_(from_state[:, 2 * hidden :])
            gate[:, : 2 * hidden].add_(from_state[:, : 2 * hidden]).sigmoid_()
            reset, update, candidate = gate.chunk(3, dim=1)
            candidate.addcmul_(reset, inside).tanh_()
            # (h − n)·z + n, as nn.GRU rounds it
            state = torch.sub(state, candidate, out=out).mul_(update).add_(candidate)
        ctx.save_for_backward(x, w_ih, w_hh, gates, inner, output)
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        x, w_ih, w_hh, gates, inner, output = ctx.saved_tensors
        frames, clips, hidden = output.shape
        to_input, to_state = torch.empty_like(gates), torch.empty_like(gates)  # gradients before the gates
        d_state, w = torch.zeros_like(output[0]), w_hh.t().contiguous()
        for t in reversed(range(frames)):
            reset, update, candidate = gates[t].chunk(3, dim=1)
            d_reset, d_update, d_inner = to_state[t].chunk(3, dim=1)
            d_candidate = to_input[t, :, 2 * hidden :]
            d_state += grad[t]
            kept = d_state * update
            tanh_backward(d_state - kept, candidate, grad_input=d_candidate)
            change = output[t - 1] - candidate if t else -candidate
            sigmoid_backward(change.mul_(d_state), update, grad_input=d_update)
            sigmoid_backward(d_candidate * inner[t], reset, grad_input=d_reset)
            torch.mul(d_candidate, reset, out=d_inner)
            to_input[t, :, : 2 * hidden] = to_state[t, :, : 2 * hidden]
            d_state = kept.add_(_linear(to_state[t], w))
        to_input, to_state = to_input.flatten(0, 1), to_state.flatten(0, 1)
        d_x = _linear(to_input, w_ih.t()).view_as(x)
        d_w_ih = _linear(to_input.t(), x.flatten(0, 1).t())
        d_w_hh = _linear(to_state[clips:].t(), output[:-1].flatten(0, 1).t())
        return d_x, d_w_ih, d_w_hh, to_input.sum(dim=0), to_state.sum(dim=0)
