"""ST-GCN against the published code's logits; HD-GCN and MS-G3D too, through converted checkpoints."""

import numpy as np
import pytest
import torch

from kinelex import encoders, load_encoder
from kinelex.errors import InputError
from kinelex.training.convert import convert

OPTIONS = {
    "hdgcn": {"channels": 64, "depth": [4, 3, 3], "kernel": 5, "dilations": [1, 2]},
    "msg3d": {"channels": 96, "scales": 6, "windows": [3, 5], "window_scales": 3},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_a_published_checkpoint_computes_the_published_logits(shared, tmp_path, name):
    with np.load(shared / "reference" / f"{name}.npz") as z:
        state = {k.removeprefix("state/"): torch.from_numpy(z[k]) for k in z.files if k.startswith("state/")}
        x, expected = torch.from_numpy(z["x"]), torch.from_numpy(z["logits"])
    torch.save({f"module.{k}": v for k, v in state.items()}, tmp_path / "weights.pt")
    run = convert(tmp_path / "weights.pt", name, tmp_path / "run")
    assert run.config["encoder"] == {"name": name, "in_channels": 3, "person_norms": 2, **OPTIONS[name]}
    assert run.config["input"]["persons"] == 2
    loaded = load_encoder(run.path)
    with torch.inference_mode():
        logits = loaded.classifier(loaded(x))
    assert (logits - expected).abs().max() < 1e-4 * expected.abs().max()
    assert not torch.allclose(loaded(x.flip(4)), loaded(x), rtol=1e-3)  # a norm for each person place
    torch.save({**state, next(k for k in state if "0.weight" in k): torch.zeros(1)}, tmp_path / "odd.pt")
    with pytest.raises(InputError, match="do not fit together"):
        convert(tmp_path / "odd.pt", name, tmp_path / "other")


def test_the_centre_of_hd_gcn_is_asked_for(shared, tmp_path):
    with np.load(shared / "reference" / "hdgcn.npz") as z:
        state = {k.removeprefix("state/"): torch.from_numpy(z[k]) for k in z.files if k.startswith("state/")}
    torch.save(state, tmp_path / "weights.pt")
    run = convert(tmp_path / "weights.pt", "hdgcn", tmp_path / "run", center="pelvis")
    assert run.config["encoder"]["center"] == "pelvis"
    with pytest.raises(InputError, match="msg3d has no centre of a hierarchy: leave out center"):
        convert(tmp_path / "weights.pt", "msg3d", tmp_path / "other", center="pelvis")
    del state["l2.gcn1.aha.aggregate.bias"]
    torch.save(state, tmp_path / "less.pt")
    with pytest.raises(InputError, match=r"has no l2\.gcn1\.aha\.aggregate\.bias: expects .* HD-GCN"):
        convert(tmp_path / "less.pt", "hdgcn", tmp_path / "other")


def test_st_gcn_computes_the_published_values(shared):
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
