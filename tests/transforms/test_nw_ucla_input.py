"""The published preparation of N-UCLA clips (MMCL, CTR-GCN) against a loop over clips, frames and joints."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from kinelex.data.batch import Batch
from kinelex.errors import InputError
from kinelex.skeleton import get_layout
from kinelex.training.recipe import find_recipe, resolve
from kinelex.transforms import InputConfig, InputPipeline, sorted_plan, uniform_plan

LAYOUT = get_layout("kinect20")
LENGTHS = [1, 9, 40, 120]


@pytest.fixture
def batch():
    frames = torch.randn(sum(LENGTHS), 3, 20, 1, generator=torch.Generator().manual_seed(0))
    return Batch(torch.tensor(LENGTHS), torch.zeros(4, dtype=torch.long), torch.arange(4), frames=frames)


def prepared(clip, frames, rotation):
    """One clip (T, 20, 3) as published: centred, turned, each axis stretched to [-1, 1] over the clip."""
    turned = np.empty_like(clip)
    for t in range(len(clip)):
        for v in range(20):
            turned[t, v] = rotation @ (clip[t, v] - clip[0, 1])
    for axis in range(3):
        values = turned[..., axis]
        turned[..., axis] = (values - values.min()) / (values.max() - values.min()) * 2 - 1
    return np.stack([turned[t] for t in frames])


def test_the_recipe_prepares_clips_as_published(batch):
    config = resolve(*find_recipe("supervised/nw_ucla_published")).input
    assert (config.frames, config.sampling) == (52, "random")
    pipeline = InputPipeline(LAYOUT, config)
    params = pipeline.sample(batch, torch.Generator().manual_seed(1))
    clips = np.split(batch.frames[..., 0].permute(0, 2, 1).double().numpy(), np.cumsum(LENGTHS)[:-1])
    for given in (params, None):
        found = pipeline(batch, given)[..., 0].permute(0, 2, 3, 1)  # (N, T, V, C)
        plan = given["pick_frames"] if given else uniform_plan(batch.lengths, 52)
        for i, clip in enumerate(clips):
            rotation = given["random_rotation"][i].double().numpy() if given else np.eye(3)
            expected = torch.from_numpy(prepared(clip, plan.lower[i].tolist(), rotation)).float()
            torch.testing.assert_close(found[i], expected, atol=1e-5, rtol=0)
    # The published test frames: evenly spaced numbers, rounded down.
    for i, length in enumerate(LENGTHS):
        assert plan.lower[i].tolist() == np.linspace(0, length - 1, 52).astype(int).tolist()
    turned = params["random_rotation"] @ torch.tensor([0.0, 0.0, 1.0])
    assert (params["random_rotation"][:, 2, 0] != 0).all()
    assert turned.shape == (4, 3)


def test_scaling_before_the_stretch_is_undone_by_it(batch):
    """Why the recipe leaves the published scaling by 0.5 to 1.5 out."""
    config = resolve(*find_recipe("supervised/nw_ucla_published")).input
    plain = InputPipeline(LAYOUT, replace(config, scaling=(0.5, 1.5)))
    params = plain.sample(batch, torch.Generator().manual_seed(1))
    scaled = {**params, "random_scaling": torch.tensor([[0.5, 1.0, 1.5]]).repeat(4, 1)}
    params["random_scaling"] = torch.ones(4, 3)
    torch.testing.assert_close(plain(batch, scaled), plain(batch, params), atol=1e-5, rtol=0)
    after = InputPipeline(LAYOUT, replace(plain.config, view_first=False))
    assert not torch.allclose(after(batch, scaled), after(batch, params), atol=0.1)


def test_frames_drawn_at_random_and_sorted():
    plan = sorted_plan(torch.tensor([1, 10, 1000]), 5000, torch.Generator().manual_seed(0))
    assert (plan.lower.diff(dim=1) >= 0).all()
    assert (plan.lower[0] == 0).all()
    counts = torch.bincount(plan.lower[1], minlength=10)
    assert len(counts) == 10
    assert (counts - 500).abs().max() < 120  # 5 standard deviations of 5000 draws among 10
    assert plan.lower[2].max() <= 999
    assert (plan.lower[2].diff() > 1).sum() > 0  # chance leaves frames out
    with pytest.raises(InputError, match="did you mean 'random'"):
        InputConfig(sampling="randm")
