"""Shear and joint corruption against plain loops, and inside the input pipeline."""

import pytest
import torch

from kinelex.data.batch import Batch
from kinelex.errors import InputError
from kinelex.skeleton import get_layout
from kinelex.transforms import (
    InputConfig,
    InputPipeline,
    map_joints,
    sample_corruption,
    sample_joint_map,
    sample_shear,
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("channels", [2, 3])
def test_map_joints_against_a_loop(channels):
    x = torch.randn(6, channels, 5, 25, 2, generator=generator())
    x[2, ..., 1] = 0  # one person
    change = sample_joint_map(6, 25, generator=generator(1))
    assert len({bool(j.all()) for j in change.joints}) == 2  # some sheared, some corrupted
    out = map_joints(x, change)
    for n in range(6):
        matrix = change.matrix[n, :channels, :channels]
        for t in range(5):
            for v in range(25):
                for m in range(2):
                    point = x[n, :, t, v, m]
                    if change.joints[n, v]:
                        point = torch.stack([(matrix[c] * point).sum() for c in range(channels)])
                    torch.testing.assert_close(out[n, :, t, v, m], point)
    assert not out[2, ..., 1].any()


def test_shears_have_ones_on_the_diagonal_and_the_rest_in_bounds():
    matrix = sample_shear(2000, 0.7, generator())
    off = matrix[:, ~torch.eye(3, dtype=torch.bool)]
    assert torch.equal(matrix.diagonal(dim1=1, dim2=2), torch.ones(2000, 3))
    assert off.min() >= -0.7
    assert off.max() <= 0.7
    assert off.mean(dim=0).abs().max() < 0.05
    assert off.std() == pytest.approx(0.7 / 3**0.5, rel=0.05)


def test_corruptions_are_half_zero_half_matrix_on_the_asked_joints():
    change = sample_corruption(4000, 20, 0.6, generator())
    assert (change.joints.sum(dim=1) == 12).all()
    assert change.joints.float().mean(dim=0).sub(0.6).abs().max() < 0.05  # every joint as often
    zero = (change.matrix == 0).all(dim=2).all(dim=1)
    assert zero.float().mean() == pytest.approx(0.5, abs=0.05)
    drawn = change.matrix[~zero]
    assert drawn.abs().max() <= 1
    assert drawn.std() == pytest.approx(1 / 3**0.5, rel=0.05)


@pytest.mark.parametrize(
    ("shear", "corrupt", "probability", "joints"),
    [(1.0, 0.6, 1.0, {25}), (1.0, 0.6, 0.0, {15}), (1.0, 0.0, 0.5, {0, 25}), (0.5, 0.6, 0.5, {15, 25})],
)
def test_which_clips_get_what(shear, corrupt, probability, joints):
    change = sample_joint_map(50, 25, shear, corrupt, probability, generator())
    assert set(change.joints.sum(dim=1).tolist()) == joints


def test_without_a_shear_the_clips_whose_turn_it_is_stay():
    x = torch.randn(50, 3, 2, 25, 1, generator=generator())
    change = sample_joint_map(50, 25, 0.0, 0.6, 0.5, generator())
    changed = (map_joints(x, change) != x).flatten(1).any(dim=1)
    assert changed.tolist() == (change.joints.sum(dim=1) == 15).tolist()


def test_the_pipeline_applies_it_after_the_normalisation():
    layout = get_layout("kinect20")
    lengths = torch.tensor([70, 90, 65])
    frames = torch.randn(int(lengths.sum()), 3, 20, 2, generator=generator())
    batch = Batch(lengths, torch.zeros(3), torch.arange(3), frames)
    settings = {"frames": 16, "crop": (0.1, 1.0), "fill": True, "centre": "frame", "align": "body"}
    plain = InputPipeline(layout, InputConfig(**settings))
    whole = InputPipeline(layout, InputConfig(**settings, shear=1.0, corrupt=0.6))
    params = whole.sample(batch, generator(3))
    x = whole(batch, params)
    assert torch.equal(x, whole(batch, params))
    without = plain(batch, params)
    torch.testing.assert_close(x, map_joints(without, params["shear_or_corrupt"]))
    assert torch.equal(whole(batch), plain(batch))  # test time: none of it
    assert "shear_or_corrupt" not in plain.sample(batch, generator(3))
    two = [whole.sample(batch, g)["shear_or_corrupt"].matrix for g in [generator(4)] for _ in range(2)]
    assert not torch.equal(*two)  # each view has its own draw


@pytest.mark.parametrize("wrong", [{"shear": -1.0}, {"corrupt": 1.5}, {"shear_probability": -0.1}])
def test_amounts_out_of_range(wrong):
    with pytest.raises(InputError, match="expects input.shear of at least 0"):
        InputConfig(**wrong)
