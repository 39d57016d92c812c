"""A transform: ``input: {transforms: [c2vl, {name: drop_joints, share: 0.2}]}`` in a recipe."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from kinelex.data.batch import Batch
from kinelex.transforms import Transform, register


@register
@dataclass(frozen=True)
class DropJoints(Transform):
    """Some joints of each training clip are absent, in all frames and of all persons.

    Args:
        share: how many, a fraction of 1.
    """

    share: float = 0.1

    def sample(self, batch: Batch, generator: torch.Generator) -> Tensor:
        return torch.rand(len(batch), 1, 1, batch.layout.num_joints, 1, generator=generator) >= self.share

    def apply(self, batch: Batch, params: Tensor | None = None) -> Batch:
        if params is None:  # test time: nothing is drawn
            return batch
        stays = params.to(batch.x.device)
        return replace(batch, x=batch.x * stays, presence=batch.presence & stays)
