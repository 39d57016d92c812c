"""PYSKL's ST-GCN and CTR-GCN: its names, and a plain computation that ours agrees with as with its code."""

import pytest
import torch
from torch.nn import functional as F

from kinelex import encoders
from kinelex.encoders.published import ctrgcn, pyskl
from kinelex.errors import InputError
from kinelex.training.convert import convert

SIZES = ((3, 8, 1), (8, 16, 2), (16, 32, 2))  # widths and strides of three blocks


class State(dict):
    """A state under PYSKL's names, with random numbers; and the layers that read it."""

    def conv(self, name, x, *shape, **how):
        draw = self.setdefault(f"backbone.{name}.weight", 0.3 * torch.randn(*shape))
        return F.conv2d(x, draw, self.setdefault(f"backbone.{name}.bias", torch.randn(shape[0])), **how)

    def norm(self, name, x):
        drawn = {
            "weight": torch.randn,
            "bias": torch.randn,
            "running_mean": torch.randn,
            "running_var": torch.rand,
        }
        values = [self.setdefault(f"backbone.{name}.{k}", f(x.shape[1])) for k, f in drawn.items()]
        self[f"backbone.{name}.num_batches_tracked"] = torch.tensor(1)
        return F.batch_norm(x, values[2], values[3], values[0], values[1])

    def graph(self, name, joints):
        return self.setdefault(f"backbone.{name}", torch.randn(3, joints, joints) / joints)


def beside(state, name, x, i, before, width, stride):
    if not i:
        return 0
    path = state.conv(f"{name}.residual.conv", x, width, before, 1, 1, stride=(stride, 1))
    return state.norm(f"{name}.residual.bn", path)


def stgcn(state, x):
    """(N, M, T, V, C) to (N, F): a graph times weights of its own in each block, then nine frames."""
    n, m, t, v, c = x.shape
    x = state.norm("data_bn", x.permute(0, 1, 3, 4, 2).reshape(n * m, v * c, t))
    x = x.view(n * m, v, c, t).permute(0, 2, 3, 1)
    shared = torch.randn(3, v, v) / v
    for i, (before, width, stride) in enumerate(SIZES):
        name = f"gcn.{i}"
        state[f"backbone.{name}.gcn.A"] = shared.clone()
        graphs = shared * state.graph(f"{name}.gcn.PA", v)
        y = state.conv(f"{name}.gcn.conv", x, 3 * width, before, 1, 1).unflatten(1, (3, width))
        y = state.norm(f"{name}.gcn.bn", torch.einsum("nkctv,kvw->nctw", y, graphs)).relu()
        y = state.conv(f"{name}.tcn.conv", y, width, width, 9, 1, stride=(stride, 1), padding=(4, 0))
        x = (state.norm(f"{name}.tcn.bn", y) + beside(state, name, x, i, before, width, stride)).relu()
    return x.mean((2, 3)).view(n, m, -1).mean(1)


def ctrgcn_plain(state, x):
    """(N, M, T, V, C) to features (N, F), feature by feature as PYSKL has it: from joint u to joint v."""
    n, m, t, v, c = x.shape
    x = state.norm("data_bn", x.permute(0, 1, 3, 4, 2).reshape(n, m * v * c, t))
    x = x.view(n * m, v, c, t).permute(0, 2, 3, 1)
    state.graph("A", v)
    for i, (before, width, stride) in enumerate(SIZES):
        name, y = f"net.{i}", 0
        for k in range(3):
            place = f"{name}.gcn1.convs.{k}.conv"
            a, b = (state.conv(f"{place}{j}", x, 8, before, 1, 1).mean(2) for j in (1, 2))
            relation = state.conv(f"{place}4", torch.tanh(a[..., :, None] - b[..., None, :]), width, 8, 1, 1)
            alpha = state.setdefault(f"backbone.{name}.gcn1.alpha", torch.randn(1))
            topology = alpha * relation + state.graph(f"{name}.gcn1.A", v)[k]
            value = state.conv(f"{place}3", x, width, before, 1, 1)
            y = y + torch.einsum("ncuv,nctu->nctv", topology, value)
        down = state.conv(f"{name}.gcn1.down.0", x, width, before, 1, 1)
        y = (state.norm(f"{name}.gcn1.bn", y) + state.norm(f"{name}.gcn1.down.1", down)).relu()
        y = times(state, f"{name}.tcn1.branches", y, width // 4, width, stride).relu()
        x = (y + beside(state, name, x, i, before, width, stride)).relu()
    return x.mean((2, 3)).view(n, m, -1).mean(1)


def times(state, name, x, share, width, stride):
    def entered(b, step=1):
        y = state.conv(f"{name}.{b}.0", x, share, width, 1, 1, stride=(step, 1))
        return state.norm(f"{name}.{b}.1", y)

    parts = []
    for b in (0, 1):  # dilations 1 and 2
        how = {"stride": (stride, 1), "padding": (2 * (b + 1), 0), "dilation": (b + 1, 1)}
        y = state.conv(f"{name}.{b}.3.conv", entered(b).relu(), share, share, 5, 1, **how)
        parts.append(state.norm(f"{name}.{b}.3.bn", y))
    pooled = F.max_pool2d(entered(2).relu(), (3, 1), (stride, 1), (1, 0))
    return torch.cat([*parts, state.norm(f"{name}.2.4", pooled), entered(3, stride)], 1)


@pytest.mark.parametrize(("name", "plain"), [("stgcn", stgcn), ("ctrgcn", ctrgcn_plain)])
def test_a_checkpoint_computes_the_plain_values(name, plain, tmp_path):
    torch.manual_seed(0)
    state, x = State(), torch.randn(2, 2, 12, 17, 3)
    expected = plain(state, x)
    assert pyskl.network_of(state) == name
    weights, _ = pyskl.published_to_encoder(dict(state))
    encoder = encoders.create(name, "coco17", **pyskl.encoder_options(weights, 17)).eval()
    encoder.load_state_dict(weights)
    found = encoder(x.permute(0, 4, 2, 3, 1))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))
    last = torch.nn.Linear(32, 60).state_dict()
    torch.save(dict(state) | {f"cls_head.fc_cls.{k}": w for k, w in last.items()}, tmp_path / "a.pth")
    run = convert(tmp_path / "a.pth", "pyskl", tmp_path / "run", "coco17")
    assert run.config["encoder"]["name"] == name
    assert run.config["input"]["scores"]
    with pytest.raises(InputError, match="reads 17 joints, the layout has 25"):
        convert(tmp_path / "a.pth", "pyskl", tmp_path / "other", "ntu25")


def test_ctr_gcns_own_checkpoints_end_without_a_relu():
    own = encoders.create("ctrgcn", "coco17", channels=8, depth=(1, 1, 1)).state_dict()
    assert "rectify" not in ctrgcn.encoder_options(own, 17)
