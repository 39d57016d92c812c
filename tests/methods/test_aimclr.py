"""SkeletonCLR and AimCLR: the loss against loops, the key branch, the queue, drops, mining, processes."""

import contextlib
import copy
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from descent import descend
from torch.nn import functional as F

from kinelex import encoders
from kinelex.encoders import Encoder
from kinelex.errors import InputError
from kinelex.methods import AimCLR, SkeletonCLR
from kinelex.methods.aimclr import attention_drop
from kinelex.skeleton import get_layout
from kinelex.transforms import Compose, preset

LAYOUT = get_layout("sbu15")
FRAMES, JOINTS = 4, 15


class Plain(Encoder):
    """Features of each frame and joint by itself, without batch statistics: a batch can be split."""

    def __init__(self):
        super().__init__(LAYOUT, 3, 8, norm=None)
        self.layer = torch.nn.Linear(3, 8)

    def forward_persons(self, x):
        return self.layer(x.permute(0, 2, 3, 1)).tanh().permute(0, 3, 1, 2)


def make_clips(n=6, views=2, seed=0, persons=1):
    """First views of all clips, then second ones, and so on."""
    generator = torch.Generator().manual_seed(seed)
    clips = torch.randn(n, 3, FRAMES, JOINTS, persons, generator=generator)
    return torch.cat([clips + 0.3 * torch.randn(clips.shape, generator=generator) for _ in range(views)])


def make_method(kind=SkeletonCLR, encoder=Plain, **options):
    torch.manual_seed(0)
    return kind(encoder(), **{"dim": 6, "queue": 20, "momentum": 0.9, **options})


def made(kind):
    """A method in its second half of three epochs where it has epochs, and clips for it."""
    method = make_method(kind)
    method.on_epoch_start(2, 3)
    return method, make_clips(views=method.views)


def embeddings(branch, x):
    with torch.no_grad():
        return branch(x).numpy().astype(np.float64)


def logits_of(query, key, queue, temperature=0.07):
    """A row for each clip: its own key, then the queue."""
    return np.stack([[q @ k, *(q @ queue)] for q, k in zip(query, key, strict=True)]) / temperature


def softmax(rows):
    powers = np.exp(rows - rows.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def test_skeletonclr_is_the_cross_entropy_of_its_logits():
    method, x = make_method(), make_clips()
    queue = method.queue[0].double().numpy().copy()
    loss, logs = method(x)
    query, key = embeddings(method.query, x[:6]), embeddings(method.key, x[6:])
    logits = logits_of(query, key, queue)
    chances = [math.exp(row[0]) / sum(math.exp(value) for value in row) for row in logits]
    assert loss.item() == pytest.approx(-np.mean(np.log(chances)), rel=1e-5)
    assert set(logs) == {"loss/joint", "accuracy/joint"}
    assert logs["accuracy/joint"].item() == pytest.approx(np.mean(logits[:, 0] > logits[:, 1:].max(axis=1)))


@pytest.mark.parametrize("kind", [SkeletonCLR, AimCLR])
def test_the_key_follows_without_gradient_and_the_queue_wraps(kind):
    method, x = made(kind)
    method.pointer.fill_(17)
    with torch.no_grad():
        for p in method.query.parameters():
            p.add_(torch.randn(p.shape) * 0.1)
    before = copy.deepcopy(method)
    loss, logs = method(x, generator=torch.Generator().manual_seed(0))
    loss.backward()
    for name, old in before.key.named_parameters():
        now, query = method.key.get_parameter(name), method.query.get_parameter(name)
        torch.testing.assert_close(now.data, 0.9 * old.data + 0.1 * query.data)
        assert not now.requires_grad
        assert now.grad is None
        assert query.grad.any()
    assert len(method.trained_parameters()) == len(list(method.query.parameters()))
    expected = before.queue.clone()
    for n in range(6):
        expected[0, :, (17 + n) % 20] = method.key(x[6 + n : 7 + n])[0].detach()
    torch.testing.assert_close(method.queue, expected)
    assert method.pointer.item() == 3
    parts = sum(value for name, value in logs.items() if name.startswith("loss/"))
    torch.testing.assert_close(parts, loss.detach())


@pytest.mark.parametrize("mining", [False, True])
def test_aimclr_against_loops_over_everything(mining):
    method, x = make_method(AimCLR, divergence=0.7, neighbours=2), make_clips(views=3)
    method.on_epoch_start(2 if mining else 1, 4)
    assert method.mining == mining
    queue = method.queue[0].double().numpy().copy()
    loss, logs = method(x, generator=torch.Generator().manual_seed(5))
    generator = torch.Generator().manual_seed(5)
    strong = Compose(preset("aimclr_extreme"), LAYOUT)(x[12:], generator)
    with torch.no_grad():
        features = method.query.encoder.forward_features(strong)
        dropped = attention_drop(features, 0.3, generator)
        extreme = [method.query.embed(f.mean(dim=(1, 3, 4))).double().numpy() for f in (features, dropped)]
    key = embeddings(method.key, x[6:12])
    rows = [logits_of(q, key, queue) for q in (embeddings(method.query, x[:6]), *extreme)]
    target = softmax(rows[0])
    apart = [-np.mean([t @ np.log(p) for t, p in zip(target, softmax(r), strict=True)]) for r in rows[1:]]
    sought = []
    for n in range(6):
        positives = {0}
        if mining:
            for view in rows:
                positives |= {1 + slot for slot in np.argsort(view[n, 1:])[-2:]}
        sought.append(sum(target[n, slot] for slot in positives))
    instance = -np.mean(np.log(sought))
    assert logs["loss/joint"].item() == pytest.approx(instance, rel=1e-4)
    assert logs["loss/extreme"].item() == pytest.approx(0.35 * apart[0], rel=1e-4)
    assert logs["loss/dropped"].item() == pytest.approx(0.35 * apart[1], rel=1e-4)
    assert loss.item() == pytest.approx(instance + 0.35 * sum(apart), rel=1e-4)


def test_the_ordinary_view_gets_no_gradient_from_the_divergence():
    """It is the target. Two clips' queries are leaves here: their gradients tell."""
    from kinelex.losses import queue_divergence

    positive = torch.randn(3, 2, requires_grad=True)
    negative = torch.randn(3, 2, 5, requires_grad=True)
    queue_divergence(positive, negative).sum().backward()
    assert not positive.grad[0].any()
    assert not negative.grad[0].any()
    assert positive.grad[1:].all()


def test_drops_are_where_attention_is_and_keep_the_mean():
    features = torch.zeros(400, 1, 4, 5, 8)
    features[:, :, :, 2, 3] = 10.0  # stands out in each channel
    features += 0.1 * torch.randn(features.shape, generator=torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(1)
    kept = attention_drop(features, 0.3, generator) != 0
    assert torch.equal(kept.all(dim=2), kept.any(dim=2))  # a place in all channels
    shares = kept[:, 0, 0].float().mean(dim=0)
    assert shares[2, 3] == shares.min() < 0.5 * shares.mean()
    assert 0.65 < shares.mean() < 0.8  # chances above 1 drop no more than 1
    even = attention_drop(torch.ones(50, 2, 3, 6, 7), 0.4, generator)
    torch.testing.assert_close(even.mean(dim=(3, 4)), torch.ones(50, 2, 3))


@pytest.mark.parametrize(
    ("options", "views"),
    [
        ({"drop": 0.0}, {"extreme"}),
        ({"drop": 0.6}, {"extreme", "dropped"}),
        ({"extreme": ()}, {"extreme", "dropped"}),
        ({"extreme": ({"name": "axis_mask", "probability": 1.0},)}, {"extreme", "dropped"}),
        ({"divergence": 0.5}, {"extreme", "dropped"}),
        ({"neighbours": 3}, {"extreme", "dropped"}),
        ({"mine_from": 1.0}, {"extreme", "dropped"}),
        ({"temperature": 0.2}, {"extreme", "dropped"}),
    ],
)
def test_every_switch_changes_the_loss(options, views):
    found = []
    for given in ({}, options):
        method = make_method(AimCLR, **given)
        method.on_epoch_start(2, 3)
        found.append(method(make_clips(views=3), generator=torch.Generator().manual_seed(0)))
    assert not torch.isclose(found[0].loss, found[1].loss, atol=1e-7)
    assert set(found[1].logs) == {"loss/joint", "accuracy/joint"} | {f"loss/{view}" for view in views}


def test_absent_persons_are_left_out_of_strong_views_as_the_encoder_does():
    method = make_method(AimCLR, extreme=(), drop=0.0)
    method.on_epoch_start(0, 2)
    x = make_clips(views=3, persons=2)
    x[::2, ..., 1] = 0
    for present_only in (False, True):
        method.query.encoder.present_only = present_only
        features = method.query.encoder.forward_features(x)
        torch.testing.assert_close(method._pooled(x, features), method.query.encoder(x))


def test_an_encoder_that_puts_frames_and_joints_together_has_nothing_to_drop():
    def gru():
        return encoders.create("gru", layout="sbu15", hidden=4)

    method = make_method(AimCLR, gru)
    method.on_epoch_start(0, 2)
    with pytest.raises(InputError, match=r"the encoder gru has put together: .* method\.drop=0"):
        method(make_clips(views=3))
    method = make_method(AimCLR, gru, drop=0.0)
    method.on_epoch_start(0, 2)
    assert method(make_clips(views=3)).loss.isfinite()


class Posed(Plain):
    """An encoder that knows joints and frames apart."""

    def __init__(self):
        super().__init__()
        self.apart = torch.nn.Parameter(torch.randn(8, FRAMES, JOINTS))

    def forward_persons(self, x):
        return (self.layer(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2) * self.apart).tanh()


@pytest.mark.parametrize("kind", [SkeletonCLR, AimCLR])
def test_it_learns_to_tell_clips_apart(kind):
    """From when the queue has filled: before, its random directions are easy negatives."""
    method = make_method(kind, Posed, dim=16, queue=48, momentum=0.99)  # 60 clips: none meets its own old key
    optimizer = torch.optim.AdamW(method.trained_parameters(), lr=1e-2)
    history, generator = [], torch.Generator().manual_seed(0)
    method.on_epoch_start(0, 2)  # before mining, which changes what the loss is
    for step in range(200):
        poses = 2 * torch.randn(12, 3, 1, JOINTS, 1, generator=torch.Generator().manual_seed(step % 5))
        x = poses.repeat(method.views, 1, FRAMES, 1, 1)
        loss, logs = method(x + 0.3 * torch.randn(x.shape, generator=generator), generator=generator)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append({name: value.item() for name, value in logs.items()})
    filled = history[4]
    last = {key: sum(logs[key] for logs in history[-5:]) / 5 for key in filled}  # over all clips
    assert last["loss/joint"] < 0.5 * filled["loss/joint"]
    assert last["accuracy/joint"] > 0.7
    if kind is AimCLR:
        assert last["loss/extreme"] < last["loss/dropped"] < 0.95 * math.log(49) / 2
    assert method.warnings(history) == []
    (said,) = method.warnings([{"loss/joint": math.log(49), "accuracy/joint": 0.5}] * 5)
    assert "similarities are uniform: after 5 epochs" in said


def test_mining_that_takes_over_is_said():
    method = make_method(AimCLR)
    before, after = {"loss/joint": 2.0, "accuracy/joint": 0.4}, {"loss/joint": 1.0, "accuracy/joint": 0.02}
    assert method.warnings([before] * 5) == method.warnings([before] * 3 + [after]) == []
    (said,) = method.warnings([before] * 4 + [after])
    assert (
        "mined neighbours have taken over: queries find their own keys in 2.0% of the clips, in 40.0%" in said
    )


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (SkeletonCLR, {"queue": 0}, "skeletonclr expects dim and queue of at least 1"),
        (SkeletonCLR, {"momentum": 1.5}, "momentum from 0 to 1"),
        (SkeletonCLR, {"temperature": math.nan}, "a temperature above 0"),
        (
            SkeletonCLR,
            {"encoder": lambda: {"joint": Plain(), "bone": Plain()}},
            "teaches one encoder, got joint, bone",
        ),
        (AimCLR, {"temperature": 0.0}, "aimclr expects dim and queue"),
        (AimCLR, {"drop": 1.0}, "drop below 1"),
        (AimCLR, {"divergence": math.nan}, "divergence of at least 0"),
        (AimCLR, {"mine_from": 1.5}, "mine_from from 0 to 1"),
        (AimCLR, {"neighbours": 21}, "neighbours from 1 to the queue's 20, got 21"),
        (AimCLR, {"extreme": ("time_flop",)}, "did you mean 'time_flip'"),
        (AimCLR, {"extreme": ("aimclr",)}, "changes frames that are chosen"),
    ],
)
def test_wrong_options_are_named(kind, options, message):
    with pytest.raises(InputError, match=message):
        make_method(kind, **options)
    with pytest.raises(InputError, match="a queue of at least 21 keys"):
        make_method(kind).check_step(21)


def trained(method, x, world=1):
    """One step of plain gradient descent; with the gradients averaged over the processes, as DDP does."""
    loss, logs = method(x, generator=torch.Generator().manual_seed(0))
    descend(method, loss, world)
    return {"loss": loss.detach(), **logs}


def started(kind):
    """A method that draws nothing, as draws of half a batch are others; mining from the first step."""
    options = {"extreme": (), "drop": 0.0, "mine_from": 0.0} if kind is AimCLR else {}
    method = make_method(kind, **options)
    method.on_epoch_start(0, 1)
    return method


def _worker(rank, folder):
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    for kind in (SkeletonCLR, AimCLR):
        method, found = started(kind), []
        for seed in range(4):
            views = make_clips(6, method.views, seed).unflatten(0, (method.views, 6))
            found.append(trained(method, views[:, 3 * rank : 3 * rank + 3].flatten(0, 1), world=2))
        torch.save({"steps": found, "state": method.state_dict()}, f"{folder}/{kind.name}{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_equal_one(tmp_path: Path):
    """Four steps, so that keys of both processes have been negatives and neighbours."""
    mp.start_processes(_worker, args=(str(tmp_path),), nprocs=2, start_method="spawn")
    for kind in (SkeletonCLR, AimCLR):
        method = started(kind)
        expected = [trained(method, make_clips(6, method.views, seed)) for seed in range(4)]
        for rank in range(2):
            saved = torch.load(tmp_path / f"{kind.name}{rank}.pt")
            for found, one in zip(saved["steps"], expected, strict=True):
                assert set(found) == set(one)
                for name, value in one.items():
                    torch.testing.assert_close(found[name], value, msg=lambda m, name=name: f"{name}: {m}")
            for name, value in method.state_dict().items():  # queue and pointer too
                torch.testing.assert_close(saved["state"][name], value)


@pytest.mark.parametrize("kind", [SkeletonCLR, AimCLR])
def test_a_step_reads_nothing_back_from_the_device(kind, monkeypatch):
    """Tensors without values cannot be read: whatever would wait for a device fails here."""
    monkeypatch.setattr(torch, "autocast", lambda *args, **options: contextlib.nullcontext())  # knows no meta
    quiet = tuple(t for t in preset("aimclr_extreme") if t.name != "joint_noise")  # meta draws no numbers
    method = make_method(kind)
    if kind is AimCLR:
        method.extreme = Compose(quiet, LAYOUT)
    method.on_epoch_start(2, 3)
    method = method.to("meta")
    loss, logs = method(make_clips(views=method.views).to("meta"))
    loss.backward()
    assert all(value.is_meta for value in (loss, *logs.values()))
    assert all(p.grad.is_meta for p in method.trained_parameters())


def test_no_extreme_view_and_no_divergence_is_skeletonclr():
    plain, more = make_method(), make_method(AimCLR, extreme=(), divergence=0.0, drop=0.0, mine_from=1.0)
    more.on_epoch_start(0, 2)
    x = make_clips(views=3)
    one, two = plain(x[:12]), more(x)
    torch.testing.assert_close(one.loss, two.loss)
    assert torch.equal(plain.queue, more.queue)
    assert F.normalize(plain.queue, dim=1).allclose(plain.queue, atol=1e-6)
