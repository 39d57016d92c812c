"""MAMP: of a clip whose livelier parts are masked, the encoder's tokens tell how the masked joints move.

Mao et al., "Masked Motion Predictors are Strong 3D Action Representation Learners", ICCV 2023, arXiv
2308.07092, on the encoder ``transformer``, which is the publication's: tokens are a few frames of one joint,
nine of ten are masked, those that move more are masked more often, and a decoder predicts the motion inside
the masked ones. It belongs to the method and is left behind. Our reading is said in the options of MAMP.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from kinelex.encoders import Encoder
from kinelex.encoders.transformer import Block, JointTimeTransformer, time_positions
from kinelex.errors import InputError
from kinelex.losses import mean_over_processes
from kinelex.methods.base import Encoders, Method, StepInput, StepOutput, encoders_by_stream
from kinelex.methods.diagnostics import motion_warnings
from kinelex.methods.registry import register
from kinelex.skeleton import joint_presence, make_stream


class Decoder(nn.Module):
    """From the tokens that were seen to what all tokens are to hold."""

    def __init__(self, encoder: JointTimeTransformer, depth: int, heads: int) -> None:
        super().__init__()
        dim, joints = encoder.num_features, encoder.layout.num_joints
        self.enter = nn.Linear(dim, dim)
        self.masked = nn.Parameter(torch.randn(dim) * 0.02)
        self.joint_positions = nn.Parameter(torch.randn(joints, dim) * math.sqrt(0.5))
        self.blocks = nn.Sequential(*(Block(dim, heads, 0.0, False) for _ in range(depth)))
        self.leave = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, encoder.segment * encoder.in_channels))

    def forward(self, seen: Tensor, places: Tensor, segments: int) -> Tensor:
        """Numbers (B, S·V, segment·C) of all tokens, by those seen (B, K, D) and their places (B, K)."""
        d = seen.shape[2]
        positions = time_positions(segments, d, seen.device)[:, None] + self.joint_positions  # (S, V, D)
        known = self.enter(seen)
        tokens = self.masked.to(known.dtype).expand(len(seen), positions.shape[:2].numel(), d)
        tokens = tokens.scatter(1, places[:, :, None].expand(-1, -1, d), known)
        return self.leave(self.blocks((tokens + positions.flatten(0, 1))[:, :, None])[:, :, 0])


class MaskedMotion(Method):
    """What methods have in common that predict the motion inside masked tokens; a subclass adds a decoder.

    Args:
        encoder, stream, mask, temperature, normalise: as of :class:`MAMP`.
        depth, heads: of the decoder.

    Attributes:
        decoder: from the tokens that were seen (B, K, D), their places (B, K) and the number S of segments to
            the numbers (B, S·V, segment·C) that all tokens are to hold.
    """

    decoder: nn.Module

    def __init__(
        self,
        encoder: Encoders,
        stream: str,
        mask: float,
        temperature: float,
        depth: int,
        heads: int,
        normalise: bool,
    ) -> None:
        super().__init__()
        if not (0 < mask < 1 and temperature > 0) or min(depth, heads) < 1:
            got = f"{mask}, {temperature}, {depth} and {heads}"
            limits = "a mask between 0 and 1, a temperature above 0, at least one block and head"
            raise InputError(f"{self.name} expects {limits}, got {got}")
        (self.stream, network), *more = encoders_by_stream(encoder, (stream,))
        if more or not isinstance(network, JointTimeTransformer) or network.factorised:
            got = "a factorised one" if isinstance(network, JointTimeTransformer) else type(network).__name__
            got = ", ".join([self.stream, *dict(more)]) if more else got
            raise InputError(
                f"{self.name} expects one encoder.name=transformer that attends between all tokens, got {got}"
            )
        if network.num_features % heads:
            wanted = f"decoder_heads to divide {network.num_features}"
            raise InputError(f"{self.name} expects {wanted}, got {heads}")
        self.encoder = network
        self.mask, self.temperature, self.normalise = mask, temperature, normalise

    @property
    def encoders(self) -> dict[str, Encoder]:
        """The encoder under the name of the stream it reads."""
        return {self.stream: self.encoder}

    def step(self, batch: StepInput) -> StepOutput:
        """Loss of a batch and what to log."""
        x, layout = batch.x, self.encoder.layout
        presence = joint_presence(x) if batch.presence is None else batch.presence
        motion = make_stream(x, layout, "motion", presence)
        persons = (v.permute(0, 4, 1, 2, 3).flatten(0, 1) for v in (motion, presence.float()))
        moves, there = (self.encoder.cut(v).flatten(1, 2) for v in persons)  # (B, S·V, segment·C)
        there = there.amax(dim=2) > 0  # (B, S·V), B persons
        hidden = self._masked(moves, there, batch.generator)
        kept = max(1, round((1 - self.mask) * there.shape[1]))
        places = hidden.argsort(dim=1)[:, :kept]
        tokens = self.encoder.tokens(self.encoder.normed_persons(x))
        seen = torch.take_along_dim(tokens.flatten(1, 2), places[:, :, None], 1)
        encoded = self.encoder.norm(self.encoder.blocks(seen[:, :, None]))[:, :, 0]
        predicted = self.decoder(encoded, places, tokens.shape[1])
        counts = self._weights(moves, there.scatter(1, places, False))
        with torch.autocast(x.device.type, enabled=False):
            apart = (predicted.float() - self._target(moves)).square().mean(dim=2) * counts
            per_clip = (v.unflatten(0, (len(x), -1)).flatten(1).sum(dim=1) for v in (apart, counts))
            loss = mean_over_processes((next(per_clip) / next(per_clip).clamp(min=1)).mean())
        return StepOutput(loss, {"loss/motion": loss.detach()})

    def _masked(self, moves: Tensor, there: Tensor, generator: torch.Generator | None) -> Tensor:
        """What is masked first, the largest of (B, S·V): motion and Gumbel's noise; what is absent always."""
        strength = moves.abs().mean(dim=2)
        strength = strength / (self.temperature * strength.amax(dim=1, keepdim=True)).clamp(min=1e-9)
        draws = torch.rand(there.shape, generator=generator).clamp(1e-9, 1 - 1e-7)
        noise = -(-draws.log()).log().to(moves.device, non_blocking=True)
        return (strength.log_softmax(dim=1) + noise).masked_fill(~there, torch.inf)

    def _weights(self, moves: Tensor, counts: Tensor) -> Tensor:
        """How much each token (B, S·V) counts in the loss, of those that count at all; 1 or more."""
        return counts

    def _target(self, moves: Tensor) -> Tensor:
        if not self.normalise:
            return moves
        variance = moves.var(dim=2, keepdim=True, correction=0)
        return (moves - moves.mean(dim=2, keepdim=True)) * (variance + 1e-6).rsqrt()

    def warnings(self, history: list[dict[str, float]]) -> list[str]:
        """Signs that nothing is learned, if the epochs so far show them."""
        return motion_warnings(history) if self.normalise else []


@register
class MAMP(MaskedMotion):
    """The method: encoder, decoder, and motion to predict.

    Args:
        encoder: a ``transformer`` that attends between all tokens.
        stream: the stream that the encoder reads, as ``x`` is; its motion is predicted.
        mask: share of the tokens that is masked.
        temperature: how little the motion decides what is masked: chances go with exp(motion / (τ · the
            person's largest)). (its value is our reading)
        decoder_depth, decoder_heads: blocks of the decoder, and their attention heads.
        normalise: predict motion whose numbers in a token have mean 0 and variance 1, as MAE does with
            pixels, so that 1 is a guess.

    Raises:
        InputError: another encoder, or an option out of range.
    """

    name = "mamp"

    def __init__(
        self,
        encoder: Encoders,
        stream: str = "joint",
        mask: float = 0.9,
        temperature: float = 0.75,
        decoder_depth: int = 5,
        decoder_heads: int = 8,
        normalise: bool = True,
    ) -> None:
        super().__init__(encoder, stream, mask, temperature, decoder_depth, decoder_heads, normalise)
        self.decoder = Decoder(self.encoder, decoder_depth, decoder_heads)
