"""MS-G3D: its graphs and windows against plain loops, and its options."""

from collections import deque

import numpy as np
import pytest
import torch

from kinelex import encoders
from kinelex.encoders.msg3d import MultiScaleGraphConv, MultiScaleTemporalConv, WindowConv
from kinelex.encoders.scales import hop_distances, k_adjacency, window_graph
from kinelex.errors import InputError
from kinelex.skeleton import get_layout, layout_names

LAYOUT = get_layout("sbu15")
JOINTS = LAYOUT.num_joints


def make(**options):
    torch.manual_seed(0)
    return encoders.create("msg3d", **{"layout": "sbu15", "channels": 6, "person_norms": 1, **options})


def clips(m=2, t=11, n=3):
    return torch.randn(n, 3, t, JOINTS, m, generator=torch.Generator().manual_seed(1))


def stir(module):
    """Batch norms that do something, masks that count."""
    for part in module.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2)
        elif isinstance(part, MultiScaleGraphConv):
            torch.nn.init.normal_(part.mask, std=0.1)
    return module.double().eval()


def walk(start, neighbours):
    """Breadth-first search: hops from a node to each that can be reached."""
    hops, queue = {start: 0}, deque([start])
    while queue:
        node = queue.popleft()
        for other in neighbours(node):
            if other not in hops:
                hops[other] = hops[node] + 1
                queue.append(other)
    return hops


def bones_from(layout, joint):
    """The joints at the other end of a joint's bones."""
    return [a + b - joint for a, b in layout.bones if joint in (a, b)]


@pytest.mark.parametrize("name", layout_names())
def test_k_adjacency_against_a_search(name):
    layout = get_layout(name)
    ways = [walk(j, lambda i: bones_from(layout, i)) for j in range(layout.num_joints)]
    diameter = max(max(way.values()) for way in ways)
    for wanted in (1, 4, 40):
        scales = k_adjacency(window_graph(layout, 1), wanted)
        assert len(scales) == min(wanted, diameter + 1)
        for k, scale in enumerate(scales):
            near = [{i for i in way if i == j or way[i] == k} for j, way in enumerate(ways)]
            for j in range(layout.num_joints):
                for i in range(layout.num_joints):
                    expected = (len(near[i]) * len(near[j])) ** -0.5 if i in near[j] else 0
                    assert scale[j, i] == pytest.approx(expected)


def test_window_graph_against_a_search():
    hops = hop_distances(window_graph(LAYOUT, 3))

    def neighbours(node):
        return [(t, j) for t in range(3) for j in (node[1], *bones_from(LAYOUT, node[1]))]

    for t in range(3):
        for j in range(JOINTS):
            for (s, i), k in walk((t, j), neighbours).items():
                assert hops[t * JOINTS + j, s * JOINTS + i] == k


def test_nodes_without_a_way_are_in_no_scale_but_the_first():
    linked = np.zeros((3, 3))
    linked[0, 1] = linked[1, 0] = 1
    assert hop_distances(linked).tolist() == [[0, 1, -1], [1, 0, -1], [-1, -1, 0]]
    assert k_adjacency(linked, 5).tolist() == [np.eye(3).tolist(), [[0.5, 0.5, 0], [0.5, 0.5, 0], [0, 0, 1]]]


@pytest.mark.parametrize(("window", "dilation", "stride"), [(3, 1, 1), (3, 2, 2), (5, 1, 2)])
def test_windows_against_a_loop(window, dilation, stride):
    torch.manual_seed(0)
    conv = stir(WindowConv(2, 3, 4, LAYOUT, window, dilation, stride, scales=3))
    x = torch.randn(2, 2, 7, JOINTS, dtype=torch.double)
    adjacency = conv.graph.adjacency + conv.graph.mask
    mix = conv.graph.mix.weight[:, :, 0, 0].view(3, 3, 2)  # (hidden, K, C)
    collapse = conv.collapse.weight[:, :, 0, 0].view(4, 3, window)  # (out, hidden, frame of the window)

    def norm(bn, y):
        return (y - bn.running_mean) / (bn.running_var + bn.eps).sqrt() * bn.weight + bn.bias

    expected = torch.zeros(2, 4, len(range(0, 7, stride)), JOINTS, dtype=torch.double)
    for b in range(2):
        for place, centre in enumerate(range(0, 7, stride)):
            times = [centre + (s - window // 2) * dilation for s in range(window)]
            nodes = [x[b, :, t] if 0 <= t < 7 else torch.zeros_like(x[b, :, 0]) for t in times]
            flat = torch.cat(nodes, dim=1)  # (C, window·V)
            for v in range(JOINTS):
                total = torch.zeros(4, dtype=torch.double)
                for s in range(window):
                    hidden = sum(mix[:, k] @ flat @ adjacency[k, s * JOINTS + v] for k in range(3))
                    total += collapse[:, :, s] @ norm(conv.graph.norm, hidden).relu()
                expected[b, :, place, v] = norm(conv.norm, total)
    torch.testing.assert_close(conv(x), expected)


def test_each_temporal_branch_sees_its_own_frames():
    torch.manual_seed(0)
    conv = MultiScaleTemporalConv(6, 6, activation=False).eval()
    conv.residual = torch.nn.Identity()
    x = torch.randn(1, 6, 15, 2, requires_grad=True)
    y = conv(x) - x
    seen = []
    for branch in range(6):
        (gradient,) = torch.autograd.grad(y[0, branch, 7].sum(), x, retain_graph=True)
        seen.append(set((gradient.abs().sum(dim=(0, 1, 3)).nonzero()[:, 0] - 7).tolist()))
    for reach, frames in zip((1, 2, 3, 4, 1), seen[:5], strict=True):
        assert frames <= {-reach, 0, reach}
    assert all(max(frames) == reach for reach, frames in zip((1, 2, 3, 4), seen[:4], strict=True))
    assert seen[5] == {0}


@pytest.mark.parametrize("stride", [1, 2])
def test_temporal_convolution_against_a_loop(stride):
    torch.manual_seed(0)
    conv = stir(MultiScaleTemporalConv(4, 12, stride))
    x = torch.randn(2, 4, 9, 3, dtype=torch.double)
    reduced = conv.reduce(x)
    branches = []
    for i, weights in enumerate(conv.dilated):
        part, d, y = reduced[:, 2 * i : 2 * i + 2], i + 1, []
        for t in range(0, 9, stride):
            taps = [(k, t + (k - 1) * d) for k in range(3) if 0 <= t + (k - 1) * d < 9]
            y.append(
                sum(torch.einsum("oi,biv->bov", weights.weight[:, :, k, 0], part[:, :, s]) for k, s in taps)
            )
        branches.append(torch.stack(y, dim=2))
    last = reduced[:, 8:]
    pooled = [last[:, :, max(t - 1, 0) : t + 2].amax(dim=2) for t in range(0, 9, stride)]
    branches.append(torch.stack(pooled, dim=2))
    branches.append(torch.einsum("oi,bitv->botv", conv.single.weight[:, :, 0, 0], x[:, :, ::stride]))
    expected = conv.norm(torch.cat(branches, dim=1)) + conv.residual(x)
    torch.testing.assert_close(conv(x), expected.relu())


@pytest.mark.parametrize("frames", [1, 3, 16, 21])
def test_any_number_of_frames(frames):
    features = make().forward_features(clips(t=frames))
    assert features.shape == (3, 2, 24, -(-frames // 4), JOINTS)


def test_options_shape_the_encoder():
    encoder = make(channels=12, scales=4, windows=(7,), window_scales=2, dilation=2)
    assert encoder.num_features == 48
    assert [len(block.windows) for block in encoder.blocks] == [1, 1, 1]
    assert encoder.blocks[0].factorised[0].adjacency.shape == (4, JOINTS, JOINTS)
    assert encoder.blocks[0].windows[0].graph.adjacency.shape == (2, 7 * JOINTS, 7 * JOINTS)
    assert encoder(clips()).shape == (3, 48)
    assert not any("windows" in name for name in make(windows=()).state_dict())


def test_wrong_options_say_what_was_expected():
    with pytest.raises(InputError, match="multiple of 6, got 16"):
        make(channels=16)
    with pytest.raises(InputError, match=r"odd windows, got 13, 6, 1, 1 and \(3, 4\)"):
        make(windows=(3, 4))
    with pytest.raises(InputError, match="at least 1.*got 0, 6, 1"):
        make(scales=0)
