"""AMR: patches, cross-attention, the guided loss against a loop, learning, wrong options, no host reads."""

import contextlib

import pytest
import torch
from descent import losses_of

from kinelex import encoders
from kinelex.encoders.transformer import time_positions
from kinelex.errors import InputError
from kinelex.methods import AMR
from kinelex.methods.amr import CrossBlock

JOINTS, PATCH = 15, 3


def transformer(**options):
    return encoders.create(
        "transformer", "sbu15", **{"dim": 8, "depth": 1, "heads": 2, "segment": 3, **options}
    )


def make_method(encoder=transformer, **options):
    torch.manual_seed(0)
    return AMR(encoder(), **{"decoder_depth": 2, "decoder_heads": 2, "patch": PATCH, **options})


def make_clips(n=4, t=10, m=2):
    """Smooth movements; every other clip has one person, and of one a joint is absent for a while."""
    generator = torch.Generator().manual_seed(0)
    phase = torch.rand(n, 3, 1, JOINTS, m, generator=generator) * 6
    x = (
        torch.randn(n, 3, 1, JOINTS, m, generator=generator)
        + (torch.arange(t).view(1, 1, t, 1, 1) / 2 + phase).sin()
    )
    x[::2, ..., 1:] = 0
    x[1, :, :7, 4, 0] = 0
    return x


def parts(layout):
    return [joints for joints in layout.parts.values() if joints]


def test_queries_attend_to_keys_alone():
    torch.manual_seed(0)
    block, x, keys = CrossBlock(8, 2), torch.randn(2, 3, 8), torch.randn(2, 5, 8)
    found = block(x, keys)
    for p in range(3):  # each query alone with the keys, by plain softmax
        q, k, v = (
            t.unflatten(2, (2, 4)).transpose(1, 2)
            for t in block.attention.qkv(
                block.attention.norm(torch.cat([x[:, p : p + 1], keys], dim=1))
            ).chunk(3, dim=2)
        )
        weights = (q[:, :, :1] @ k[:, :, 1:].transpose(2, 3) / 2).softmax(dim=3)
        y = x[:, p] + block.attention.out((weights @ v[:, :, 1:]).transpose(1, 2).flatten(2))[:, 0]
        torch.testing.assert_close(found[:, p], y + block.mlp(y))


def test_every_joint_and_segment_comes_from_its_patch():
    """Four segments in patches of three: the second patch is cut off."""
    method = make_method()
    decoder, layout = method.decoder, method.encoder.layout
    asked = 2 * len(parts(layout))
    assert asked < 4 * JOINTS / 5  # fewer than tokens
    with torch.no_grad():
        for g, leave in enumerate(decoder.leave):
            leave.weight.zero_()
            leave.bias.copy_(1000 * g + torch.arange(float(len(leave.bias))))
    told = decoder(torch.randn(2, 6, 8), torch.arange(6).expand(2, -1), 4).unflatten(1, (4, JOINTS))
    for g, joints in enumerate(parts(layout)):
        for i, joint in enumerate(joints):
            for s in range(4):
                first = 1000 * g + ((s % PATCH) * len(joints) + i) * 9
                assert told[0, s, joint].tolist() == list(range(first, first + 9))


def test_the_loss_is_guided_within_patches():
    method, x = make_method(guidance=1.5).eval(), make_clips()
    layout, seen = method.encoder.layout, {}

    def kept(moves, there, generator):
        hidden = type(method)._masked(method, moves, there, generator)
        seen.update(moves=moves, there=there, places=hidden.argsort(dim=1)[:, :6])
        return hidden

    weigh = method._weights
    method._masked = kept  # type: ignore[method-assign]
    told = {}
    method.decoder.register_forward_hook(lambda module, given, out: told.update(out=out))
    out = method(x, generator=torch.Generator().manual_seed(1))
    del method._masked
    moves, places = seen["moves"], seen["places"]
    energy = moves.square().mean(dim=2).view(8, 4, JOINTS)
    target = (moves - moves.mean(dim=2, keepdim=True)) / (
        moves.var(dim=2, correction=0, keepdim=True) + 1e-6
    ).sqrt()
    per_clip = torch.zeros(4, 2)
    for b in range(8):
        for joints in parts(layout):
            for segments in ((0, 1, 2), (3,)):
                largest = max(energy[b, s, v].item() for s in segments for v in joints)
                for s in segments:
                    for v in joints:
                        token = s * JOINTS + v
                        if token in places[b].tolist() or not seen["there"][b, token]:
                            continue
                        weight = torch.exp(1.5 * energy[b, s, v] / max(largest, 1e-12))
                        error = (told["out"][b, token] - target[b, token]).square().mean()
                        per_clip[b // 2] += torch.stack([weight * error, weight])
    expected = (per_clip[:, 0] / per_clip[:, 1]).mean()
    torch.testing.assert_close(out.loss, expected, rtol=1e-4, atol=1e-5)
    assert set(out.logs) == {"loss/motion"}
    counts = torch.ones(8, 4 * JOINTS, dtype=torch.bool)
    weights = weigh(moves, counts)
    assert 1 <= weights.min() < weights.max() <= 4.49
    method.guidance = 0.0
    assert torch.equal(method._weights(moves, counts), torch.ones(8, 4 * JOINTS))


def test_keys_know_their_places():
    method = make_method()
    seen, places = torch.randn(1, 6, 8), torch.tensor([[0, 5, 17, 30, 44, 59]])
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    told = method.decoder(seen, places, 4)
    torch.testing.assert_close(method.decoder(seen[:, order], places[:, order], 4), told)
    assert not torch.allclose(method.decoder(seen, places[:, order], 4), told)
    assert time_positions(6, 8).shape == (6, 8)


@pytest.mark.parametrize("t", [1, 3, 10, 31])
def test_clips_of_any_length(t):
    loss, _ = make_method()(make_clips(t=max(8, t))[:, :, :t], generator=torch.Generator().manual_seed(0))
    assert loss.isfinite()


def test_it_learns_to_predict_motion():
    method, x = make_method(mask=0.5), make_clips(16, m=1)
    losses = losses_of(method, x)
    assert sum(losses[-5:]) < 0.87 * sum(losses[:5])
    assert method.warnings([{"loss/motion": losses[-1]}] * 5) == []
    (said,) = method.warnings([{"loss/motion": 0.99}] * 5)
    assert "motion is not predicted: after 5 epochs" in said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mask": 1.0}, "amr expects a mask between 0 and 1"),
        ({"patch": 0}, "a patch of at least 1"),
        ({"guidance": -1.0}, "a guidance from 0 to 80"),
        ({"decoder_heads": 3}, "amr expects decoder_heads to divide 8, got 3"),
        ({"encoder": lambda: transformer(factorised=True)}, "got a factorised one"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(InputError, match=message):
        make_method(**options)


def test_a_step_reads_nothing_back_from_the_device(monkeypatch):
    """Tensors without values cannot be read: whatever would wait for a device fails here."""
    monkeypatch.setattr(torch, "autocast", lambda *args, **options: contextlib.nullcontext())  # knows no meta
    method = make_method().to("meta")
    loss, logs = method(make_clips().to("meta"))
    loss.backward()
    assert all(value.is_meta for value in (loss, *logs.values()))
    assert all(p.grad.is_meta for p in method.trained_parameters())
