"""The published CTR-GCN checkpoint's names and ours.

In a block ``l1`` to ``l10``, ``gcn1`` has a module for each of three subsets (``convs.k``), ``tcn1`` one for
each branch over time; ours computes what they share in one go, so their parameters lie side by side.
"""

import re
from functools import partial

import torch

from kinelex.encoders.published.parameters import BLOCK, Parts, Published, conv_norm, graph_network
from kinelex.encoders.published.parameters import sizes as encoder_options

__all__ = ["encoder_options", "published_to_encoder"]


def _graph(published: Published, place: str) -> Parts:
    """The parts of a block's graph convolution."""
    subsets = range(published.count(rf"{re.escape(place)}convs\.(\d+)\."))
    if not subsets:
        raise published.refused(f"no {place}convs.0")
    relate = published.conv(f"{place}convs.{k}.conv{part}" for part in (1, 2) for k in subsets)
    relate["weight"] = relate["weight"].squeeze(3)
    values = [f"{place}convs.{k}.conv3" for k in subsets]
    parts = {
        "": {"topology": published.take(f"{place}PA"), "alpha": published.take(f"{place}alpha")},
        "relate.": relate,
        "refine.": published.conv(f"{place}convs.{k}.conv4" for k in subsets),
        # the subsets of a channel side by side
        "value.": published.conv(values, lambda tensors: torch.stack(tensors, dim=1).flatten(0, 1)),
        "norm.": published.norm([f"{place}bn"]),
    }
    if f"{place}down.0.weight" in published:
        parts |= conv_norm(published, f"{place}down.0", f"{place}down.1", "down.")
    return parts


published_to_encoder = partial(graph_network, "CTR-GCN", _graph, BLOCK.pattern)
