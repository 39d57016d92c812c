"""The published CTR-GCN checkpoint's names and ours.

The published network holds ``data_bn``, the blocks ``l1`` to ``l10`` and the classifier ``fc``. In a block,
``gcn1`` has a module for each of three subsets (``convs.k``) and ``tcn1`` one for each branch over time; ours
computes the subsets in one go and the branches' common parts too, so their parameters lie side by side.
"""

from __future__ import annotations

import re

import torch
from torch import Tensor

from kinelex.encoders.published.parameters import BLOCK, Published, conv_norm, graph_blocks
from kinelex.encoders.published.parameters import sizes as encoder_options

__all__ = ["encoder_options", "published_to_encoder"]


def _graph(published: Published, place: str) -> dict[str, dict[str, Tensor]]:
    """The parts of a block's graph convolution."""
    subsets = range(published.count(rf"{re.escape(place)}convs\.(\d+)\."))
    if not subsets:
        raise published.refused(f"no {place}convs.0")
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
        parts |= {f"down.{k}": v for k, v in conv_norm(published, f"{place}down.0", f"{place}down.1").items()}
    return parts


def _interleaved(values: list[Tensor]) -> Tensor:
    """The subsets of a channel side by side."""
    return torch.stack(values, dim=1).flatten(0, 1)


def published_to_encoder(
    state: dict[str, Tensor], origin: str = "the checkpoint"
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The state under our names, and the classifier; what belongs to neither is left out."""
    published = Published(state, origin, "CTR-GCN")
    ours = graph_blocks(published, _graph)
    classifier = published.classifier()
    published.check_all_taken(BLOCK.pattern)
    return ours, classifier
