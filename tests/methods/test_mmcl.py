"""MMCL: the published refinement, the loss term by term, masks, switches, and several processes."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.nn import functional as F

from kinelex import encoders
from kinelex.data.clip_prompts import PromptShape, PromptStatistics
from kinelex.encoders import Encoder
from kinelex.errors import InputError
from kinelex.losses import feature_alignment
from kinelex.methods import MMCL, Prompts
from kinelex.methods.mmcl import Refinement
from kinelex.skeleton import get_layout

SHAPES = {"language": PromptShape(2, 5, 3), "vision": PromptShape(4, 6)}
LABELS = torch.arange(8) % 3


def statistics(shift=0.0, scale=1.0, shapes=SHAPES):
    """Statistics of prompts whose mean and scale are these."""
    one = torch.tensor(scale)
    return {
        m: PromptStatistics(s, torch.full((s.width,), shift), one, torch.full((s.clip_width,), shift), one)
        for m, s in shapes.items()
    }


class Flat(Encoder):
    """An encoder without batch statistics, so that a batch can be split exactly."""

    def __init__(self):
        super().__init__(get_layout("sbu15"), 3, 8)
        self.linear = torch.nn.Linear(3 * 4 * 15, 8)

    def forward(self, x):
        return self.linear(x.flatten(1))


def make_batch(n=8, seed=0):
    g = torch.Generator().manual_seed(seed)
    present = {m: torch.rand(n, generator=g) > 0.3 for m in SHAPES}
    x = torch.randn(n, 3, 4, 15, 1, generator=g)
    frames = {m: torch.randn(n, s.count, s.width, generator=g) for m, s in SHAPES.items()}
    clip = {"language": torch.randn(n, 3, generator=g)}
    return x, {m: Prompts(frames[m], clip.get(m), present[m]) for m in SHAPES}


def make_method(make=Flat, **options):
    torch.manual_seed(0)
    given = {"num_classes": 3, "prompts": statistics(), "class_counts": (4, 4, 2)}
    method = MMCL(make(), **{**given, **options})
    with torch.no_grad():  # at their first value P and Q change nothing
        for name, parameter in method.named_parameters():
            if name.endswith(("positive", "negative")):
                parameter.copy_(torch.rand(parameter.shape) + 0.5)
    return method


def run(method, x, prompts, labels=LABELS):
    return method(x, prompts, labels)


def test_bf16_does_not_round_the_refinement():
    refinement, text = Refinement(5, 3), torch.randn(4, 5)
    with torch.no_grad():
        refinement.positive += torch.tensor([1e-3, -1e-3, 2e-3])  # lost where they are rounded to 1/256
        refinement.negative += torch.tensor([-1e-3, 1e-3, 2e-3])
        with torch.autocast("cpu", torch.bfloat16):
            weights = refinement.weigh(text).float().softmax(dim=1)
            found = refinement(torch.ones(4, 3), text)
        assert (found - weights @ torch.stack([refinement.positive, refinement.negative])).abs().max() < 1e-6


def test_the_published_alignment_and_refinement(shared):
    frm = {k: torch.from_numpy(v) for k, v in np.load(shared / "reference" / "mmcl_frm.npz").items()}
    refinement = Refinement(3, 10)
    own = {f"weigh.{k.removeprefix('state/')}": v for k, v in frm.items() if k.startswith("state/")}
    assert refinement.positive.tolist() == refinement.negative.tolist() == [1.0] * 10
    refinement.load_state_dict({**own, "positive": frm["positive"], "negative": frm["negative"]})
    refined = refinement(frm["scores"], frm["text"])
    torch.testing.assert_close(refined, frm["refined"], atol=1e-5, rtol=0)

    fam = {k: torch.from_numpy(v) for k, v in np.load(shared / "reference" / "mmcl_fam.npz").items()}

    class Pool(Encoder):  # features of the published map: mean over frames, joints and two persons
        def __init__(self):
            super().__init__(get_layout("ntu25"), 12, 12)

        def forward(self, x):
            return x.mean(dim=(2, 3, 4))

    method = make_method(Pool, prompts={"vision": fam["rgb"]}, refinement=0.0)
    own = {k.removeprefix("state/mlp."): v for k, v in fam.items() if k.startswith("state/")}
    method.projectors["joint"].load_state_dict(own)
    embedding = method.projectors["joint"](fam["rgb"])
    torch.testing.assert_close(embedding, fam["rgb_embedding"], atol=1e-5, rtol=0)
    x = fam["skeleton_map"].unflatten(0, (6, 2)).permute(0, 2, 3, 4, 1)  # (6, 12, 5, 25, 2)
    _, logs = run(method, x, {"vision": fam["rgb"]}, LABELS[:6])
    torch.testing.assert_close(logs["alignment/joint"], fam["loss"], atol=1e-5, rtol=0)


def test_the_loss_clip_by_clip():
    method = make_method(alignment=0.3, refinement=0.7, temperature=0.2, label_smoothing=0.1)
    x, batch = make_batch()
    loss, logs = run(method, x, batch)
    network = method.streams["joint"]
    features = network.encoder(x)
    scores = network.linear(features)
    total = sum(F.cross_entropy(s, y, label_smoothing=0.1) for s, y in zip(scores, LABELS, strict=True))
    expected = total / 8
    refined, refinement = [], method.refinements["joint"]
    for i in range(8):
        if not batch["language"].mask[i]:
            continue
        text = torch.cat([batch["language"].frame[i].mean(dim=0), batch["language"].clip[i]])
        plus, minus = refinement.weigh(text).softmax(dim=0)
        better = (plus * refinement.positive + minus * refinement.negative) * scores[i]
        refined.append(F.cross_entropy(better, LABELS[i], label_smoothing=0.1))
    assert 0 < len(refined) < 8
    expected = expected + 0.7 * torch.stack(refined).mean()
    there = batch["vision"].mask
    assert 1 < there.sum() < 8
    pictures = method.projectors["joint"](batch["vision"].frame.mean(dim=1))
    aligned = feature_alignment(features[there], pictures[there], 0.2)
    torch.testing.assert_close(loss, expected + 0.3 * aligned)
    torch.testing.assert_close(logs["alignment/joint"], aligned)
    assert set(logs) == {"loss/joint", "accuracy/joint", "refined/joint", "alignment/joint"}


def test_missing_texts_and_pictures_touch_nothing():
    method = make_method(standardise=True)
    x, batch = make_batch()
    first, _ = run(method, x, batch)
    for prompts in batch.values():
        prompts.frame[~prompts.mask] = 1e3
    batch["language"].clip[~batch["language"].mask] = 1e3
    torch.testing.assert_close(run(method, x, batch)[0], first)
    for prompts in batch.values():
        prompts.present[:] = False
    loss, logs = run(method, x, batch)
    torch.testing.assert_close(loss, logs["loss/joint"])
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in method.parameters())


@pytest.mark.parametrize(
    ("options", "reads"),
    [
        ({"refinement": 0}, ("vision",)),
        ({"alignment": 0}, ("language",)),
        ({"alignment": 0, "refinement": 0}, ()),
    ],
)
def test_a_teacher_that_is_off_is_not_needed(options, reads):
    prompts = {m: s for m, s in statistics().items() if m in reads}
    method = make_method(prompts=prompts, **options)
    assert (
        method.modalities
        == reads
        == MMCL.reads({"alignment": 0.1, "refinement": 0.2, "rgb": "cached", **options})
    )
    x, batch = make_batch()
    loss, logs = run(method, x, {m: batch[m] for m in reads})
    loss.backward()
    assert all(p.grad is not None for p in method.parameters())
    assert ("refined/joint" in logs) == ("language" in reads)
    assert ("alignment/joint" in logs) == ("vision" in reads)


@pytest.mark.parametrize("options", [{"dropout": 0.5}, {"class_weights": "balanced"}, {"temperature": 1.0},
                                     {"label_smoothing": 0.2}, {"standardise": True}])  # fmt: skip
def test_every_option_changes_the_loss(options):
    def loss(**chosen):
        method = make_method(prompts=statistics(1.0, 2.0), **chosen)
        torch.manual_seed(1)
        return run(method, *make_batch())[0]

    assert not torch.isclose(loss(**options), loss(), atol=1e-6)


@pytest.mark.parametrize(
    ("layout", "persons", "classes"), [("kinect20", 1, 4), ("sbu15", 2, 8), ("ntu25", 3, 2)]
)
def test_any_layout_persons_and_classes_and_every_stream(layout, persons, classes):
    def make():
        return encoders.create("ctrgcn", layout=layout, channels=8, depth=(1, 1, 1))

    method = make_method(make, num_classes=classes, class_counts=(3,) * classes, streams=("joint", "bone"))
    x = torch.randn(8, 3, 16, get_layout(layout).num_joints, persons)
    _, batch = make_batch()
    loss, logs = run(method, x, batch, torch.arange(8) % classes)
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in method.trained_parameters())
    assert {"refined/joint", "refined/bone", "alignment/joint", "alignment/bone"} <= set(logs)
    assert tuple(method.classifiers) == tuple(method.encoders) == ("joint", "bone")
    assert method.classifiers["bone"].out_features == classes


def test_wrong_options_are_named():
    for options, message in (
        ({"rgb": "joined"}, "did you mean 'joint'"),
        ({"alignment": -1.0}, "at least 0 and a temperature above 0, got -1.0"),
        ({"temperature": 0.0}, "temperature"),
        ({"dropout": 1.0}, "below 1"),
        ({"prompts": statistics(shapes={"vision": SHAPES["vision"]})}, "refinement=0"),
        ({"prompts": statistics(shapes={"language": SHAPES["language"]})}, "alignment=0"),
        ({"prompts": None}, "mmcl needs language prompts"),
        ({"num_classes": None}, "needs two classes or more, got num_classes=None"),
    ):
        with pytest.raises(InputError, match=message):
            make_method(**options)
    with pytest.raises(InputError, match="batch_size of 2 or more"):
        make_method().check_step(1)
    make_method(alignment=0.0).check_step(1)
    x, batch = make_batch()
    with pytest.raises(InputError, match=r"mmcl learns from labels: expects labels \(8,\), got none"):
        make_method()(x, batch)
    with pytest.raises(InputError, match="batch_size of 2 or more, got 1"):
        run(make_method(), x[:1], {m: p[:1] for m, p in batch.items()}, LABELS[:1])


def _worker(rank, folder):
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    method = make_method()
    x, batch = make_batch()
    mine = slice(4 * rank, 4 * rank + 4)
    loss, logs = run(method, x[mine], {m: p[mine] for m, p in batch.items()}, LABELS[mine])
    loss.backward()
    for p in method.trained_parameters():  # what DDP does
        dist.all_reduce(p.grad)
        p.grad /= 2
    grads = [p.grad for p in method.trained_parameters()]
    torch.save({"loss": loss.detach(), "logs": logs, "grads": grads}, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_equal_one(tmp_path: Path):
    mp.start_processes(_worker, args=(str(tmp_path),), nprocs=2, start_method="spawn")
    method = make_method()
    loss, logs = run(method, *make_batch())
    loss.backward()
    for rank in range(2):
        saved = torch.load(tmp_path / f"{rank}.pt")
        torch.testing.assert_close(saved["loss"], loss.detach())
        torch.testing.assert_close(saved["logs"], logs)
        for got, p in zip(saved["grads"], method.trained_parameters(), strict=True):
            torch.testing.assert_close(got, p.grad)
