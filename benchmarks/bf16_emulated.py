"""bf16 on processors without it: the values of bf16-mixed, at about the speed of float32.

    PYTHONPATH=benchmarks kinelex train cmd --plugin bf16_emulated --data STORE --protocol xsub --out RUN \
        precision=bf16-mixed

Under torch's autocast the operands of products and convolutions are rounded to bf16, multiplied, summed in
float32, and the result is rounded to bf16, which a processor without bf16 instructions does slowly (large
products 25 to 45 times as slowly as float32). This plugin takes autocast's place on the CPU: it rounds the
operands, computes in float32 and rounds the result, forward and backward. What differs from the hardware is
the order of sums. For measuring accuracy, not speed.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch.library import Library

OPERATIONS = ("linear", "matmul", "bmm", "mm", "addmm", "baddbmm", "conv1d", "conv2d", "conv3d")
_AUTOCAST = torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastCPU)
_library = Library("aten", "IMPL")


def _rounded(value: Any) -> Any:
    is_real = isinstance(value, torch.Tensor) and value.is_floating_point()
    return value.to(torch.bfloat16).float() if is_real else value


def _emulated(operation: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    def call(*given: Any, **named: Any) -> torch.Tensor:
        with torch._C._ExcludeDispatchKeyGuard(_AUTOCAST):
            result = operation(
                *map(_rounded, given), **{key: _rounded(value) for key, value in named.items()}
            )
            return result.to(torch.bfloat16)

    return call


with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # that autocast's own are replaced
    for _name in OPERATIONS:
        _library.impl(_name, _emulated(getattr(torch.ops.aten, _name).default), "AutocastCPU")
