"""A transform: ``- {name: hide_joints, share: 0.2}`` in a recipe's list."""

from dataclasses import dataclass, replace

import torch

from kinelex.data.batch import Batch
from kinelex.transforms import Transform, register


@register
@dataclass(frozen=True)
class HideJoints(Transform):
    """Takes some joints out of each clip, the same ones in all of its frames.

    Args:
        share: of the joints, 0 to 1.
    """

    share: float = 0.2

    def sample(self, batch: Batch, generator: torch.Generator) -> torch.Tensor:
        """Which joints stay: (N, V) bool."""
        return torch.rand(len(batch), batch.x.shape[3], generator=generator) >= self.share

    def apply(self, batch: Batch, params: torch.Tensor | None = None) -> Batch:
        """The changed clips; at test time, without a draw, as they are."""
        if params is None:
            return batch
        stays = params.to(batch.x.device)[:, None, None, :, None]
        return replace(batch, x=batch.x * stays, presence=batch.presence & stays)
