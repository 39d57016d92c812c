"""What sensors do to clips: noise, missing joints, hidden parts, lost frames, other frame rates and views.

Each function changes a batch of clips as loaded (:attr:`~kinelex.data.batch.Batch.frames`), whatever the data
set's unit, layout and number of persons. Absent joints and persons (all zeros) stay absent. What is drawn at
random comes from a generator on the CPU.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from kinelex.data.batch import Batch
from kinelex.inference.cache import digest
from kinelex.skeleton import joint_presence

Change = Callable[[Batch, torch.Generator], Batch]


def joint_noise(batch: Batch, share: float, generator: torch.Generator) -> Batch:
    """Add Gaussian noise to every coordinate, independent in each frame.

    ``share`` is the standard deviation as a share of the clip's body size, the root mean square distance of
    the joints from their centre.
    """
    x, clip = _frames(batch)
    present = joint_presence(x)  # (sum of T, 1, V, M)
    middle = x.sum(dim=2, keepdim=True) / present.sum(dim=2, keepdim=True).clamp(min=1)
    squares = ((x - middle).square() * present).sum(dim=(1, 2, 3))
    ones = present.sum(dim=(1, 2, 3)).to(x.dtype)
    n = len(batch)
    total, count = (torch.zeros(n, device=x.device).index_add_(0, clip, v) for v in (squares, ones))
    size = (total / count.clamp(min=1)).sqrt()
    drawn = torch.randn(x.shape, generator=generator).to(x.device)
    noise = share * size[clip][:, None, None, None] * drawn
    return replace(batch, frames=torch.where(present, x + noise, x))


def missing_joints(batch: Batch, share: float, root: int, generator: torch.Generator) -> Batch:
    """Lose some joints of each clip in all frames: they lie on the root, as zeros do in centred clips.

    ``share`` of the joints is lost, one at least; the joint ``root`` never is.
    """
    x, clip = _frames(batch)
    n, joints = len(batch), x.shape[2]
    keys = torch.rand(n, joints, generator=generator)
    keys[:, root] = 2.0
    lost = keys.argsort(dim=1).argsort(dim=1) < max(round(share * (joints - 1)), 1)
    gone = lost.to(x.device)[clip][:, None, :, None] & joint_presence(x)
    return replace(batch, frames=torch.where(gone, x[:, :, root : root + 1], x))


def hidden_joints(batch: Batch, joints: Sequence[int], root: int) -> Batch:
    """Hide the same joints of all clips in all frames: they lie on the joint ``root``, which stays itself."""
    x, _ = _frames(batch)
    hidden = torch.zeros(x.shape[2], dtype=torch.bool, device=x.device)
    hidden[list(joints)] = True
    gone = hidden[:, None] & joint_presence(x)
    return replace(batch, frames=torch.where(gone, x[:, :, root : root + 1], x))


def dropped_frames(batch: Batch, share: float, generator: torch.Generator) -> Batch:
    """Lose a share of each clip's frames at random; one at least is left, and the order stays."""
    lengths = batch.lengths.cpu()
    clip = torch.repeat_interleave(torch.arange(len(lengths)), lengths)
    keys = torch.rand(len(clip), generator=generator, dtype=torch.float64)
    order = (clip + keys).argsort()
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(clip)) - _starts(lengths)[clip]
    left = ((1 - share) * lengths).round().long().clamp(min=1)
    return _keep(batch, rank < left[clip])


def slower_rate(batch: Batch, factor: int) -> Batch:
    """Keep every ``factor``-th frame, from the first on: 2 halves the frame rate."""
    lengths = batch.lengths.cpu()
    clip = torch.repeat_interleave(torch.arange(len(lengths)), lengths)
    kept = _keep(batch, (torch.arange(len(clip)) - _starts(lengths)[clip]) % factor == 0)
    return replace(kept, fps=None if batch.fps is None else batch.fps / factor)


def turned(batch: Batch, degrees: float, generator: torch.Generator) -> Batch:
    """Turn each clip about the y axis through the mean place of its joints, to the left or to the right.

    The y axis is the vertical of Kinect's and MediaPipe's coordinates. Clips in 2-D turn in the picture's
    plane, as by a camera that is held askew.
    """
    x, clip = _frames(batch)
    present = joint_presence(x)
    n, c = len(batch), x.shape[1]
    total = torch.zeros(n, c, device=x.device).index_add_(0, clip, x.sum(dim=(2, 3)))
    count = torch.zeros(n, device=x.device).index_add_(0, clip, present.sum(dim=(1, 2, 3)).to(x.dtype))
    centre = (total / count.clamp(min=1)[:, None])[clip][:, :, None, None]
    side = (torch.rand(n, generator=generator) < 0.5).to(x.device, x.dtype) * 2 - 1
    angle = (side * math.radians(degrees))[clip][:, None, None]
    cos, sin = angle.cos(), angle.sin()
    apart = x - centre
    one, other = apart[:, 0], apart[:, -1]  # x and z, or x and y
    turns = [cos * one + sin * other, cos * other - sin * one]
    moved = torch.stack([turns[0], *apart[:, 1:-1].unbind(dim=1), turns[1]], dim=1)
    return replace(batch, frames=torch.where(present, moved + centre, x))


def _frames(batch: Batch) -> tuple[Tensor, Tensor]:
    """The frames, and the clip of each."""
    x = batch.frames
    if x is None:
        raise ValueError("clips are changed as loaded, before they are resampled")
    clip = torch.repeat_interleave(torch.arange(len(batch), device=x.device), batch.lengths.to(x.device))
    return x, clip


def _starts(lengths: Tensor) -> Tensor:
    return lengths.cumsum(0) - lengths


def _keep(batch: Batch, kept: Tensor) -> Batch:
    """The batch with some of its frames."""
    x, clip = _frames(batch)
    lengths = torch.bincount(clip.cpu()[kept], minlength=len(batch)).to(batch.lengths.device)
    return replace(batch, frames=x[kept.to(x.device)], lengths=lengths)


@dataclass
class Seeded:
    """A change of each clip on its own: its randomness depends on the seed, the variant and the clip.

    Args:
        seed, variant: what the draws depend on, beside the clip.
        change: changes a batch of one clip; without, it is the frames that are drawn, when it is prepared.
    """

    seed: int
    variant: str
    change: Change | None = None

    def generator(self, row: int) -> torch.Generator:
        """Of one clip."""
        return torch.Generator().manual_seed(int(digest(self.seed, self.variant, row)[:15], 16))

    def __call__(self, batch: Batch) -> Batch:
        assert batch.frames is not None
        assert self.change is not None
        changed = []
        for i, frames in enumerate(batch.frames.split(batch.lengths.tolist())):
            lengths, labels, index = (t[i : i + 1] for t in (batch.lengths, batch.labels, batch.indices))
            clip = Batch(
                lengths, labels, index, frames, fps=batch.fps[i : i + 1] if batch.fps is not None else None
            )
            changed.append(self.change(clip, self.generator(int(index))))
        frames = torch.cat([clip.frames for clip in changed if clip.frames is not None])
        fps = [clip.fps for clip in changed if clip.fps is not None]
        return replace(
            batch,
            frames=frames,
            lengths=torch.cat([clip.lengths for clip in changed]),
            fps=torch.cat(fps) if fps else None,
        )
