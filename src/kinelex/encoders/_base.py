"""The contract of every encoder."""

from __future__ import annotations

from torch import Tensor, nn

from kinelex.errors import InputError
from kinelex.skeleton import SkeletonLayout


class Encoder(nn.Module):
    """Skeleton clips in, one feature vector per clip out.

    Attributes:
        layout: the skeleton layout it reads.
        in_channels: coordinates C per joint.
        num_features: width F of a feature vector.
        places: how many persons it takes at most, each place with weights of its own; None: any number.

    Shape:
        - x: (N, C, T, V, M), any T, and any number of persons M up to ``places``.
        - returns: (N, F)
    """

    places: int | None = None

    def __init__(self, layout: SkeletonLayout, in_channels: int, num_features: int) -> None:
        super().__init__()
        self.layout, self.in_channels, self.num_features = layout, in_channels, num_features

    def check(self, x: Tensor) -> None:
        """Raise an InputError if ``x`` is no (N, C, T, V, M) of this layout."""
        if x.ndim != 5 or x.shape[1] != self.in_channels or x.shape[3] != self.layout.num_joints:
            raise InputError(
                f"expects (N, {self.in_channels}, T, {self.layout.num_joints}, M) for the layout "
                f"{self.layout.name}, got shape {tuple(x.shape)}"
            )

    def forward_features(self, x: Tensor) -> Tensor:
        """Features before pooling over frames, joints and persons."""
        raise TypeError(f"{type(self).__name__} has no features before pooling")
