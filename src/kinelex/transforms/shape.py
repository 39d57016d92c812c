"""Clips in the form that an encoder reads: its number of persons, its joints, its stream."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from kinelex.data.batch import Batch
from kinelex.errors import InputError, check_name, unknown_name
from kinelex.skeleton import STREAMS, SkeletonLayout, get_layout, make_stream
from kinelex.skeleton.presence import host_sees
from kinelex.skeleton.retarget import RETARGETS, retarget_choices, retarget_present
from kinelex.transforms.base import Transform, clips_of, layout_of, register
from kinelex.transforms.frames import Sometimes, chance, check_probability


@register
@dataclass(frozen=True)
class PersonPlaces(Transform):
    """As many person places in every clip: persons beyond are left out, absent ones are zeros.

    Args:
        places: person places M.
    """

    places: int = 2

    def __post_init__(self) -> None:
        if self.places < 1:
            raise InputError(f"expects places of at least 1, got {self.places}")

    def apply(self, batch: Batch, params: None = None) -> Batch:
        x, there = clips_of(batch)
        more = self.places - x.shape[4]  # a negative width leaves out the last places
        return batch if not more else replace(batch, x=F.pad(x, (0, more)), presence=F.pad(there, (0, more)))


@register
class Retarget(Transform):
    """Clips in another layout, see :func:`kinelex.skeleton.retarget`.

    Args:
        layout: the layout wanted, by name or as an object.
        mode: what becomes of its joints that clips lack, see
            :func:`~kinelex.skeleton.retarget.retarget_choices`.
    """

    def __init__(self, layout: str | SkeletonLayout = "ntu25", mode: str = "complete") -> None:
        check_name("retarget", mode, RETARGETS)
        self.layout, self.mode = get_layout(layout) if isinstance(layout, str) else layout, mode

    def __repr__(self) -> str:
        return f"Retarget(layout={self.layout.name!r}, mode={self.mode!r})"

    def layout_after(self, layout: SkeletonLayout | None) -> SkeletonLayout:
        """The layout wanted."""
        return self.layout

    def apply(self, batch: Batch, params: None = None) -> Batch:
        x, there = clips_of(batch)
        source = layout_of(batch)
        if source.joints != self.layout.joints:
            choices, lacking = _choices(source, self.layout, self.mode)
            choices = choices.to(x.device, x.dtype, non_blocking=True)
            lacking = None if lacking is None else lacking.to(x.device, non_blocking=True)
            x, there = retarget_present(x, there, source, choices, lacking)
        return replace(batch, x=x, presence=there, layout=self.layout)


@lru_cache(maxsize=16)
def _choices(source: SkeletonLayout, target: SkeletonLayout, mode: str) -> tuple[Tensor, Tensor | None]:
    with torch.inference_mode(False):  # so that a later training may use it, too
        choices = torch.from_numpy(retarget_choices(source, target, mode))
        lacking = choices[0].sum(dim=1) == 0
        return choices, lacking if lacking.any() else None


@register
@dataclass(frozen=True)
class OtherSensor(Sometimes):
    """Some clips come as another sensor would give them: in a layout of its own, and back from it.

    What that layout lacks is made from joints that can stand for it, or is missing. For clips of one layout
    that are to be told alike from whatever sensor; before clips are centred, turned and scaled.

    Args:
        probability: share of the clips, a fraction of 1.
        layouts: layouts to draw from, by name.
        flat: share of all clips that lose their depth, as poses in a picture have none: the coordinate in
            which the persons are thinnest is 0.

    >>> from kinelex.transforms import Compose
    >>> clips, generator = torch.randn(1, 3, 2, 25, 1), torch.Generator().manual_seed(0)
    >>> seen = Compose([OtherSensor(1.0, ("coco17",))], layout="ntu25")(clips, generator)
    >>> seen.shape, bool((seen == clips)[:, :, :, 5].all())  # a wrist stays as it is
    (torch.Size([1, 3, 2, 25, 1]), True)
    """

    layouts: tuple[str, ...] = ("coco17", "mediapipe33", "sbu15", "smpl24", "kinect20")
    flat: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_probability(self.flat)
        if not self.layouts:
            raise InputError("other_sensor expects at least one layout, got none")
        for name in self.layouts:
            get_layout(name)

    def sample(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw the number of a clip's layout (N,), -1 for its own, and whether it is flat (N,)."""
        chosen = torch.randint(len(self.layouts), (len(batch),), generator=generator)
        some = chance(len(batch), self.probability, generator).flatten()
        return torch.where(some, chosen, -1), chance(len(batch), self.flat, generator).flatten()

    def apply(self, batch: Batch, params: tuple[Tensor, Tensor] | None = None) -> Batch:
        if params is None:
            return batch
        (x, there), source = clips_of(batch), layout_of(batch)
        x, there = x.clone(), there.clone()
        for number, name in enumerate(self.layouts):
            rows = (params[0] == number).nonzero().flatten().to(x.device, non_blocking=True)
            part = replace(batch, x=x[rows], presence=there[rows])
            for layout in (get_layout(name), source):
                part = Retarget(layout, "partial").apply(part)
            x[rows], there[rows] = clips_of(part)
        if self.flat and x.shape[1] == 3:
            count = there.sum(dim=(2, 3), keepdim=True).clamp(min=1)
            around = (x - x.sum(dim=(2, 3), keepdim=True) / count) * there  # each person's own middle
            wide = around.square().sum(dim=(2, 3, 4))  # (N, C)
            chosen = params[1].to(x.device, non_blocking=True)[:, None]
            thin = F.one_hot(wide.argmin(dim=1), 3).bool() & chosen
            x = x.masked_fill(thin[:, :, None, None, None], 0)
        return replace(batch, x=x, presence=there)


@register
@dataclass(frozen=True)
class Stream(Transform):
    """Bones, motion or both instead of joints, see :func:`kinelex.skeleton.make_stream`.

    Args:
        stream: ``joint``, ``bone``, ``motion`` or ``bone_motion``.
        scores: the last number of a joint is its confidence: a bone or a motion has the mean of its ends'.
    """

    stream: str = "bone"
    scores: bool = False

    def __post_init__(self) -> None:
        if self.stream not in STREAMS:
            raise unknown_name("stream", self.stream, STREAMS)

    def apply(self, batch: Batch, params: None = None) -> Batch:
        x, there = clips_of(batch)
        layout = layout_of(batch)
        derived = make_stream(x, layout, self.stream, there)
        if self.scores:
            derived = torch.cat([derived[:, :-1], _scores_of(x[:, -1:], layout, self.stream)], dim=1)
        return replace(batch, x=derived)


def _scores_of(scores: Tensor, layout: SkeletonLayout, stream: str) -> Tensor:
    """The mean confidence (N, 1, T, V, M) of the ends of bones and motions; the last motion has 0."""
    if stream.startswith("bone"):
        scores = (scores + scores[:, :, :, list(layout.parents)]) / 2
    if stream.endswith("motion"):
        scores = F.pad((scores[:, :, :-1] + scores[:, :, 1:]) / 2, (0, 0, 0, 0, 0, 1))
    return scores


def seen_by_each(batch: Batch, prepare: Callable[[Batch], tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Clips once in the frame of each of their persons, as ``input.mutual`` asks.

    Args:
        batch: clips as loaded.
        prepare: centres, turns and scales them by the first person.

    Shape:
        - returns: what ``prepare`` returns, (N, C, T, V, M) and (N, 1, T, V, M) bool, with M·M persons: all
          in the first one's frame, then in the second one's, who comes first there, and so on. Who is absent
          leads nobody: zeros.
    """
    x, there = prepare(batch)
    clips, persons = batch.x if batch.frames is None else batch.frames, x.shape[4]
    leaders = 1 if clips is None else min(persons, clips.shape[-1])
    if leaders > 1 and not (host_sees(x) and not there[..., 1:].any()):
        led = [(x, there), *(prepare(_led_by(batch, person)) for person in range(1, leaders))]
        leading = [known[..., :1].any(dim=(2, 3), keepdim=True) for _, known in led]
        x, there = (
            torch.cat([part * known for part, known in zip(parts, leading, strict=True)], dim=4)
            for parts in zip(*led, strict=True)
        )
    more = persons**2 - x.shape[4]
    return F.pad(x, (0, more)), F.pad(there, (0, more))


def _led_by(batch: Batch, person: int) -> Batch:
    """The batch with a person in the first place, by whom clips are centred, turned and scaled."""
    moved: dict[str, Any] = {
        name: torch.cat([x[..., person : person + 1], x[..., :person], x[..., person + 1 :]], dim=-1)
        for name in ("frames", "x", "presence")
        if (x := getattr(batch, name)) is not None
    }
    return replace(batch, **moved)
