"""A method: ``method: {name: barlow_twins, redundancy: 0.005}`` in a recipe."""

import torch
from torch import Tensor, nn

from kinelex.encoders import Encoder
from kinelex.methods import Method, StepOutput, register


@register
class BarlowTwins(Method):
    """Two views of a clip have the same features, and different features say different things.

    Args:
        encoder: the encoder.
        stream: the stream that it reads.
        redundancy: weight of what different features have in common.

    Source: Zbontar et al., "Barlow Twins", ICML 2021, arXiv 2103.03230, equation 1; without its projector.
    """

    name = "barlow_twins"
    views = 2

    def __init__(self, encoder: Encoder, stream: str = "joint", redundancy: float = 0.005) -> None:
        super().__init__()
        self.encoder, self.stream, self.redundancy = encoder, stream, redundancy
        self.norm = nn.BatchNorm1d(encoder.num_features, affine=False)

    @property
    def encoders(self) -> dict[str, Encoder]:
        """The encoder by its stream."""
        return {self.stream: self.encoder}

    def step(self, batch) -> StepOutput:
        """Loss of a batch and what to log."""
        first, second = (self.norm(view) for view in self.encoder(batch.x).chunk(2))  # (N, F) each
        correlation = first.T @ second / len(first)  # (F, F)
        same = torch.diagonal(correlation)
        agreement = (1 - same).square().sum()
        redundancy = correlation.square().sum() - same.square().sum()
        logs: dict[str, Tensor] = {"agreement": agreement.detach(), "redundancy": redundancy.detach()}
        return StepOutput(agreement + self.redundancy * redundancy, logs)
