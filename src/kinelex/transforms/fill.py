"""Frames of persons who have left the clip, or come late."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from kinelex.data.batch import Batch
from kinelex.skeleton import joint_presence
from kinelex.skeleton.presence import all_present
from kinelex.transforms.base import Transform, clips_of, register


def fill_empty(x: Tensor) -> Tensor:
    """Fill the frames after a person has left by repeating what was seen of them.

    A person who is absent from the first frame is moved to the clip's start first, without the frames in
    between in which they are absent. A person who is never there stays all zeros.

    Shape:
        - x: (N, C, T, V, M); returns: (N, C, T, V, M)

    Source: the pre-normalisation of CMD (ECCV 2022), its first step.

    >>> x = torch.tensor([1.0, 2.0, 0.0, 0.0, 0.0]).view(1, 1, 5, 1, 1)
    >>> fill_empty(x).flatten().tolist()
    [1.0, 2.0, 1.0, 2.0, 1.0]
    """
    source = fill_order(joint_presence(x))
    return x.gather(2, source[:, None, :, None].expand_as(x))


def fill_order(presence: Tensor) -> Tensor:
    """The frame that each frame is filled from, see :func:`fill_empty`.

    Shape:
        - presence: (N, 1, T, V, M) bool; returns: (N, T, M) int64
    """
    there = presence[:, 0].any(dim=2)
    t = there.shape[1]
    time = torch.arange(t, device=there.device).view(1, t, 1)
    late = ~there[:, :1]  # (N, 1, M)
    packed = torch.where(there, time, t + time).argsort(dim=1)  # frames with the person first, in order
    order = torch.where(late, packed, time)
    last = torch.where(there, time + 1, 0).amax(dim=1, keepdim=True)
    count = torch.where(late, there.sum(dim=1, keepdim=True), last).clamp(min=1)
    return order.gather(1, (time % count).expand_as(order))


@register
@dataclass(frozen=True)
class FillEmpty(Transform):
    """What was seen of a person who leaves the clip early is repeated, see :func:`fill_empty`."""

    def apply(self, batch: Batch, params: None = None) -> Batch:
        x, there = clips_of(batch)
        if all_present(there):
            return batch
        order = fill_order(there)[:, None, :, None]
        x, there = (values.gather(2, order.expand_as(values)) for values in (x, there))
        if batch.frames is not None:  # whole clips: what comes after the end of one is none of it
            time = torch.arange(x.shape[2], device=x.device)
            inside = (time < batch.lengths[:, None])[:, None, :, None, None]
            x, there = x * inside, there & inside
        return replace(batch, x=x, presence=there)
