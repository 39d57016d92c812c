"""PYSKL's checkpoints of ST-GCN++ and AAGCN, whose names ours keep but for a prefix."""

from __future__ import annotations

import re

from torch import Tensor

from kinelex.encoders.published.parameters import Published, check_joints


def published_to_encoder(
    state: dict[str, Tensor], origin: str = "the checkpoint"
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The state of ST-GCN++ or AAGCN under our names, and the classifier."""
    published = Published(state, origin, "PYSKL")
    published.take("backbone.gcn.0.gcn.A")
    ours = {
        name.removeprefix("backbone."): value
        for name, value in published.state.items()
        if re.match(r"backbone\.(data_bn|gcn)\.", name)
    }
    return ours, published.classifier("cls_head.fc_cls")


def encoder_options(
    state: dict[str, Tensor], joints: int, origin: str = "the checkpoint"
) -> dict[str, int | tuple[int, ...]]:
    """The options of ``stgcnpp`` and ``aagcn`` that a state asks for."""
    check_joints(state["gcn.0.gcn.A"].shape[-1], joints, origin)
    blocks = 1 + max(int(name.split(".")[1]) for name in state if name.startswith("gcn."))
    widths = [len(state[f"gcn.{i}.gcn.bn.weight"]) for i in range(blocks)]
    in_channels = state["gcn.0.gcn.down.0.weight"].shape[1]
    return {
        "in_channels": in_channels,
        "channels": widths[0],
        "depth": tuple(widths.count(widths[0] * 2**stage) for stage in range(3)),
        "person_norms": len(state["data_bn.weight"]) // (joints * in_channels),
    }
