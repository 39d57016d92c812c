"""AMR: masked motion is predicted in fewer and larger patches, and most where they are lively.

Sun et al., "Exploring Adaptive Masked Reconstruction for Self-Supervised Skeleton-Based Action Recognition",
CVPR 2026, arXiv 2606.11450, read from its abstract and a summary by others: the encoder and its masking are
those of MAMP; the decoder no longer has the encoder's tokens, but asks for patches of some segments of a
whole body part, by cross-attention to the tokens that were seen; inside a patch the loss is guided to what
moves. Our reading: what is predicted and its normalisation are MAMP's, patches are parts of the body, and the
formula of the guidance.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from kinelex.encoders.transformer import Attention, JointTimeTransformer, perceptron, time_positions
from kinelex.errors import InputError
from kinelex.methods.base import Encoders
from kinelex.methods.mamp import MaskedMotion
from kinelex.methods.registry import register


class CrossBlock(nn.Module):
    """Queries (B, P, D) attend to keys (B, K, D), not to each other; then a perceptron each."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.attention = Attention(dim, heads, 0.0)
        self.mlp = perceptron(dim, 0.0)

    def forward(self, x: Tensor, keys: Tensor) -> Tensor:
        p = x.shape[1]
        seen = torch.arange(p + keys.shape[1], device=x.device) >= p
        x = x + self.attention(torch.cat([x, keys], dim=1), mask=seen[None, None, None], queries=p)
        return x + self.mlp(x)


class PatchDecoder(nn.Module):
    """From the tokens that were seen to what all tokens are to hold, patch by patch.

    A patch is ``patch`` segments of one part of the body; ``part_of`` says to which part a joint belongs.
    """

    def __init__(self, encoder: JointTimeTransformer, depth: int, heads: int, patch: int) -> None:
        super().__init__()
        dim, self.patch = encoder.num_features, patch
        self.numbers = encoder.segment * encoder.in_channels
        parts = [joints for joints in encoder.layout.parts.values() if joints]
        joints = torch.tensor([joint for part in parts for joint in part])
        belongs = torch.tensor([g for g, part in enumerate(parts) for _ in part])
        self.order: Tensor
        self.part_of: Tensor
        self.register_buffer("order", joints.argsort(), persistent=False)  # (V,)
        self.register_buffer("part_of", belongs[joints.argsort()], persistent=False)  # (V,)
        self.enter = nn.Linear(dim, dim)
        self.joint_positions = nn.Parameter(torch.randn(len(joints), dim) * math.sqrt(0.5))
        self.part_positions = nn.Parameter(torch.randn(len(parts), dim) * math.sqrt(0.5))
        self.blocks = nn.ModuleList(CrossBlock(dim, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)
        self.leave = nn.ModuleList(nn.Linear(dim, patch * len(part) * self.numbers) for part in parts)

    def forward(self, seen: Tensor, places: Tensor, segments: int) -> Tensor:
        """Numbers (B, S·V, segment·C) of all tokens, by those seen (B, K, D) and their places (B, K)."""
        patches = -(-segments // self.patch)
        time = time_positions(patches * self.patch, seen.shape[2], seen.device)
        keys = self.enter(seen)
        keys = keys + (time[:, None] + self.joint_positions).flatten(0, 1)[places].to(keys.dtype)
        asked = time[self.patch // 2 :: self.patch, None] + self.part_positions  # (patches, parts, D)
        x = asked.flatten(0, 1).to(keys.dtype).expand(len(seen), -1, -1)
        for block in self.blocks:
            x = block(x, keys)
        x = self.norm(x).unflatten(1, (patches, -1))
        told = [
            leave(x[:, :, g]).unflatten(2, (self.patch, -1, self.numbers)).flatten(1, 2)
            for g, leave in enumerate(self.leave)
        ]  # each (B, segments, joints of the part, numbers)
        return torch.cat(told, dim=2)[:, :segments].index_select(2, self.order).flatten(1, 2)

    def largest(self, values: Tensor) -> Tensor:
        """For each segment and joint the largest of its patch: (B, S, V) to (B, S, V)."""
        b, s, v = values.shape
        patches = -(-s // self.patch)
        numbers = torch.arange(s, device=values.device) // self.patch  # (S,), of patches
        cell = (numbers[:, None] * len(self.leave) + self.part_of).flatten().expand(b, -1)
        found = values.new_zeros(b, patches * len(self.leave))
        return found.scatter_reduce(1, cell, values.flatten(1), "amax").gather(1, cell).unflatten(1, (s, v))


@register
class AMR(MaskedMotion):
    """The method: MAMP with a decoder of larger patches, and a loss that is guided by motion.

    Args:
        encoder, stream, mask, temperature, normalise: as in :class:`~kinelex.methods.MAMP`.
        decoder_depth, decoder_heads: blocks of the decoder, and their attention heads. (the depth is our
            reading)
        patch: segments of the encoder that a patch of the decoder spans. (its value is our reading)
        guidance: how much more what moves most in a patch counts: weights are exp(guidance · energy / the
            patch's largest), the energy of a token is the mean square of its motion; 0 is even. (our reading)

    Raises:
        InputError: another encoder, or an option out of range.
    """

    name = "amr"

    def __init__(
        self,
        encoder: Encoders,
        stream: str = "joint",
        mask: float = 0.9,
        temperature: float = 0.75,
        decoder_depth: int = 3,
        decoder_heads: int = 8,
        normalise: bool = True,
        patch: int = 5,
        guidance: float = 1.0,
    ) -> None:
        super().__init__(encoder, stream, mask, temperature, decoder_depth, decoder_heads, normalise)
        if patch < 1 or not 0 <= guidance <= 80:  # beyond, exp leaves the range of float32
            limits = "a patch of at least 1 and a guidance from 0 to 80"
            raise InputError(f"amr expects {limits}, got {patch} and {guidance}")
        self.decoder: PatchDecoder = PatchDecoder(self.encoder, decoder_depth, decoder_heads, patch)
        self.guidance = guidance

    def _weights(self, moves: Tensor, counts: Tensor) -> Tensor:
        energy = moves.square().mean(dim=2).unflatten(1, (-1, self.encoder.layout.num_joints))
        share = energy / self.decoder.largest(energy).clamp(min=1e-12)
        return counts * (self.guidance * share).exp().flatten(1)
