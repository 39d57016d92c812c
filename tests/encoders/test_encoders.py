"""One test over all registered encoders, and the published ST-GCN."""

import numpy as np
import pytest
import torch

from kinelex import encoders
from kinelex.errors import InputError
from kinelex.skeleton import get_layout, layout_names

SMALL = {
    "ctrgcn": {"channels": 8, "depth": (2, 1, 1)},
    "gru": {"hidden": 6},
    "hdgcn": {"channels": 8, "depth": (2, 1, 1)},
    "msg3d": {"channels": 12, "scales": 3, "window_scales": 2},
    "stgcn": {"channels": 4},
    "transformer": {"dim": 16, "depth": 2, "heads": 2},
}
ORDERED = ("gru",)  # have a place for each person; others treat all persons alike


@pytest.mark.parametrize("name", encoders.names())
@pytest.mark.parametrize("layout", layout_names())
def test_contract(name, layout):
    encoder = encoders.create(name, layout=layout, **SMALL[name])
    v = get_layout(layout).num_joints
    for m, t in ((1, 16), (2, 21)):
        features = encoder(torch.randn(3, 3, t, v, m))
        assert features.shape == (3, encoder.num_features)
    features.square().sum().backward()
    for parameter_name, parameter in encoder.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name


@pytest.mark.parametrize("name", encoders.names())
def test_state_dict_round_trip_and_order_of_persons(name):
    torch.manual_seed(0)
    one, other = (encoders.create(name, layout="sbu15", **SMALL[name]).eval() for _ in range(2))
    x = torch.randn(2, 3, 16, 15, 2)
    assert not torch.allclose(one(x), other(x))
    other.load_state_dict(one.state_dict())
    torch.testing.assert_close(one(x), other(x))
    assert torch.allclose(one(x), one(x.flip(4)), atol=1e-6) == (name not in ORDERED)


@pytest.mark.parametrize("name", encoders.names())
def test_wrong_shape_says_what_was_expected(name):
    encoder = encoders.create(name, layout="ntu25", **SMALL[name])
    with pytest.raises(InputError, match=r"expects \(N, 3, T, 25, M\).*ntu25.*\(2, 3, 8, 20, 1\)"):
        encoder(torch.randn(2, 3, 8, 20, 1))


def test_unknown_names_and_options():
    with pytest.raises(InputError, match="did you mean 'stgcn'"):
        encoders.create("stgnc")
    with pytest.raises(InputError, match="did you mean 'channels'"):
        encoders.create("stgcn", chanels=8)
    with pytest.raises(InputError, match="odd kernel"):
        encoders.create("stgcn", kernel=4)


def test_stgcn_width_and_depth_are_options():
    encoder = encoders.create("stgcn", channels=64)
    assert encoder.num_features == 256
    small = encoders.create("stgcn", channels=8, depth=(2, 1, 1), out_features=48)
    assert small.num_features == 48
    assert len(small.blocks) == 4
    assert small.forward_features(torch.randn(2, 3, 16, 25, 2)).shape == (2, 2, 48, 4, 25)


def test_stgcn_of_those_present_is_the_mean_of_each_alone():
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


def test_stgcn_computes_the_published_values(shared):
    z = np.load(shared / "reference" / "stgcn.npz")
    state = {k.removeprefix("state/"): torch.from_numpy(z[k]) for k in z.files if k.startswith("state/")}
    state = {k.replace("st_gcn_networks", "blocks"): v for k, v in state.items()}
    state["adjacency"] = state.pop("A")
    weight, bias = state.pop("fc.weight"), state.pop("fc.bias")
    encoder = encoders.create("stgcn", layout="ntu25", channels=8, out_features=24).eval()
    torch.testing.assert_close(encoder.adjacency, state["adjacency"])
    encoder.load_state_dict(state)
    with torch.no_grad():
        logits = encoder(torch.from_numpy(z["x"])) @ weight.T + bias
    torch.testing.assert_close(logits, torch.from_numpy(z["logits"]), atol=1e-5, rtol=0)
