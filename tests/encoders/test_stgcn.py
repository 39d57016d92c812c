"""ST-GCN: its options, its persons, and the published values."""

import numpy as np
import pytest
import torch

from kinelex import encoders
from kinelex.errors import InputError


def test_width_and_depth_are_options():
    with pytest.raises(InputError, match="odd kernel"):
        encoders.create("stgcn", kernel=4)
    encoder = encoders.create("stgcn", channels=64)
    assert encoder.num_features == 256
    small = encoders.create("stgcn", channels=8, depth=(2, 1, 1), out_features=48)
    assert small.num_features == 48
    assert len(small.blocks) == 4
    assert small.forward_features(torch.randn(2, 3, 16, 25, 2)).shape == (2, 2, 48, 4, 25)


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


def test_computes_the_published_values(shared):
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
