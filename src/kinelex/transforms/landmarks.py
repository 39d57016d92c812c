"""Private machinery of the normalisations: where a body's landmarks are, though joints may be missing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from kinelex.errors import InputError
from kinelex.skeleton import SkeletonLayout, landmark_weights
from kinelex.skeleton.presence import all_present
from kinelex.skeleton.retarget import landmark_choices, weigh


@dataclass(frozen=True)
class Landmark:
    """The path of a landmark, 0 where it is missing, and the frames in which it is there.

    Shape:
        - path: (N, C, T); there: (N, T) bool
    """

    path: Tensor
    there: Tensor

    def first(self) -> Tensor:
        """Its place in the first frame in which it is there, (N, C)."""
        frame = self.there.to(torch.int8).argmax(dim=1)
        return self.path.gather(2, frame.view(-1, 1, 1).expand(-1, self.path.shape[1], 1)).squeeze(2)

    def mean(self) -> Tensor:
        """Its mean over the frames in which it is there, (N, C)."""
        return self.path.sum(dim=2) / self.there.sum(dim=1).clamp(min=1)[:, None]

    def filled(self) -> Tensor:
        """Its path with that of the nearest frame where it is missing, (N, C, T)."""
        if all_present(self.there):
            return self.path
        t = self.there.shape[1]
        time = torch.arange(t, device=self.there.device)
        if torch.compiler.is_compiling():  # ONNX has no cummax
            apart = (time[:, None] - time).abs() + torch.where(self.there, 0, 2 * t)[:, None]  # (N, T, T)
            return self.path.gather(2, apart.argmin(dim=2)[:, None].expand_as(self.path))
        time = time.expand_as(self.there)
        before = torch.where(self.there, time, -t).cummax(dim=1).values
        after = torch.where(self.there, time, 2 * t).flip(1).cummin(dim=1).values.flip(1)
        nearest = torch.where(time - before <= after - time, before, after).clamp(0, t - 1)
        return self.path.gather(2, nearest[:, None].expand_as(self.path))

    def otherwise(self, other: Landmark) -> Landmark:
        """The other landmark in the clips in which this one is in no frame."""
        never = ~self.there.any(dim=1, keepdim=True)
        path = torch.where(never[:, None], other.path, self.path)
        return Landmark(path, torch.where(never, other.there, self.there))

    def __sub__(self, other: Landmark) -> Landmark:
        """From the other landmark to this one, in the frames that have both."""
        if all_present(self.there) and all_present(other.there):
            return Landmark(self.path - other.path, self.there)
        both = self.there & other.there
        return Landmark((self.path - other.path) * both[:, None], both)


def find_landmark(x: Tensor, presence: Tensor, layout: SkeletonLayout, joint: str, asked: str) -> Landmark:
    """A joint of one person, in clips that never show it the best substitute that they do show.

    Args:
        layout: layout of ``x``.

    Shape:
        - x: (N, C, T, V); presence: (N, 1, T, V) bool
    """
    choices = _choices(layout, joint, asked, x.device, x.dtype)
    found = _weighed(x, presence, choices[0], layout)
    for weights in () if all_present(presence) else choices[1:]:
        found = found.otherwise(_weighed(x, presence, weights, layout))
    return found


def body_centre(x: Tensor, presence: Tensor) -> Landmark:
    """The mean of the joints that are there; shapes as of :func:`find_landmark`."""
    path = (x * presence).sum(dim=3) / presence.sum(dim=3).clamp(min=1)
    return Landmark(path, presence[:, 0].any(dim=2))


def first_person(x: Tensor, presence: Tensor) -> tuple[Tensor, Tensor]:
    """The first person of each clip who is there in some frame: coordinates and presence.

    Shape:
        - x: (N, C, T, V, M); presence: (N, 1, T, V, M); returns: (N, C, T, V); (N, 1, T, V)
    """
    if x.shape[4] == 1 or all_present(presence):
        return x[..., 0], presence[..., 0]
    leads = presence.any(dim=3).any(dim=2).to(torch.int8).argmax(dim=2)  # (N, 1)
    if all_present(leads == 0):
        return x[..., 0], presence[..., 0]
    index = leads.view(-1, 1, 1, 1, 1)
    first = (values.gather(4, index.expand(-1, *values.shape[1:4], -1)) for values in (x, presence))
    return next(first).squeeze(4), next(first).squeeze(4)


def _weighed(x: Tensor, presence: Tensor, weights: Tensor, layout: SkeletonLayout) -> Landmark:
    path, there = weigh(x, presence, weights, layout, dim=-1)
    return Landmark(path if all_present(presence) else path * there, there[:, 0])


@lru_cache(maxsize=256)
def _choices(
    layout: SkeletonLayout, joint: str, asked: str, device: torch.device, dtype: torch.dtype
) -> Tensor:
    """Weights of the joint and of its substitutes, (K, V), copied to the device once."""
    try:
        landmark_weights(layout, joint)
    except InputError as error:
        option = asked.partition("=")[0]
        other = f"input.{option}={'body' if option == 'scale' else 'none'}"
        raise InputError(f"{asked} does not suit these clips, pass {other}: {error}") from error
    with torch.inference_mode(False):  # so that a later training may use it, too
        return torch.from_numpy(landmark_choices(layout, joint)).to(device, dtype)
