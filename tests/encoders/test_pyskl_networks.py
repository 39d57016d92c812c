"""ST-GCN++ and AAGCN: graph convolutions against plain loops over asymmetric graphs, and options."""

import pytest
import torch

from kinelex import encoders
from kinelex.encoders.aagcn import AdaptiveGraphConv
from kinelex.encoders.stgcnpp import GraphConv
from kinelex.errors import InputError
from kinelex.skeleton import SkeletonLayout

B, IN, OUT, T, V, K = 2, 3, 4, 5, 4, 2


def randomised(module):
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return module.double().eval()


def matrix(conv):
    return conv.weight[:, :, 0, 0], conv.bias


def test_stgcnpp_graph_convolution_against_loops():
    torch.manual_seed(0)
    conv = randomised(GraphConv(torch.zeros(K, V, V), IN, OUT))
    x = torch.randn(B, IN, T, V).double()
    weight, bias = (part.view(K, OUT, -1) for part in matrix(conv.conv))
    expected = torch.zeros(B, OUT, T, V).double()
    for k in range(K):
        for origin in range(V):
            sent = torch.einsum("oc,bct->bot", weight[k], x[..., origin]) + bias[k]
            for to in range(V):
                expected[..., to] += conv.A[k, origin, to] * sent
    torch.testing.assert_close(conv(x), (conv.bn(expected) + conv.down(x)).relu())


def test_aagcn_graph_convolution_against_loops():
    torch.manual_seed(0)
    conv = randomised(AdaptiveGraphConv(torch.zeros(K, V, V), IN, OUT))
    x = torch.randn(B, IN, T, V).double()
    expected = torch.zeros(B, OUT, T, V).double()
    for b in range(B):
        for k in range(K):
            (wa, ba), (wb, bb), (wd, bd) = (matrix(c[k]) for c in (conv.conv_a, conv.conv_b, conv.conv_d))
            for to in range(V):
                carried = torch.zeros(IN, T).double()
                for origin in range(V):
                    one = wa @ x[b, :, :, origin] + ba[:, None]
                    other = wb @ x[b, :, :, to] + bb[:, None]
                    related = torch.tanh((one * other).sum() / one.numel())
                    carried += (conv.A[k, origin, to] + conv.alpha * related) * x[b, :, :, origin]
                expected[b, :, :, to] += wd @ carried + bd[:, None]
    y = (conv.bn(expected) + conv.down(x)).relu()
    torch.testing.assert_close(conv(x), conv.attended(y))


def test_aagcn_attention_weighs_joints_then_frames_then_channels():
    conv = AdaptiveGraphConv(torch.zeros(K, V, V), IN, OUT).double().eval()
    y = torch.rand(B, OUT, T, V).double()
    for layer in (conv.conv_sa, conv.conv_ta, conv.fc2c):
        torch.nn.init.zeros_(layer.weight)
    torch.testing.assert_close(conv.attended(y), 1.5**3 * y)  # as it starts, every weight is a half
    torch.nn.init.constant_(conv.conv_sa.weight, 1.0)
    joints = y.mean(dim=2).sum(dim=1)  # (B, V); three joints wide, zeros beyond the ends
    padded = torch.nn.functional.pad(joints, (1, 1))
    seen = torch.stack([padded[:, v : v + 3].sum(dim=1) for v in range(V)], dim=1)
    torch.testing.assert_close(conv.attended(y), 1.5**2 * y * (1 + torch.sigmoid(seen))[:, None, None])


def test_widths_that_six_branches_do_not_divide_and_wrong_options():
    branches = encoders.create("stgcnpp", channels=16, depth=(1, 1, 1)).gcn[0].tcn.branches
    assert [branch[0].out_channels for branch in branches[:5]] == [6, 2, 2, 2, 2]
    with pytest.raises(InputError, match="stgcnpp expects channels of at least 6.* got 4"):
        encoders.create("stgcnpp", channels=4)
    with pytest.raises(InputError, match="aagcn expects .* person_norms of at least 1, got .* and 0"):
        encoders.create("aagcn", person_norms=0)
    with pytest.raises(InputError, match=r"at most 2 persons, got 3: set encoder\.person_norms=3"):
        encoders.create("aagcn", channels=8, depth=(1, 1, 1))(torch.randn(1, 3, 8, 25, 3))


@pytest.mark.parametrize("name", ["stgcnpp", "aagcn"])
def test_two_joints_are_enough(name):
    layout = SkeletonLayout("stick", ("wrist", "thumb"), (0, 0))
    encoder = encoders.create(name, layout=layout, channels=8, depth=(1, 1, 1))
    assert encoder(torch.randn(2, 3, 5, 2, 1)).isfinite().all()
