"""An encoder: ``encoder: {name: pose_mlp, width: 32}`` in a recipe."""

from torch import Tensor, nn

from kinelex.encoders import Encoder, register
from kinelex.skeleton import SkeletonLayout


@register
class PoseMLP(Encoder):
    """An MLP over each pose; the base norms the input and averages over frames and persons.

    Args:
        layout: the skeleton layout.
        in_channels: coordinates per joint.
        width: of the hidden layer and of the features.
    """

    name = "pose_mlp"

    def __init__(self, layout: SkeletonLayout, in_channels: int = 3, width: int = 64) -> None:
        super().__init__(layout, in_channels, num_features=width)
        joints = in_channels * layout.num_joints
        self.mlp = nn.Sequential(nn.Linear(joints, width), nn.ReLU(), nn.Linear(width, width))

    def forward_persons(self, x: Tensor) -> Tensor:
        poses = x.transpose(1, 2).flatten(2)  # (B, C, T, V) → (B, T, C·V)
        return self.mlp(poses).transpose(1, 2).unsqueeze(3)  # (B, F, T, 1)
