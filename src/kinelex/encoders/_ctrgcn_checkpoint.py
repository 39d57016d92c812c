"""Private machinery: the published CTR-GCN checkpoint's names and ours.

The published network holds ``data_bn``, the blocks ``l1`` to ``l10`` and the classifier ``fc``. In a block,
``gcn1`` has a module for each of three subsets (``convs.k``) and ``tcn1`` one for each branch over time; ours
computes the subsets in one go and the branches' common parts too, so their parameters lie side by side.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from kinelex.errors import InputError

_BLOCK = re.compile(r"l(\d+)\.")
_NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
_WHAT_TO_DO = "expects the state_dict of a checkpoint that the published CTR-GCN training wrote"


class _Published:
    """Parameters by their published names; remembers which were taken."""

    def __init__(self, state: dict[str, Tensor], origin: str) -> None:
        plain = {name.removeprefix("module."): value for name, value in state.items()}
        self.state = {n: v.float() if v.is_floating_point() else v for n, v in plain.items()}
        self.origin, self.taken = origin, set[str]()

    def __contains__(self, name: str) -> bool:
        return name in self.state

    def take(self, name: str) -> Tensor:
        if name not in self.state:
            raise InputError(f"{self.origin} has no {name}: {_WHAT_TO_DO}")
        self.taken.add(name)
        return self.state[name]

    def count(self, pattern: str) -> int:
        """How many different first groups of ``pattern`` there are."""
        return len({found.group(1) for name in self.state if (found := re.match(pattern, name))})

    def conv(
        self, names: Iterable[str], join: Callable[[list[Tensor]], Tensor] = torch.cat
    ) -> dict[str, Tensor]:
        names = list(names)
        return {kind: join([self.take(f"{name}.{kind}") for name in names]) for kind in ("weight", "bias")}

    def norm(self, names: Iterable[str]) -> dict[str, Tensor]:
        names = list(names)
        joined = {kind: torch.cat([self.take(f"{name}.{kind}") for name in names]) for kind in _NORM[:-1]}
        steps = [self.take(f"{name}.{_NORM[-1]}") for name in names]
        return joined | {_NORM[-1]: steps[0]}


def _graph(published: _Published, place: str) -> dict[str, dict[str, Tensor]]:
    """The parts of a block's graph convolution."""
    subsets = range(published.count(rf"{re.escape(place)}convs\.(\d+)\."))
    if not subsets:
        raise InputError(f"{published.origin} has no {place}convs.0: {_WHAT_TO_DO}")
    relate = published.conv(f"{place}convs.{k}.conv{part}" for part in (1, 2) for k in subsets)
    relate["weight"] = relate["weight"].squeeze(3)
    parts = {
        "": {"topology": published.take(f"{place}PA"), "alpha": published.take(f"{place}alpha")},
        "relate.": relate,
        "refine.": published.conv(f"{place}convs.{k}.conv4" for k in subsets),
        "value.": published.conv((f"{place}convs.{k}.conv3" for k in subsets), _interleaved),
        "norm.": published.norm([f"{place}bn"]),
    }
    if f"{place}down.0.weight" in published:
        parts["down.conv."] = published.conv([f"{place}down.0"])
        parts["down.norm."] = published.norm([f"{place}down.1"])
    return parts


def _interleaved(values: list[Tensor]) -> Tensor:
    """The subsets of a channel side by side."""
    return torch.stack(values, dim=1).flatten(0, 1)


def _time(published: _Published, place: str) -> dict[str, dict[str, Tensor]]:
    """The parts of a block's convolutions over time."""
    branches = published.count(rf"{re.escape(place)}branches\.(\d+)\.")
    dilated = branches - 2  # then comes max-pooling, then the 1×1 branch
    if dilated < 0:
        raise InputError(f"{published.origin} has {branches} {place}branches: {_WHAT_TO_DO}")
    names = [f"{place}branches.{b}." for b in range(branches)]
    ends = [f"{n}3.bn" for n in names[:dilated]] + [f"{names[-2]}4", f"{names[-1]}1"]
    parts = {
        "enter.": published.conv(f"{n}0" for n in names[:-1]),
        "enter_norm.": published.norm(f"{n}1" for n in names[:-1]),
        "straight.": published.conv([f"{names[-1]}0"]),
        "leave_norm.": published.norm(ends),
    }
    for b in range(dilated):
        conv = published.conv([f"{names[b]}3.conv"])
        parts[f"dilated.{b}."] = conv | {"weight": conv["weight"].transpose(2, 3).contiguous()}  # frames last
    return parts


def published_to_encoder(
    state: dict[str, Tensor], origin: str = "the checkpoint"
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The state of a published CTR-GCN under our names, and its classifier.

    Args:
        state: the checkpoint's parameters and buffers, with or without the prefix ``module.``; half
            precision is cast up. What belongs neither to CTR-GCN nor to its classifier is left out.
        origin: what to call it in messages.

    Returns:
        What :class:`~kinelex.encoders.ctrgcn.CTRGCN` loads, and the classifier's ``weight`` and ``bias``
        (empty where the checkpoint has none).

    Raises:
        InputError: a part is missing, or a block has parts that CTR-GCN does not have.
    """
    published = _Published(state, origin)
    ours = {f"data_bn.{kind}": value for kind, value in published.norm(["data_bn"]).items()}
    for i in range(max(published.count(_BLOCK.pattern), 1)):
        parts = {f"graph.{name}": part for name, part in _graph(published, f"l{i + 1}.gcn1.").items()}
        parts |= {f"time.{name}": part for name, part in _time(published, f"l{i + 1}.tcn1.").items()}
        if f"l{i + 1}.residual.conv.weight" in published:
            parts["residual.conv."] = published.conv([f"l{i + 1}.residual.conv"])
            parts["residual.norm."] = published.norm([f"l{i + 1}.residual.bn"])
        for place, part in parts.items():
            ours |= {f"blocks.{i}.{place}{kind}": value for kind, value in part.items()}
    left = [name for name in published.state if _BLOCK.match(name) and name not in published.taken]
    if left:
        raise InputError(f"{origin} has {left[0]}, which is no part of CTR-GCN: {_WHAT_TO_DO}")
    classifier = published.conv(["fc"]) if "fc.weight" in published else {}
    return ours, classifier


def encoder_options(
    state: dict[str, Tensor], joints: int, origin: str = "the checkpoint"
) -> dict[str, int | tuple[int, ...]]:
    """The options of ``encoders.create("ctrgcn", ...)`` that an encoder's state asks for.

    Dilations leave no trace in the parameters; they are the published 1, 2, ... for as many branches.

    Args:
        state: as :func:`published_to_encoder` gives it.
        joints: joints V of the layout.
        origin: what to call it in messages.

    Raises:
        InputError: the checkpoint is for another number of joints, or its widths are not CTR-GCN's.
    """
    found = state["blocks.0.graph.topology"].shape[1]
    if found != joints:
        raise InputError(
            f"{origin} reads {found} joints, the layout has {joints}: choose the layout that it was trained "
            "on (the published ones: ntu25, and kinect20 for N-UCLA)"
        )
    blocks = 1 + max(int(name.split(".")[1]) for name in state if name.startswith("blocks."))
    widths = [len(state[f"blocks.{i}.graph.norm.weight"]) for i in range(blocks)]
    channels = widths[0]
    depth = tuple(widths.count(channels * 2**stage) for stage in range(3))
    if sum(depth) != blocks or widths != sorted(widths) or 0 in depth:
        raise InputError(f"{origin} has blocks of width {widths}: expects three stages, each twice as wide")
    in_channels = state["blocks.0.graph.value.weight"].shape[1]
    dilated = sum(n.startswith("blocks.0.time.dilated.") and n.endswith("weight") for n in state)
    return {
        "in_channels": in_channels,
        "channels": channels,
        "depth": depth,
        "kernel": state["blocks.0.time.dilated.0.weight"].shape[3] if dilated else 5,
        "dilations": tuple(range(1, dilated + 1)),
        "person_norms": len(state["data_bn.weight"]) // (joints * in_channels),
    }
