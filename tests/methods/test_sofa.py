"""SOfA: what a step is, step by step; teacher, switches, collapse, several processes, no host reads."""

import contextlib
import copy
import math
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from descent import descend
from torch.nn import functional as F

from kinelex import encoders
from kinelex.errors import InputError
from kinelex.losses import koleo, sinkhorn
from kinelex.methods import C2VL, CMD, SOFA
from kinelex.skeleton import get_layout


def slots(layout="sbu15"):
    return encoders.create("slots", layout=layout, dim=8, depth=1, heads=2, registers=1)


def make_method(seed=0, encoder=slots, epoch=1, **options):
    torch.manual_seed(seed)
    method = SOFA(encoder(), **{"prototypes": 6, "dim": 4, "hidden": 8, "momentum": 0.9, **options})
    method.on_epoch_start(epoch, 4)
    return method


def make_clips(n=6, m=2, seed=0):
    """First views of all clips, then second ones; every other clip has one person."""
    generator = torch.Generator().manual_seed(seed)
    first = torch.randn(n, 3, 16, 15, m, generator=generator)
    first[::2, ..., 1:] = 0
    return torch.cat([first, first * (1 + 0.3 * torch.randn(first.shape, generator=generator))])


def apart(method):
    """Move the student away from its teacher."""
    torch.manual_seed(3)
    with torch.no_grad():
        for p in method.trained_parameters():
            p += 0.1 * torch.randn_like(p)
    return method


@pytest.mark.parametrize("views", [1, 2])
@pytest.mark.parametrize("canonical", ["standardised", "cosine"])
def test_the_losses_against_a_loop_over_clips_and_persons(views, canonical):
    method, x = apart(make_method(views=views, visible=1.0, canonical=canonical)), make_clips()
    n, x = 6, x[: 6 * views]
    out = method(x)  # the teacher follows before it looks
    tokens, known, found, wanted = [], [], [], []
    for i, clip in enumerate(x):
        there = [m for m in range(2) if clip[..., m].any()]
        own = [
            [branch.encoder.body(clip[None, ..., m]) for m in there]
            for branch in (method.student, method.teacher)
        ]
        tokens.append(torch.stack([b.summary[0] for b in own[0]]).mean(dim=0))
        known.append(torch.stack([b.summary[0] for b in own[1]]).mean(dim=0))
        found += [(i, 1 / len(there), method.predictor(b.slots[0])) for b in own[0]]
        wanted += [b.slots[0] for b in own[1]]
    weights = [w / len(x) for _, w, _ in found]
    mean = sum(w * t.mean(dim=0) for w, t in zip(weights, wanted, strict=True))  # (J, D)
    spread = sum(w * (t - mean).square().mean(dim=0) for w, t in zip(weights, wanted, strict=True)).sqrt()
    terms = {
        "standardised": lambda f, t: (f - (t - mean) / spread).square().mean(),
        "cosine": lambda f, t: (1 - F.cosine_similarity(f, t, dim=-1)).mean(),
    }
    parts = zip(weights, found, wanted, strict=True)
    expected = sum(w * terms[canonical](f, t) for w, (_, _, f), t in parts)
    torch.testing.assert_close(out.logs["loss/canonical"], expected.detach(), rtol=1e-4, atol=1e-5)

    def logits(branch, rows, temperature):
        embedded = F.normalize(branch.head(torch.stack(rows)), dim=1)
        return embedded @ F.normalize(branch.prototypes, dim=1).T / temperature

    cut = [slice(n * v, n * v + n) for v in range(views)]
    targets = [sinkhorn(logits(method.teacher, known[c], 0.07)) for c in cut]
    dino = 0.0
    for c in cut:
        p = logits(method.student, tokens[c], 0.1).log_softmax(dim=1)
        dino += sum(-(t * p).sum(dim=1).mean() for t in targets) / views**2
    torch.testing.assert_close(out.logs["loss/dino"], dino.detach())
    apart_by = sum(koleo(F.normalize(torch.stack(tokens[c]), dim=1)) for c in cut) / views
    torch.testing.assert_close(out.logs["loss/koleo"], apart_by.detach())
    torch.testing.assert_close(out.loss, expected + dino + 0.1 * apart_by, rtol=1e-4, atol=1e-5)


def test_the_teacher_follows_and_its_momentum_grows_to_1():
    method = apart(make_method(epoch=0))
    before = copy.deepcopy(method.teacher)
    assert method.momentum == 0.9
    method(make_clips()).loss.backward()
    for old, now, student in zip(
        *(b.parameters() for b in (before, method.teacher, method.student)), strict=True
    ):
        torch.testing.assert_close(now, 0.9 * old + 0.1 * student.detach())
        assert now.grad is None
        assert student.grad is not None
    found = []
    for epoch in range(4):
        found.append(make_method(epoch=epoch).momentum)
    expected = [1 - 0.1 * (1 + math.cos(math.pi * epoch / 4)) / 2 for epoch in range(4)]
    assert found == pytest.approx(expected)
    assert method.encoders["joint"] is method.teacher.encoder
    assert make_method(keep="student").encoders["joint"].first.requires_grad
    method.train()
    assert method.student.training
    assert not method.teacher.training


@pytest.mark.parametrize(
    "options",
    [
        {"visible": 0.5},
        {"canonical": "cosine"},
        {"temperature": 0.2},
        {"teacher_temperature": 0.1},
        {"iterations": 1},
        {"canonical_weight": 0.0},
        {"dino_weight": 2.0},
        {"koleo_weight": 0.0},
    ],
)
def test_every_switch_changes_the_loss(options):
    seeded = [torch.Generator().manual_seed(0) for _ in range(2)]
    usual = make_method()(make_clips(), generator=seeded[0]).loss
    assert not torch.isclose(make_method(**options)(make_clips(), generator=seeded[1]).loss, usual, atol=1e-6)


def test_it_learns_and_clips_stay_apart():
    method, x = make_method(prototypes=16), make_clips(12, 1)
    optimizer = torch.optim.AdamW(method.trained_parameters(), lr=2e-3)
    generator, losses = torch.Generator().manual_seed(0), []
    for _ in range(40):
        out = method(x, generator=generator)
        optimizer.zero_grad()
        out.loss.backward()
        optimizer.step()
        losses.append(out.loss.item())
    assert sum(losses[-5:]) < 0.9 * sum(losses[:5])
    assert out.logs["prototypes_used"] > 0.2


def test_collapse_and_even_assignments_are_said():
    method = make_method()
    fine = {"prototypes_used": 0.6, "prototype_entropy": 1.0, "uniform_entropy": math.log(6)}
    assert method.warnings([fine] * 9) == method.warnings([{**fine, "prototypes_used": 0.01}] * 4) == []
    (said,) = method.warnings([{**fine, "prototypes_used": 0.01}] * 5)
    assert "collapse: the teacher sends all clips to 1.0% of the prototypes" in said
    (said,) = method.warnings([{**fine, "prototype_entropy": 1.79}] * 5)
    assert "prototypes are uniform: after 5 epochs" in said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"canonical": "cosin"}, "did you mean 'cosine'"),
        ({"keep": "teachers"}, "did you mean 'teacher'"),
        ({"views": 3}, "views of 1 or 2"),
        ({"prototypes": 1}, "at least 2 prototypes"),
        ({"visible": 0.0}, "visible above 0"),
        ({"momentum": 1.5}, "momentum from 0 to 1"),
        ({"temperature": 0.0}, "temperatures above 0"),
        ({"koleo_weight": -1.0}, "weights of at least 0"),
        ({"encoder": lambda: encoders.create("gru", hidden=4)}, r"\(encoder.name=slots\), got gru"),
        ({"encoder": lambda: {"joint": slots(), "bone": slots()}}, "one encoder with slots"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(InputError, match=message):
        make_method(**options)


def trained(method, x, world=1):
    """A step of gradient descent; with the gradients averaged over the processes, as DDP does."""
    out = method(x)
    descend(method, out.loss, world)
    return {"loss": out.loss.detach(), **out.logs}


def _worker(rank, folder):
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    method, found = make_method(visible=1.0), []
    for seed in range(3):
        views = make_clips(6, seed=seed).unflatten(0, (2, 6))
        found.append(trained(method, views[:, 3 * rank : 3 * rank + 3].flatten(0, 1), world=2))
    torch.save({"steps": found, "state": method.state_dict()}, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_equal_one(tmp_path: Path):
    mp.start_processes(_worker, args=(str(tmp_path),), nprocs=2, start_method="spawn")
    method = make_method(visible=1.0)
    expected = [trained(method, make_clips(6, seed=seed)) for seed in range(3)]
    for rank in range(2):
        saved = torch.load(tmp_path / f"{rank}.pt")
        for found, one in zip(saved["steps"], expected, strict=True):
            for name, value in one.items():
                torch.testing.assert_close(found[name], value, msg=lambda m, name=name: f"{name}: {m}")
        for name, value in method.state_dict().items():
            torch.testing.assert_close(saved["state"][name], value)


def test_a_step_reads_nothing_back_from_the_device(monkeypatch):
    """Tensors without values cannot be read: whatever would wait for a device fails here."""
    monkeypatch.setattr(torch, "autocast", lambda *args, **options: contextlib.nullcontext())  # knows no meta
    method = make_method().to("meta")
    loss, logs = method(make_clips().to("meta"))
    loss.backward()
    told = {"momentum", "uniform_entropy"}  # known before the step
    assert all(value.is_meta for name, value in logs.items() if name not in told)
    assert all(p.grad.is_meta for p in method.trained_parameters())
    with pytest.raises(RuntimeError, match="meta"):
        loss.item()


def test_other_methods_teach_the_same_encoder():
    """C2VL and CMD take it as it is, and clips of one layout after those of another."""
    torch.manual_seed(0)
    prompts = {"language": torch.randn(6, 2, 5)}
    c2vl, cmd = C2VL(slots(), prompts, dim=4, hidden=8), CMD(slots(), dim=4, queue=16, top_k=8)
    c2vl.on_epoch_start(0, 2)
    for method, step in ((c2vl, {"x": make_clips()[:6], "prompts": prompts}), (cmd, {"x": make_clips()})):
        method(**step).loss.backward()
        for name, parameter in next(iter(method.encoders.values())).named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.abs().max() > 0, name
    hand = c2vl.encoders["joint"].for_layout(get_layout("hand21"))
    assert hand(torch.randn(2, 3, 16, 21, 1)).shape == (2, 24)
