"""Parameters of published checkpoints, taken by their names and joined into ours."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from kinelex.errors import InputError

NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
BLOCK = re.compile(r"l(\d+)\.")  # of CTR-GCN and those that were built on it


class Published:
    """Parameters by their published names; remembers which were taken.

    Args:
        state: the checkpoint's parameters and buffers, with or without the prefix ``module.``; half precision
            is cast up.
        origin: what to call it in messages.
        network: whose checkpoint it should be.
    """

    def __init__(self, state: dict[str, Tensor], origin: str, network: str) -> None:
        plain = {name.removeprefix("module."): value for name, value in state.items()}
        self.state = {n: v.float() if v.is_floating_point() else v for n, v in plain.items()}
        self.origin, self.network, self.taken = origin, network, set[str]()

    def __contains__(self, name: str) -> bool:
        return name in self.state

    def refused(self, what: str) -> InputError:
        """The error for a checkpoint that is something else."""
        expected = f"expects the state_dict of a checkpoint that the published {self.network} training wrote"
        return InputError(f"{self.origin} has {what}: {expected}")

    def take(self, name: str) -> Tensor:
        if name not in self.state:
            raise self.refused(f"no {name}")
        self.taken.add(name)
        return self.state[name]

    def count(self, pattern: str) -> int:
        """How many different first groups of ``pattern`` there are."""
        return len({found.group(1) for name in self.state if (found := re.match(pattern, name))})

    def conv(
        self, names: Iterable[str], join: Callable[[list[Tensor]], Tensor] = torch.cat
    ) -> dict[str, Tensor]:
        """Weight and bias of convolutions that ours does in one go."""
        names = list(names)
        return {kind: join([self.take(f"{name}.{kind}") for name in names]) for kind in ("weight", "bias")}

    def norm(self, names: Iterable[str], before: Iterable[str] = ()) -> dict[str, Tensor]:
        """Batch norms side by side.

        Args:
            names: the norms.
            before: convolutions that ours has without a bias: it goes into the mean of what follows.
        """
        names, before = list(names), list(before)
        joined = {kind: torch.cat([self.take(f"{name}.{kind}") for name in names]) for kind in NORM[:-1]}
        if before:
            joined["running_mean"] -= torch.cat([self.take(f"{name}.bias") for name in before])
        steps = [self.take(f"{name}.{NORM[-1]}") for name in names]
        return joined | {NORM[-1]: steps[0]}

    def classifier(self, name: str = "fc") -> dict[str, Tensor]:
        """Weight and bias of the last layer; empty where the checkpoint has none."""
        return self.conv([name]) if f"{name}.weight" in self else {}

    def check_all_taken(self, pattern: str) -> None:
        """Raise an InputError where a parameter of the network was not taken."""
        left = next((n for n in self.state if re.match(pattern, n) and n not in self.taken), None)
        if left is not None:
            raise self.refused(f"{left}, which is no part of {self.network}")


def check_joints(found: int, joints: int, origin: str) -> None:
    """Raise an InputError where a checkpoint reads another number of joints than the layout has."""
    if found != joints:
        raise InputError(
            f"{origin} reads {found} joints, the layout has {joints}: choose the layout that it was trained "
            "on (the published ones: ntu25, and kinect20 for N-UCLA)"
        )


def named(parts: dict[str, dict[str, Tensor]]) -> dict[str, Tensor]:
    """Parts by their prefix as one state."""
    return {f"{place}{kind}": value for place, part in parts.items() for kind, value in part.items()}


def conv_norm(published: Published, conv: str, norm: str) -> dict[str, dict[str, Tensor]]:
    """A convolution and the batch norm after it, as :class:`~kinelex.encoders.layers.ConvNorm`."""
    return {"conv.": published.conv([conv]), "norm.": published.norm([norm])}


def graph_time(published: Published, place: str) -> dict[str, dict[str, Tensor]]:
    """The parts of :class:`~kinelex.encoders.layers.MultiScaleTime`.

    The bias of a dilated convolution is its own, or (HD-GCN) stands beside it.
    """
    branches = published.count(rf"{re.escape(place)}branches\.(\d+)\.")
    dilated = branches - 2  # then comes max-pooling, then the 1×1 branch
    if dilated < 0:
        raise published.refused(f"{branches} {place}branches")
    names = [f"{place}branches.{b}." for b in range(branches)]
    ends = [f"{n}3.bn" for n in names[:dilated]] + [f"{names[-2]}4", f"{names[-1]}1"]
    parts = {
        "enter.": published.conv(f"{n}0" for n in names[:-1]),
        "enter_norm.": published.norm(f"{n}1" for n in names[:-1]),
        "straight.": published.conv([f"{names[-1]}0"]),
        "leave_norm.": published.norm(ends),
    }
    for b in range(dilated):
        bias = f"{names[b]}3.bias"
        parts[f"dilated.{b}."] = {
            "weight": published.take(f"{names[b]}3.conv.weight").transpose(2, 3).contiguous(),  # frames last
            "bias": published.take(bias if bias in published else f"{names[b]}3.conv.bias").flatten(),
        }
    return parts


def graph_blocks(
    published: Published, graph: Callable[[Published, str], dict[str, dict[str, Tensor]]]
) -> dict[str, Tensor]:
    """The state of a :class:`~kinelex.encoders.graph_network.GraphNetwork`: input norm and blocks.

    Args:
        published: the checkpoint.
        graph: the parts of one graph convolution, from the checkpoint and the prefix of its names.
    """
    ours = named({"data_bn.": published.norm(["data_bn"])})
    for i in range(max(published.count(BLOCK.pattern), 1)):
        block = f"l{i + 1}."
        parts = {f"graph.{name}": part for name, part in graph(published, f"{block}gcn1.").items()}
        parts |= {f"time.{name}": part for name, part in graph_time(published, f"{block}tcn1.").items()}
        if f"{block}residual.conv.weight" in published:
            residual = conv_norm(published, f"{block}residual.conv", f"{block}residual.bn")
            parts |= {f"residual.{name}": part for name, part in residual.items()}
        ours |= {f"blocks.{i}.{name}": value for name, value in named(parts).items()}
    return ours


def sizes(
    state: dict[str, Tensor], joints: int, origin: str = "the checkpoint"
) -> dict[str, int | tuple[int, ...]]:
    """The options that a state under our names asks for, of those that all graph networks share.

    Dilations leave no trace in the parameters; they are the published 1, 2, ... for as many branches.

    Args:
        state: of a :class:`~kinelex.encoders.graph_network.GraphNetwork`.
        joints: joints V of the layout.
        origin: what to call it in messages.

    Raises:
        InputError: another number of joints, or widths that are not theirs.
    """
    check_joints(state["blocks.0.graph.topology"].shape[-1], joints, origin)
    blocks = 1 + max(int(name.split(".")[1]) for name in state if name.startswith("blocks."))
    widths = [len(state[f"blocks.{i}.graph.norm.weight"]) for i in range(blocks)]
    channels = widths[0]
    depth = tuple(widths.count(channels * 2**stage) for stage in range(3))
    if sum(depth) != blocks or widths != sorted(widths) or 0 in depth:
        raise InputError(f"{origin} has blocks of width {widths}: expects three stages, each twice as wide")
    dilated = sum(n.startswith("blocks.0.time.dilated.") and n.endswith("weight") for n in state)
    in_channels = state["blocks.0.graph.down.conv.weight"].shape[1]
    return {
        "in_channels": in_channels,
        "channels": channels,
        "depth": depth,
        "kernel": state["blocks.0.time.dilated.0.weight"].shape[3] if dilated else 5,
        "dilations": tuple(range(1, dilated + 1)),
        "person_norms": len(state["data_bn.weight"]) // (joints * in_channels),
    }
