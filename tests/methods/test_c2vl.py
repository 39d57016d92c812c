"""C2VL: the teacher's copy, α, the mask, every switch, and several processes."""

import contextlib
import copy
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.nn import functional as F

from kinelex import encoders
from kinelex.data.clip_prompts import PromptShape, PromptStatistics
from kinelex.encoders import Encoder
from kinelex.errors import InputError
from kinelex.losses import soft_info_nce, soft_targets
from kinelex.methods import C2VL, Prompts
from kinelex.methods.prompt_choice import PromptChoice
from kinelex.skeleton import get_layout

SHAPES = {"language": PromptShape(5, 8, 4), "vision": PromptShape(3, 6)}
ONE = torch.ones(())
STATISTICS = {
    m: PromptStatistics(s, torch.zeros(s.width), ONE, torch.zeros(s.clip_width), ONE)
    for m, s in SHAPES.items()
}


class Flat(Encoder):
    """An encoder without batch statistics, so that a batch can be split exactly."""

    def __init__(self, frames=4):
        super().__init__(get_layout("sbu15"), 3, 8)
        self.linear = torch.nn.Linear(3 * frames * 15, 8)

    def forward(self, x):
        return self.linear(x.flatten(1))


def make_batch(n=8, seed=0):
    g = torch.Generator().manual_seed(seed)
    present = torch.rand(n, generator=g) > 0.3
    x = torch.randn(n, 3, 4, 15, 1, generator=g)
    language, vision = torch.randn(n, 5, 8, generator=g), torch.randn(n, 3, 6, generator=g)
    everyone = torch.ones(n, dtype=torch.bool)
    return x, {
        "language": Prompts(language, torch.randn(n, 4, generator=g), everyone),
        "vision": Prompts(vision, present=present),
    }


def make_method(seed=0, **options):
    torch.manual_seed(seed)
    return C2VL(Flat(), STATISTICS, dim=6, hidden=10, **options)


def run(method, x, prompts, seed=0):
    return method(x, prompts, generator=torch.Generator().manual_seed(seed))


def test_first_epoch_is_plain_info_nce_and_later_ones_use_the_teacher():
    method = make_method(prompt="mean")
    x, batch = make_batch()
    with torch.no_grad():
        for p in method.teacher.parameters():
            p.mul_(1.5)
    prompts = method.prompts(batch, torch.Generator())
    student, teacher = method.student(x, prompts), method.teacher(x, prompts)
    for epoch in (0, 3):
        method.on_epoch_start(epoch, 5)
        assert method.alpha == pytest.approx(0.8 * epoch / 4)
        expected = 0.0
        for m in ("language", "vision"):
            for a, b in (("skeleton", m), (m, "skeleton")):
                target = soft_targets(teacher[a], teacher[b], method.alpha, mask=batch[m].mask)
                if epoch == 0:
                    target = None
                expected += soft_info_nce(student[a], student[b], target, 0.07, batch[m].mask)
        loss, _ = run(method, x, batch)
        torch.testing.assert_close(loss, expected)
        method.epoch = None  # as after the epoch, with the teacher as it is


def test_teacher_is_the_student_at_the_end_of_the_epoch_and_gets_no_gradient():
    method = make_method()
    x, batch = make_batch()
    method.on_epoch_start(2, 4)
    before = copy.deepcopy(method.teacher.state_dict())
    optimizer = torch.optim.SGD(method.trained_parameters(), lr=0.1)
    loss, _ = run(method, x, batch)
    loss.backward()
    optimizer.step()
    assert all(p.grad is None for p in method.teacher.parameters())
    assert all(torch.equal(v, before[k]) for k, v in method.teacher.state_dict().items())
    assert any(not torch.equal(v, before[k]) for k, v in method.student.state_dict().items())
    method.on_epoch_end()
    assert all(torch.equal(v, method.teacher.state_dict()[k]) for k, v in method.student.state_dict().items())
    method.train()
    assert not method.teacher.training
    assert method.student.training


def test_a_clip_without_vision_does_not_touch_the_vision_terms():
    method = make_method(prompt="mean")
    x, batch = make_batch()
    assert not batch["vision"].mask.all()
    method.on_epoch_start(2, 4)
    first, logs = run(method, x, batch)
    batch["vision"].frame[~batch["vision"].mask] = 1e3
    second, _ = run(method, x, batch)
    torch.testing.assert_close(first, second)
    assert {"target_entropy", "target_diagonal", "prediction_entropy", "alpha"} <= set(logs)
    assert logs["histogram/skeleton_vision"].sum() == batch["vision"].mask.sum() * (
        batch["vision"].mask.sum() - 1
    )


@pytest.mark.parametrize(
    "options",
    [
        {"alpha": 0.0},
        {"inter": False},
        {"intra": "none"},
        {"intra": "candidate"},
        {"intra": "none", "inter": False},
        {"progressive": False},
        {"prompt": "mean"},
        {"language_vision": True},
        {"beta": 1.0},
        {"prompt_dropout": 0.5},
        {"prompt": "mean", "segments": 2},
        {"projector_norm": True},
        {"text_space": True},
    ],
)
def test_every_switch_changes_the_loss(options):
    def losses(**chosen):
        method = make_method(**chosen)
        x, batch = make_batch()
        method.on_epoch_start(1, 4)
        torch.manual_seed(0)
        return run(method, x, batch)[0]

    loss = losses(**options)
    assert loss.isfinite()
    assert not torch.isclose(loss, losses(), atol=1e-7)


def test_one_modality_and_errors():
    method = C2VL(encoders.create("stgcn", layout="sbu15", channels=2), {"vision": torch.randn(4, 2, 6)})
    assert list(method.pairs) == [("skeleton", "vision"), ("vision", "skeleton")]
    with pytest.raises(InputError, match="--prompts"):
        C2VL(Flat(), {})
    with pytest.raises(InputError, match="did you mean 'random'"):
        make_method(prompt="randm")
    with pytest.raises(InputError, match="from 0 to 1"):
        make_method(alpha=2.0)


def test_two_views_learn_from_the_prompts_and_from_each_other():
    method = make_method(prompt="mean", views=2, view_weight=0.5)
    x, batch = make_batch()
    second = x + 0.1 * torch.randn(x.shape, generator=torch.Generator().manual_seed(5))
    method.on_epoch_start(2, 4)
    loss, logs = run(method, torch.cat([x, second]), batch)
    prompts = method.prompts(batch, torch.Generator())
    one, two = (method.student(v, prompts) for v in (x, second))
    one_t, two_t = (method.teacher(v, prompts) for v in (x, second))
    expected = 0.0
    for student, teacher in ((one, one_t), (two, two_t)):
        for m in ("language", "vision"):
            for a, b in (("skeleton", m), (m, "skeleton")):
                target = soft_targets(teacher[a], teacher[b], method.alpha, mask=batch[m].mask)
                expected += 0.5 * soft_info_nce(student[a], student[b], target, 0.07, batch[m].mask)
    for a, b, at, bt in ((one, two, one_t, two_t), (two, one, two_t, one_t)):
        target = soft_targets(at["skeleton"], bt["skeleton"], method.alpha)
        expected += 0.5 * soft_info_nce(a["skeleton"], b["skeleton"], target)
    torch.testing.assert_close(loss, expected)
    assert "alignment/skeleton_skeleton_view" in logs
    with pytest.raises(InputError, match="expects views to be 1 or 2"):
        make_method(views=3)


def test_prompt_choice_against_a_loop():
    _, batch = make_batch()
    stats = {
        m: PromptStatistics(
            s, torch.randn(s.width), torch.tensor(2.0), torch.randn(s.clip_width), torch.tensor(0.5)
        )
        for m, s in SHAPES.items()
    }
    for standardise in (True, False):
        choice = PromptChoice(SHAPES, "mean", segments=2, standardise=standardise)
        choice.fit(stats)
        found = choice(batch, torch.Generator())
        assert choice.widths == {"language": 20, "vision": 12}
        for i in range(8):
            frames, clip = batch["language"].frame[i], batch["language"].clip[i]
            halves = [frames[:2].mean(dim=0), frames[2:].mean(dim=0)]
            if standardise:
                s = stats["language"]
                halves = [(h - s.frame_mean) / 2.0 for h in halves]
                clip = (clip - s.clip_mean) / 0.5
            torch.testing.assert_close(found["language"][i], torch.cat([*halves, clip]))
    drawn = PromptChoice(SHAPES, "random", standardise=False)(batch, torch.Generator().manual_seed(0))
    for i in range(8):
        assert any(torch.equal(drawn["language"][i, :8], f) for f in batch["language"].frame[i])
    with pytest.raises(InputError, match="goes with prompt=mean"):
        PromptChoice(SHAPES, "random", segments=2)


def test_failure_signatures_are_reported():
    method = make_method()
    method.alpha = 0.4
    flat = [{"prediction_entropy": 4.1, "uniform_entropy": 4.158}] * 6
    assert any("uniform" in text for text in method.warnings(flat))
    assert any("more confident" in text for text in method.warnings(flat))
    falling = [{"prediction_entropy": 4.0 - 0.3 * t, "uniform_entropy": 4.158} for t in range(6)]
    assert method.warnings(falling) == []


def _worker(rank, folder):
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    method = make_method(prompt="mean")
    with torch.no_grad():
        for p in method.teacher.parameters():
            p.mul_(1.5)
    x, batch = make_batch()
    mine = slice(4 * rank, 4 * rank + 4)
    method.on_epoch_start(2, 4)
    loss, _ = run(method, x[mine], {m: p[mine] for m, p in batch.items()})
    loss.backward()
    for p in method.trained_parameters():  # what DDP does
        dist.all_reduce(p.grad)
        p.grad /= 2
    torch.save(
        {"loss": loss.detach(), "grads": [p.grad for p in method.trained_parameters()]}, f"{folder}/{rank}.pt"
    )
    dist.destroy_process_group()


def test_two_processes_equal_one(tmp_path: Path):
    mp.start_processes(_worker, args=(str(tmp_path),), nprocs=2, start_method="spawn")
    method = make_method(prompt="mean")
    with torch.no_grad():
        for p in method.teacher.parameters():
            p.mul_(1.5)
    method.on_epoch_start(2, 4)
    loss, _ = run(method, *make_batch())
    loss.backward()
    for rank in range(2):
        saved = torch.load(tmp_path / f"{rank}.pt")
        torch.testing.assert_close(saved["loss"], loss.detach())
        for got, p in zip(saved["grads"], method.trained_parameters(), strict=True):
            torch.testing.assert_close(got, p.grad)


def test_a_step_reads_nothing_back_from_the_device(monkeypatch):
    """Tensors without values cannot be read: whatever would wait for a device fails here."""
    monkeypatch.setattr(torch, "autocast", lambda *args, **options: contextlib.nullcontext())  # knows no meta
    method = make_method(views=2, language_vision=True, projector_norm=True).to("meta")
    x, batch = make_batch()
    method.on_epoch_start(2, 4)
    x = torch.cat([x, x]).to("meta")
    for prompts in (batch, {m: Prompts(p.frame, p.clip) for m, p in batch.items()}):
        loss, logs = method(x, {m: p.to("meta") for m, p in prompts.items()})
        loss.backward()
        assert all(value.is_meta for name, value in logs.items() if name != "alpha")  # set by the epoch
        assert all(p.grad.is_meta for p in method.trained_parameters())
    with pytest.raises(RuntimeError, match="meta"):
        loss.item()


def test_a_weight_counts_above_one_as_below():
    method = make_method(language_weight=3.0, vision_weight=0.2, prompt="mean")
    method.on_epoch_start(0, 4)
    loss, logs = run(method, *make_batch())
    terms = {m: logs[f"loss/skeleton_{m}"] + logs[f"loss/{m}_skeleton"] for m in SHAPES}
    torch.testing.assert_close(loss.detach(), 3 * terms["language"] + 0.2 * terms["vision"])


def test_hooks_that_nobody_called_are_named():
    method, (x, batch) = make_method(), make_batch()
    with pytest.raises(InputError, match=r"call on_epoch_start\(epoch, epochs\) before the steps"):
        method(x, batch)
    method.eval()(x, batch)  # a loss to look at needs no epoch
    method.train().on_epoch_start(0, 3)
    method(x, batch)
    method.on_epoch_start(0, 3)  # as after a resume in mid-epoch
    with pytest.raises(InputError, match=r"epoch 0 was not ended, call on_epoch_end\(\)"):
        method.on_epoch_start(1, 3)
    method.on_epoch_end()
    with pytest.raises(InputError, match="on_epoch_start"):
        method(x, batch)


def test_prompts_that_cannot_be_are_named():
    method, (x, batch) = make_method(), make_batch()
    method.on_epoch_start(0, 3)
    language, vision = batch["language"], batch["vision"]
    empty = vision.frame.clone()
    empty[2] = 0
    wrong = (
        ({}, "c2vl reads language prompts: pass prompts={'language': ...} to a step, got none"),
        ({"language": language}, "reads vision prompts.*got language"),
        ({"language": language, "vision": empty}, "1 of 8 clips have vision prompts of zeros.*present=mask"),
        ({"language": language, "vision": empty * torch.nan}, "8 of 8 clips have .* NaN and no mask"),
        ({"language": language, "vision": vision[:6]}, "for the 8 clips of the step, got 6.*with a mask"),
        ({"language": language, "vision": torch.randn(8, 3, 7)}, "of width 6 for frames and 0 .* got 7"),
    )
    for prompts, message in wrong:
        with pytest.raises(InputError, match=message):
            method(x, prompts)
    with pytest.raises(InputError, match="present for the 8 clips of frame, got shape"):
        Prompts(empty, present=torch.ones(7, dtype=torch.bool))


def test_missing_prompts_may_be_nan_where_a_mask_says_so():
    method, (x, batch) = make_method(prompt="mean"), make_batch()
    method.on_epoch_start(2, 4)
    expected = run(method, x, batch).loss
    batch["vision"].frame[~batch["vision"].mask] = torch.nan
    loss = run(method, x, batch).loss
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert all(p.grad.isfinite().all() for p in method.trained_parameters())


def test_in_the_text_space_language_stays_as_it_is():
    method = make_method(text_space=True, prompt="mean")
    space = method.embedding_space
    vectors = torch.randn(5, method.prompts.widths["language"])
    torch.testing.assert_close(space.embed("language", vectors), F.normalize(vectors, dim=1))
    assert method.student.projectors["skeleton"][-1].out_features == vectors.shape[1]
    again = type(space).from_description(space.description())
    again.load_state_dict(space.state_dict())
    torch.testing.assert_close(again.embed("language", vectors), F.normalize(vectors, dim=1))
    with pytest.raises(InputError, match="text_space=true needs language prompts"):
        C2VL(Flat(), {"vision": STATISTICS["vision"]}, text_space=True)


def test_an_encoder_is_an_encoder():
    with pytest.raises(InputError, match="expects an encoder, or {stream: encoder}, got Flat: call it"):
        C2VL(Flat, STATISTICS)
    with pytest.raises(InputError, match="got Flat: call it"):
        C2VL({"joint": Flat}, STATISTICS)
    with pytest.raises(InputError, match="expects an encoder.*got 3"):
        C2VL(3, STATISTICS)
    with pytest.raises(InputError, match="c2vl learns with one encoder, got joint, bone"):
        C2VL({"joint": Flat(), "bone": Flat()}, STATISTICS)
    assert list(C2VL({"bone": Flat()}, STATISTICS).encoders) == ["bone"]
