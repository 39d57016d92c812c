"""A transformer over joint-time tokens: a few frames of one joint are one token.

Follows the encoder of MAMP (Mao et al., "Masked Motion Predictors are Strong 3D Action Representation
Learners", ICCV 2023, arXiv 2308.07092), without the masking and the decoder of its pre-training. Differs
(ours): time positions are sinusoids of the segment instead of a learnt table, so that any length is taken; a
last segment that is not full repeats the last frame; a batch norm over the coordinates of each joint comes
first, so that streams of any unit start alike, and joint positions start as large as the sinusoids; attention
can be factorised into space, then time, within each block. Published weights are not read.
"""

import math
from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kinelex.encoders.base import Encoder
from kinelex.encoders.registry import register
from kinelex.errors import InputError
from kinelex.skeleton import SkeletonLayout

MLP_RATIO = 4  # width inside a block's perceptron over the width of its tokens
LONGEST_PERIOD = 10000.0  # of the sinusoids, in units of 2π segments (Vaswani et al., 2017)


def time_positions(segments: int, dim: int, device: torch.device | None = None) -> Tensor:
    """Sinusoids of the number of the segment, (segments, dim): sines in the first half, cosines after.

    Source: Vaswani et al., "Attention Is All You Need", 2017, section 3.5.

    >>> time_positions(2, 4)[0].tolist()
    [0.0, 0.0, 1.0, 1.0]
    """
    number = torch.arange(segments, device=device, dtype=torch.float32)
    rate = torch.exp(torch.arange(dim // 2, device=device) * (-2 * math.log(LONGEST_PERIOD) / dim))
    angle = number[:, None] * rate  # (segments, dim / 2)
    return torch.cat([angle.sin(), angle.cos()], dim=1)


class Attention(nn.Module):
    """Layer norm, attention between the tokens of a row (B, L, D), and what is to be added to them.

    With rotary positions (cosines and sines, each (…, L, D / heads / 2)) queries and keys are turned; nobody
    attends to a token that is not in ``mask`` (B, 1, 1, L); only the first ``queries`` attend. A CPU
    attends in float32: in bf16 its gradients take six times as long.
    """

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.norm = nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)

    def forward(
        self,
        x: Tensor,
        rotary: tuple[Tensor, Tensor] | None = None,
        mask: Tensor | None = None,
        queries: int | None = None,
    ) -> Tensor:
        qkv = self.qkv(self.norm(x)).unflatten(2, (3, self.heads, -1))
        qkv = qkv.permute(2, 0, 3, 1, 4)  # each (B, heads, L, D / heads)
        p, slow = (
            self.dropout if self.training else 0.0,
            x.device.type == "cpu" and qkv.dtype == torch.bfloat16,
        )
        with torch.autocast("cpu", enabled=False) if slow else nullcontext():
            qk, v = (qkv[:2].float(), qkv[2].float()) if slow else (qkv[:2], qkv[2])
            q, k = qk if rotary is None else turned(qk, *rotary)
            y = F.scaled_dot_product_attention(q[:, :, :queries], k, v, attn_mask=mask, dropout_p=p)
        return F.dropout(self.out(y.transpose(1, 2).flatten(2)), p)


def turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """The halves of ``x`` (…, L, 2·E) as real and imaginary parts, turned by angles (…, L, E).

    Source: Su et al., "RoFormer: Enhanced Transformer with Rotary Position Embedding", 2021, section 3.2.
    """
    real, imaginary = x.chunk(2, dim=-1)
    cos, sin = cos.to(x.dtype), sin.to(x.dtype)
    return torch.cat([real * cos - imaginary * sin, real * sin + imaginary * cos], dim=-1)


def perceptron(dim: int, dropout: float) -> nn.Sequential:
    """Layer norm and two linear layers, what a block adds to each token by itself."""
    return nn.Sequential(
        nn.LayerNorm(dim),
        nn.Linear(dim, MLP_RATIO * dim),
        nn.GELU(),
        nn.Dropout(dropout),
        nn.Linear(MLP_RATIO * dim, dim),
        nn.Dropout(dropout),
    )


class Block(nn.Module):
    """Attention between all tokens (B, S, V, D), or in space, then in time; then a perceptron each."""

    def __init__(self, dim: int, heads: int, dropout: float, factorised: bool) -> None:
        super().__init__()
        self.space: Attention | None = Attention(dim, heads, dropout) if factorised else None
        self.time: Attention | None = Attention(dim, heads, dropout) if factorised else None
        self.both: Attention | None = None if factorised else Attention(dim, heads, dropout)
        self.mlp = perceptron(dim, dropout)

    def forward(self, x: Tensor) -> Tensor:
        b, s, v, _ = x.shape
        if self.both is not None:
            x = x + self.both(x.flatten(1, 2)).unflatten(1, (s, v))
        if self.space is not None and self.time is not None:
            x = x + self.space(x.flatten(0, 1)).unflatten(0, (b, s))
            tracks = x.transpose(1, 2).flatten(0, 1)  # (B·V, S, D): one joint through all segments
            x = x + self.time(tracks).unflatten(0, (b, v)).transpose(1, 2)
        return x + self.mlp(x)


@register
class JointTimeTransformer(Encoder):
    """Segments of single joints as tokens, pre-norm blocks, the mean over all tokens of all persons.

    Args:
        dim: width of a token and of the features, even.
        depth, heads: blocks, and attention heads, which divide ``dim``.
        segment: frames of one token.
        dropout: dropout on attention weights, and on what attention and perceptrons add.
        factorised: attend within a segment, then along each joint, instead of between all tokens of a
            person: cheaper for long clips, dearer in parameters.

    Shape:
        - x: (N, C, T, V, M); returns: (N, dim)
    """

    name = "transformer"
    block_list = "blocks"

    def __init__(
        self,
        layout: SkeletonLayout,
        in_channels: int = 3,
        dim: int = 256,
        depth: int = 8,
        heads: int = 8,
        segment: int = 4,
        dropout: float = 0.0,
        factorised: bool = False,
    ) -> None:
        if min(dim, depth, heads, segment) < 1 or not 0 <= dropout < 1:
            raise InputError(
                "transformer expects dim, depth, heads and segment of at least 1 and a dropout from 0 to 1, "
                f"got {dim}, {depth}, {heads}, {segment} and {dropout}"
            )
        if dim % heads or dim % 2:
            got = f"dim {dim} and {heads} heads"
            raise InputError(f"transformer expects an even dim that heads divide, got {got}")
        super().__init__(layout, in_channels, dim)
        self.segment, self.factorised = segment, factorised
        self.embed = nn.Linear(segment * in_channels, dim)
        self.joint_positions = nn.Parameter(torch.empty(layout.num_joints, dim))
        self.blocks = nn.Sequential(*(Block(dim, heads, dropout, factorised) for _ in range(depth)))
        self.norm = nn.LayerNorm(dim)
        self._initialise()

    def _initialise(self) -> None:
        nn.init.normal_(self.joint_positions, std=math.sqrt(0.5))  # the root mean square of a sinusoid
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def cut(self, x: Tensor) -> Tensor:
        """The numbers of each token: (B, C, T, V) to (B, S, V, segment·C), S = ⌈T / segment⌉."""
        b, c, t, v = x.shape
        segments = (t + self.segment - 1) // self.segment
        frames = torch.arange(segments * self.segment, device=x.device).clamp(max=t - 1)
        x = x.permute(0, 3, 1, 2).index_select(3, frames).view(b, v, c, segments, self.segment)
        return x.permute(0, 3, 1, 4, 2).flatten(3)

    def tokens(self, x: Tensor) -> Tensor:
        """Embedded segments with their positions: (B, C, T, V) to (B, ⌈T / segment⌉, V, dim)."""
        tokens = self.embed(self.cut(x))
        time = time_positions(tokens.shape[1], self.num_features, x.device)
        return tokens + time[:, None] + self.joint_positions

    def forward_persons(self, x: Tensor) -> Tensor:
        return self.norm(self.blocks(self.tokens(x))).permute(0, 3, 1, 2)
