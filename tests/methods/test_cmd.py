"""CMD: momentum, queues, every switch, any streams and encoder, and several processes."""

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
from kinelex.encoders import Encoder
from kinelex.errors import InputError
from kinelex.methods import CMD
from kinelex.methods.cmd import Branch
from kinelex.skeleton import get_layout, make_stream

LAYOUT = get_layout("sbu15")
STREAMS = ("joint", "motion", "bone")


class Flat(Encoder):
    """An encoder without batch statistics (those of half a batch differ), so that a batch can be split."""

    def __init__(self, frames=4):
        super().__init__(LAYOUT, 3, 8)
        self.linear = torch.nn.Linear(3 * frames * 15, 8)

    def forward(self, x):
        return self.linear(x.flatten(1))


def make_clips(n=6, seed=0):
    """First views of all clips, then second ones."""
    generator = torch.Generator().manual_seed(seed)
    first = torch.randn(n, 3, 4, 15, 1, generator=generator)
    return torch.cat([first, first + 0.3 * torch.randn(first.shape, generator=generator)])


def make_method(seed=0, encoder=Flat, streams=STREAMS, **options):
    torch.manual_seed(seed)
    return CMD(
        ((stream, encoder()) for stream in streams),
        **{"dim": 6, "queue": 20, "top_k": 7, "momentum": 0.9, **options},
    )


def step(method, x):
    return method(x)


def test_momentum_queue_and_gradients_of_a_step():
    method, x = make_method(), make_clips()
    method.pointer.fill_(17)  # the six new keys wrap around
    with torch.no_grad():
        for p in method.query.parameters():
            p.add_(torch.randn(p.shape) * 0.1)
    before = copy.deepcopy(method)
    loss, logs = step(method, x)
    loss.backward()
    for name, old in before.key.named_parameters():
        now, query = method.key.get_parameter(name), method.query.get_parameter(name)
        torch.testing.assert_close(now.data, 0.9 * old.data + 0.1 * query.data)
        assert now.grad is None
        assert query.grad.any()
    expected = before.queue.clone()
    for s, stream in enumerate(STREAMS):
        for n in range(6):
            clip = make_stream(x[6 + n : 7 + n], LAYOUT, stream)
            branch = method.key[stream]
            key = branch.head(branch.encoder(clip))[0]
            expected[s, :, (17 + n) % 20] = key / key.norm()
    torch.testing.assert_close(method.queue, expected)
    assert method.pointer.item() == 3
    assert set(method.encoders) == set(STREAMS)
    assert len(method.trained_parameters()) == len(list(method.query.parameters()))
    parts = sum(v for k, v in logs.items() if k.startswith(("loss/", "distillation/")))
    torch.testing.assert_close(parts, loss.detach())


def test_without_distillation_streams_are_plain_moco_branches():
    """The loss of each stream is the cross-entropy of its own logits, and no stream changes another's."""
    together, x = make_method(distillation=0.0), make_clips()
    queue = together.queue.clone()
    loss, logs = step(together, x)
    assert set(logs) == {f"{kind}/{s}" for kind in ("loss", "accuracy") for s in STREAMS}
    total = 0.0
    for s, stream in enumerate(STREAMS):
        query, key = (
            F.normalize(branches[stream].head(branches[stream].encoder(make_stream(v, LAYOUT, stream))))
            for branches, v in zip((together.query, together.key), x.chunk(2), strict=True)
        )
        logits = torch.cat([(query * key).sum(dim=1, keepdim=True), query @ queue[s]], dim=1) / 0.07
        own = F.cross_entropy(logits, torch.zeros(6, dtype=torch.long))
        torch.testing.assert_close(logs[f"loss/{stream}"], own.detach())
        total = total + own
    torch.testing.assert_close(loss, total)


@pytest.mark.parametrize(
    "options",
    [
        {"distillation": 0.0},
        {"distillation": 2.0},
        {"mining": "top"},
        {"mining": "top", "positives": 3},
        {"top_k": 20},
        {"temperature": 0.2},
        {"teacher_temperature": 0.1},
        {"student_temperature": 0.2},
        {"streams": ("joint", "bone")},
        {"streams": ("joint", "motion", "bone", "bone_motion")},
    ],
)
def test_every_switch_changes_the_loss(options):
    loss, logs = step(make_method(**options), make_clips())
    assert loss.isfinite()
    assert not torch.isclose(loss, step(make_method(), make_clips())[0], atol=1e-7)
    count = len(options.get("streams", STREAMS))
    pairs = [k for k in logs if k.startswith("distillation/")]
    assert len(pairs) == (count * (count - 1) if options.get("distillation", 1) else 0)


def test_one_stream_has_nobody_to_learn_from():
    loss, logs = step(make_method(streams=("bone",)), make_clips())
    torch.testing.assert_close(loss.detach(), logs["loss/bone"])


@pytest.mark.parametrize(
    ("name", "options"),
    [("gru", {"hidden": 4, "persons": 1}), ("stgcn", {"channels": 2, "depth": (1, 1, 1)})],
)
def test_any_encoder(name, options):
    method = make_method(encoder=lambda: encoders.create(name, layout="sbu15", **options)).train()
    statistics = [k for k in method.key.state_dict() if k.endswith("running_mean")]
    before = copy.deepcopy(method.key.state_dict())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss, _ = step(method, make_clips())
    loss.backward()
    assert loss.dtype == method.queue.dtype == torch.float32
    assert all(p.grad.isfinite().all() for p in method.trained_parameters())
    assert not any(torch.equal(method.key.state_dict()[k], before[k]) for k in statistics[:3])
    assert statistics


def test_it_learns_to_tell_clips_apart():
    """From when the queue has filled: before, its random directions are easy negatives."""
    method = make_method(dim=16, queue=48, top_k=20, momentum=0.95)  # 60 clips: none meets its own old key
    optimizer = torch.optim.SGD(method.trained_parameters(), lr=0.1, momentum=0.9)
    history = []
    for batch in range(400):
        loss, logs = step(method, make_clips(12, seed=batch % 5))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append({k: v.item() for k, v in logs.items()})
    filled = history[4]
    last = {key: sum(logs[key] for logs in history[-5:]) / 5 for key in filled}  # over all clips
    for stream in STREAMS:
        assert last[f"loss/{stream}"] < 0.85 * filled[f"loss/{stream}"]
        assert last[f"accuracy/{stream}"] >= max(0.8, filled[f"accuracy/{stream}"])
        assert 0 < last[f"teacher_entropy/{stream}"] < math.log(20)
    assert method.warnings(history) == []


def test_failure_signatures_are_reported():
    method = make_method()
    good = {f"loss/{s}": 1.0 for s in STREAMS} | {f"teacher_entropy/{s}": 1.0 for s in STREAMS}
    assert method.warnings([good] * 5) == []
    uniform = {**good, "loss/bone": math.log(21), "teacher_entropy/motion": math.log(7)}
    assert method.warnings([uniform] * 4) == []
    found = sorted(method.warnings([uniform] * 5))
    assert "the bone stream's similarities are uniform: after 5 epochs" in found[0]
    assert "the motion stream teaches nothing" in found[1]
    assert len(found) == 2
    mined = make_method(mining="top", positives=7)
    assert len(mined.warnings([uniform] * 5)) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"streams": ("joint", "bones")}, "did you mean 'bone'"),
        ({"streams": ("joint", "joint")}, "every stream once"),
        ({"streams": ()}, "at least one stream"),
        ({"top_k": 21}, r"top_k=21, queue=20: set method\.top_k"),
        ({"mining": "tops"}, "did you mean 'top'"),
        ({"mining": "top", "positives": 8}, "positives=8, top_k=7"),
        ({"student_temperature": 0.02}, "at least 0.03"),
        ({"temperature": 0.0}, "temperatures above 0"),
        ({"temperature": math.nan}, "temperatures above 0"),
        ({"distillation": math.nan}, "distillation at least 0"),
        ({"momentum": 1.5}, "momentum from 0 to 1"),
        ({"distillation": -1.0}, "distillation at least 0"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(InputError, match=message):
        make_method(**options)


def _worker(rank, folder):
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    method = make_method()
    found = []
    for seed in range(4):
        views = make_clips(6, seed).unflatten(0, (2, 6))
        mine = views[:, 3 * rank : 3 * rank + 3].flatten(0, 1)
        found.append(trained(method, mine, world=2))
    torch.save({"steps": found, "state": method.state_dict()}, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def trained(method, x, world=1):
    """One step of plain gradient descent; with the gradients averaged over the processes, as DDP does."""
    loss, logs = step(method, x)
    descend(method, loss, world)
    return {"loss": loss.detach(), **logs}


def test_two_processes_equal_one(tmp_path: Path):
    """Four steps, so that keys of both processes have been negatives and neighbours."""
    mp.start_processes(_worker, args=(str(tmp_path),), nprocs=2, start_method="spawn")
    method = make_method()
    expected = [trained(method, make_clips(6, seed)) for seed in range(4)]
    for rank in range(2):
        saved = torch.load(tmp_path / f"{rank}.pt")
        for found, one in zip(saved["steps"], expected, strict=True):
            assert set(found) == set(one)
            for name, value in one.items():
                torch.testing.assert_close(found[name], value, msg=lambda m, name=name: f"{name}: {m}")
        for name, value in method.state_dict().items():  # queues and pointer too
            torch.testing.assert_close(saved["state"][name], value)


def test_a_step_reads_nothing_back_from_the_device(monkeypatch):
    """Tensors without values cannot be read: whatever would wait for a device fails here."""
    monkeypatch.setattr(torch, "autocast", lambda *args, **options: contextlib.nullcontext())  # knows no meta
    method = make_method(encoder=lambda: encoders.create("gru", layout="sbu15", hidden=4)).to("meta")
    loss, logs = step(method, make_clips().to("meta"))
    loss.backward()
    assert all(value.is_meta for value in (loss, *logs.values()))
    assert all(p.grad.is_meta for p in method.trained_parameters())
    with pytest.raises(RuntimeError, match="meta"):
        loss.item()


def test_the_last_layer_of_a_head_starts_uniform_by_xavier():
    torch.manual_seed(0)
    first, _, last = Branch(encoders.create("gru", layout=LAYOUT, hidden=32, layers=1), dim=48).head
    bound = (6 / (64 + 48)) ** 0.5
    assert 0.95 * bound < last.weight.abs().max() <= bound
    assert first.weight.abs().max() <= 64**-0.5  # as Linear begins
    assert last.bias.abs().max() <= 64**-0.5
