"""CTR-GCN: the published values, and its graph convolution against plain loops."""

import numpy as np
import pytest
import torch
from published_ctrgcn import published_ctrgcn

from kinelex import encoders
from kinelex.encoders.ctrgcn import RefinedGraphConv
from kinelex.encoders.published.ctrgcn import encoder_options, published_to_encoder
from kinelex.errors import InputError


def make(**options):
    torch.manual_seed(0)
    small = {"layout": "sbu15", "channels": 8, "depth": (1, 1, 1)}
    return encoders.create("ctrgcn", **{**small, **options}).eval()


@pytest.fixture(scope="module")
def reference(shared):
    with np.load(shared / "reference" / "ctrgcn.npz") as z:
        return {name.removeprefix("state/"): torch.from_numpy(z[name]) for name in z.files}


@pytest.fixture
def state(reference):
    """The published network's parameters and buffers, stored in half precision."""
    return {name: value for name, value in reference.items() if name not in ("x", "logits")}


def logits_of_ours(state, x):
    ours, classifier = published_to_encoder(state)
    encoder = encoders.create("ctrgcn", layout="kinect20", **encoder_options(ours, joints=20)).eval()
    encoder.load_state_dict(ours)
    with torch.no_grad():
        return encoder.to(x.dtype)(x) @ classifier["weight"].to(x).T + classifier["bias"].to(x)


def test_computes_the_published_values(reference, state):
    # The reference network's random weights let activations grow to 10^7, and tanh of differences of such
    # numbers amplifies rounding: the reference, computed in float32, is 1.7e-3 of its norm away from the same
    # arithmetic in float64; the published operations give its very bits on two threads, and are 56 off on
    # one. So in float32 it is met roughly, and in float64 ours is held against the published arithmetic.
    x, expected = reference["x"], reference["logits"]
    assert (logits_of_ours(state, x) - expected).norm() < 5e-3 * expected.norm()
    double = {name: value.double() for name, value in state.items()}
    exact = published_ctrgcn(double, x.double())
    assert (exact - expected).norm() < 5e-3 * expected.norm()
    assert (logits_of_ours(state, x.double()) - exact).norm() < 1e-10 * exact.norm()


def test_computes_the_published_values_in_float32_where_activations_do_not_explode(reference, state):
    calm = {name: value.float() for name, value in state.items()}
    published_ctrgcn(calm, reference["x"], calibrate=True)
    expected = published_ctrgcn({k: v.double() for k, v in calm.items()}, reference["x"].double()).float()
    assert 1 < expected.std() < 10
    # Logits of up to 21, and plain code in float32 is 1.1e-5 off too: 1e-5 of their spread, not absolute.
    error = (logits_of_ours(calm, reference["x"]) - expected).abs().max()
    assert error < 1e-5 * expected.std()


def test_two_places_for_persons_as_published(reference, state):
    double = {name: value.double() for name, value in state.items()}
    for kind in ("weight", "bias", "running_mean", "running_var"):
        first = double[f"data_bn.{kind}"]
        double[f"data_bn.{kind}"] = torch.cat([first, first * 1.5])
    x = reference["x"].double()
    x = torch.cat([x, x.flip(0)], dim=4)
    published_ctrgcn(double, x, calibrate=True)
    expected = published_ctrgcn(double, x)
    single = {name: value.float() for name, value in double.items()}
    torch.testing.assert_close(logits_of_ours(single, x), expected, atol=1e-5, rtol=0)


def test_options_are_read_from_the_checkpoint(state):
    ours, _ = published_to_encoder({f"module.{k}": v for k, v in state.items()})
    published_options = {"channels": 64, "depth": (4, 3, 3), "kernel": 5, "dilations": (1, 2)}
    assert encoder_options(ours, joints=20) == {"in_channels": 3, "person_norms": 1, **published_options}


def test_a_checkpoint_that_is_something_else_is_refused(state):
    ours, _ = published_to_encoder(state)
    with pytest.raises(InputError, match="reads 20 joints, the layout has 25: choose the layout"):
        encoder_options(ours, joints=25)
    with pytest.raises(InputError, match=r"w\.pt has no data_bn\.weight: expects the state_dict"):
        published_to_encoder({"fc.weight": torch.zeros(1)}, origin="w.pt")
    with pytest.raises(InputError, match=r"has l3\.attention\.weight, which is no part of CTR-GCN"):
        published_to_encoder({**state, "l3.attention.weight": torch.zeros(1)})
    with pytest.raises(InputError, match=r"has no l2\.gcn1\.convs\.1\.conv4\.bias"):
        published_to_encoder({k: v for k, v in state.items() if k != "l2.gcn1.convs.1.conv4.bias"})
    with pytest.raises(InputError, match=r"has no l1\.gcn1\.convs\.0"):
        published_to_encoder({k: v for k, v in state.items() if k.startswith("data_bn.")})
    without = {k: v for k, v in state.items() if not k.startswith("fc.")}
    assert published_to_encoder({**without, "image.weight": torch.zeros(1)})[1] == {}


def test_graph_convolution_against_loops_over_subsets_joints_and_channels():
    torch.manual_seed(0)
    b, c_in, c, v, t, k, r = 2, 3, 4, 5, 6, 3, 2
    conv = RefinedGraphConv(torch.rand(k, v, v), c_in, c, r).double().eval()
    with torch.no_grad():
        for parameter in conv.parameters():
            parameter.normal_()
    x = torch.randn(b, c_in, v, t).double()
    relate, refine = conv.relate.weight[..., 0], conv.refine.weight[..., 0, 0].view(k, c, r)
    value, shift = conv.value.weight[..., 0, 0].view(c, k, c_in), conv.value.bias.view(c, k)
    relate, offset = relate.view(2, k, r, c_in), conv.relate.bias.view(2, k, r)
    bias = conv.refine.bias.view(k, c)
    expected = torch.zeros(b, c, v, t).double()
    for i in range(b):
        mean = x[i].mean(dim=2)  # (c_in, v)
        for s in range(k):
            for to in range(v):
                for origin in range(v):
                    one = relate[0, s] @ mean[:, to] + offset[0, s]
                    other = relate[1, s] @ mean[:, origin] + offset[1, s]
                    refined = refine[s] @ torch.tanh(one - other) + bias[s]
                    weight = conv.topology[s, to, origin] + conv.alpha * refined  # (c,)
                    carried = value[:, s] @ x[i, :, origin] + shift[:, s, None]  # (c, t)
                    expected[i, :, to] += weight[:, None] * carried
    torch.testing.assert_close(conv(x), torch.relu(conv.norm(expected) + conv.down(x)))


def test_starts_from_the_layouts_graph_and_unrefined():
    encoder = make(layout="ntu25")
    for block in encoder.blocks:
        assert block.graph.alpha.item() == 0
        torch.testing.assert_close(block.graph.topology.sum(dim=1)[0], torch.ones(25))
    parameters = sum(p.numel() for p in encoders.create("ctrgcn", layout="ntu25").parameters())
    assert 1.3e6 < parameters < 1.5e6  # the paper's 1.46 million with 120 classes


def test_places_for_persons_with_norms_of_their_own():
    encoder = make(person_norms=2)
    encoder.data_bn.running_mean.normal_()
    encoder.data_bn.running_var.uniform_(0.5, 2)
    x = torch.randn(2, 3, 9, 15, 2)
    shared = make()
    alone = []
    for person in range(2):
        state = encoder.state_dict()
        for kind in ("weight", "bias", "running_mean", "running_var"):
            state[f"data_bn.{kind}"] = state[f"data_bn.{kind}"].chunk(2)[person]
        shared.load_state_dict(state)
        alone.append(shared(x[..., person : person + 1]))
    torch.testing.assert_close(encoder(x), torch.stack(alone).mean(dim=0))
    filled = torch.cat([x[..., :1], torch.zeros_like(x[..., 1:])], dim=4)
    torch.testing.assert_close(encoder(x[..., :1]), encoder(filled))
    with pytest.raises(InputError, match=r"at most 2 persons, got 3: set encoder\.person_norms=3"):
        encoder(torch.randn(2, 3, 9, 15, 3))


def test_options_and_features_before_pooling():
    encoder = make(in_channels=2, dilations=(1, 2, 3, 4), channels=12, depth=(2, 1, 1), kernel=3)
    x = torch.randn(2, 2, 17, 15, 3)
    maps = encoder.forward_features(x)
    assert maps.shape == (2, 3, 48, 5, 15)
    torch.testing.assert_close(encoder(x), maps.mean(dim=(1, 3, 4)))
    with pytest.raises(InputError, match="multiple of 4, the branches over time .* got 6"):
        make(channels=6)
    with pytest.raises(InputError, match="odd kernel .* got 4"):
        make(kernel=4)
