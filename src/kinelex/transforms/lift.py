"""The depth of poses in a picture, guessed: what a 3-D encoder reads better than a flat person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.nn import functional as F

from kinelex.data.batch import Batch
from kinelex.errors import InputError, one_line
from kinelex.skeleton import get_layout
from kinelex.skeleton.presence import host_sees
from kinelex.transforms.base import Transform, clips_of, layout_of, register
from kinelex.transforms.shape import Retarget

LIFTER = "pose_lifter.safetensors"  # of kinelex itself, from the built-in actors, and of each run
CORE = get_layout("core16")


class PoseLifter(nn.Module):
    """Depths of the joints of ``core16`` from where a picture shows them: convolutions over time.

    Like the temporal convolutions of VideoPose3D (Pavllo et al., CVPR 2019), but narrow, and it knows which
    joints are missing.

    Args:
        width: channels.

    Shape:
        - x: (N, 2, T, 16), as :func:`upright` gives it; presence: (N, 1, T, 16) bool
        - returns: (N, T, 16), the depth of each joint beyond its pelvis', in the units of ``x``, towards the
          viewer where the first coordinate goes to the right and the second one up
    """

    def __init__(self, width: int = 128) -> None:
        super().__init__()

        def layer(kernel: int, dilation: int = 1) -> list[nn.Module]:
            around = dilation * (kernel // 2)
            conv = nn.Conv1d(width, width, kernel, 1, around, dilation, padding_mode="replicate")
            return [conv, nn.BatchNorm1d(width), nn.ReLU()]

        self.first = nn.Conv1d(3 * CORE.num_joints, width, 1)
        self.blocks = nn.ModuleList(nn.Sequential(*layer(3, step), *layer(1)) for step in (1, 2, 4))
        self.last = nn.Conv1d(width, CORE.num_joints, 1)

    def forward(self, x: Tensor, presence: Tensor) -> Tensor:
        h = torch.cat([x, presence.to(x.dtype)], dim=1).transpose(2, 3).flatten(1, 2)
        h = self.first(h).relu()
        for block in self.blocks:
            h = h + block(h)
        depth: Tensor = self.last(h).transpose(1, 2)
        return depth - depth[..., CORE.root, None]


def upright(x: Tensor, presence: Tensor) -> tuple[Tensor, Tensor]:
    """Poses in a plane as the lifter reads them: the clip's mean pelvis at 0, its mean trunk up, of size 1.

    Args:
        x: coordinates of ``core16`` in the plane.
        presence: which joints are there.

    Shape:
        - x: (N, 2, T, 16); presence: (N, 1, T, 16) bool
        - returns: the same; (N,), how large the clip was: the root mean square distance of its joints
    """

    def mean(joint: str, other: str | None = None) -> tuple[Tensor, Tensor]:
        at = [CORE.index(name) for name in (joint, other) if name is not None]
        there = presence[..., at].all(dim=3)  # (N, 1, T)
        where = x[..., at[0]] if other is None else x[..., at[0]] - x[..., at[1]]
        return (where * there).sum(dim=2) / there.sum(dim=2).clamp(min=1), there.any(dim=2)

    middle = x.sum(dim=(2, 3)) / presence.sum(dim=(2, 3)).clamp(min=1)
    pelvis, found = mean("pelvis")
    x = (x - torch.where(found, pelvis, middle)[:, :, None, None]) * presence
    up = torch.tensor([0.0, 1.0], dtype=x.dtype, device=x.device).expand(x.shape[0], 2)
    for ends in (("head", "shoulder_center"), ("shoulder_center", "pelvis")):  # the trunk, where it is there
        along, found = mean(*ends)
        length = along.norm(dim=1, keepdim=True)
        up = torch.where(found & (length > 1e-6), along / length.clamp(min=1e-6), up)
    right = torch.stack([up[:, 1], -up[:, 0]], dim=1)
    x = torch.einsum("nij,njtv->nitv", torch.stack([right, up], dim=1), x)
    size = (x.square().sum(dim=(1, 2, 3)) / presence.sum(dim=(1, 2, 3)).clamp(min=1)).sqrt()
    return x / size.clamp(min=1e-6).view(-1, 1, 1, 1), size


def packed(lifter: PoseLifter) -> bytes:
    """A lifter as a file of safetensors, in half precision."""
    weights = {name: value for name, value in lifter.state_dict().items() if value.is_floating_point()}
    return save({name: value.cpu().half().contiguous() for name, value in weights.items()})


@lru_cache(maxsize=8)
def _unpacked(content: bytes, device: torch.device) -> PoseLifter:
    weights = {name: value.float() for name, value in load(content).items()}
    with torch.inference_mode(False):  # so that a later training may use it, too
        lifter = PoseLifter(len(weights["first.bias"]))
        lacking, unknown = lifter.load_state_dict(weights, strict=False)
        if unknown or any(not name.endswith("num_batches_tracked") for name in lacking):
            raise KeyError(*unknown, *lacking)
        return lifter.eval().requires_grad_(False).to(device)


@register
@dataclass(frozen=True)
class LiftPose(Transform):
    """Clips without depth get the depth that their poses most likely have; others stay as they are.

    A clip has no depth where one of its three coordinates is 0 all the time: poses in a picture
    (``input.lift``), or what :class:`~kinelex.transforms.OtherSensor` made flat. A small network guesses it,
    each person's by itself, from the frames around; where the person goes in depth it does not. After frames
    are chosen, before clips are centred, turned and scaled.

    Args:
        weights: file with the network's weights, as ``benchmarks/pose_lifter.py`` makes them; by default
            those that come with kinelex, which has seen the built-in actors alone. A run keeps a copy.

    Raises:
        InputError: no such file, or no weights of a lifter.

    >>> from kinelex.transforms import Compose
    >>> clips = torch.randn(2, 3, 16, 17, 1, generator=torch.Generator().manual_seed(0))
    >>> clips[0, 2] = 0
    >>> lifted = Compose([LiftPose()], layout="coco17")(clips)
    >>> bool(lifted[0, 2].any()), torch.equal(lifted[0, :2], clips[0, :2]), torch.equal(lifted[1], clips[1])
    (True, True, True)
    """

    weights: str = ""
    content: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        path = Path(self.weights) if self.weights else resources.files("kinelex.transforms").joinpath(LIFTER)
        try:
            object.__setattr__(self, "content", path.read_bytes())
            _unpacked(self.content, torch.device("cpu"))
        except (OSError, SafetensorError, LookupError, RuntimeError) as error:
            raise InputError(
                f"lift_pose.weights={self.weights} has no weights of a lifter ({one_line(error)[:200]}): "
                "expects a file that benchmarks/pose_lifter.py made, or nothing for that of kinelex"
            ) from error

    def apply(self, batch: Batch, params: None = None) -> Batch:
        x, there = clips_of(batch)
        if x.shape[1] != 3:
            return batch
        empty = (x == 0).all(dim=4).all(dim=3).all(dim=2)  # (N, 3)
        flat = empty.sum(dim=1) == 1
        if not host_sees(x):
            return replace(batch, x=torch.where(flat.view(-1, 1, 1, 1, 1), self._lifted(batch, empty), x))
        rows = flat.nonzero().flatten()
        if not len(rows):
            return batch
        some = replace(batch, x=x[rows], presence=there[rows])
        return replace(batch, x=x.index_copy(0, rows, self._lifted(some, empty[rows])))

    def _lifted(self, batch: Batch, empty: Tensor) -> Tensor:
        """The clips (N, 3, T, V, M) with depths where their coordinate is empty."""
        (whole, known), layout = clips_of(batch), layout_of(batch)
        x, there = clips_of(Retarget(CORE, "partial").apply(batch))
        n, _, t, v, m = x.shape
        axis = empty.to(torch.uint8).argmax(dim=1)
        plane = torch.stack([axis + 1, axis + 2], dim=1) % 3  # with the axis in the order of a right hand
        x = x.gather(1, plane.view(n, 2, 1, 1, 1).expand(n, 2, t, v, m))
        x, seen = (each.permute(0, 4, 1, 2, 3).flatten(0, 1) for each in (x, there))  # each person alone
        with torch.no_grad():
            poses, size = upright(x.float(), seen)
            depth = _unpacked(self.content, x.device)(poses, seen) * seen[:, 0] * size.view(-1, 1, 1)
        depth = depth.to(whole.dtype).view(n, 1, m, t, v).permute(0, 1, 3, 4, 2)
        in_core = replace(batch, x=depth.expand(n, 3, t, v, m), presence=there, layout=CORE)
        depth, found = clips_of(Retarget(layout, "partial").apply(in_core))
        return whole + F.one_hot(axis, 3).view(n, 3, 1, 1, 1) * depth * (found & known)


def reading_from(settings: Mapping[str, Any], weights: str) -> Mapping[str, Any]:
    """The section ``input`` of a run, in which poses are lifted with the weights of a file.

    A section without a list of transforms, or a damaged one, stays as it is, for who reads it to refuse.

    >>> reading_from({"persons": 1, "transforms": ["centre", "lift_pose"]}, "w.safetensors")["transforms"]
    ['centre', {'name': 'lift_pose', 'weights': 'w.safetensors'}]
    """
    entries = settings.get("transforms") if isinstance(settings, Mapping) else None
    if not isinstance(entries, list | tuple):
        return settings
    lifting = {"name": LiftPose.name, "weights": weights}
    names = [one.get("name") if isinstance(one, Mapping) else one for one in entries]
    listed = [lifting if n == LiftPose.name else one for n, one in zip(names, entries, strict=True)]
    return {**settings, "transforms": listed}
