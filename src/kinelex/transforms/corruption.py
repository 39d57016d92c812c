"""Shear and joint corruption: one random linear map per clip, on all of its joints or on some; absent joints.

Source: CMD (Mao et al., ECCV 2022, arXiv 2208.12448); here for a whole batch at once and any layout.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from kinelex.data.batch import Batch
from kinelex.errors import InputError
from kinelex.transforms.base import Transform, clips_of, register
from kinelex.transforms.frames import Sometimes, chance
from kinelex.transforms.spatial import rotate


@dataclass
class JointMap:
    """One linear map per clip and the joints that it moves, the same in all frames and for all persons.

    Shape:
        - matrix: (N, 3, 3); joints: (N, V) bool
    """

    matrix: Tensor
    joints: Tensor


def sample_shear(n: int, amplitude: float, generator: torch.Generator | None = None) -> Tensor:
    """Draw shears: ones on the diagonal, the rest uniform within ± the amplitude.

    Shape:
        - returns: (n, 3, 3)

    >>> sample_shear(1, 0.0)[0].tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    entries = (torch.rand(n, 3, 3, generator=generator) * 2 - 1) * amplitude
    diagonal = torch.eye(3)
    return entries * (1 - diagonal) + diagonal


def sample_corruption(
    n: int, num_joints: int, share: float, generator: torch.Generator | None = None
) -> JointMap:
    """Draw joint corruptions: some joints of a clip are set to 0 or moved by a random matrix, half and half.

    Args:
        num_joints: joints V of the layout.
        share: share of them that is corrupted, a fraction of 1; 15 of 25 in CMD.
        generator: source of randomness (on the CPU).

    Shape:
        - returns: matrix (n, 3, 3), 0 or with entries uniform in [-1, 1]; joints (n, V).

    >>> sample_corruption(2, num_joints=25, share=0.6).joints.sum(dim=1).tolist()
    [15, 15]
    """
    order = torch.rand(n, num_joints, generator=generator).argsort(dim=1).argsort(dim=1)
    moved = torch.rand(n, 1, 1, generator=generator) < 0.5
    matrix = torch.rand(n, 3, 3, generator=generator) * 2 - 1
    return JointMap(matrix * moved, order < round(share * num_joints))


def sample_joint_map(
    n: int,
    num_joints: int,
    shear: float = 1.0,
    corrupt: float = 0.6,
    shear_probability: float = 0.5,
    generator: torch.Generator | None = None,
) -> JointMap:
    """Draw CMD's spatial augmentation: a shear with some probability, else a joint corruption.

    Args:
        n, num_joints, generator: as of :func:`sample_corruption`.
        shear, corrupt, shear_probability: as of :class:`ShearOrCorrupt`.

    Shape:
        - returns: matrix (n, 3, 3); joints (n, V).

    Source: CMD (ECCV 2022), data augmentation: shear or joint jittering, one draw per clip and view.
    """
    sheared = torch.rand(n, generator=generator) < shear_probability
    whole = sample_shear(n, shear, generator)
    corrupted = sample_corruption(n, num_joints, corrupt, generator)
    matrix = torch.where(sheared[:, None, None], whole, corrupted.matrix)
    return JointMap(matrix, corrupted.joints | sheared[:, None])


def map_joints(x: Tensor, change: JointMap) -> Tensor:
    """Apply a map to the joints it is for.

    Shape:
        - x: (N, C, T, V, M), C of 2 or 3: in the plane the upper left 2 × 2 of the matrix holds.
        - returns: (N, C, T, V, M)

    >>> x = torch.ones(1, 3, 2, 4, 1)
    >>> some = JointMap(torch.zeros(1, 3, 3), torch.tensor([[True, False, False, True]]))
    >>> map_joints(x, some)[0, 0, 0, :, 0].tolist()
    [0.0, 1.0, 1.0, 0.0]
    """
    c = x.shape[1]
    matrix = change.matrix[:, :c, :c].to(x.device, non_blocking=True)
    joints = change.joints.to(x.device, non_blocking=True)
    return torch.where(joints[:, None, None, :, None], rotate(x, matrix), x)


def joints_of(batch: Batch) -> int:
    """Joints V of a batch's clips."""
    clips = batch.frames if batch.x is None else batch.x
    assert clips is not None
    return clips.shape[-2] if batch.layout is None else batch.layout.num_joints


@register
@dataclass(frozen=True)
class ShearOrCorrupt(Transform):
    """CMD's spatial augmentation: a clip is sheared, or some of its joints are set to 0 or distorted.

    Args:
        shear: amplitude of the shear; with 0 the clips whose turn it is stay as they are.
        corrupt: share of the joints to corrupt, a fraction of 1; with 0 likewise.
        shear_probability: share of the clips that is sheared, the others are corrupted.
    """

    shear: float = 1.0
    corrupt: float = 0.6
    shear_probability: float = 0.5

    def __post_init__(self) -> None:
        if not (self.shear >= 0 and 0 <= self.corrupt <= 1 and 0 <= self.shear_probability <= 1):
            raise InputError(
                "expects input.shear of at least 0, input.corrupt and input.shear_probability from 0 to 1, "
                f"got {self.shear}, {self.corrupt} and {self.shear_probability}"
            )

    def sample(self, batch: Batch, generator: torch.Generator) -> JointMap:
        amounts = (self.shear, self.corrupt, self.shear_probability)
        return sample_joint_map(len(batch), joints_of(batch), *amounts, generator)

    def apply(self, batch: Batch, params: JointMap | None = None) -> Batch:
        return batch if params is None else replace(batch, x=map_joints(clips_of(batch)[0], params))


@register
@dataclass(frozen=True)
class JointMask(Sometimes):
    """In some clips some joints are absent, in all frames and of all persons.

    Args:
        probability: share of the clips, a fraction of 1.
        share: bounds of the share of their joints that is absent, a fraction of 1.

    Source: SOfA (arXiv 2609.07078), joint-wise masking; how many joints is our reading.
    """

    share: tuple[float, float] = (0.0, 0.5)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.share[0] <= self.share[1] <= 1:
            raise InputError(f"expects a share from 0 to 1, the smaller bound first, got {self.share}")

    def sample(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """Draw what stays, (N, 1, 1, V, 1) bool."""
        low, high = self.share
        share = low + (high - low) * torch.rand(len(batch), 1, generator=generator)
        masked = torch.rand(len(batch), joints_of(batch), generator=generator) < share
        return ~(masked[:, None, None, :, None] & chance(len(batch), self.probability, generator))

    def apply(self, batch: Batch, params: Tensor | None = None) -> Batch:
        if params is None:
            return batch
        x, there = clips_of(batch)
        stays = params.to(x.device, non_blocking=True)
        return replace(batch, x=x * stays, presence=there & stays)
