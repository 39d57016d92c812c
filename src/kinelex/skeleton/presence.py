"""Which joints are there: a joint, or person, that was not found has 0 in all of its coordinates.

What centring moves to the origin stays there: presence is taken once, from the clips as loaded, and handed
on.
"""

from __future__ import annotations

from functools import lru_cache, reduce
from operator import or_
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from kinelex.skeleton.layout import SkeletonLayout


def joint_presence(x: Tensor, layout: SkeletonLayout | None = None) -> Tensor:
    """Which joints are there: some coordinate is not 0.

    Args:
        x: coordinates, as loaded or centred.
        layout: the layout of ``x``, where it may be centred: its spine (or root, where it has none) then
            counts as there, too, if it is 0 in all frames with the person or in the first of them alone.

    Shape:
        - x: (N, C, T, V, M), or (frames, C, V, M) without a layout
        - returns: (N, 1, T, V, M) bool, or (frames, 1, V, M)

    >>> import torch
    >>> x = torch.ones(1, 2, 3, 17, 1)
    >>> x[0, :, 1, 9] = 0  # a wrist that was not found in one frame
    >>> joint_presence(x).sum().item()
    50
    """
    found: Tensor = reduce(or_, ((c != 0) for c in x.unbind(1))).unsqueeze(1)
    if layout is None:
        return found
    joint = layout.index("spine") if "spine" in layout.joints else layout.root
    body = found.any(dim=3)  # (N, 1, T, M)
    zero = body & ~found[:, :, :, joint]
    first = body & (body.cumsum(dim=2) == 1)
    origin = (zero == body).all(dim=2, keepdim=True) | (zero == first).all(dim=2, keepdim=True)
    found[:, :, :, joint] |= zero & origin
    return found


def all_present(presence: Tensor) -> bool:
    """Whether nothing is missing; False where nobody may ask: the host would wait, or an export is made."""
    if not host_sees(presence):
        return False
    if not any(presence.stride()):  # one value for all, as `complete` makes it
        presence = presence[(slice(0, 1),) * presence.ndim]
    return bool(presence.all())


def host_sees(x: Tensor) -> bool:
    """Whether the host may look at values: not on an accelerator, where it would wait, nor in an export."""
    import torch  # here: preparing data needs layouts and no torch

    return x.device.type == "cpu" and not torch.compiler.is_compiling()


def complete(shape: torch.Size, device: torch.device) -> Tensor:
    """Presence of everything: one True, seen in a shape."""
    import torch  # here: preparing data needs layouts and no torch

    return torch.ones((), dtype=torch.bool, device=device).expand(shape)


@lru_cache(maxsize=64)
def indices_on(joints: tuple[int, ...], device: torch.device) -> Tensor:
    """Joint indices on a device, copied there once: a copy in every step makes the host wait."""
    import torch  # here: preparing data needs layouts and no torch

    with torch.inference_mode(False):  # so that a later training may use it, too
        return torch.tensor(joints, device=device)
