"""Parameters of published checkpoints, taken by their names and joined into ours."""

import itertools
import re
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from kinelex.errors import InputError

NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
BLOCK = re.compile(r"l(\d+)\.")  # of CTR-GCN and those that were built on it
Parts = dict[str, dict[str, Tensor]]  # by prefix, then by kind
Options = dict[str, int | tuple[int, ...]]


class Published:
    """Parameters by their published names; remembers which were taken. For arguments see this folder's."""

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
        """Batch norms side by side; ``before``: convolutions whose bias goes into the norms' mean here."""
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


def check_joints(count: int, joints: int, origin: str) -> None:
    """Raise an InputError where a checkpoint reads another number of joints than the layout has."""
    if count != joints:
        raise InputError(
            f"{origin} reads {count} joints, the layout has {joints}: choose the layout that it was trained "
            "on (the published ones: ntu25, and kinect20 for N-UCLA)"
        )


def named(parts: Parts, prefix: str = "") -> dict[str, Tensor]:
    """Parts by their prefix as one state."""
    return {f"{prefix}{place}{kind}": value for place, part in parts.items() for kind, value in part.items()}


def conv_norm(published: Published, conv: str, norm: str, prefix: str) -> Parts:
    """A convolution and the batch norm after it, as :class:`~kinelex.encoders.layers.ConvNorm`."""
    return {f"{prefix}conv.": published.conv([conv]), f"{prefix}norm.": published.norm([norm])}


def graph_time(published: Published, place: str) -> Parts:
    """The parts of :class:`~kinelex.encoders.layers.MultiScaleTime`."""
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
    for b, name in enumerate(names[:dilated]):
        bias = f"{name}3.bias"  # HD-GCN's, beside the convolution
        parts[f"dilated.{b}."] = {
            "weight": published.take(f"{name}3.conv.weight").transpose(2, 3).contiguous(),  # frames last
            "bias": published.take(bias if bias in published else f"{name}3.conv.bias").flatten(),
        }
    return parts


def graph_network(
    network: str,
    graph: Callable[[Published, str], Parts],
    pattern: str,
    state: dict[str, Tensor],
    origin: str = "the checkpoint",
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The state of a :class:`~kinelex.encoders.graph_network.GraphNetwork`, and the classifier.

    ``graph`` gives the parts of one graph convolution, by the prefix of its names; all names of ``pattern``
    must be taken, what belongs to nothing else is left out.
    """
    published = Published(state, origin, network)
    ours = named({"data_bn.": published.norm(["data_bn"])})
    for i in range(max(published.count(BLOCK.pattern), 1)):
        block, prefix = f"l{i + 1}.", f"blocks.{i}."
        ours |= named(graph(published, f"{block}gcn1."), f"{prefix}graph.")
        ours |= named(graph_time(published, f"{block}tcn1."), f"{prefix}time.")
        beside = f"{block}residual."
        if f"{beside}conv.weight" in published:
            ours |= named(conv_norm(published, f"{beside}conv", f"{beside}bn", f"{prefix}residual."))
    classifier = published.classifier()
    published.check_all_taken(pattern)
    return ours, classifier


def widths_of(state: dict[str, Tensor], name: str, origin: str) -> Options:
    """Width and depth of three stages, by the widths of all blocks' norms of that name."""
    norms = itertools.takewhile(state.__contains__, map(name.format, itertools.count()))
    widths = [len(state[norm]) for norm in norms]
    depth = tuple(widths.count(widths[0] * 2**stage) for stage in range(3))
    if sum(depth) != len(widths) or widths != sorted(widths) or 0 in depth:
        raise InputError(f"{origin} has blocks of width {widths}: expects three stages, each twice as wide")
    return {"channels": widths[0], "depth": depth}


def sizes(state: dict[str, Tensor], joints: int, origin: str = "the checkpoint") -> Options:
    """The options that a state of a :class:`~kinelex.encoders.graph_network.GraphNetwork` asks for.

    Dilations leave no trace in the parameters; they are the published 1, 2, ... for as many branches.
    """
    check_joints(state["blocks.0.graph.topology"].shape[-1], joints, origin)
    dilated = sum(n.startswith("blocks.0.time.dilated.") and n.endswith("weight") for n in state)
    in_channels = state["blocks.0.graph.down.conv.weight"].shape[1]
    return {
        "in_channels": in_channels,
        **widths_of(state, "blocks.{}.graph.norm.weight", origin),
        "kernel": state["blocks.0.time.dilated.0.weight"].shape[3] if dilated else 5,
        "dilations": tuple(range(1, dilated + 1)),
        "person_norms": len(state["data_bn.weight"]) // (joints * in_channels),
    }
