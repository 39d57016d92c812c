"""The published HD-GCN checkpoint's names and ours.

Blocks ``l1`` to ``l10`` as CTR-GCN's. In ``gcn1``, ``conv_down.s`` and ``conv.s.k`` belong to edge set s and
direction k (``conv.s.3`` is its edge convolution), ``aha`` is the attention over the sets; ours computes all
sets and directions in one go. ``conv_d`` is a second name of the last set's parameters.
"""

import re
from collections.abc import Iterable
from functools import partial

import torch

from kinelex.encoders.published.parameters import Parts, Published, conv_norm, graph_network
from kinelex.encoders.published.parameters import sizes as encoder_options

__all__ = ["encoder_options", "published_to_encoder"]


def _edge_conv(published: Published, names: Iterable[str], prefix: str) -> Parts:
    names = list(names)
    weight = torch.cat([published.take(f"{name}.conv.0.weight") for name in names])
    norm = published.norm(f"{name}.conv.1" for name in names)
    return {f"{prefix}conv.": {"weight": weight}, f"{prefix}norm.": norm}


def _graph(published: Published, place: str) -> Parts:
    """The parts of a block's graph convolution."""
    sets = range(published.count(rf"{re.escape(place)}conv_down\.(\d+)\."))
    if not sets:
        raise published.refused(f"no {place}conv_down.0")
    mixes = [f"{place}conv.{s}.{k}." for s in sets for k in range(3)]
    parts = {
        "": {"topology": published.take(f"{place}PA")},
        "reduce.conv.": published.conv(f"{place}conv_down.{s}.0" for s in sets),
        "reduce.norm.": published.norm(f"{place}conv_down.{s}.1" for s in sets),
        "mix.": published.conv(f"{mix}0" for mix in mixes),
        "mix_norm.": published.norm(f"{mix}1" for mix in mixes),
        "norm.": published.norm([f"{place}bn"]),
        **_edge_conv(published, (f"{place}conv.{s}.3" for s in sets), "edges."),
    }
    if f"{place}down.0.weight" in published:
        parts |= conv_norm(published, f"{place}down.0", f"{place}down.1", "down.")
    if f"{place}aha.aggregate.weight" in published:
        down = f"{place}aha.conv_down"
        parts |= conv_norm(published, f"{down}.0", f"{down}.1", "attention.reduce.")
        parts |= _edge_conv(published, [f"{place}aha.edge_conv"], "attention.compare.")
        parts["attention.expand."] = published.conv([f"{place}aha.aggregate"])
    return parts


published_to_encoder = partial(graph_network, "HD-GCN", _graph, r"l\d+\.(?!gcn1\.conv_d\.)")
