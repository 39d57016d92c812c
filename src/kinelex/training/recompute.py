"""Blocks of encoders that are computed once more in the backward pass, so that less is kept in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

from torch import nn
from torch.utils.checkpoint import checkpoint

from kinelex import encoders
from kinelex.encoders import Encoder
from kinelex.errors import InputError


def recompute_blocks(networks: Iterable[Encoder]) -> None:
    """Let the blocks of encoders keep their inputs alone, and compute the rest again in the backward pass.

    Losses, gradients and running statistics stay what they were, dropout included.

    Args:
        networks: encoders, whose blocks are changed in place; parameters and names stay.

    Raises:
        InputError: an encoder without blocks.

    Source: Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016, by PyTorch's checkpoint.

    >>> network = encoders.create("stgcn", channels=2)
    >>> recompute_blocks([network])
    """
    for network in networks:
        if network.block_list is None:
            having = [n for n in encoders.names() if getattr(encoders.builder(n), "block_list", None)]
            raise InputError(
                f"training.recompute expects an encoder with blocks ({', '.join(having)}), {network.name} "
                "has none: leave it out"
            )
        for block in getattr(network, network.block_list):
            block.forward = partial(_recomputed, block, block.forward)


def _recomputed(block: nn.Module, forward: Any, *inputs: Any) -> Any:
    """What a block computes, for the time being with nothing kept but its inputs."""

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _buffers_apart(block)

    return checkpoint(forward, *inputs, use_reentrant=False, context_fn=contexts)


@contextmanager
def _buffers_apart(block: nn.Module) -> Iterator[None]:
    """What is written into buffers meanwhile is forgotten: batch norm counts a batch once."""
    own = [(module._buffers, dict(module._buffers)) for module in block.modules() if module._buffers]
    for now, buffers in own:
        now.update({name: None if b is None else b.clone() for name, b in buffers.items()})
    try:
        yield
    finally:
        for now, buffers in own:
            now.update(buffers)
