"""The published MS-G3D checkpoint's names and ours.

In each of three stages, ``sgcnS`` is space, then time (twice), ``gcn3dS.gcn3d`` holds the windows, ``tcnS``
is the last convolution over time. The published bias before a batch norm goes into that norm's mean here.
"""

import re

import torch
from torch import Tensor

from kinelex.encoders.published.parameters import Options, Parts, Published, check_joints, named

_STAGE = r"(sgcn|gcn3d|tcn)\d+\."


def _graph_conv(published: Published, place: str, joints: int) -> Parts:
    mask = published.take(f"{place}A_res")  # (scales·V, V)
    conv = f"{place}mlp.layers.0"
    return {
        "": {"mask": mask.unflatten(0, (-1, joints))},
        "mix.": {"weight": published.take(f"{conv}.weight")},
        "norm.": published.norm([f"{place}mlp.layers.1"], before=[conv]),
    }


def _window(published: Published, place: str, joints: int) -> Parts:
    collapse = published.take(f"{place}out_conv.weight")  # (out, hidden, 1, window, 1)
    nodes = collapse.shape[3] * joints
    return {
        "graph.": named(_graph_conv(published, f"{place}gcn3d.1.", nodes)),
        "collapse.": {"weight": collapse.flatten(1)[:, :, None, None]},
        "norm.": published.norm([f"{place}out_bn"], before=[f"{place}out_conv"]),
    }


def _time(published: Published, place: str) -> Parts:
    names = [f"{place}branches.{b}." for b in range(6)]
    reduced = [f"{name}0" for name in names[:5]]
    dilated = [f"{name}3.conv" for name in names[:4]]
    ends = [*(f"{name}3.bn" for name in names[:4]), f"{names[4]}4", f"{names[5]}1"]
    norm = published.norm(ends)
    biases = [published.take(f"{conv}.bias") for conv in dilated]
    single = f"{names[5]}0"
    # Nothing stands between the pooled branch and its norm that could have a bias.
    biases += [torch.zeros(len(biases[0])), published.take(f"{single}.bias")]
    norm["running_mean"] -= torch.cat(biases)
    parts = {
        "reduce.0.": {"weight": torch.cat([published.take(f"{conv}.weight") for conv in reduced])},
        "reduce.1.": published.norm((f"{name}1" for name in names[:5]), before=reduced),
        "single.": {"weight": published.take(f"{single}.weight")},
        "norm.": norm,
        **{f"dilated.{b}.": {"weight": published.take(f"{c}.weight")} for b, c in enumerate(dilated)},
    }
    if f"{place}residual.conv.weight" in published:
        parts["residual.0."] = {"weight": published.take(f"{place}residual.conv.weight")}
        parts["residual.1."] = published.norm([f"{place}residual.bn"], before=[f"{place}residual.conv"])
    return parts


def published_to_encoder(
    state: dict[str, Tensor], origin: str = "the checkpoint"
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The state under our names, without the fixed graphs of the layout; and the classifier."""
    published = Published(state, origin, "MS-G3D")
    joints = published.take("sgcn1.0.A_res").shape[1]
    ours = named({"input_norm.": published.norm(["data_bn"])})
    for stage in (1, 2, 3):
        space, windows = f"sgcn{stage}.", f"gcn3d{stage}.gcn3d."
        parts = {"factorised.0.": _graph_conv(published, f"{space}0.", joints)}
        parts |= {f"factorised.{i}.": _time(published, f"{space}{i}.") for i in (1, 2)}
        for w in range(published.count(rf"{re.escape(windows)}(\d+)\.")):
            parts[f"windows.{w}."] = _window(published, f"{windows}{w}.", joints)
        parts["last."] = _time(published, f"tcn{stage}.")
        for place, part in parts.items():
            ours |= named(part, f"blocks.{stage - 1}.{place}")
    classifier = published.classifier()
    published.check_all_taken(_STAGE)
    return ours, classifier


def encoder_options(state: dict[str, Tensor], joints: int, origin: str = "the checkpoint") -> Options:
    """The options of ``msg3d`` that a state asks for, with the published dilation of windows."""
    mask = state["blocks.0.factorised.0.mask"]  # (scales, V, V)
    check_joints(mask.shape[-1], joints, origin)
    masks = (name for name in state if re.match(r"blocks\.0\.windows\.\d+\.graph\.mask", name))
    windows = [state[name] for name in masks]
    in_channels = state["blocks.0.factorised.0.mix.weight"].shape[1] // len(mask)
    return {
        "in_channels": in_channels,
        "channels": len(state["blocks.0.factorised.0.norm.weight"]),
        "scales": len(mask),
        "windows": tuple(window.shape[-1] // joints for window in windows),
        "window_scales": len(windows[0]) if windows else 6,
        "person_norms": len(state["input_norm.weight"]) // (joints * in_channels),
    }
