"""A transformer that reads any skeleton: joints are told apart by their names, and slots stand for the body.

After SOfA (arXiv 2609.07078), which has no public code: tokens are a few frames of one joint, which joint it
is says the text embedding of its name; a class token, registers and, for each step in time, some canonical
slots attend to the tokens of the joints and to each other. The joints' tokens are then dropped. The same
weights read every layout, and joints that no training had. Our reading: one attention for all tokens;
positions in time are rotary, and the class token and the registers stand at its beginning; coordinates are
divided by their root mean square over a clip, so that units do not matter; frames of a token without the
joint are the mean of those with it; the table of names is MiniLM's and is not trained; a name scales the
embedded coordinates and is added to them, so that a mean over joints still tells whose they were.
"""

from __future__ import annotations

import copy
import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from kinelex.encoders.base import Encoder
from kinelex.encoders.joint_names import MINILM, name_vectors
from kinelex.encoders.registry import register
from kinelex.encoders.transformer import Attention, perceptron
from kinelex.errors import InputError, check_name
from kinelex.skeleton import SkeletonLayout

POOLINGS = ("mean", "slots")
LONGEST = 100.0  # of the rotary periods, in units of 2π steps


class Body(NamedTuple):
    """What the encoder says of single persons: the class token (B, D), and slots (B, S, J, D) of S steps."""

    summary: Tensor
    slots: Tensor


class Layer(nn.Module):
    """Attention between all tokens of a row, and a perceptron of each."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention = Attention(dim, heads, dropout)
        self.mlp = perceptron(dim, dropout)

    def forward(
        self, x: Tensor, rotary: tuple[Tensor, Tensor], mask: Tensor, queries: int | None = None
    ) -> Tensor:
        x = x[:, :queries] + self.attention(x, rotary, mask, queries)
        return x + self.mlp(x)


@register
class SlotTransformer(Encoder):
    """Any skeleton's joints as tokens; the class token and the slots' mean and spread over time.

    Absent joints, which are 0 in all coordinates, are no tokens; absent persons are left out of the mean.

    Args:
        dim: width D of a token.
        depth, heads: blocks, and attention heads, of even width.
        patch: frames of one token.
        slots: canonical slots J of a step of ``patch`` frames.
        registers: tokens more that the network can use as it likes.
        dropout: dropout on attention weights, and on what attention and perceptrons add.
        pooling: of what mean and spread over time are features: of all slots together (``mean``), or of each
            of them (``slots``), 1 + 2·J instead of 3 times as wide as a token.
        names: joints have names; without, a joint is nothing but its coordinates (for comparison).
        text: what reads the names: ``minilm``, or the folder or hub name of another text encoder, which is
            needed again wherever the weights are read.

    Shape:
        - x: (N, C, T, V, M); returns: (N, 3·D), or (N, (1 + 2·J)·D)

    >>> from kinelex.encoders import create
    >>> encoder = create("slots", layout="ntu25", dim=16, depth=1, heads=2).eval()
    >>> hand = encoder.for_layout(SkeletonLayout("stick", ("pelvis", "head", "left_hand"), (0, 0, 0)))
    >>> encoder(torch.randn(2, 3, 64, 25, 1)).shape, hand(torch.randn(2, 3, 64, 3, 1)).shape
    (torch.Size([2, 48]), torch.Size([2, 48]))
    """

    name = "slots"
    block_list = "blocks"
    any_layout = present_only = True
    vectors: Tensor
    rates: Tensor

    def __init__(
        self,
        layout: SkeletonLayout,
        in_channels: int = 3,
        dim: int = 256,
        depth: int = 8,
        heads: int = 8,
        patch: int = 8,
        slots: int = 5,
        registers: int = 4,
        dropout: float = 0.0,
        pooling: str = "mean",
        names: bool = True,
        text: str = MINILM,
    ) -> None:
        sizes = (dim, depth, heads, patch, slots)
        if min(sizes) < 1 or registers < 0 or not 0 <= dropout < 1:
            raise InputError(
                "slots expects dim, depth, heads, patch and slots of at least 1, registers of at least 0 and "
                f"a dropout from 0 to 1, got {', '.join(map(str, sizes))}, {registers} and {dropout}"
            )
        if dim % (2 * heads):
            got = f"dim {dim} and {heads} heads"
            raise InputError(f"slots expects a dim that twice the heads divide, got {got}")
        check_name("pooling", pooling, POOLINGS)
        width = (1 + 2 * (slots if pooling == "slots" else 1)) * dim
        super().__init__(layout, in_channels, width, norm=None)
        self.dim, self.patch, self.num_slots, self.pooling = dim, patch, slots, pooling
        self.embed = nn.Linear(patch * in_channels, dim)
        vectors, self.text = torch.from_numpy(name_vectors(layout.joints, text)), text
        self.identity = nn.Linear(vectors.shape[1], 2 * dim, bias=False) if names else None
        self.register_buffer("vectors", vectors, persistent=False)
        self.first = nn.Parameter(torch.randn(1 + registers, dim) * 0.02)  # the class token, then registers
        self.slots = nn.Parameter(torch.randn(slots, dim) * 0.02)
        self.blocks = nn.ModuleList(Layer(dim, heads, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        rates = LONGEST ** -(torch.arange(dim // heads // 2) / (dim // heads // 2))
        self.register_buffer("rates", rates, persistent=False)

    def for_layout(self, layout: SkeletonLayout) -> SlotTransformer:
        other = copy.copy(self)
        other.layout, other._buffers = layout, dict(self._buffers)
        other.vectors = torch.from_numpy(name_vectors(layout.joints, self.text)).to(self.vectors)
        return other

    def patches(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Coordinates of all tokens, and which of them have a joint.

        Shape:
            - x: (B, C, T, V); returns: (B, S·V, patch·C), step by step; (B, S·V) bool
        """
        b, c, t, v = x.shape
        steps = (t + self.patch - 1) // self.patch
        frames = torch.arange(steps * self.patch, device=x.device).clamp(max=t - 1)
        x = x.permute(0, 2, 3, 1).index_select(1, frames).view(b, steps, self.patch, v, c)
        there = (x != 0).any(dim=4, keepdim=True)
        square = x.square().sum(dim=(1, 2, 3, 4), keepdim=True)
        count = there.sum(dim=(1, 2, 3, 4), keepdim=True).clamp(min=1) * c
        x = x * (square / count).clamp(min=1e-12).rsqrt()
        mean = x.sum(dim=2, keepdim=True) / there.sum(dim=2, keepdim=True).clamp(min=1)
        x = torch.where(there, x, mean).transpose(2, 3)  # (B, S, V, patch, C)
        return x.flatten(3).flatten(1, 2), there.any(dim=2).flatten(1)

    def body(self, x: Tensor, share: float = 1.0, generator: torch.Generator | None = None) -> Body:
        """Class token and slots of single persons, who may be seen in part.

        Args:
            x: single persons.
            share: share of each person's tokens that is seen, drawn at random, a fraction of 1.
            generator: source of randomness, on the CPU.

        Shape:
            - x: (B, C, T, V); returns: (B, D) and (B, S, J, D)
        """
        v = x.shape[3]
        patches, there = self.patches(x)
        steps = patches.shape[1] // v
        step = torch.arange(steps, device=x.device)
        at = step.repeat_interleave(v).expand(x.shape[0], -1)  # (B, S·V)
        names = None if self.identity is None else self.identity(self.vectors).repeat(steps, 1)
        tokens = self.embed(patches)
        if names is not None:
            scale, shift = names.chunk(2, dim=1)
            tokens = tokens * scale + shift
        if share < 1:
            draws = torch.rand(there.shape, generator=generator).to(x.device, non_blocking=True)
            order = draws.masked_fill(~there, 2).argsort(dim=1)[:, : math.ceil(share * there.shape[1])]
            most = (there.sum(dim=1, keepdim=True) * share).ceil()
            at, tokens = at.gather(1, order), torch.take_along_dim(tokens, order[:, :, None], 1)
            there = torch.arange(order.shape[1], device=x.device) < most
        return self._attend(tokens, at, there, step)

    def _attend(self, tokens: Tensor, at: Tensor, there: Tensor, step: Tensor) -> Body:
        """Class token and slots of tokens (B, L, D) at steps (B, L), of which some are there."""
        b, first, slots = tokens.shape[0], len(self.first), step.shape[0] * self.num_slots
        canonical = self.slots.repeat(step.shape[0], 1)  # (S·J, D)
        own = torch.cat([self.first, canonical]).to(tokens.dtype).expand(b, -1, -1)
        when = torch.cat([torch.zeros_like(at[0, :1]).expand(first), step.repeat_interleave(self.num_slots)])
        angles = torch.cat([when.expand(b, -1), at], dim=1)[:, None, :, None] * self.rates
        mask = torch.cat([there.new_ones(b, first + slots), there], dim=1)[:, None, None]
        x = torch.cat([own, tokens], dim=1)
        rotary = angles.cos(), angles.sin()
        for block in self.blocks[:-1]:
            x = block(x, rotary, mask)
        x = self.norm(
            self.blocks[-1](x, rotary, mask, first + slots)
        )  # what joints were is not read any more
        return Body(x[:, 0], x[:, first:].unflatten(1, (step.shape[0], self.num_slots)))

    def forward_persons(self, x: Tensor) -> Tensor:
        """Features of single persons, in which all frames and joints are: (B, F, 1, 1)."""
        body = self.body(x)
        slots = (
            body.slots if self.pooling == "slots" else body.slots.flatten(1, 2)
        )  # (B, S, J, D), (B, S·J, D)
        spread = (slots.var(dim=1, correction=0) + 1e-6).sqrt()
        features = [body.summary, *(value.flatten(1) for value in (slots.mean(dim=1), spread))]
        return torch.cat(features, dim=1)[:, :, None, None]
