"""The transformer: its tokens and attention against plain loops, and its options."""

import math

import pytest
import torch

from kinelex import encoders
from kinelex.encoders.transformer import Attention, time_positions
from kinelex.errors import InputError

JOINTS = 15


def make(**options):
    torch.manual_seed(0)
    return encoders.create(
        "transformer", **{"layout": "sbu15", "dim": 8, "depth": 2, "heads": 2, "segment": 3, **options}
    )


def clips(m=2, t=11, n=3):
    return torch.randn(n, 3, t, JOINTS, m, generator=torch.Generator().manual_seed(1))


def test_time_positions_against_the_formula():
    table = time_positions(30, 6)
    for s in range(30):
        for i in range(3):
            angle = s / 10000 ** (2 * i / 6)
            assert table[s, i] == pytest.approx(math.sin(angle), abs=1e-5)
            assert table[s, i + 3] == pytest.approx(math.cos(angle), abs=1e-5)


def test_tokens_against_a_loop():
    encoder = make().double().eval()
    encoder.input_norm.running_mean.normal_()
    encoder.input_norm.running_var.uniform_(0.5, 2)
    x = clips(t=5).double()
    tokens = encoder.tokens(encoder.normed_persons(x))
    assert tokens.shape == (6, 2, JOINTS, 8)
    norm, time = encoder.input_norm, time_positions(2, 8).double()
    for n in range(3):
        for m in range(2):
            for s in range(2):
                for v in range(JOINTS):
                    places = slice(3 * v, 3 * v + 3)  # batch norm counts joint by joint
                    values = []
                    for t in (3 * s, 3 * s + 1, 3 * s + 2):
                        y = x[n, :, min(t, 4), v, m]  # the last frame fills the last segment
                        y = (y - norm.running_mean[places]) / (norm.running_var[places] + norm.eps).sqrt()
                        values.append(y * norm.weight[places] + norm.bias[places])
                    expected = encoder.embed.weight @ torch.cat(values) + encoder.embed.bias
                    expected = expected + time[s] + encoder.joint_positions[v]
                    torch.testing.assert_close(tokens[2 * n + m, s, v], expected)


def test_attention_against_a_loop():
    torch.manual_seed(0)
    attention = Attention(dim=6, heads=2, dropout=0.0).double()
    x = torch.randn(2, 5, 6, dtype=torch.double)
    expected = torch.zeros_like(x)
    for b in range(2):
        q, k, v = (attention.qkv.weight @ attention.norm(x[b]).T + attention.qkv.bias[:, None]).chunk(3)
        for i in range(5):
            heads = []
            for part in (slice(0, 3), slice(3, 6)):
                scores = torch.stack([q[part, i] @ k[part, j] / math.sqrt(3) for j in range(5)])
                heads.append(sum(w * v[part, j] for j, w in enumerate(scores.softmax(dim=0))))
            expected[b, i] = attention.out(torch.cat(heads))
    torch.testing.assert_close(attention(x), expected)


def test_factorised_blocks_mix_space_then_time():
    block = make(factorised=True, depth=1).eval().blocks[0]
    x = torch.randn(2, 4, JOINTS, 8)
    expected = x.clone()
    for b in range(2):
        for s in range(4):
            expected[b, s] += block.space(x[b, s][None])[0]
    after_space = expected.clone()
    for b in range(2):
        for v in range(JOINTS):
            expected[b, :, v] += block.time(after_space[b, :, v][None])[0]
    torch.testing.assert_close(block(x), expected + block.mlp(expected))


def test_one_factorised_block_reaches_all_tokens():
    for factorised in (False, True):
        block = make(factorised=factorised, depth=1).eval().blocks[0]
        x = torch.randn(1, 4, JOINTS, 8, requires_grad=True)
        (gradient,) = torch.autograd.grad(block(x)[0, 0, 0, 0], x)
        assert (gradient.abs().sum(dim=3) > 0).all()


@pytest.mark.parametrize("factorised", [False, True])
@pytest.mark.parametrize("frames", [1, 3, 16, 70])
def test_any_number_of_frames(frames, factorised):
    features = make(factorised=factorised).forward_features(clips(t=frames))
    assert features.shape == (3, 2, 8, -(-frames // 3), JOINTS)


def test_a_frame_too_few_is_the_last_one_again():
    encoder = make().eval()
    x = clips(t=11)
    torch.testing.assert_close(encoder(x), encoder(torch.cat([x, x[:, :, -1:]], dim=2)))


def test_features_know_the_order_of_frames_and_joints():
    encoder = make().eval()
    x = clips(t=12)
    assert not torch.allclose(encoder(x), encoder(x.roll(3, dims=2)), atol=1e-4)
    assert not torch.allclose(encoder(x), encoder(x.roll(1, dims=3)), atol=1e-4)


def test_dropout_only_in_training():
    encoder = make(dropout=0.5)
    assert not torch.equal(encoder(clips()), encoder(clips()))
    encoder.eval()
    assert torch.equal(encoder(clips()), encoder(clips()))
    without = make()
    without.load_state_dict(encoder.state_dict())
    assert torch.equal(encoder(clips()), without.eval()(clips()))


def test_wrong_options_say_what_was_expected():
    with pytest.raises(InputError, match="heads divide, got dim 8 and 3 heads"):
        make(heads=3)
    with pytest.raises(InputError, match="at least 1.*got 8, 0, 2, 3 and 0.0"):
        make(depth=0)
    with pytest.raises(InputError, match="dropout from 0 to 1"):
        make(dropout=1.0)
