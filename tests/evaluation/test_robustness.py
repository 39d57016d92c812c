"""Changed clips by plain loops, and the curves of the task against features that were changed by hand."""

import io
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from rich.console import Console

from kinelex.data import open_store
from kinelex.data.batch import Batch
from kinelex.data.loader import SkeletonLoader
from kinelex.datasets import get_split
from kinelex.errors import InputError
from kinelex.evaluation import degrade, evaluate
from kinelex.evaluation.context import Context
from kinelex.evaluation.protocols.robustness import Robustness, RobustnessOptions, changes
from kinelex.inference.neighbours import knn
from kinelex.skeleton import SkeletonLayout, get_layout
from kinelex.training.encoder_files import load_encoders
from kinelex.training.run_directory import RunDirectory

LENGTHS = (5, 1, 12)
NONE = {"noise": (), "joints": (), "parts": (), "frames": (), "rate": (), "rotation": ()}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def batch() -> Batch:
    """Three clips of 6 joints and two persons; the second person of the last clip is absent."""
    frames = torch.randn(sum(LENGTHS), 3, 6, 2, generator=generator(1)) + 4
    frames[6:, :, :, 1] = 0
    clips = torch.arange(3)
    return Batch(torch.tensor(LENGTHS), clips, clips, frames)


@pytest.fixture
def actors(acted) -> Context:
    store, run = open_store(acted.store), RunDirectory(acted.run)
    split = get_split(store, "xsub")
    console = Console(file=io.StringIO(), width=120)
    return Context(run, load_encoders(run.path), store, "xsub", split.train, split.test, console=console)


def clips_of(batch: Batch) -> list[torch.Tensor]:
    return list(batch.frames.split(batch.lengths.tolist()))


def test_noise_is_a_share_of_the_bodys_size(batch):
    noisy = degrade.joint_noise(batch, 0.3, generator())
    assert (noisy.frames[6:, :, :, 1] == 0).all()
    drawn = torch.randn(batch.frames.shape, generator=generator())
    for i, clip in enumerate(clips_of(batch)):
        squares = []
        for frame in clip:
            for m in range(2):
                joints = frame[:, :, m].T
                if (joints != 0).any():
                    squares += [float(((j - joints.mean(dim=0)) ** 2).sum()) for j in joints]
        size = math.sqrt(sum(squares) / len(squares))
        here = clip[..., 0] + 0.3 * size * drawn.split(LENGTHS)[i][..., 0]
        torch.testing.assert_close(clips_of(noisy)[i][..., 0], here)
    bigger = degrade.joint_noise(replace(batch, frames=1000 * batch.frames), 0.3, generator())
    torch.testing.assert_close(bigger.frames, 1000 * noisy.frames)  # millimetres


def test_missing_joints_lie_on_the_root_in_all_frames(batch):
    found = degrade.missing_joints(batch, 0.4, 2, generator())
    lost = []
    for before, after in zip(clips_of(batch), clips_of(found), strict=True):
        gone = [v for v in range(6) if not torch.equal(before[:, :, v], after[:, :, v])]
        for v in gone:
            assert torch.equal(after[:, :, v], before[:, :, 2])
        lost.append(gone)
    assert [len(g) for g in lost] == [2, 2, 2]  # of 5
    assert 2 not in sum(lost, [])
    assert len({tuple(g) for g in lost}) > 1


def test_absent_joints_stay_absent_and_count_for_nothing(batch):
    batch.frames[2:4, :, 3, 0] = 0
    gone = (batch.frames == 0).all(dim=1, keepdim=True).expand_as(batch.frames)
    changed = [
        degrade.joint_noise(batch, 0.3, generator()),
        degrade.missing_joints(batch, 0.9, 2, generator()),
        degrade.hidden_joints(batch, (1, 3), root=2),
        degrade.turned(batch, 30.0, generator()),
    ]
    for found in changed:
        assert not found.frames[gone].any()
        assert (found.frames[~gone] != 0).all()
    first = clips_of(batch)[0]
    apart = [
        (points - points.mean(dim=0)).square().sum(dim=1)
        for frame in first
        for points in (frame[:, :, m].T[(frame[:, :, m] != 0).any(dim=0)] for m in range(2))
    ]
    size = torch.cat(apart).mean().sqrt()
    drawn = torch.randn(batch.frames.shape, generator=generator())[:5]
    expected = torch.where(first == 0, 0, first + 0.3 * size * drawn)
    torch.testing.assert_close(clips_of(changed[0])[0], expected)


def test_a_slower_rate_is_told(batch):
    found = degrade.slower_rate(replace(batch, fps=torch.tensor([30.0, 60.0, float("nan")])), 2)
    assert found.fps[:2].tolist() == [15.0, 30.0]


def test_hidden_joints_lie_on_the_root_which_stays(batch):
    found = degrade.hidden_joints(batch, (1, 2, 4), root=2)
    for v in range(6):
        source = 2 if v in (1, 2, 4) else v
        assert torch.equal(found.frames[:, :, v], batch.frames[:, :, source])


def test_dropped_frames_keep_their_order_and_one_is_left(batch):
    for share, left in ((0.5, [2, 1, 6]), (0.99, [1, 1, 1])):
        found = degrade.dropped_frames(batch, share, generator())
        assert found.lengths.tolist() == left
        for before, after in zip(clips_of(batch), clips_of(found), strict=True):
            places = [next(t for t, f in enumerate(before) if torch.equal(f, frame)) for frame in after]
            assert places == sorted(set(places))


def test_slower_rate_is_a_slice(batch):
    found = degrade.slower_rate(batch, 4)
    for before, after in zip(clips_of(batch), clips_of(found), strict=True):
        assert torch.equal(after, before[::4])


def test_turned_about_y_through_the_middle(batch):
    found = [clip for seed in range(3) for clip in clips_of(degrade.turned(batch, 30.0, generator(seed)))]
    sides = []
    for before, after in zip(3 * clips_of(batch), found, strict=True):
        there = (before != 0).any(dim=2).any(dim=1)
        points, moved = (
            c.permute(0, 3, 2, 1)[there].double().reshape(-1, 3).numpy() for c in (before, after)
        )
        centre = points.mean(axis=0)
        c, s = math.cos(math.radians(30)), math.sin(math.radians(30))
        matrices = [np.array([[c, 0, k * s], [0, 1, 0], [-k * s, 0, c]]) for k in (-1, 1)]
        errors = [np.abs((points - centre) @ m.T + centre - moved).max() for m in matrices]
        assert min(errors) < 1e-5
        sides.append(int(np.argmin(errors)))
        assert (after.permute(0, 3, 2, 1)[~there] == 0).all()
    assert set(sides) == {0, 1}


def test_all_changes_are_the_same_again_and_leave_the_batch_alone(batch):
    before = batch.frames.clone()
    options = RobustnessOptions(parts=())
    layout = get_layout("kinect20")
    small = replace(layout, joints=layout.joints[:6], parents=(0, 0, 1, 2, 2, 4))
    for kind, _, change in changes(options, small):
        one, two = change(batch, generator(5)), change(batch, generator(5))
        assert torch.equal(one.frames, two.frames), kind
        assert not (one.frames.shape == before.shape and torch.equal(one.frames, before)), kind
        assert torch.equal(batch.frames, before)
        assert one.lengths.sum() == len(one.frames)


def test_no_part_that_the_layout_lacks():
    arms = SkeletonLayout("arms", ("neck", "left_wrist", "right_wrist"), (0, 0, 0))
    parts = [value for kind, value, _ in changes(RobustnessOptions(), arms) if kind == "parts"]
    assert parts == ["left_arm", "right_arm"]


def test_flat_clips_turn_in_the_picture():
    frames = torch.tensor([[10.0, 20.0], [10.0, 24.0]]).T[None, :, :, None].repeat(3, 1, 1, 1)
    batch = Batch(torch.tensor([3]), torch.zeros(1), torch.arange(1), frames)
    after = degrade.turned(batch, 90.0, generator(0)).frames
    expected = torch.tensor([[8.0, 22.0], [12.0, 22.0]]).T  # about (10, 22), to either side
    found = after[0, :, :, 0]
    assert torch.allclose(found, expected, atol=1e-5) or torch.allclose(found, expected.flip(1), atol=1e-5)
    assert (after == after[:1]).all()


def test_the_curves_are_those_of_changed_clips(actors):
    options = RobustnessOptions("knn", **{**NONE, "rate": (3,), "parts": ("left_arm", "right_leg")})
    result = Robustness().run(actors, options)
    encoder, labels = actors.encoders["joint"], actors.store.labels
    bank = actors.features("joint", actors.train)

    def rate(change) -> float:
        batch = next(iter(SkeletonLoader(actors.store, actors.test, 256)))
        with torch.inference_mode():
            query = encoder(encoder.pipeline(change(batch))).numpy()
        scores = knn(bank, labels[actors.train], query, 24).scores
        return float((scores.argmax(axis=1) == actors.truth).mean())

    def hide(part):
        layout = actors.store.layout
        joints = [v for v, name in enumerate(layout.joints) if v in layout.parts[part]]
        return lambda batch: degrade.hidden_joints(batch, joints, layout.root)

    clean, arm, leg = rate(lambda b: b), rate(hide("left_arm")), rate(hide("right_leg"))
    slow = rate(lambda b: degrade.slower_rate(b, 3))
    label = {"label": "hidden part", "xlabel": "part"}
    assert result.curves["parts"] == {"x": ["none", "left_arm", "right_leg"], "y": [clean, arm, leg], **label}
    assert (result.curves["rate"]["x"], result.curves["rate"]["y"]) == ([1, 3], [clean, slow])
    assert result.numbers["top1"] == pytest.approx((arm + leg + slow) / 3)
    assert result.numbers["changes"]["rate"]["3"]["top1"] == slow
    assert result.numbers["clean"]["top1"] == clean
    low, high = result.numbers["ci95"]
    assert low <= result.numbers["top1"] <= high


def test_the_task_on_the_command_line_of_python(acted, tmp_path):
    import shutil

    run = tmp_path / "run"
    shutil.copytree(acted.run, run)
    given = {"robustness": {**dict.fromkeys(NONE, ""), "by": "linear", "noise": "0.1,0.4"}}
    console = Console(file=io.StringIO(), width=120)
    found = evaluate(run, tasks=("robustness",), options=given, baselines=False, console=console)[
        "robustness"
    ]
    assert found["curves"]["noise"]["x"] == [0.0, 0.1, 0.4]
    assert found["by"] == "linear"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"by": "svm"}, "way to classify"),
        ({"parts": ("tail",)}, "part of the body"),
        ({"noise": (0.0,)}, r"robustness\.noise above 0, got 0"),
        ({"frames": (1.0,)}, r"above 0 and below 1, got 1"),
        ({"rate": (1,)}, "at least 2"),
        (NONE, "every list is empty"),
    ],
)
def test_what_makes_no_sense_is_refused(given, said):
    with pytest.raises(InputError, match=said):
        RobustnessOptions(**given)
