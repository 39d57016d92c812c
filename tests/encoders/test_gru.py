"""The recurrent encoder: against a loop over frames, the published values, and its two forms."""

import numpy as np
import pytest
import torch

from kinelex import encoders
from kinelex.encoders.gru_cpu import forward_grus
from kinelex.encoders.published.cmd import encoder_options, published_to_encoder
from kinelex.errors import InputError


def make(**options):
    torch.manual_seed(0)
    return encoders.create("gru", **{"layout": "sbu15", "hidden": 5, "layers": 2, **options})


def clips(m=2, t=7, seed=0):
    return torch.randn(3, 3, t, 15, m, generator=torch.Generator().manual_seed(seed))


def cell(gru, x, h):
    """One GRU step, written from its equations."""
    r_x, z_x, n_x = (gru.weight_ih_l0 @ x + gru.bias_ih_l0).chunk(3)
    r_h, z_h, n_h = (gru.weight_hh_l0 @ h + gru.bias_hh_l0).chunk(3)
    r, z = torch.sigmoid(r_x + r_h), torch.sigmoid(z_x + z_h)
    return (1 - z) * torch.tanh(n_x + r * n_h) + z * h


def test_against_a_loop_over_clips_frames_and_joints():
    encoder = make().double().eval()
    norm = encoder.input_norm
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2)
    x = clips().double()
    expected = []
    for clip in x:
        states = [[torch.zeros(5, dtype=torch.double)] * 2 for _ in range(2)]
        for t in range(7):
            frame = torch.stack([clip[c, t, v, m] for v in range(15) for c in range(3) for m in range(2)])
            y = (frame - norm.running_mean) / (norm.running_var + norm.eps).sqrt() * norm.weight + norm.bias
            for layer, pair in enumerate(zip(encoder.recurrent.first, encoder.recurrent.second, strict=True)):
                states[layer] = [cell(gru, y, h) for gru, h in zip(pair, states[layer], strict=True)]
                y = torch.cat(states[layer])
        expected.append(y)
    torch.testing.assert_close(encoder(x), torch.stack(expected))


def test_batch_statistics_are_those_of_every_frame():
    encoder = make().train()
    x = clips()
    encoder(x)
    frames = x.permute(0, 2, 3, 1, 4).reshape(3 * 7, -1)
    torch.testing.assert_close(encoder.input_norm.running_mean, 0.1 * frames.mean(dim=0))


def test_computes_the_published_values(shared):
    with np.load(shared / "reference" / "cmd_gru.npz") as z:
        given = {name: torch.from_numpy(z[name]) for name in z.files}
    state = {k.removeprefix("state/"): v for k, v in given.items() if k.startswith("state/")}
    ours = published_to_encoder(state)
    options = encoder_options(ours, joints=25)
    assert options == {"persons": 2, "hidden": 32, "layers": 3}
    encoder = encoders.create("gru", layout="ntu25", **options).eval()
    encoder.load_state_dict(ours)
    x = given["x"].view(4, 20, 25, 3, 2).permute(0, 3, 1, 2, 4)  # published: (N, T, V·C·M)
    with torch.no_grad():
        features = encoder(x)
    torch.testing.assert_close(features, given["features"], atol=1e-5, rtol=0)
    logits = features @ state["fc.weight"].T + state["fc.bias"]
    torch.testing.assert_close(logits, given["logits"], atol=1e-5, rtol=0)


def test_bidirectional_reads_the_clip_from_both_ends():
    encoder = make(bidirectional=True).eval()
    with pytest.raises(RuntimeError, match="Missing key"):
        make(bidirectional=True).load_state_dict(make().state_dict())
    both = encoder(clips())
    assert both.shape == (3, encoder.num_features)
    gru = torch.nn.GRU(90, 5, 2, batch_first=True, bidirectional=True).eval()
    gru.load_state_dict(encoder.recurrent.state_dict())
    normed = encoder.input_norm(clips().permute(0, 2, 3, 1, 4).reshape(21, 90)).view(3, 7, 90)
    outputs, _ = gru(normed)  # (N, T, 2·H)
    torch.testing.assert_close(both, torch.cat([outputs[:, -1, :5], outputs[:, 0, 5:]], dim=1))
    both.sum().backward()
    assert all(p.grad is not None for p in encoder.parameters())


def test_max_pooling_is_the_largest_over_frames_of_every_layer():
    encoder = make(pooling="max").eval()
    assert encoder.num_features == 2 * 2 * 5
    last = make().eval()
    last.load_state_dict(encoder.state_dict())
    first_layer = make(layers=1).eval()
    first_layer.load_state_dict(encoder.state_dict(), strict=False)
    x, expected = clips(), []
    for layers in (first_layer, last):
        outputs = torch.stack(
            [layers(x[:, :, : t + 1]) for t in range(7)]
        )  # up to each frame, as if it were the last
        expected.append(outputs.amax(dim=0))
    torch.testing.assert_close(encoder(x), torch.cat(expected, dim=1))


def test_max_pooling_is_refused_where_there_is_none():
    with pytest.raises(InputError, match="pooling=last with bidirectional=true"):
        make(pooling="max", bidirectional=True)
    with pytest.raises(InputError, match="pooling"):
        make(pooling="mean")


@pytest.mark.parametrize("bidirectional", [False, True])
def test_fewer_persons_are_filled_up_with_zeros(bidirectional):
    encoder = make(bidirectional=bidirectional, persons=3).eval()
    x = clips(m=1)
    padded = torch.cat([x, torch.zeros(3, 3, 7, 15, 2)], dim=4)
    torch.testing.assert_close(encoder(x), encoder(padded))


def test_persons_read_apart_are_averaged_in_any_order():
    torch.manual_seed(0)
    encoder = encoders.create("gru", layout="sbu15", hidden=4, layers=2, apart=True).eval()
    x = torch.randn(3, 3, 9, 15, 2)
    x[1, ..., 1] = 0  # one of the clips has one person
    features = encoder(x)
    alone = torch.stack([encoder(x[..., [m]]) for m in (0, 1)])
    torch.testing.assert_close(features[[0, 2]], alone.mean(dim=0)[[0, 2]])
    torch.testing.assert_close(features[1], alone[0, 1])
    torch.testing.assert_close(features, encoder(x.flip(4)))
    single = encoders.create("gru", layout="sbu15", hidden=4, layers=2, persons=1).eval()
    single.load_state_dict(encoder.state_dict())
    torch.testing.assert_close(single(x[..., :1]), alone[0])


def test_max_pooling_takes_the_largest_of_the_persons_who_are_there():
    encoder = make(apart=True, pooling="max").eval()
    x = clips(m=3)
    x[1, ..., 1] = 0  # someone is absent in between
    x[2, ..., 1:] = 0
    features = encoder(x)
    alone = torch.stack([encoder(x[..., [m]]) for m in range(3)])
    assert (alone[1, 1] > alone[[0, 2], 1].amax(dim=0)).any()  # who is absent would count otherwise
    torch.testing.assert_close(features[0], alone[:, 0].amax(dim=0))
    torch.testing.assert_close(features[1], alone[[0, 2], 1].amax(dim=0))
    torch.testing.assert_close(features[2], alone[0, 2])
    x.requires_grad_()
    encoder(x).sum().backward()
    assert (x.grad[0].flatten(0, 2).abs().amax(dim=0) > 0).all()  # each is the largest somewhere
    assert not x.grad[1, ..., 1].any()


def test_wrong_input_says_what_to_do():
    with pytest.raises(InputError, match=r"at most 2 persons, got 3: set encoder\.persons=3"):
        make()(clips(m=3))
    with pytest.raises(InputError, match="at least 1, got 2, 0 and 3"):
        make(hidden=0, layers=3)
    with pytest.raises(InputError, match="did you mean 'bidirectional'"):
        make(bidirectionl=True)


def test_bf16_is_near_float32():
    encoder = make().eval()
    with torch.no_grad():
        exact = encoder(clips())
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = encoder(clips())
    torch.testing.assert_close(rough.float(), exact, atol=2e-2, rtol=0)


class Layer(torch.nn.Module):
    """Two GRUs that read the same, by ours or by nn.GRU; outputs (T, 2, N, H)."""

    def __init__(self, ours: bool):
        super().__init__()
        self.grus, self.ours = torch.nn.ModuleList(torch.nn.GRU(4, 5) for _ in range(2)), ours

    def forward(self, x):
        return forward_grus(self.grus, x) if self.ours else torch.stack([g(x)[0] for g in self.grus], dim=1)


def layer(dtype=torch.float64):
    """Ours, and nn.GRU with the same weights."""
    torch.manual_seed(0)
    ours, given = (Layer(one).to(dtype) for one in (True, False))
    given.load_state_dict(ours.state_dict())
    return ours, given, torch.randn(6, 3, 4, dtype=dtype, requires_grad=True)


@pytest.fixture(params=["torch", "oneDNN"])
def products(request, monkeypatch):
    """What computes large products."""
    onednn = getattr(torch.ops.mkldnn, "_linear_pointwise", None) if request.param == "oneDNN" else None
    monkeypatch.setattr("kinelex.encoders.gru_cpu.ONEDNN", onednn)
    monkeypatch.setattr("kinelex.encoders.gru_cpu.LARGE", 1)


@pytest.mark.parametrize("t", [1, 6])
def test_layer_and_its_gradients_are_those_of_gru(t, products):
    for dtype in (torch.float32, torch.float64):
        ours, given, x = layer(dtype)
        weight = torch.randn(t, 2, 3, 5, dtype=dtype)
        results = []
        for grus in (ours, given):
            output = grus(x[:t])
            loss = (output * weight).sum() + output[-1].square().sum()
            results.append([output, *torch.autograd.grad(loss, [x, *grus.parameters()])])
        torch.testing.assert_close(*results)
        with torch.no_grad():
            torch.testing.assert_close(ours(x[:t]), results[0][0])


def test_gradients_against_differences():
    ours, _, x = layer()
    names, weights = zip(*ours.named_parameters(), strict=True)

    def run(x, *weights):
        return torch.func.functional_call(ours, dict(zip(names, weights, strict=True)), (x,))

    assert torch.autograd.gradcheck(run, (x, *weights))


def test_backward_twice_is_repeated_and_a_second_derivative_is_refused():
    ours, _, x = layer()
    total = ours(x).square().sum()
    once = torch.autograd.grad(total, x, retain_graph=True)[0]
    assert torch.equal(torch.autograd.grad(total, x, retain_graph=True)[0], once)
    slope = torch.autograd.grad(total, x, create_graph=True)[0]
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.sum().backward()


def test_hooks_on_a_gru_are_called():
    ours, given, x = layer()
    ours.grus[1].register_forward_hook(lambda gru, args, output: (2 * output[0], output[1]))
    expected = given(x) * torch.tensor([1, 2])[:, None, None]
    torch.testing.assert_close(ours(x), expected)


def test_exported_and_empty_clips_take_the_usual_way():
    ours, given, x = layer(torch.float32)
    exported = torch.export.export(ours, (x.detach(),)).module()
    torch.testing.assert_close(exported(x.detach()), given(x))
    assert ours(x[:, :0]).shape == (6, 2, 0, 5)
    with pytest.raises(RuntimeError, match="larger than 0"):
        ours(x[:0])


@pytest.mark.parametrize("bidirectional", [False, True])
def test_matrices_start_uniform_by_xavier(bidirectional):
    encoder = make(bidirectional=bidirectional, hidden=32)
    matrices = [p for name, p in encoder.recurrent.named_parameters() if "weight" in name]
    assert len(matrices) == 8  # of inputs and states, two directions, two layers
    for matrix in matrices:
        bound = (6 / sum(matrix.shape)) ** 0.5  # all three gates are one matrix
        assert 0.95 * bound < matrix.abs().max() <= bound
        assert matrix.std().item() == pytest.approx(bound / 3**0.5, rel=0.1)
