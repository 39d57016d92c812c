"""ST-GCN: its options, its graph and its persons."""

import pytest
import torch

from kinelex import encoders
from kinelex.encoders.stgcn import GraphConv
from kinelex.errors import InputError
from kinelex.skeleton import get_layout


def test_width_and_depth_are_options():
    with pytest.raises(InputError, match="odd kernel"):
        encoders.create("stgcn", kernel=4)
    encoder = encoders.create("stgcn", channels=64)
    assert encoder.num_features == 256
    small = encoders.create("stgcn", channels=8, depth=(2, 1, 1), out_features=48)
    assert small.num_features == 48
    assert len(small.blocks) == 4
    assert small.forward_features(torch.randn(2, 3, 16, 25, 2)).shape == (2, 2, 48, 4, 25)


def test_only_the_first_block_is_without_dropout():
    encoder = encoders.create("stgcn", channels=4, dropout=0.5)
    assert [block.tcn[-1].p for block in encoder.blocks] == [0.0] + 9 * [0.5]


def test_graph_convolution_against_loops_over_an_asymmetric_graph():
    torch.manual_seed(0)
    conv, adjacency = GraphConv(2, 3, subsets=2).double(), torch.randn(2, 4, 4).double()
    x = torch.randn(2, 2, 5, 4).double()
    weight, bias = conv.conv.weight[:, :, 0, 0].view(2, 3, 2), conv.conv.bias.view(2, 3)
    expected = torch.zeros(2, 3, 5, 4).double()
    for n in range(2):
        for t in range(5):
            for origin in range(4):
                for to in range(4):
                    for k in range(2):
                        sent = weight[k] @ x[n, :, t, origin] + bias[k]
                        expected[n, :, t, to] += adjacency[k, origin, to] * sent
    torch.testing.assert_close(conv(x, adjacency), expected)


def test_a_joint_is_the_mean_of_itself_and_those_at_its_bones():
    """Not the other way round: a joint with many neighbours sends each of them its share of *their* mean."""
    layout = get_layout("sbu15")
    encoder = encoders.create("stgcn", layout=layout, channels=2, depth=(1, 1, 1))
    conv = GraphConv(1, 1, subsets=3)
    torch.nn.init.ones_(conv.conv.weight)
    torch.nn.init.zeros_(conv.conv.bias)
    x = torch.randn(1, 1, 1, 15)
    with torch.no_grad():
        found = conv(x, encoder.adjacency)[0, 0, 0]
    for joint in range(15):
        near = {joint} | {a + b - joint for a, b in layout.bones if joint in (a, b)}
        assert found[joint].item() == pytest.approx(x[0, 0, 0, sorted(near)].mean().item(), abs=1e-6)


def test_of_those_present_is_the_mean_of_each_alone():
    torch.manual_seed(0)
    encoder = encoders.create("stgcn", layout="sbu15", channels=4, present_only=True).eval()
    x = torch.randn(4, 3, 16, 15, 2)
    x[1, ..., 1] = 0
    x[2, ..., 0] = 0
    x[3] = 0
    features = encoder(x)
    for i, persons in enumerate([(0, 1), (0,), (1,), (0,)]):
        alone = torch.stack([encoder(x[i : i + 1, ..., p : p + 1])[0] for p in persons]).mean(dim=0)
        torch.testing.assert_close(features[i], alone)
    features.sum().backward()
