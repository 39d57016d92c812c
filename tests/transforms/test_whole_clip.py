"""input.whole_clip: the published order, normalise the whole clip, then crop it."""

import numpy as np
import pytest
import torch

from kinelex.data.batch import Batch
from kinelex.skeleton import get_layout
from kinelex.training.recipe import find_recipe, resolve
from kinelex.transforms import InputConfig, InputPipeline, align_body, centre, fill_empty, scale_clip
from kinelex.transforms.temporal import apply_plan, centre_crop, resize_plan

LENGTHS = torch.tensor([40, 97, 12])
NTU = get_layout("ntu25")


def batch_of(frames: torch.Tensor) -> Batch:
    return Batch(LENGTHS, torch.zeros(3), torch.arange(3), frames=frames)


def walkers() -> torch.Tensor:
    """Ragged frames of two persons who wander; the second comes late, leaves early, or is not there."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 3, 25, 2, generator=generator) + torch.randn(149, 3, 25, 2, generator=generator) / 9
    x = x + torch.linspace(0, 3, 149).view(-1, 1, 1, 1)
    x[:9, ..., 1] = 0
    x[100:137, ..., 1] = 0
    x[137:, ..., 1] = 0
    return x


@pytest.mark.parametrize(
    "config",
    [
        InputConfig(whole_clip=True, fill=True, centre="frame", align="body"),
        InputConfig(whole_clip=True, fill=True, centre="mean", scale="clip"),
        InputConfig(whole_clip=True, centre="first"),
        InputConfig(whole_clip=True, centre="mean", align="torso", scale="torso", frames=20),
        InputConfig(whole_clip=True, centre="first", scale="clip", sampling="frames", frames=16),
    ],
)
def test_each_clip_is_normalised_whole_and_then_cropped(config: InputConfig) -> None:
    frames = walkers()
    got = InputPipeline(NTU, config)(batch_of(frames))
    for i, clip in enumerate(frames.split(LENGTHS.tolist())):
        x = clip.transpose(0, 1)[None]
        x = fill_empty(x) if config.fill else x
        there = (x != 0).any(dim=1, keepdim=True)  # before a joint is moved to the origin
        x = align_body(centre(x, NTU, config.centre), NTU, config.align)
        x = scale_clip(x, NTU, config.scale)
        one = Batch(LENGTHS[i : i + 1], torch.zeros(1), torch.zeros(1), frames=x[0].transpose(0, 1))
        if config.sampling == "crop":
            plan = resize_plan(centre_crop(one.lengths, 0.95), config.frames)
            wanted = apply_plan(one, plan, there[0].transpose(0, 1)).x
        else:
            picked = np.floor((len(clip) - 1) * np.linspace(0, 1, config.frames) + 1e-6).astype(int)
            wanted = x[:, :, picked]
        torch.testing.assert_close(got[i : i + 1], wanted, rtol=1e-5, atol=1e-5)


def test_in_training_a_crop_keeps_where_and_how_it_stood_in_its_clip() -> None:
    batch, config = batch_of(walkers()), InputConfig(whole_clip=True, centre="first", crop=(0.2, 0.3))
    pipeline = InputPipeline(NTU, config)
    params = pipeline.sample(batch, torch.Generator().manual_seed(1))
    got = pipeline(batch, params)
    plain = InputPipeline(NTU, InputConfig(centre="none", crop=(0.2, 0.3)))(batch, params)
    start = torch.tensor([0, 40, 137])
    origin = batch.frames[start][:, :, 1, 0]  # the spine in the clip's first frame
    seen = plain != 0
    torch.testing.assert_close(got[seen], (plain - origin[:, :, None, None, None])[seen])


@pytest.mark.parametrize(
    "name", ["cmd/ntu60", "cmd/ntu120", "cmd/pku2", "supervised/ntu60", "supervised/nw_ucla_published"]
)
def test_published_recipes_normalise_whole_clips(name: str) -> None:
    assert resolve(*find_recipe(name)).input.whole_clip
