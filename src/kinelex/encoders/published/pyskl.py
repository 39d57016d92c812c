"""PYSKL's checkpoints: ST-GCN++ and AAGCN, whose names ours keep but for a prefix, ST-GCN and CTR-GCN."""

import re

import torch
from torch import Tensor

from kinelex.encoders.published import ctrgcn
from kinelex.encoders.published.parameters import Options, Parts, Published, check_joints, named, widths_of


def network_of(state: dict[str, Tensor]) -> str:
    """The encoder that a checkpoint is of: ``stgcn``, ``stgcnpp``, ``aagcn`` or ``ctrgcn``."""
    names = " ".join(state)
    if "backbone.net." in names:
        return "ctrgcn"
    if "gcn.conv_sa." in names or "gcn.alpha" in names:
        return "aagcn"
    return "stgcn" if "gcn.PA" in names else "stgcnpp"


def published_to_encoder(
    state: dict[str, Tensor], origin: str = "the checkpoint"
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The state of the encoder under our names, and the classifier."""
    network = network_of(state)
    if network == "ctrgcn":
        return ctrgcn.published_to_encoder(_as_published(state), origin)
    published = Published(state, origin, "PYSKL")
    published.take("backbone.gcn.0.gcn.A")
    if network == "stgcn":
        return _stgcn(published), published.classifier("cls_head.fc_cls")
    names = [name for name in published.state if re.match(r"backbone\.(data_bn|gcn)\.", name)]
    ours = {name.removeprefix("backbone."): published.state[name] for name in names}
    return ours, published.classifier("cls_head.fc_cls")


def _as_published(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """CTR-GCN under its own names, and with its own direction of the graph.

    PYSKL passes features from joint u to v by tanh(a(u) - b(v)), CTR-GCN from v to u: a and b change places,
    the weight after tanh changes its sign, and graphs are transposed.
    """
    renamed = {}
    places = {".conv1.": ".conv2.", ".conv2.": ".conv1."}
    for name, value in state.items():
        name = name.removeprefix("module.").removeprefix("backbone.").replace("cls_head.fc_cls", "fc")
        name = re.sub(r"^net\.(\d+)\.", lambda found: f"l{int(found[1]) + 1}.", name)
        if ".gcn1." in name:
            name = re.sub(r"\.conv[12]\.", lambda found: places[found[0]], name)
            value = -value if name.endswith(".conv4.weight") else value
        if name.endswith(".gcn1.A"):
            name, value = f"{name[:-1]}PA", value.transpose(1, 2).contiguous()
        if name != "A":  # the graph that all blocks started from
            renamed[name] = value
    return renamed


def _stgcn(published: Published) -> dict[str, Tensor]:
    """ST-GCN, each block with the same graph times weights of its own."""
    first = published.take("backbone.gcn.0.gcn.A")
    parts: Parts = {"data_bn.": published.norm(["backbone.data_bn"]), "": {"adjacency": first}}
    for i in range(published.count(r"backbone\.gcn\.(\d+)\.")):
        theirs, ours = f"backbone.gcn.{i}.", f"blocks.{i}."
        if not torch.equal(published.take(f"{theirs}gcn.A"), first):
            raise published.refused(f"another {theirs}gcn.A than in its first block")
        parts[f"{ours}gcn.conv."] = published.conv([f"{theirs}gcn.conv"])
        parts[f"{ours}tcn.0."] = published.norm([f"{theirs}gcn.bn"])
        parts[f"{ours}tcn.2."] = published.conv([f"{theirs}tcn.conv"])
        parts[f"{ours}tcn.3."] = published.norm([f"{theirs}tcn.bn"])
        if f"{theirs}residual.conv.weight" in published:
            parts[f"{ours}residual.0."] = published.conv([f"{theirs}residual.conv"])
            parts[f"{ours}residual.1."] = published.norm([f"{theirs}residual.bn"])
        parts["edge_importance."] = parts.get("edge_importance.", {})
        parts["edge_importance."][str(i)] = published.take(f"{theirs}gcn.PA")
    published.check_all_taken(r"backbone\.")
    return named(parts)


def encoder_options(state: dict[str, Tensor], joints: int, origin: str = "the checkpoint") -> Options:
    """The options that a state asks for."""
    if "blocks.0.graph.topology" in state:
        return {**ctrgcn.encoder_options(state, joints, origin), "rectify": True}
    if "adjacency" in state:
        count = sum(name.startswith("edge_importance.") for name in state)
        check_joints(state["adjacency"].shape[-1], joints, origin)
        return {
            "in_channels": len(state["data_bn.weight"]) // joints,
            **widths_of(state, "blocks.{}.tcn.0.weight", origin),
            "out_features": len(state[f"blocks.{count - 1}.tcn.0.weight"]),
        }
    check_joints(state["gcn.0.gcn.A"].shape[-1], joints, origin)
    in_channels = state["gcn.0.gcn.down.0.weight"].shape[1]
    return {
        "in_channels": in_channels,
        **widths_of(state, "gcn.{}.gcn.bn.weight", origin),
        "person_norms": len(state["data_bn.weight"]) // (joints * in_channels),
    }
