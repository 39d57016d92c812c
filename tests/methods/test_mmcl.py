"""MMCL: the published refinement, the loss term by term, masks, switches, and several processes."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.nn import functional as F

from kinelex import encoders
from kinelex.data.batch import Batch
from kinelex.data.clip_prompts import PromptShape, PromptStatistics
from kinelex.encoders import Encoder
from kinelex.errors import InputError
from kinelex.losses import feature_alignment
from kinelex.methods import MMCL, TrainingPart
from kinelex.methods.mmcl import Refinement
from kinelex.skeleton import get_layout

SHAPES = {"language": PromptShape(2, 5, 3), "vision": PromptShape(4, 6)}
CLASSES = ("walk", "sit", "wave")


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
    return torch.randn(n, 3, 4, 15, 1, generator=g), Batch(
        torch.full((n,), 4),
        torch.arange(n) % 3,
        torch.arange(n),
        prompts={m: torch.randn(n, s.count, s.width, generator=g) for m, s in SHAPES.items()},
        clip_prompts={"language": torch.randn(n, 3, generator=g)},
        present=present,
    )


def make_method(make=Flat, part=None, **options):
    torch.manual_seed(0)
    method = MMCL(make, part or TrainingPart("joint", SHAPES, CLASSES, (4, 4, 2)), **options)
    with torch.no_grad():  # at their first value P and Q change nothing
        for name, parameter in method.named_parameters():
            if name.endswith(("positive", "negative")):
                parameter.copy_(torch.rand(parameter.shape) + 0.5)
    return method


def run(method, x, batch, seed=0):
    return method(x, batch, torch.Generator().manual_seed(seed))


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

    part = TrainingPart("joint", {"vision": PromptShape(1, 40)}, CLASSES, (2, 2, 2))
    method = make_method(Pool, part, refinement=0.0)
    own = {k.removeprefix("state/mlp."): v for k, v in fam.items() if k.startswith("state/")}
    method.projectors["joint"].load_state_dict(own)
    embedding = method.projectors["joint"](fam["rgb"])
    torch.testing.assert_close(embedding, fam["rgb_embedding"], atol=1e-5, rtol=0)
    x = fam["skeleton_map"].unflatten(0, (6, 2)).permute(0, 2, 3, 4, 1)  # (6, 12, 5, 25, 2)
    batch = Batch(torch.full((6,), 5), torch.arange(6) % 3, torch.arange(6))
    batch.prompts, batch.present = (
        {"vision": fam["rgb"][:, None]},
        {"vision": torch.ones(6, dtype=torch.bool)},
    )
    _, logs = run(method, x, batch)
    torch.testing.assert_close(logs["alignment/joint"], fam["loss"], atol=1e-5, rtol=0)


def test_the_loss_clip_by_clip():
    method = make_method(alignment=0.3, refinement=0.7, temperature=0.2, label_smoothing=0.1)
    x, batch = make_batch()
    loss, logs = run(method, x, batch)
    network = method.streams["joint"]
    features = network.encoder(x)
    scores = network.linear(features)
    total = sum(F.cross_entropy(s, y, label_smoothing=0.1) for s, y in zip(scores, batch.labels, strict=True))
    expected = total / 8
    refined, refinement = [], method.refinements["joint"]
    for i in range(8):
        if not batch.present["language"][i]:
            continue
        text = torch.cat([batch.prompts["language"][i].mean(dim=0), batch.clip_prompts["language"][i]])
        plus, minus = refinement.weigh(text).softmax(dim=0)
        better = (plus * refinement.positive + minus * refinement.negative) * scores[i]
        refined.append(F.cross_entropy(better, batch.labels[i], label_smoothing=0.1))
    assert 0 < len(refined) < 8
    expected = expected + 0.7 * torch.stack(refined).mean()
    there = batch.present["vision"]
    assert 1 < there.sum() < 8
    pictures = method.projectors["joint"](batch.prompts["vision"].mean(dim=1))
    aligned = feature_alignment(features[there], pictures[there], 0.2)
    torch.testing.assert_close(loss, expected + 0.3 * aligned)
    torch.testing.assert_close(logs["alignment/joint"], aligned)
    assert set(logs) == {"loss/joint", "accuracy/joint", "refined/joint", "alignment/joint"}


def test_missing_texts_and_pictures_touch_nothing():
    method = make_method(standardise=True)
    x, batch = make_batch()
    first, _ = run(method, x, batch)
    for m, present in batch.present.items():
        batch.prompts[m][~present] = 1e3
    batch.clip_prompts["language"][~batch.present["language"]] = 1e3
    torch.testing.assert_close(run(method, x, batch)[0], first)
    for present in batch.present.values():
        present[:] = False
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
    prompts = {m: SHAPES[m] for m in reads}
    method = make_method(part=TrainingPart("joint", prompts, CLASSES, (4, 4, 2)), **options)
    assert (
        method.modalities
        == reads
        == MMCL.reads({"alignment": 0.1, "refinement": 0.2, "rgb": "cached", **options})
    )
    x, batch = make_batch()
    batch.prompts, batch.present = ({m: d[m] for m in reads} for d in (batch.prompts, batch.present))
    loss, logs = run(method, x, batch)
    loss.backward()
    assert all(p.grad is not None for p in method.parameters())
    assert ("refined/joint" in logs) == ("language" in reads)
    assert ("alignment/joint" in logs) == ("vision" in reads)


@pytest.mark.parametrize("options", [{"dropout": 0.5}, {"class_weights": "balanced"}, {"temperature": 1.0},
                                     {"label_smoothing": 0.2}, {"standardise": True}])  # fmt: skip
def test_every_option_changes_the_loss(options):
    def loss(**chosen):
        method = make_method(**chosen)
        two = torch.tensor(2.0)
        method.fit_prompts(
            {
                m: PromptStatistics(torch.ones(s.width), two, torch.ones(s.clip_width), two)
                for m, s in SHAPES.items()
            }
        )
        torch.manual_seed(1)
        return run(method, *make_batch())[0]

    assert not torch.isclose(loss(**options), loss(), atol=1e-6)


@pytest.mark.parametrize(
    ("layout", "persons", "classes"), [("kinect20", 1, 4), ("sbu15", 2, 8), ("ntu25", 3, 2)]
)
def test_any_layout_persons_and_classes_and_every_stream(layout, persons, classes):
    def make():
        return encoders.create("ctrgcn", layout=layout, channels=8, depth=(1, 1, 1))

    names = tuple(f"c{i}" for i in range(classes))
    method = make_method(
        make, TrainingPart("joint", SHAPES, names, (3,) * classes), streams=("joint", "bone")
    )
    x = torch.randn(8, 3, 16, get_layout(layout).num_joints, persons)
    _, batch = make_batch()
    batch.labels = torch.arange(8) % classes
    loss, logs = run(method, x, batch)
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
        ({"part": TrainingPart("joint", {"vision": SHAPES["vision"]}, CLASSES, (1, 1, 1))}, "refinement=0"),
        (
            {"part": TrainingPart("joint", {"language": SHAPES["language"]}, CLASSES, (1, 1, 1))},
            "alignment=0",
        ),
    ):
        with pytest.raises(InputError, match=message):
            make_method(**options)
    with pytest.raises(InputError, match="batch_size of 2 or more"):
        make_method().check_step(1)
    make_method(alignment=0.0).check_step(1)


def _worker(rank, folder):
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    method = make_method()
    x, batch = make_batch()
    mine = slice(4 * rank, 4 * rank + 4)
    part = Batch(batch.lengths[mine], batch.labels[mine], batch.indices[mine])
    for name in ("prompts", "clip_prompts", "present"):
        setattr(part, name, {m: values[mine] for m, values in getattr(batch, name).items()})
    loss, logs = run(method, x[mine], part)
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
