"""How PYSKL prepares clips, to the number: for its checkpoints, and to compare with its results.

Source: Duan et al., "PYSKL: Towards Good Practices for Skeleton Action Recognition", ACM MM 2022,
arXiv 2205.09443, and its published code.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from kinelex.data.batch import Batch
from kinelex.errors import InputError
from kinelex.skeleton import SkeletonLayout, joint_presence
from kinelex.transforms.base import Transform, clips_of, register
from kinelex.transforms.frames import FrameChoice
from kinelex.transforms.normalise import align_body, centre
from kinelex.transforms.temporal import FramePlan, picks, ragged_frames


def pyskl_normalise_3d(clip: np.ndarray, layout: SkeletonLayout) -> np.ndarray:
    """Turn a clip of one or two persons into the body's frame of its first frame.

    Frames without the person who is seen more often are left out; that person comes first. Then the middle of
    the spine in the first frame is the origin, hip to spine points to +z and left to right shoulder to +x.

    Args:
        clip: coordinates in metres; absent joints are zeros.

    Shape:
        - clip: (M, T, V, 3), M at most 2; returns: (M, T', V, 3) float64

    Raises:
        InputError: another shape, or more than two persons.

    >>> from kinelex.skeleton import get_layout
    >>> clip = np.random.default_rng(0).normal(size=(1, 4, 25, 3))
    >>> np.abs(pyskl_normalise_3d(clip, get_layout("ntu25"))[0, 0, 1]).max().item()
    0.0
    """
    if clip.ndim != 4 or not 1 <= len(clip) <= 2 or clip.shape[2:] != (layout.num_joints, 3):
        raise InputError(
            f"expects (M, T, {layout.num_joints}, 3) of one or two persons of {layout.name}, got {clip.shape}"
        )
    seen = ~np.isclose(clip, 0).all(axis=(2, 3))  # (M, T)
    if not seen.any():
        return clip.astype(np.float64)
    first = int(len(clip) == 2 and seen[1].sum() > seen[0].sum())
    persons = clip[::-1] if first else clip
    x = torch.from_numpy(persons[:, seen[first]].transpose(3, 1, 2, 0).copy())[None]
    x = align_body(centre(x, layout, "first").double(), layout, "body")
    return x[0].permute(3, 1, 2, 0).numpy()  # (1, 3, T', V, M) → (M, T', V, 3)


def pyskl_test_frames(length: int, frames: int = 100, clips: int = 10, seed: int = 255) -> np.ndarray:
    """The frames that PYSKL takes of a clip at test time: one at random of each of ``frames`` equal parts.

    Its seed is fixed, so that every clip of a length is sampled alike. A clip shorter than ``frames`` is
    repeated, each time from another start.

    Args:
        length: frames of the clip.
        clips: how often the clip is sampled.

    Shape:
        - returns: (clips, frames) int64

    Raises:
        InputError: fewer than one frame.

    >>> pyskl_test_frames(150, frames=4, clips=2).tolist()
    [[31, 42, 96, 121], [0, 44, 92, 129]]
    """
    if min(length, frames, clips) < 1:
        raise InputError(f"expects a length, frames and clips of at least 1, got {length}, {frames}, {clips}")
    draw = np.random.RandomState(seed)  # noqa: NPY002  (the published generator: its numbers count)
    sampled = []
    for clip in range(clips):
        draw.rand()  # a share of the clip, which is always the whole
        draw.randint(1)  # and its offset
        if length < frames:
            start = clip if length < clips else clip * length // clips
            chosen = start + np.arange(frames)
        elif length < 2 * frames:
            skipped = np.zeros(frames + 1, np.int64)
            skipped[draw.choice(frames + 1, length - frames, replace=False)] = 1
            chosen = np.arange(frames) + skipped.cumsum()[:-1]
        else:
            bounds = np.arange(frames + 1) * length // frames
            chosen = bounds[:-1] + draw.randint(np.diff(bounds))
        sampled.append(chosen % length)
    return np.stack(sampled)


_test_frames = lru_cache(maxsize=4096)(pyskl_test_frames)


@register
@dataclass(frozen=True)
class MainPersonFirst(Transform):
    """Persons in the order of how many frames they are seen in, the one who is seen most first."""

    def apply(self, batch: Batch, params: None = None) -> Batch:
        x, there = clips_of(batch)
        seen = there.any(dim=3).sum(dim=(1, 2))  # (N, M)
        order = seen.argsort(dim=1, descending=True, stable=True)[:, None, None, None]
        x, there = (torch.take_along_dim(values, order, 4) for values in (x, there))
        return replace(batch, x=x, presence=there)


@register
@dataclass(frozen=True)
class UniformFrames(FrameChoice):
    """One frame at random of each of ``frames`` equal parts of the clip; a shorter clip is repeated.

    At test time the features of ``clips`` draws are averaged, see :func:`pyskl_test_frames`; PYSKL averages
    probabilities.

    Args:
        frames, fps: see :class:`FrameChoice`.
        clips: draws at test time.
        seen_only: leave out frames without the person who is seen in most.
    """

    frames: int = 100
    clips: int = 10
    seen_only: bool = True
    streams_first = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.clips < 1:
            raise InputError(f"expects clips of at least 1, got {self.clips}")

    def draw(self, lengths: Tensor, generator: torch.Generator) -> FramePlan:
        n, frames = lengths[:, None], self.frames
        start, part, order = (
            torch.rand(len(lengths), width, generator=generator, dtype=torch.float64).to(lengths.device)
            for width in (1, frames, frames + 1)
        )
        steps = torch.arange(frames + 1, device=lengths.device)
        repeated = ((start * n).long() + steps[:-1]) % n
        skipped = (order.argsort(dim=1).argsort(dim=1) < n - frames).cumsum(dim=1)[:, :-1]
        bounds = steps * n // frames
        spread = bounds[:, :-1] + (part * bounds.diff(dim=1)).long()
        index = torch.where(n < frames, repeated, torch.where(n < 2 * frames, steps[:-1] + skipped, spread))
        return picks(index)

    def still(self, lengths: Tensor) -> FramePlan:
        return self._still(lengths, 0)

    def _still(self, lengths: Tensor, clip: int) -> FramePlan:
        drawn = [_test_frames(length, self.frames, self.clips)[clip] for length in lengths.tolist()]
        return picks(torch.from_numpy(np.stack(drawn)).to(lengths.device))

    def _choosable(self, batch: Batch) -> Tensor:
        return self._lengths(self._kept(batch)[0])

    def views(self, batch: Batch) -> list[FramePlan]:
        lengths = self._choosable(batch)
        return [self._still(lengths, clip) for clip in range(self.clips)]

    def _kept(self, batch: Batch) -> tuple[Batch, Tensor | None]:
        batch, presence = ragged_frames(batch)
        if not self.seen_only:
            return batch, presence
        assert batch.frames is not None
        there = joint_presence(batch.frames) if presence is None else presence
        seen = there.flatten(1, 2).any(dim=1)  # (sum of T, M)
        clip = torch.repeat_interleave(torch.arange(len(batch), device=seen.device), batch.lengths)
        counts = torch.zeros(len(batch), seen.shape[1], device=seen.device)
        most, main = counts.index_add(0, clip, seen.float()).max(dim=1)
        kept = seen.gather(1, main[clip][:, None])[:, 0] | (most == 0)[clip]
        lengths = torch.bincount(clip[kept], minlength=len(batch))
        return replace(batch, frames=batch.frames[kept], lengths=lengths), there[kept]
