"""MAMP: what is masked, the loss against a loop, learning, wrong options, no host reads."""

import contextlib

import pytest
import torch
from descent import losses_of

from kinelex import encoders
from kinelex.encoders.transformer import time_positions
from kinelex.errors import InputError
from kinelex.methods import MAMP

JOINTS = 15


def transformer(**options):
    return encoders.create(
        "transformer", "sbu15", **{"dim": 8, "depth": 1, "heads": 2, "segment": 3, **options}
    )


def make_method(encoder=transformer, **options):
    torch.manual_seed(0)
    return MAMP(encoder(), **{"decoder_depth": 1, "decoder_heads": 2, **options})


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


@pytest.mark.parametrize("normalise", [True, False])
def test_the_loss_against_a_loop(normalise):
    method, x = make_method(normalise=normalise).eval(), make_clips()
    out = method(x, generator=torch.Generator().manual_seed(1))
    persons = x.permute(0, 4, 1, 2, 3).flatten(0, 1)  # (8, C, T, V)
    frames = [min(t, 9) for t in range(12)]
    draws = torch.rand(8, 4 * JOINTS, generator=torch.Generator().manual_seed(1)).clamp(1e-9, 1 - 1e-7)
    per_person = []
    for b, p in enumerate(persons):
        there = p.ne(0).any(dim=0)
        step = torch.zeros_like(p)
        step[:, :9] = (p[:, 1:] - p[:, :-1]) * (there[1:] & there[:-1])
        cut = [[frames[3 * s + k] for k in range(3)] for s in range(4)]
        moves = torch.stack([step[:, f, v].T.flatten() for f in cut for v in range(JOINTS)])  # (S·V, 9)
        known = torch.tensor([bool(there[f, v].any()) for f in cut for v in range(JOINTS)])
        strength = moves.abs().mean(dim=1)
        chance = (strength / (0.75 * strength.max()).clamp(min=1e-9)).softmax(dim=0)
        hidden = (chance.log() - (-draws[b].log()).log()).masked_fill(~known, torch.inf)
        visible = hidden.argsort()[:6]
        tokens = method.encoder.tokens(method.encoder.normed_persons(x))[b].flatten(0, 1)
        seen = method.encoder.norm(method.encoder.blocks(tokens[visible][None, :, None]))[0, :, 0]
        decoder = method.decoder
        full = decoder.masked.expand(60, 8).clone()
        full[visible] = decoder.enter(seen)
        full = full + (time_positions(4, 8)[:, None] + decoder.joint_positions).flatten(0, 1)
        predicted = decoder.leave(decoder.blocks(full[None, :, None]))[0, :, 0]
        if normalise:
            deviation = (moves.var(dim=1, correction=0, keepdim=True) + 1e-6).sqrt()
            moves = (moves - moves.mean(dim=1, keepdim=True)) / deviation
        masked = [i for i in range(60) if known[i] and i not in visible.tolist()]
        per_person.append((sum((predicted[i] - moves[i]).square().mean() for i in masked), len(masked)))
    clips = [(per_person[2 * n], per_person[2 * n + 1]) for n in range(4)]
    expected = sum((a[0] + b[0]) / (a[1] + b[1]) for a, b in clips) / 4
    torch.testing.assert_close(out.loss, expected, rtol=1e-4, atol=1e-5)
    assert set(out.logs) == {"loss/motion"}


def test_what_moves_is_masked_more_often_and_what_is_absent_never_seen():
    method = make_method(temperature=0.2)
    moves = torch.full((1, 60, 9), 0.1)
    moves[:, :20] = 1.0
    there = torch.ones(1, 60, dtype=torch.bool)
    there[:, 40:] = False
    generator, seen = torch.Generator().manual_seed(0), torch.zeros(60)
    for _ in range(100):
        seen[method._masked(moves, there, generator).argsort(dim=1)[0, :6]] += 1
    assert seen[40:].sum() == 0
    assert seen[:20].sum() < 0.2 * seen[20:40].sum()


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
        ({"mask": 1.0}, "a mask between 0 and 1"),
        ({"temperature": 0.0}, "a temperature above 0"),
        ({"decoder_depth": 0}, "at least one block"),
        ({"decoder_heads": 3}, "decoder_heads to divide 8, got 3"),
        ({"encoder": lambda: transformer(factorised=True)}, "got a factorised one"),
        (
            {"encoder": lambda: encoders.create("gru", hidden=4)},
            "encoder.name=transformer.*got RecurrentEncoder",
        ),
        ({"encoder": lambda: {"joint": transformer(), "bone": transformer()}}, "got joint, bone"),
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
