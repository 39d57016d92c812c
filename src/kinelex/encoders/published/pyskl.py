"""PYSKL's checkpoints of ST-GCN++ and AAGCN, whose names ours keep but for a prefix."""

import re

from torch import Tensor

from kinelex.encoders.published.parameters import Options, Published, check_joints, widths_of


def published_to_encoder(
    state: dict[str, Tensor], origin: str = "the checkpoint"
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The state of ST-GCN++ or AAGCN under our names, and the classifier."""
    published = Published(state, origin, "PYSKL")
    published.take("backbone.gcn.0.gcn.A")
    names = [name for name in published.state if re.match(r"backbone\.(data_bn|gcn)\.", name)]
    ours = {name.removeprefix("backbone."): published.state[name] for name in names}
    return ours, published.classifier("cls_head.fc_cls")


def encoder_options(state: dict[str, Tensor], joints: int, origin: str = "the checkpoint") -> Options:
    """The options of ``stgcnpp`` and ``aagcn`` that a state asks for."""
    check_joints(state["gcn.0.gcn.A"].shape[-1], joints, origin)
    in_channels = state["gcn.0.gcn.down.0.weight"].shape[1]
    return {
        "in_channels": in_channels,
        **widths_of(state, "gcn.{}.gcn.bn.weight", origin),
        "person_norms": len(state["data_bn.weight"]) // (joints * in_channels),
    }
