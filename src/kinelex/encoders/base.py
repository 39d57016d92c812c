"""The contract of every encoder: norm of the input, absent persons, pooling and head are here, once."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kinelex.encoders.layers import is_recorded
from kinelex.errors import InputError
from kinelex.skeleton import SkeletonLayout

PERSONS = 2  # places that the published networks have, for NTU's two persons


class Encoder(nn.Module):
    """Skeleton clips in, one feature vector per clip out.

    A subclass implements :meth:`forward_persons`, which maps single persons to features; batch norm of the
    input, persons and pooling are done here.

    Args:
        layout: the skeleton layout it reads, with ``in_channels`` coordinates C per joint.
        num_features: width F of a feature vector.
        places: how many persons it takes at most, each place with weights of its own; None: any number.
        norm: what the batch norm of the input is called among the parameters; None: there is none, nor
            where a subclass has a ``forward`` of its own.

    Attributes:
        block_list: which of its attributes holds its blocks, layers that follow one another, with most of its
            activations; training.recompute computes these again. None: it has none.
        largest_person: a clip's features are the largest of its persons', instead of their mean.
        present_only: leave persons out whose coordinates are all 0, unless the caller says who is present.
        cached: clips that a CPU passes through it at a time, the fastest by measurement; more do not fit its
            cache.

    Shape:
        - x: (N, C, T, V, M), any T, and any number of persons M up to ``places``.
        - present: (N, M) bool, which places hold a person. Those that hold none count as zeros and are left
          out of the mean over persons. None: all of them are averaged, as published networks do.
        - returns: (N, F), or (N, classes) after :meth:`reset_classifier`.

    Raises:
        InputError: clips of another shape than the layout asks for, or more persons than places.

    >>> import torch
    >>> from kinelex.encoders import create
    >>> encoder = create("stgcn", layout="kinect20", channels=8)
    >>> x = torch.randn(4, 3, 16, 20, 2)
    >>> encoder(x).shape, encoder.reset_classifier(10)(x).shape
    (torch.Size([4, 128]), torch.Size([4, 10]))
    """

    name: ClassVar[str]  # in recipes and messages, where it is registered
    places_option: ClassVar[str] = "person_norms"  # which option says how many places there are
    unsaid: ClassVar[dict[str, Any]] = {}  # options of runs that are older than the option
    any_layout: ClassVar[bool] = False  # whether the same weights read clips of any layout
    block_list: ClassVar[str | None] = None
    cached: ClassVar[int] = 16
    present_only: bool = False
    largest_person: bool = False

    def __init__(
        self,
        layout: SkeletonLayout,
        in_channels: int,
        num_features: int,
        places: int | None = None,
        norm: str | None = "input_norm",
    ) -> None:
        super().__init__()
        self.layout, self.in_channels, self.num_features = layout, in_channels, num_features
        own = type(self).forward is not Encoder.forward
        self.places, self.norm_name = places, None if own else norm
        if self.norm_name is not None:
            self.add_module(self.norm_name, nn.BatchNorm1d((places or 1) * layout.num_joints * in_channels))
        self.head: nn.Module = nn.Identity()

    def forward_persons(self, x: Tensor) -> Tensor:
        """Features (B, F, T', V') of single persons (B, C, T, V), which lie in memory as (B, V, C, T)."""
        raise NotImplementedError(f"{type(self).__name__} has no forward_persons")

    def forward_features(self, x: Tensor) -> Tensor:
        """Features before pooling over frames, joints and persons, of ``x`` (N, C, T, V, M).

        Shape:
            - returns: (N, M, F, T', V'); M, T' and V' are 1 where the encoder itself has put them together.
        """
        self.check(x)
        x = self.with_places(x)
        persons, alike = self.normed_persons(x), None
        if not (self.training or is_recorded()):
            alike = absent_persons(x, by_place=self.places is not None)
        if alike is None:
            features = self.forward_persons(persons)
        else:  # at inference those who are absent have all the same features
            some, which = alike
            features = self.forward_persons(persons[some])[which]
        return features.unflatten(0, (x.shape[0], x.shape[4]))

    def forward(self, x: Tensor, present: Tensor | None = None) -> Tensor:
        self.check(x)
        if present is None and self.present_only and x.shape[4] > 1:
            present = present_persons(x)
        if present is None:
            return self.head(self.pooled(self.forward_features(x)))
        if present.shape != (x.shape[0], x.shape[4]):
            raise InputError(f"expects present (N, M) of {tuple(x.shape)}, got shape {tuple(present.shape)}")
        present = present.bool()
        x = x.masked_fill(~present[:, None, None, None], 0)
        return self.head(self.forward_present(x, with_somebody(present)))

    def forward_present(self, x: Tensor, present: Tensor) -> Tensor:
        """Features (N, F) of those persons alone who are present, each computed once."""
        if torch.compiler.is_compiling() and not self.training:  # a graph computes all, as shapes are fixed
            return self.pooled(self.forward_features(x), present)
        x = self.with_places(x)
        present = F.pad(present, (0, x.shape[4] - present.shape[1]))
        features = self.forward_persons(self.normed_persons(x, present)).mean(dim=(2, 3))  # (persons, F)
        every = features.new_zeros(*present.shape, features.shape[1])
        every[present] = features
        return self.pooled(every[..., None, None], present)

    def pooled(self, features: Tensor, present: Tensor | None = None) -> Tensor:
        """The mean over frames and joints, then over persons, or the largest of them.

        Args:
            features: as :meth:`forward_features` gives them.
            present: who counts, somebody in each clip; None: all.

        Shape:
            - features: (N, M, F, T', V'); present: (N, up to M) bool
            - returns: (N, F)
        """
        every = features.mean(dim=(3, 4))
        if present is None:
            return every.amax(dim=1) if self.largest_person else every.mean(dim=1)
        present = F.pad(present, (0, every.shape[1] - present.shape[1]))
        if self.largest_person:
            return every.masked_fill(~present[..., None], -torch.inf).amax(dim=1)
        weights = present.to(every.dtype)
        return (every * weights[..., None]).sum(dim=1) / weights.sum(dim=1, keepdim=True)

    def reset_classifier(self, num_classes: int) -> Encoder:
        """Put a fresh linear layer behind the features; 0 takes it away. Returns the encoder itself."""
        parameter = next(self.parameters())
        self.head = nn.Identity()
        if num_classes:
            self.head = nn.Linear(self.num_features, num_classes, device=parameter.device)
        return self

    def for_layout(self, layout: SkeletonLayout) -> Encoder:
        """The same encoder, its weights shared, for clips of another layout; where ``any_layout`` says so.

        Raises:
            InputError: weights that are those of one layout's joints.
        """
        if layout.joints != self.layout.joints:
            raise InputError(
                f"the weights of {self.name} are those of {self.layout.name}, not of {layout.name}: retarget "
                "the clips (kinelex.skeleton.retarget), or take an encoder that reads any layout (slots)"
            )
        return self

    def check(self, x: Tensor) -> None:
        """Raise an InputError if ``x`` is no (N, C, T, V, M) of this layout."""
        if x.ndim != 5 or x.shape[1] != self.in_channels or x.shape[3] != self.layout.num_joints:
            raise InputError(
                f"expects (N, {self.in_channels}, T, {self.layout.num_joints}, M) for the layout "
                f"{self.layout.name}, got shape {tuple(x.shape)}"
            )

    def with_places(self, x: Tensor) -> Tensor:
        """``x`` filled up with persons of zeros to ``places``; an InputError where it has more."""
        persons = x.shape[4]
        if self.places is None or persons == self.places:
            return x
        if persons > self.places:
            raise InputError(
                f"{self.name} expects at most {self.places} persons, got {persons}: set encoder."
                f"{self.places_option}={persons}, or keep fewer per clip (input.persons={self.places})"
            )
        return F.pad(x, (0, self.places - persons))

    def normed_persons(self, x: Tensor, present: Tensor | None = None) -> Tensor:
        """Single persons after the batch norm of the input, which has numbers for each place or for all.

        Shape:
            - returns: (B, C, T, V), B = N·M or as many as are present, in memory order (B, V, C, T)
        """
        _, c, t, v, _ = x.shape
        persons = x.permute(0, 4, 3, 1, 2)  # (N, M, V, C, T)
        if present is not None and self.places is None:  # who is absent is kept out of the statistics
            persons = persons[present]
        if self.norm_name is not None:
            norm = getattr(self, self.norm_name)
            persons = norm(persons.reshape(-1, (self.places or 1) * v * c, t))
        persons = persons.reshape(-1, v, c, t)
        if present is not None and self.places is not None:
            persons = persons[present.flatten()]
        return persons.permute(0, 2, 3, 1)


def present_persons(x: Tensor) -> Tensor:
    """Who is there in clips (N, C, T, V, M), any coordinate not 0: (N, M) bool."""
    return (x != 0).flatten(1, 3).any(dim=1)


def absent_persons(x: Tensor, by_place: bool) -> tuple[Tensor, Tensor] | None:
    """Which persons stand for all of clips (N, C, T, V, M), and for whom, as those of zeros are all alike.

    Args:
        by_place: they are alike only in the same place.

    Returns:
        Persons (K,) of N·M, and the place among them of each of the N·M; None where all differ.

    >>> x = torch.ones(3, 3, 1, 1, 2)
    >>> x[:2, ..., 1] = 0
    >>> absent_persons(x, by_place=True)
    (tensor([0, 1, 2, 4, 5]), tensor([0, 1, 2, 1, 3, 4]))
    """
    if x.shape[4] == 1:
        return None
    absent = ~present_persons(x)  # (N, M)
    numbers = torch.arange(absent.numel(), device=x.device).view_as(absent)
    others = numbers.masked_fill(~absent, absent.numel())
    first = others.amin(dim=0 if by_place else (0, 1), keepdim=True)
    some, which = torch.where(absent, first, numbers).flatten().unique(return_inverse=True)
    return None if len(some) == absent.numel() else (some, which)


def with_somebody(present: Tensor) -> Tensor:
    """The same (N, M) but that a clip without anybody is its first, empty person."""
    return present | F.pad(~present.any(dim=1, keepdim=True), (0, present.shape[1] - 1))
