"""AAGCN: 2s-AGCN's graphs of each clip, and attention over joints, frames and channels.

Shi et al., "Two-Stream Adaptive Graph Convolutional Networks for Skeleton-Based Action Recognition",
CVPR 2019, arXiv 1805.07694, and "Skeleton-Based Action Recognition with Multi-Stream Adaptive Graph
Convolutional Networks", TIP 2020, arXiv 1912.06971, as PYSKL trains it (arXiv 2205.09443). Given PYSKL's
weights it computes PYSKL's values, in the names of its checkpoints, for any layout.
"""

from functools import partial

import torch
from torch import Tensor, nn

from kinelex.encoders.base import PERSONS
from kinelex.encoders.graph_network import StagedNetwork
from kinelex.encoders.layers import TimeConv, conv_norm, residual
from kinelex.encoders.registry import register
from kinelex.skeleton import SkeletonLayout, spatial_subsets


class AdaptiveGraphConv(nn.Module):
    """Mix joints along K learnt graphs, plus what each clip's own features say; then attention.

    Graph k carries joint v to joint w with the weight ``A[k, v, w]`` plus ``alpha`` times
    tanh(a(v)·b(w) / size), a and b linear maps of a joint's features in all frames.

    Shape:
        - adjacency: (K, V, V), where the graphs start; x: (B, in_channels, T, V)
        - returns: (B, out_channels, T, V)

    Source: arXiv 1912.06971, sections 3.2 and 3.3.
    """

    def __init__(self, adjacency: Tensor, in_channels: int, out_channels: int) -> None:
        super().__init__()
        subsets, joints = len(adjacency), adjacency.shape[1]
        self.A = nn.Parameter(adjacency.clone())
        self.alpha = nn.Parameter(torch.zeros(1))
        inner, odd = max(out_channels // 4, 1), joints - 1 + joints % 2
        self.conv_a, self.conv_b, self.conv_d = (
            nn.ModuleList(nn.Conv2d(in_channels, width, 1) for _ in range(subsets))
            for width in (inner, inner, out_channels)
        )
        self.conv_ta = nn.Conv1d(out_channels, 1, 9, padding=4)
        self.conv_sa = nn.Conv1d(out_channels, 1, odd, padding=odd // 2)
        self.fc1c = nn.Linear(out_channels, max(out_channels // 2, 1))
        self.fc2c = nn.Linear(max(out_channels // 2, 1), out_channels)
        self.bn = nn.BatchNorm2d(out_channels)
        self.down = residual(in_channels, out_channels, conv_norm)
        self._initialise()

    def _initialise(self) -> None:
        """As published: attention weighs all alike at first, and a block starts as its residual path."""
        nn.init.constant_(self.bn.weight, 1e-6)
        nn.init.xavier_normal_(self.conv_sa.weight)
        nn.init.kaiming_normal_(self.fc1c.weight)
        for zero in (self.conv_ta, self.fc2c):
            nn.init.zeros_(zero.weight)
        for layer in (self.conv_ta, self.conv_sa, self.fc1c, self.fc2c):
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        y = torch.zeros((), device=x.device, dtype=x.dtype)
        for graph, a, b, value in zip(self.A, self.conv_a, self.conv_b, self.conv_d, strict=True):
            one, other = a(x).flatten(1, 2), b(x).flatten(1, 2)  # (B, C'·T, V)
            related = torch.tanh(one.transpose(1, 2) @ other / one.shape[1])  # (B, V from, V to)
            carried = x.flatten(1, 2) @ (graph + self.alpha * related)
            y = y + value(carried.view_as(x))
        return self.attended((self.bn(y) + self.down(x)).relu())

    def attended(self, y: Tensor) -> Tensor:
        """Weigh joints, then frames, then channels, each weight added to 1."""
        y = y * (1 + torch.sigmoid(self.conv_sa(y.mean(dim=2))).unsqueeze(2))
        y = y * (1 + torch.sigmoid(self.conv_ta(y.mean(dim=3))).unsqueeze(3))
        channels = torch.sigmoid(self.fc2c(self.fc1c(y.mean(dim=(2, 3))).relu()))
        return y * (1 + channels[:, :, None, None])


@register
class AAGCN(StagedNetwork):
    """Ten (by default) blocks in three stages, as :class:`StagedNetwork`.

    ``person_norms`` of None is published: each place has its own, in a run as many as its input, else two.
    """

    name = "aagcn"

    def __init__(
        self,
        layout: SkeletonLayout,
        in_channels: int = 3,
        channels: int = 64,
        depth: tuple[int, int, int] = (4, 3, 3),
        person_norms: int | None = None,
    ) -> None:
        adjacency = torch.from_numpy(spatial_subsets(layout)).float()
        graph = partial(AdaptiveGraphConv, adjacency)
        sizes = in_channels, channels, depth, PERSONS if person_norms is None else person_norms
        super().__init__(layout, graph, lambda width, stride: TimeConv(width, width, stride), *sizes)
