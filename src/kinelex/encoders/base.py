"""The contract of every encoder."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from kinelex.errors import InputError
from kinelex.skeleton import SkeletonLayout

PERSONS = 2  # places that the published networks have, for NTU's two persons


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

    name: ClassVar[str]  # in recipes and messages, where it is registered
    places: int | None = None
    places_option: ClassVar[str] = "person_norms"  # which option says how many places there are
    unsaid: ClassVar[dict[str, Any]] = {}  # options of runs that are older than the option

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

    def with_places(self, x: Tensor) -> Tensor:
        """``x`` filled up with persons of zeros to ``places``, where the encoder has them.

        Raises:
            InputError: more persons than places.
        """
        persons = x.shape[4]
        if self.places is None or persons == self.places:
            return x
        if persons > self.places:
            raise InputError(
                f"{self.name} expects at most {self.places} persons, got {persons}: set encoder."
                f"{self.places_option}={persons}, or keep fewer per clip (input.persons={self.places})"
            )
        return F.pad(x, (0, self.places - persons))


def normed_persons(norm: nn.BatchNorm1d, x: Tensor) -> Tensor:
    """Batch norm of the input, for all persons together or with numbers for each place.

    Args:
        norm: over V·C numbers, or over M·V·C.
        x: the clips.

    Shape:
        - x: (N, C, T, V, M)
        - returns: (N·M, V, C, T)
    """
    n, c, t, v, m = x.shape
    y = x.permute(0, 4, 3, 1, 2).reshape(-1, norm.num_features, t)
    return norm(y).view(n * m, v, c, t)
