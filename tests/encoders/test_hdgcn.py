"""HD-GCN: its hierarchy, and its parts against plain loops."""

import pytest
import torch

from kinelex import encoders
from kinelex.encoders.hdgcn import (
    EdgeConv,
    HierarchyAttention,
    HierarchyGraphConv,
    hierarchy,
    hierarchy_subsets,
)
from kinelex.errors import InputError
from kinelex.skeleton import SkeletonLayout, get_layout, layout_names


def numbered(sets):
    """As the paper writes NTU's joints, from 1."""
    return [sorted(joint + 1 for joint in joints) for joints in sets]


PUBLISHED = {  # the authors' sets, from 1
    "shoulder_center": [
        [21],
        [2, 3, 5, 9],
        [1, 4, 6, 10],
        [7, 11, 13, 17],
        [8, 12, 14, 18],
        [15, 19, 22, 23, 24, 25],
        [16, 20],
    ],
    "spine": [
        [2],
        [1, 21],
        [3, 5, 9, 13, 17],
        [4, 6, 10, 14, 18],
        [7, 11, 15, 19],
        [8, 12, 16, 20],
        [22, 23, 24, 25],
    ],
    "pelvis": [
        [1],
        [2, 13, 17],
        [14, 18, 21],
        [3, 5, 9, 15, 19],
        [4, 6, 10, 16, 20],
        [7, 11],
        [8, 12, 22, 23, 24, 25],
    ],
}


@pytest.mark.parametrize("center", PUBLISHED)
def test_hierarchy_of_ntu_from_the_papers_centres(center):
    assert numbered(hierarchy(get_layout("ntu25"), center)) == PUBLISHED[center]
    assert hierarchy(get_layout("ntu25")) == hierarchy(get_layout("ntu25"), "shoulder_center")


@pytest.mark.parametrize("name", layout_names())
def test_hierarchy_follows_the_bones_and_is_the_same_left_and_right(name):
    layout = get_layout(name)
    sets = hierarchy(layout)
    depth = {joint: d for d, joints in enumerate(sets) for joint in joints}
    assert sorted(depth) == list(range(layout.num_joints))
    assert 2 <= len(sets) <= 7
    assert all(sets)
    for joint, parent in layout.bones:
        beside = depth[joint] == len(sets) - 1 or layout.joints[joint].endswith("hand_tip")
        assert abs(depth[joint] - depth[parent]) == 1 or (depth[joint] == depth[parent] and beside)
    if len(sets[0]) == 1 and layout.mirror[sets[0][0]] == sets[0][0]:
        assert all(depth[joint] == depth[other] for joint, other in enumerate(layout.mirror))


def test_block_1_adds_its_edge_sets_up():
    encoder = encoders.create("hdgcn", channels=4, depth=(1, 1, 1))
    assert [block.graph.attention is None for block in encoder.blocks] == [True, False, False]
    torch.manual_seed(0)
    conv = randomised(HierarchyGraphConv(torch.rand(2, 3, 4, 4), None, 3, 8))
    with_attention = (
        HierarchyGraphConv(torch.rand(2, 3, 4, 4), torch.full((2, 4), 0.25), 3, 8).double().eval()
    )
    with_attention.load_state_dict(conv.state_dict(), strict=False)
    torch.nn.init.zeros_(with_attention.attention.expand.weight)
    torch.nn.init.constant_(with_attention.attention.expand.bias, 50)  # every set counts 1
    x = torch.randn(2, 3, 4, 5).double()
    torch.testing.assert_close(conv(x), with_attention(x))


def test_weights_of_the_encoder_of_0_1_are_refused():
    encoder = encoders.create("hdgcn", channels=4, depth=(1, 1, 1))
    state = {**encoder.state_dict(), "blocks.0.graph.attention.expand.bias": torch.zeros(4)}
    with pytest.raises(InputError, match=r"HD-GCN of kinelex 0\.1.*train it again"):
        encoder.load_state_dict(state)


def test_edges_equal_a_loop_over_pairs_of_joints():
    sets = hierarchy(get_layout("kinect20"))
    graphs = hierarchy_subsets(sets)
    assert graphs.shape == (len(sets) - 1, 3, 20, 20)
    for i, (inner, outer) in enumerate(zip(sets, sets[1:], strict=False)):
        for u in range(20):
            for v in range(20):
                assert graphs[i, 0, u, v] == (u == v and u in inner + outer)
                assert graphs[i, 1, u, v] == (1 / len(inner) if u in inner and v in outer else 0)
                assert graphs[i, 2, u, v] == (1 / len(outer) if u in outer and v in inner else 0)


def randomised(module):
    module = module.double().eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_()
    for name, buffer in module.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_()
        elif name.endswith("running_var"):
            buffer.uniform_(0.5, 2)
    return module


def normed(norm, channel, value):
    scaled = (value - norm.running_mean[channel]) / (norm.running_var[channel] + norm.eps).sqrt()
    return scaled * norm.weight[channel] + norm.bias[channel]


def test_edge_convolution_against_loops():
    torch.manual_seed(0)
    b, groups, c_in, c, points = 2, 2, 3, 2, 7
    edge = randomised(EdgeConv(groups, c_in, c, neighbours=4))
    x = torch.randn(b, groups, c_in, points).double()
    weight = edge.conv.weight[..., 0, 0].view(groups, c, 2 * c_in)
    expected = torch.zeros(b, groups * c, points).double()
    for i in range(b):
        for g in range(groups):
            for p in range(points):
                one = x[i, g, :, p]
                near = sorted(range(points), key=lambda q: (x[i, g, :, q] - one).square().sum().item())[:4]  # noqa: B023
                for o in range(c):
                    reached = []
                    for q in near:
                        y = weight[g, o] @ torch.cat([x[i, g, :, q] - one, one])
                        y = normed(edge.norm, g * c + o, y)
                        reached.append(torch.where(y > 0, y, 0.2 * y))
                    expected[i, g * c + o, p] = torch.stack(reached).max()
    torch.testing.assert_close(edge(x), expected)


def test_attention_looks_only_at_a_sets_own_joints():
    torch.manual_seed(0)
    members = torch.tensor([[0.5, 0.5, 0, 0], [0, 1 / 3, 1 / 3, 1 / 3]])
    attention = randomised(HierarchyAttention(members, channels=8))
    peaks = torch.randn(2, 2, 8, 4).double()
    expected = torch.zeros(2, 2, 8).double()
    for i in range(2):
        means = []
        for s, joints in enumerate([(0, 1), (1, 2, 3)]):
            moving = []
            for j in joints:
                y = attention.reduce.conv.weight[:, :, 0, 0] @ peaks[i, s, :, j]
                y = y + attention.reduce.conv.bias
                moving.append(
                    torch.relu(torch.stack([normed(attention.reduce.norm, o, y[o]) for o in range(2)]))
                )
            means.append(torch.stack(moving).mean(dim=0))
        compared = attention.compare(torch.stack(means, dim=1)[None, None])[0]  # (2 channels, 2 sets)
        for s in range(2):
            y = attention.expand.weight[:, :, 0] @ compared[:, s] + attention.expand.bias
            expected[i, s] = torch.sigmoid(y)
    torch.testing.assert_close(attention(peaks), expected)


def test_graph_convolution_against_loops_over_sets_and_directions():
    torch.manual_seed(0)
    sets, v, t, width = 2, 4, 3, 2
    members = torch.full((sets, v), 1 / v)
    conv = randomised(HierarchyGraphConv(torch.rand(sets, 3, v, v), members, 3, 4 * width))
    x = torch.randn(2, 3, v, t).double()
    reduced = torch.relu(conv.reduce(x)).view(2, sets, width, v, t)
    weight, bias = conv.mix.weight[..., 0, 0].view(sets, 3, width, width), conv.mix.bias.view(sets, 3, width)
    seen = []
    conv.attention.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    y = conv(x)
    features = torch.empty(2, sets, 4 * width, v, t).double()
    for s in range(sets):
        for k in range(3):
            for u in range(v):
                carried = sum(
                    conv.topology[s, k, u, j] * reduced[:, s, :, j] for j in range(v)
                )  # (2, width, t)
                mixed = torch.einsum("oc,nct->not", weight[s, k], carried) + bias[s, k, :, None]
                for o in range(width):
                    features[:, s, k * width + o, u] = normed(
                        conv.mix_norm, (s * 3 + k) * width + o, mixed[:, o]
                    )
    features[:, :, 3 * width :] = conv.edges(reduced.mean(dim=4)).view(2, sets, width, v, 1)
    torch.testing.assert_close(seen[0], features.amax(dim=4))
    weighed = (features * conv.attention(seen[0])[..., None, None]).sum(dim=1)
    torch.testing.assert_close(y, torch.relu(conv.norm(weighed) + conv.down(x)))


def test_center_is_an_option_and_wrong_input_says_so():
    for center in ("pelvis", "shoulder_center"):
        encoder = encoders.create("hdgcn", channels=4, depth=(1, 1, 1), center=center)
        assert encoder(torch.randn(1, 3, 8, 25, 1)).shape == (1, 16)
    with pytest.raises(InputError, match="did you mean 'pelvis'"):
        encoders.create("hdgcn", center="pelvs")
    with pytest.raises(InputError, match="multiple of 4, for three directions .* got 6"):
        encoders.create("hdgcn", channels=6, dilations=(1,))
    with pytest.raises(InputError, match="at least two joints, dot has one"):
        encoders.create("hdgcn", layout=SkeletonLayout("dot", ("dot",), (0,)))
    with pytest.raises(InputError, match=r"hdgcn expects .* person_norms of at least 1, got 5, .* and 0"):
        encoders.create("hdgcn", person_norms=0)


def test_two_joints_are_enough():
    layout = SkeletonLayout("stick", ("wrist", "thumb"), (0, 0))
    encoder = encoders.create("hdgcn", layout=layout, channels=4, depth=(1, 1, 1))
    assert encoder(torch.randn(2, 3, 5, 2, 1)).isfinite().all()
