"""HD-GCN: graph convolution over a hierarchically decomposed graph.

Lee et al., "Hierarchically Decomposed Graph Convolutional Networks for Skeleton-Based Action Recognition",
ICCV 2023, arXiv 2208.10741; with CTR-GCN the other half of MMCL's ensemble. Given the published weights it
computes the published values, all edge sets and directions in one go. The hierarchy is made for any layout:
the tree of its bones is hung up at the joint ``center`` (the paper's centre of mass; its ensemble uses chest,
belly and hip) and a joint's depth is its set. Six edge sets at most, so what lies deeper shares the last set;
tips of hands lie beside thumbs. For NTU's 25 joints these are the sets that the authors wrote down. As
published the attention takes the maximum over frames first, and block 1 adds its edge sets up without one.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kinelex.encoders.base import PERSONS
from kinelex.encoders.graph_network import GraphNetwork
from kinelex.encoders.layers import ConvNorm, init_by_outputs, residual
from kinelex.encoders.registry import register
from kinelex.encoders.scales import hop_distances, window_graph
from kinelex.errors import InputError, check_name
from kinelex.skeleton import SkeletonLayout

_CENTERS = ("shoulder_center", "neck", "spine", "pelvis")  # the chest, or what is nearest to it
_EDGE_SETS = 6  # at most
_DIRECTIONS = 3  # itself, inward, outward
_NEIGHBOURS = 5  # joints that an edge convolution compares a joint with
_SET_NEIGHBOURS = 3  # edge sets that the attention compares an edge set with


def hierarchy(layout: SkeletonLayout, center: str | None = None) -> tuple[tuple[int, ...], ...]:
    """Joints by their distance in bones from the centre of the body; tips of hands beside thumbs.

    The joint ``center`` is by default the first of shoulder_center, neck, spine and pelvis that the layout
    has, or else its root. Source: Section 3.2, "rooted tree"; for ``ntu25`` and the paper's three centres the
    published sets.

    >>> from kinelex.skeleton import get_layout
    >>> hierarchy(get_layout("ntu25"))[-2:]
    ((14, 18, 21, 22, 23, 24), (15, 19))
    """
    if center is None:
        center = next((c for c in _CENTERS if c in layout.joints), layout.joints[layout.root])
    check_name(f"joint of the layout {layout.name} for hdgcn's center", center, layout.joints)
    if layout.num_joints < 2:
        raise InputError(f"hdgcn expects a layout of at least two joints, {layout.name} has one")
    linked = window_graph(layout, 1)
    depth = hop_distances(linked)[layout.joints.index(center)]
    for joint, parent in layout.bones:
        if layout.joints[joint].endswith("_hand_tip") and layout.joints[parent].endswith("_thumb"):
            depth[joint] = depth[parent]
    depth = depth.clip(max=_EDGE_SETS)
    return tuple(tuple(np.flatnonzero(depth == d).tolist()) for d in range(depth.max() + 1))


def hierarchy_subsets(sets: tuple[tuple[int, ...], ...]) -> np.ndarray:
    """For each two of H neighbouring sets: identity, inward and outward adjacency, each normalised apart.

    Every joint of a set is connected with every joint of the next set, bone or not. As in
    :func:`~kinelex.skeleton.spatial_subsets` the entry [u, v] carries joint v to joint u, and columns are
    divided by their sum: (H − 1, 3, V, V). Source: Section 3.2, "HD-Graph", fully connected edges.

    >>> hierarchy_subsets(((1,), (0, 2)))[0, 2]  # outward: the centre to both others
    array([[0. , 0.5, 0. ],
           [0. , 0. , 0. ],
           [0. , 0.5, 0. ]])
    """
    v = sum(map(len, sets))
    graphs = np.zeros((len(sets) - 1, _DIRECTIONS, v, v))
    for graph, inner, outer in zip(graphs, sets[:-1], sets[1:], strict=True):
        both = list(inner + outer)
        graph[0, both, both] = 1.0
        graph[1][np.ix_(inner, outer)] = 1 / len(inner)
        graph[2][np.ix_(outer, inner)] = 1 / len(outer)
    return graphs


class EdgeConv(nn.Module):
    """Compare each point with the ``neighbours`` nearest to it, itself among them, by their features.

    Shape:
        - x: (B, groups, in_channels, P), P points, widths of one group; returns: (B, groups·out_channels, P)

    Source: Wang et al., "Dynamic Graph CNN for Learning on Point Clouds", TOG 2019, as HD-GCN uses it.
    """

    def __init__(self, groups: int, in_channels: int, out_channels: int, neighbours: int) -> None:
        super().__init__()
        self.neighbours = neighbours
        self.conv = nn.Conv2d(2 * groups * in_channels, groups * out_channels, 1, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(groups * out_channels)
        init_by_outputs(self.conv.weight, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        points = x.shape[3]
        with torch.no_grad():
            # Exact differences: by products, who is near would hang on rounding.
            if torch.compiler.is_compiling():  # ONNX has no cdist
                apart = (x.unsqueeze(4) - x.unsqueeze(3)).square().sum(dim=2)
            else:
                apart = torch.cdist(x.mT, x.mT, compute_mode="donot_use_mm_for_euclid_dist")
            near = apart.topk(min(self.neighbours, points), largest=False).indices
        index = near.flatten(2).unsqueeze(2).expand(-1, -1, x.shape[2], -1)  # (B, groups, C, P·k)
        others = x.gather(3, index).unflatten(3, (points, -1))  # (B, groups, C, P, k)
        itself = x.unsqueeze(4).expand_as(others)
        edges = torch.cat([others - itself, itself], dim=2).flatten(1, 2)  # (B, groups·2C, P, k)
        return nn.functional.leaky_relu(self.norm(self.conv(edges)), 0.2).amax(dim=3)


class HierarchyAttention(nn.Module):
    """Weights of the edge sets' features against each other, for each clip and channel.

    An edge set is represented by the mean over its own joints (not over all) of the features' maxima over
    frames; an edge convolution compares the sets.

    Shape:
        - members: (L, V), what each joint counts in the mean of each of L edge sets
        - peaks: (B, L, C, V), the features' maxima over frames; returns: (B, L, C)

    Source: Section 3.4, A-HA with representative spatial average pooling and hierarchical edge convolution.
    """

    def __init__(self, members: Tensor, channels: int) -> None:
        super().__init__()
        self.members: Tensor
        self.register_buffer("members", members, persistent=False)
        reduced = max(channels // 4, 1)
        self.reduce = ConvNorm(channels, reduced)
        self.compare = EdgeConv(1, reduced, reduced, _SET_NEIGHBOURS)
        self.expand = nn.Conv1d(reduced, channels, 1)

    def forward(self, peaks: Tensor) -> Tensor:
        moving = torch.relu(self.reduce(peaks.transpose(1, 2)))  # (B, C/4, L, V)
        sets = (moving * self.members).sum(dim=3)  # (B, C/4, L)
        return torch.sigmoid(self.expand(self.compare(sets.unsqueeze(1)))).transpose(1, 2)


class HierarchyGraphConv(nn.Module):
    """Graph convolution along every edge set of a hierarchy, then attention over the sets, or their sum.

    Shape:
        - adjacency: (L, 3, V, V), where the learnt graphs start
        - members: (L, V), see :class:`HierarchyAttention`; None adds the sets up; x: (B, in_channels, V, T)
        - returns: (B, out_channels, V, T), out_channels a multiple of 4

    Source: Sections 3.3 and 3.4.
    """

    def __init__(
        self, adjacency: Tensor, members: Tensor | None, in_channels: int, out_channels: int
    ) -> None:
        super().__init__()
        self.sets = sets = len(adjacency)
        self.width = width = out_channels // (_DIRECTIONS + 1)
        self.topology = nn.Parameter(adjacency.clone())
        self.reduce = ConvNorm(in_channels, sets * width)
        groups = sets * _DIRECTIONS
        self.mix = nn.Conv2d(groups * width, groups * width, 1, groups=groups)
        self.mix_norm = nn.BatchNorm2d(groups * width)
        self.edges = EdgeConv(sets, width, width, _NEIGHBOURS)
        self.attention = None if members is None else HierarchyAttention(members, out_channels)
        self.norm = nn.BatchNorm2d(out_channels)
        self.down = residual(in_channels, out_channels, ConvNorm)
        init_by_outputs(self.reduce.conv.weight, width)
        init_by_outputs(self.mix.weight, width)
        nn.init.zeros_(self.mix.bias)  # type: ignore[arg-type]
        nn.init.constant_(self.norm.weight, 1e-6)  # as in CTR-GCN: a block starts as its residual path

    def forward(self, x: Tensor) -> Tensor:
        n, _, v, t = x.shape
        sets, width, directed = self.sets, self.width, _DIRECTIONS * self.width
        reduced = torch.relu(self.reduce(x)).view(n, sets, width, v, t)
        # Mixed by channels, then by joints, which come last here: large products, and none has to be turned.
        mixed = self.mix.weight.view(sets, directed, width) @ reduced.transpose(3, 4).flatten(3)
        mixed = mixed.view(n, sets, _DIRECTIONS, width * t, v) @ self.topology.mT
        bias: Tensor = self.mix.bias  # type: ignore[assignment]
        mixed += bias.repeat_interleave(t).view(sets, _DIRECTIONS, -1, 1)
        mixed = self.mix_norm(mixed.view(n, -1, t, v)).view(n, sets, directed, t, v)
        edges = self.edges(reduced.mean(dim=4)).view(n, sets, width, v)  # the same in all frames
        if self.attention is None:
            moving, still = mixed.sum(dim=1), edges.sum(dim=1)
        else:
            weights = self.attention(torch.cat([mixed.max(dim=3).values, edges], dim=2))[..., None]
            parts, shares = mixed.unbind(1), weights[:, :, :directed, :, None].unbind(1)
            moving = parts[0] * shares[0]
            for part, share in zip(parts[1:], shares[1:], strict=True):
                moving = torch.addcmul(moving, part, share)
            still = (edges * weights[:, :, directed:]).sum(dim=1)
        y = torch.cat([moving.transpose(2, 3), still.unsqueeze(3).expand(-1, -1, -1, t)], dim=1)
        return torch.relu(self.norm(y) + self.down(x))


@register
class HDGCN(GraphNetwork):
    """Ten (by default) blocks in three stages, as :class:`GraphNetwork`, around the joint ``center``.

    ``person_norms`` of None is published: each place has its own, in a run as many as its input, else two.
    """

    name = "hdgcn"

    def __init__(
        self,
        layout: SkeletonLayout,
        in_channels: int = 3,
        channels: int = 64,
        depth: tuple[int, int, int] = (4, 3, 3),
        kernel: int = 5,
        dilations: tuple[int, ...] = (1, 2),
        person_norms: int | None = None,
        center: str | None = None,
    ) -> None:
        if channels < 4 or channels % 4:
            why = "for three directions and an edge convolution"
            raise InputError(f"hdgcn expects channels to be a multiple of 4, {why}, got {channels}")
        adjacency = torch.from_numpy(hierarchy_subsets(hierarchy(layout, center))).float()
        members = adjacency[:, 0].diagonal(dim1=1, dim2=2)  # (L, V), 1 for a joint of either of the two sets
        members = members / members.sum(dim=1, keepdim=True)
        graph = partial(HierarchyGraphConv, adjacency, members)
        norms = PERSONS if person_norms is None else person_norms
        super().__init__(layout, graph, in_channels, channels, depth, kernel, dilations, norms)
        self.blocks[0].graph = HierarchyGraphConv(adjacency, None, in_channels, channels)

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Refuse the weights of kinelex 0.1, which are another function's: there block 1 has an attention."""
        if any(name.startswith("blocks.0.graph.attention.") for name in state_dict):
            raise InputError(
                "these weights are of the HD-GCN of kinelex 0.1, which computed another function than the "
                "published one (attention in block 1, other edge sets): train it again"
            )
        return super().load_state_dict(state_dict, strict, assign)
