"""Time: ragged frames → clips of one length, by crop and resize or by picking frames.

A plan is sampled first; it says for each output frame which two of a clip's ragged frames to mix.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from kinelex.data.batch import Batch
from kinelex.errors import InputError
from kinelex.skeleton import joint_presence
from kinelex.skeleton.presence import all_present, complete, host_sees


@dataclass
class FramePlan:
    """Which input frames make each output frame.

    Shape:
        - lower, upper: (N, T) int64, frame numbers within the clip.
        - weight: (N, T) float32, share of ``upper``, a fraction of 1.
    """

    lower: Tensor
    upper: Tensor
    weight: Tensor


@dataclass
class Crop:
    """A temporal interval per clip.

    Shape:
        - start, length: (N,) int64, frames.
    """

    start: Tensor
    length: Tensor


def sample_crop(
    lengths: Tensor, ratio: tuple[float, float], minimum: int = 64, generator: torch.Generator | None = None
) -> Crop:
    """Draw a random crop per clip: a share of the frames, at an arbitrary place.

    Args:
        lengths: frames of each clip.
        ratio: bounds of the share, fractions of 1.
        minimum: shortest crop in frames, at least 1; a shorter clip is taken whole.
        generator: source of randomness (on the CPU).

    Shape:
        - lengths: (N,)

    Raises:
        InputError: bounds that are not 0 < low <= high <= 1.

    Source: CMD (ECCV 2022) and CTR-GCN (ICCV 2021), training crops.

    >>> sample_crop(torch.tensor([100, 40]), (0.5, 0.5), minimum=64).length
    tensor([64, 40])
    """
    low, high = ratio
    if not 0 < low <= high <= 1:
        raise InputError(f"expects a crop ratio with 0 < low <= high <= 1, got [{low}, {high}]")
    n = len(lengths)
    draws = torch.rand(2, n, generator=generator, dtype=torch.float64)
    share, place = draws.to(lengths.device, non_blocking=True)
    wanted = (lengths * (low + (high - low) * share)).floor().long()
    length = torch.minimum(wanted.clamp(min=max(minimum, 1)), lengths)
    start = (place * (lengths - length + 1)).floor().long()
    return Crop(start, length)


def centre_crop(lengths: Tensor, ratio: float) -> Crop:
    """The middle of each clip: the same number of frames, rounded down, is cut at both ends.

    Shape:
        - lengths: (N,)

    Raises:
        InputError: a ratio that is not above 0 and up to 1.

    Source: the test crop of CMD and CTR-GCN (ratio 0.95).

    >>> centre_crop(torch.tensor([97]), 0.95)
    Crop(start=tensor([2]), length=tensor([93]))
    """
    if not 0 < ratio <= 1:
        raise InputError(f"expects a crop ratio above 0 and up to 1, got {ratio}")
    start = ((1 - ratio) * lengths.double() / 2).floor().long()
    return Crop(start, lengths - 2 * start)


def resize_plan(crop: Crop, frames: int) -> FramePlan:
    """Linear interpolation of each crop to a number of frames.

    Frame centres are matched (the ``align_corners=False`` convention of ``interpolate``).
    """
    steps = torch.arange(frames, device=crop.start.device, dtype=torch.float32)
    length = crop.length.unsqueeze(1)
    position = ((steps + 0.5) * (length.float() / frames) - 0.5).clamp(min=0)  # (N, T)
    lower = torch.minimum(position.floor().long(), length - 1)
    upper = torch.minimum(lower + 1, length - 1)
    start = crop.start.unsqueeze(1)
    return FramePlan(start + lower, start + upper, position - lower)


def uniform_plan(lengths: Tensor, frames: int) -> FramePlan:
    """Frames spread evenly over each clip, the first and the last included; short clips repeat frames.

    Shape:
        - lengths: (N,)

    >>> uniform_plan(torch.tensor([9]), 3).lower
    tensor([[0, 4, 8]])
    """
    share = torch.linspace(0, 1, frames, dtype=torch.float64, device=lengths.device)
    return picks(((lengths.unsqueeze(1) - 1) * share + 1e-6).floor().long())


def picks(frames: Tensor) -> FramePlan:
    """The plan of single frames (N, T) int64, with nothing to mix."""
    return FramePlan(frames, frames, torch.zeros_like(frames, dtype=torch.float32))


def random_plan(lengths: Tensor, frames: int, generator: torch.Generator | None = None) -> FramePlan:
    """Randomly chosen frames in their order: one from each of ``frames`` equal parts of the clip.

    Shape:
        - lengths: (N,)

    >>> random_plan(torch.tensor([90]), 3).lower // 30  # one of each third
    tensor([[0, 1, 2]])
    """
    offset = torch.rand(len(lengths), frames, generator=generator, dtype=torch.float64)
    steps = torch.arange(frames, device=lengths.device, dtype=torch.float64)
    n = lengths.unsqueeze(1)
    places = steps + offset.to(lengths.device, non_blocking=True)
    return picks(torch.minimum((places * (n / frames)).floor().long(), n - 1))


def sorted_plan(lengths: Tensor, frames: int, generator: torch.Generator | None = None) -> FramePlan:
    """Randomly chosen frames in their order, each drawn from the whole clip: gaps are as uneven as chance.

    Shape:
        - lengths: (N,)

    Source: the training frames of CTR-GCN on N-UCLA.

    >>> bool((sorted_plan(torch.tensor([90]), 30).lower.diff() >= 0).all())
    True
    """
    share = torch.rand(len(lengths), frames, generator=generator, dtype=torch.float64).sort(dim=1).values
    n = lengths.unsqueeze(1)
    return picks(torch.minimum((share.to(lengths.device, non_blocking=True) * n).floor().long(), n - 1))


def apply_plan(batch: Batch, plan: FramePlan, presence: Tensor | None = None) -> Batch:
    """Make the clips of one length from the batch's ragged frames, and say which joints are there.

    Where one of the two frames to mix lacks a joint, the nearer frame alone is taken.

    Args:
        plan: which frames to mix.
        presence: which joints of the ragged frames are there; by default those that are not 0.

    Shape:
        - presence: (sum of T, 1, V, M) bool

    Raises:
        InputError: the batch has no ragged frames.

    >>> batch = Batch(torch.tensor([5, 9]), torch.zeros(2), torch.arange(2), torch.randn(14, 3, 20, 1))
    >>> apply_plan(batch, uniform_plan(batch.lengths, 4)).x.shape
    torch.Size([2, 3, 4, 20, 1])
    """
    if batch.frames is None:
        raise InputError("expects a batch with ragged frames, this one is resampled already")
    frames = batch.frames.permute(0, 3, 2, 1)  # (sum of T, M, V, C): as loaded, a frame is one row of memory
    offset = (torch.cumsum(batch.lengths, 0) - batch.lengths).unsqueeze(1)  # (N, 1)
    lower, upper = (offset + plan.lower).flatten(), (offset + plan.upper).flatten()
    picked = plan.upper is plan.lower  # nothing to mix; a comparison would wait for the device
    weight = None if picked else plan.weight.reshape(-1, 1).to(frames.dtype)
    found = _presence(batch.frames) if presence is None else presence[:, 0].transpose(1, 2).flatten(1)
    x, there = _mixed(frames, found, lower, upper, weight)
    n, t = plan.lower.shape
    x = x.view(n, t, *frames.shape[1:]).permute(0, 4, 1, 3, 2).contiguous()
    if there is None:
        joints = complete(x[:, :1].shape, x.device)
    else:
        joints = there.view(n, t, *frames.shape[1:3]).permute(0, 1, 3, 2).unsqueeze(1).contiguous()
    return replace(batch, x=x, frames=None, presence=joints)


def whole_clips(batch: Batch) -> Batch:
    """The batch with all frames of every clip beside the ragged ones; nobody is after a clip's end.

    Shape:
        - batch.frames: (sum of T, C, V, M); returns: a batch with x (N, C, longest T, V, M)
    """
    time = torch.arange(int(batch.lengths.max()), device=batch.lengths.device)
    lengths = batch.lengths.unsqueeze(1)
    frame = torch.minimum(time, lengths - 1)
    clips = apply_plan(batch, picks(frame))
    assert clips.x is not None
    assert clips.presence is not None
    inside = (time < lengths)[:, None, :, None, None]
    return replace(batch, x=clips.x * inside, presence=clips.presence & inside)


def ragged_frames(batch: Batch) -> tuple[Batch, Tensor | None]:
    """The way back from :func:`whole_clips`: a batch with ragged frames, and which joints of them are there.

    Shape:
        - returns: batch.frames (sum of T, C, V, M); (sum of T, 1, V, M) bool, None if nothing was changed yet
    """
    if batch.x is None or batch.frames is None:
        return batch, None
    assert batch.presence is not None
    lengths, total, longest = batch.lengths, batch.frames.shape[0], batch.x.shape[2]
    if total == batch.x.shape[0] * longest:  # no clip is shorter than another
        frames, there = (t.transpose(1, 2).contiguous().flatten(0, 1) for t in (batch.x, batch.presence))
        return replace(batch, frames=frames, x=None, presence=None), there
    clips = torch.arange(len(lengths), device=lengths.device)
    clip = torch.repeat_interleave(clips, lengths, output_size=total)
    start = (torch.cumsum(lengths, 0) - lengths)[clip]
    row = clip * longest + torch.arange(total, device=lengths.device) - start
    frames, there = (t.transpose(1, 2).flatten(0, 1).index_select(0, row) for t in (batch.x, batch.presence))
    return replace(batch, frames=frames, x=None, presence=None), there


def _presence(frames: Tensor) -> Tensor | None:
    """Which joints of ragged frames are there, (sum of T, M * V); None where the host sees that all are."""
    if host_sees(frames) and torch.count_nonzero(frames) == frames.numel():
        return None
    there = joint_presence(frames)[:, 0].transpose(1, 2)
    return None if all_present(there) else there.flatten(1)


def _mixed(
    frames: Tensor, there: Tensor | None, lower: Tensor, upper: Tensor, weight: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """The rows of each output frame, (N * T, row), and which joints of them are there, (N * T, M * V)."""
    rows = frames.flatten(1)
    x = rows.index_select(0, lower)
    if weight is None:
        return x, None if there is None else there.index_select(0, lower)
    y = rows.index_select(0, upper)
    if there is None:
        return x.lerp_(y, weight), None
    here, next_ = there.index_select(0, lower), there.index_select(0, upper)
    late = weight >= 0.5
    both = (here & next_).repeat_interleave(frames.shape[3], dim=1)
    return torch.where(both, x.lerp(y, weight), torch.where(late, y, x)), torch.where(late, next_, here)


def mix_present(first: Batch, second: Batch, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Mix two batches of resampled clips, frame by frame; where one lacks a joint, the nearer is taken.

    Shape:
        - weight: (N, T), share of the second; returns: (N, C, T, V, M); (N, 1, T, V, M) bool
    """
    assert first.x is not None
    assert second.x is not None
    assert first.presence is not None
    assert second.presence is not None
    weight = weight[:, None, :, None, None].to(first.x.dtype)
    late = weight >= 0.5
    mixed, nearer = first.x.lerp(second.x, weight), torch.where(late, second.x, first.x)
    both = first.presence & second.presence
    return torch.where(both, mixed, nearer), torch.where(late, second.presence, first.presence)
