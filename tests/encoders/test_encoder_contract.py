"""What every registered encoder keeps to, in every one of its forms."""

import copy
import pickle
import re

import pytest
import torch
from encoder_cases import CASES, clips, make, name_of
from torch import nn

from kinelex import encoders
from kinelex.encoders import ctrgcn, layers
from kinelex.encoders.layers import PointConv
from kinelex.errors import InputError
from kinelex.skeleton import layout_names

ORDERED = tuple(
    case for case in CASES if case in ("gru", "gru, bidirectional") or "places" in case
)  # a place for each person
# torch neither compiles nor exports nn.GRU without unrolling its frames: compiled with a break in the graph,
# exported for one number of frames.
RECURRENT = ("gru",)
PICKS_PERSONS = (
    "gru, apart",
    "gru, apart max",
    "stgcn, present_only",
    "slots",
    "slots, nameless",
)  # what it computes depends on who is there: a graph computes everybody

every_case = pytest.mark.parametrize("case", CASES)
# One of each kind is compiled and exported, as both take long; tests/inference/test_export_run.py takes all.
compiled_case = pytest.mark.parametrize("case", ["ctrgcn", "gru", "hdgcn", "transformer, factorised"])
exported_case = pytest.mark.parametrize("case", ["gru", "stgcn"])


def test_every_registered_encoder_is_here():
    assert {name_of(case) for case in CASES} == set(encoders.names())


@every_case
@pytest.mark.parametrize("layout", layout_names())
def test_shapes_of_every_layout_with_one_and_two_persons(case, layout):
    encoder = make(case, layout).train()
    for m, t in ((1, 8), (2, 13)):
        features = encoder(clips(3, t, m, layout))
        assert features.shape == (3, encoder.num_features)
        assert features.isfinite().all()


@every_case
def test_gradient_reaches_every_parameter(case):
    encoder = make(case).train()
    (encoder(clips(3)) ** 3).sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        if not (case == "stgcnpp" and re.search(r"branches.*\.bias", name)):  # batch norm takes them away
            assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("case", ["ctrgcn", "msg3d", "stgcn"])
def test_a_backward_pass_of_our_own_is_autograd_s(case, bf16, monkeypatch):
    """Values and gradients, also that of the input; in float64, and with autocast."""
    encoder, x = make(case).train(), clips(3, 12).requires_grad_()
    if not bf16:
        encoder, x = encoder.double(), x.detach().double().requires_grad_()
    monkeypatch.setattr(layers, "CHUNK", 5000)  # shared graphs in several pieces

    def found():
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            y = encoder(x).double()
        return y, torch.autograd.grad((y**2).sum(), [x, *encoder.parameters()])

    own, gradients = found()
    for module in (ctrgcn, layers):
        monkeypatch.setattr(module, "has_own_backward", lambda: False)
    plain, expected = found()
    torch.testing.assert_close(own, plain)
    for one, other in zip(gradients, expected, strict=True):
        apart = (one - other).norm() / other.norm().clamp(min=1e-30)
        assert apart < (0.1 if bf16 else 1e-9) or (one - other).abs().max() < 1e-7


@every_case
@torch.no_grad()
def test_any_number_of_frames(case):
    encoder = make(case)
    for t in (1, 2, 7, 33):
        features = encoder(clips(t=t))
        assert features.shape == (2, encoder.num_features)
        assert features.isfinite().all()


@every_case
@torch.no_grad()
def test_two_coordinates(case):
    encoder = make(case, in_channels=2)
    assert encoder(clips(c=2)).shape == (2, encoder.num_features)
    with pytest.raises(InputError, match=r"expects \(N, 2, T, 15, M\).*sbu15.*\(2, 3, 16, 15, 2\)"):
        encoder(clips(c=3))
    with pytest.raises(InputError, match=r"expects \(N, 2, T, 15, M\).*sbu15.*\(2, 2, 16, 25, 2\)"):
        encoder(clips(c=2, layout="ntu25"))


@every_case
@torch.no_grad()
def test_persons(case):
    encoder, x = make(case), clips(m=2)
    alike = torch.allclose(encoder(x), encoder(x.flip(4)), atol=1e-6)
    assert alike == (case not in ORDERED)
    if case not in ORDERED:
        x = clips(m=3)
        alone = torch.stack([encoder(x[..., p : p + 1]) for p in range(3)])
        pooled = alone.amax(dim=0) if encoder.largest_person else alone.mean(dim=0)
        torch.testing.assert_close(encoder(x), pooled)
        torch.testing.assert_close(encoder(x), encoder(x[..., [2, 0, 1]]))


@every_case
@torch.no_grad()
def test_absent_persons(case):
    """A place without a person is a person of zeros, counted in the mean over persons or left out of it."""
    encoder, x = make(case), clips()
    empty = torch.zeros_like(x[..., :1])
    beside = encoder(torch.cat([x[..., :1], empty], dim=4))
    alone, nobody = encoder(x[..., :1]), encoder(empty)
    if case in ORDERED:
        torch.testing.assert_close(beside, alone)  # filled up with the same
        assert not torch.allclose(beside, encoder(torch.cat([empty, x[..., :1]], dim=4)), atol=1e-4)
    elif case in PICKS_PERSONS:
        torch.testing.assert_close(beside, alone)
    else:
        torch.testing.assert_close(beside, (alone + nobody) / 2)
    assert not torch.allclose(beside, encoder(x), atol=1e-4)


@every_case
@torch.no_grad()
def test_a_clip_at_evaluation_depends_on_nothing_but_itself(case):
    encoder, x = make(case), clips(4)
    features = encoder(x)
    assert torch.equal(features, encoder(x))
    alone = torch.cat([encoder(x[i : i + 1]) for i in range(4)])
    torch.testing.assert_close(features, alone)
    assert not torch.allclose(features[0], features[1], atol=1e-3)


@every_case
@torch.no_grad()
def test_copies_compute_the_same(case):
    encoder, other, x = make(case), make(case, seed=5), clips()
    encoder.train()(x)  # moves the batch statistics
    features = encoder.eval()(x)
    assert not torch.allclose(features, other(x), atol=1e-3)
    other.load_state_dict(encoder.state_dict())
    pickled = pickle.loads(pickle.dumps(encoder))
    for again in (other, copy.deepcopy(encoder), pickled):
        assert torch.equal(features, again(x))
    assert pickled.layout == encoder.layout


@every_case
def test_bf16_is_near_float32(case):
    encoder, x = make(case), clips()
    exact = encoder(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = encoder(x)
    assert (rough.float() - exact).norm() < 0.05 * exact.norm()
    rough.float().square().sum().backward()
    assert all(p.grad.dtype == torch.float32 and p.grad.isfinite().all() for p in encoder.parameters())


@compiled_case
@torch.no_grad()
def test_compiles(case):
    """One graph, traced by dynamo; the code generator is left out, it would take a minute."""
    torch.compiler.reset()
    encoder = make(case)
    compiled = torch.compile(encoder, backend="eager", fullgraph=name_of(case) not in RECURRENT)
    for x in (clips(m=1), clips(3, 21, m=1)):  # the second time, numbers of clips and frames become symbols
        torch.testing.assert_close(compiled(x), encoder(x))


@exported_case
@torch.no_grad()
def test_exports_for_any_number_of_clips_and_frames(case):
    encoder, frames = make(case), 8
    sizes = {0: torch.export.Dim.DYNAMIC}
    if name_of(case) not in RECURRENT:
        sizes[2] = torch.export.Dim.DYNAMIC
    x = clips(3, frames, m=1)
    exported = torch.export.export(encoder, (x,), dynamic_shapes=(sizes,), strict=False).module()
    for n, t in ((1, 5), (5, 21)) if 2 in sizes else ((1, frames), (5, frames)):
        x = clips(n, t, m=1)
        torch.testing.assert_close(exported(x), encoder(x))


def test_unknown_names_and_options():
    with pytest.raises(InputError, match="did you mean 'stgcn'"):
        encoders.create("stgnc")
    with pytest.raises(InputError, match="did you mean 'channels'"):
        encoders.create("stgcn", chanels=8)


@every_case
@torch.no_grad()
def test_who_is_present_can_be_told(case):
    """What stands in the place of somebody absent does not count; only those present are averaged."""
    encoder, x = make(case), clips()
    present = torch.tensor([[True, False], [True, True]])
    features = encoder(x, present)
    x[0, ..., 1] = 7
    assert torch.equal(encoder(x, present), features)
    torch.testing.assert_close(features[1:], encoder(x[1:]))
    if case not in ORDERED:
        torch.testing.assert_close(features[:1], encoder(x[:1, ..., :1]))
    nobody = encoder(x, torch.zeros_like(present))
    torch.testing.assert_close(nobody, encoder(torch.zeros_like(x), torch.tensor([[True, False]] * 2)))
    with pytest.raises(InputError, match=r"expects present \(N, M\).*got shape \(2, 3\)"):
        encoder(x, torch.ones(2, 3))


@every_case
@torch.no_grad()
def test_features_before_pooling_and_a_classifier_behind(case):
    encoder, x = make(case), clips()
    features = encoder(x)
    maps = encoder.forward_features(x)
    assert maps.ndim == 5
    assert (maps.shape[0], maps.shape[2]) == (2, encoder.num_features)
    if case not in PICKS_PERSONS:
        torch.testing.assert_close(maps.mean(dim=(3, 4)).mean(dim=1), features)
    names = set(encoder.state_dict())
    assert encoder.reset_classifier(7)(x).shape == (2, 7)
    assert set(encoder.state_dict()) - names == {"head.weight", "head.bias"}
    assert torch.equal(encoder.reset_classifier(0)(x), features)


@every_case
def test_no_convolution_of_one_joint_and_frame_is_strided_by_the_library(case):
    """That of oneDNN 3.12 writes past its memory where channels are fewer than a register holds."""
    for name, module in make(case).named_modules():
        if isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1) and module.stride != (1, 1):
            assert isinstance(module, PointConv), name


@pytest.mark.parametrize("channels", [2, 3, 6, 8, 12])
def test_a_convolution_of_every_other_frame_has_the_gradients_of_double_precision(channels):
    conv, x = PointConv(channels, 5, (2, 1)), torch.randn(3, channels, 9, 4)
    x = x.to(memory_format=torch.channels_last).requires_grad_()
    wide = x.detach().double()[:, :, ::2].requires_grad_()
    weight = conv.weight.detach().double().requires_grad_()
    y, expected = conv(x), nn.functional.conv2d(wide, weight, conv.bias.detach().double())
    torch.testing.assert_close(y.double(), expected, rtol=1e-5, atol=1e-6)
    (y**3).sum().backward()
    (expected**3).sum().backward()
    torch.testing.assert_close(conv.weight.grad.double(), weight.grad, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(x.grad[:, :, ::2].double(), wide.grad, rtol=1e-4, atol=1e-5)
    assert not x.grad[:, :, 1::2].any()
