"""One frame rate for all clips: the same motion filmed at two rates gives the same input."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from kinelex.data import Sequence, SkeletonStoreWriter, StoreMeta, open_store
from kinelex.data.batch import Batch
from kinelex.data.loader import SkeletonLoader
from kinelex.errors import InputError
from kinelex.skeleton import get_layout
from kinelex.transforms import InputConfig, InputPipeline, resize_plan, sample_crop, uniform_plan
from kinelex.transforms.rate import apply_plan_at, check_rates, lengths_at

KINECT = get_layout("kinect20")


def filmed(fps: float, seconds: float = 2.0) -> torch.Tensor:
    """A smooth motion, (T, 3, 20, 1)."""
    t = torch.arange(int(seconds * fps) + 1, dtype=torch.float64) / fps
    phase = torch.rand(60, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 6
    return (torch.sin(t[:, None] * 2 + phase) + 2).float().view(-1, 3, 20, 1)


def batch_of(*rates: float) -> Batch:
    clips = [filmed(rate) for rate in rates]
    n = torch.arange(len(rates))
    lengths = torch.tensor([len(c) for c in clips])
    return Batch(lengths, n, n, torch.cat(clips), fps=torch.tensor(rates))


@pytest.mark.parametrize("sampling", ["crop", "frames", "random"])
@pytest.mark.parametrize("stream", ["joint", "motion"])
def test_twice_the_rate_gives_the_same_frames(sampling, stream):
    config = InputConfig(frames=24, sampling=sampling, crop_minimum=20, stream=stream, fps=30.0)
    pipeline, batch = InputPipeline(KINECT, config), batch_of(30.0, 60.0, 120.0)
    params = pipeline.sample(batch_of(30.0), torch.Generator().manual_seed(0))
    (name, plan), *_ = params.items()
    same = replace(plan, **{k: v.repeat(3, 1) for k, v in vars(plan).items()})
    if sampling != "crop":
        same = replace(same, upper=same.lower)
    for given in ({name: same}, None):
        x = pipeline(batch, given)
        assert torch.equal(x[0], x[1])
        assert torch.equal(x[0], x[2])
    as_filmed = InputPipeline(KINECT, replace(config, fps=None))
    assert torch.equal(pipeline(batch_of(30.0)), as_filmed(batch_of(30.0)))
    assert not torch.allclose(as_filmed(batch, None)[0], as_filmed(batch, None)[1], atol=1e-5)


def test_frames_between_against_a_loop():
    batch, fps = batch_of(25.0, 50.0, 30.0), 40.0
    lengths = lengths_at(batch, fps)
    assert lengths.tolist() == [81, 81, 81]
    plan = resize_plan(sample_crop(lengths, (0.4, 0.9), 5, torch.Generator().manual_seed(0)), 7)
    x = apply_plan_at(batch, plan, fps).x
    for n, clip in enumerate(batch.frames.split(batch.lengths.tolist())):

        def at(k: int, clip=clip, rate=float(batch.fps[n])) -> torch.Tensor:
            place = k / fps * rate
            low = min(int(place + 1e-6), len(clip) - 1)
            high = min(low + 1, len(clip) - 1)
            return clip[low] + (clip[high] - clip[low]) * max(place - low, 0)

        for t in range(7):
            low, high = at(int(plan.lower[n, t])), at(int(plan.upper[n, t]))
            torch.testing.assert_close(
                x[n, :, t], low + (high - low) * plan.weight[n, t], atol=1e-5, rtol=1e-5
            )


def test_a_missing_joint_is_never_mixed():
    batch = batch_of(30.0)
    batch.frames[10:12, :, 4] = 0
    done = apply_plan_at(batch, uniform_plan(lengths_at(batch, 50.0), 101), 50.0)
    assert set(done.x[0, 0, :, 4, 0].eq(0).unique_consecutive().tolist()) == {False, True}
    shown = done.x[0, :, :, 4, 0]
    assert (shown[:, done.presence[0, 0, :, 4, 0]] >= 1).all()  # no coordinate on the way to 0


def test_clips_that_do_not_say_their_rate(tmp_path):
    with pytest.raises(InputError, match=r"input.fps=30 .*1 of 2 do not: give it when they are prepared"):
        check_rates(np.array([30.0, np.nan]), 30.0)
    check_rates(np.array([np.nan]), None)
    batch = replace(batch_of(30.0), fps=None)
    with pytest.raises(InputError, match="says its clips' frame rates"):
        InputPipeline(KINECT, InputConfig(fps=30.0))(batch)
    with pytest.raises(InputError, match="input.fps above 0"):
        InputConfig(fps=0.0)


def test_the_loader_says_the_rates(tmp_path):
    path = tmp_path / "clips.arrow"
    with SkeletonStoreWriter(path, StoreMeta("own", KINECT, ("wave",))) as writer:
        for name, fps in (("a", 60.0), ("b", None)):
            writer.add(Sequence(name, np.ones((4, 1, 20, 3), np.float32), fps=fps))
    batch = SkeletonLoader(open_store(path), np.arange(2), 2).batch(np.arange(2)).to("cpu")
    assert batch.fps[0] == 60
    assert batch.fps[1].isnan()
