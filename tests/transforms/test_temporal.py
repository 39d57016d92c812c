"""Temporal transforms against plain loops and the published crops."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from kinelex.data.batch import Batch
from kinelex.errors import InputError
from kinelex.transforms import (
    CropResize,
    apply_plan,
    centre_crop,
    random_plan,
    resize_plan,
    sample_crop,
    uniform_plan,
)


def ragged(lengths, v=5, m=2, seed=0):
    frames = torch.randn(sum(lengths), 3, v, m, generator=torch.Generator().manual_seed(seed))
    n = len(lengths)
    return Batch(torch.tensor(lengths), torch.zeros(n, dtype=torch.long), torch.arange(n), frames=frames)


@pytest.mark.parametrize(("file", "valid"), [("cmd_eval_crop", "num_frames"), ("ctr_center_crop", "valid")])
def test_centre_crop_matches_published_code(shared, file, valid):
    z = np.load(shared / "reference" / f"{file}.npz")
    n = int(z[valid])
    frames = torch.from_numpy(z["sequence"])[:, :n].transpose(0, 1)
    batch = Batch(torch.tensor([n]), torch.zeros(1), torch.zeros(1), frames=frames)
    x = CropResize(int(z["length"]), test_crop=float(z["ratio"]))(batch).x
    torch.testing.assert_close(x[0], torch.from_numpy(z["clip"]), atol=1e-5, rtol=0)


def test_crop_resize_equals_interpolating_each_clip():
    lengths = [1, 2, 7, 40, 90]
    batch = ragged(lengths)
    crop = sample_crop(batch.lengths, (0.3, 0.9), minimum=8, generator=torch.Generator().manual_seed(1))
    x = apply_plan(batch, resize_plan(crop, 16)).x
    offset = 0
    for i, length in enumerate(lengths):
        start, size = int(crop.start[i]), int(crop.length[i])
        assert 0 <= start <= start + size <= length
        clip = batch.frames[offset + start : offset + start + size]  # (T, C, V, M)
        flat = clip.permute(1, 2, 3, 0).reshape(1, -1, size)
        expected = F.interpolate(flat, size=16, mode="linear", align_corners=False)
        expected = expected.reshape(3, 5, 2, 16).permute(0, 3, 1, 2)
        torch.testing.assert_close(x[i], expected, atol=1e-5, rtol=1e-5)
        offset += length


def test_crop_lengths_follow_the_rule():
    lengths = torch.tensor([10, 64, 100, 300]).repeat(200)
    crop = sample_crop(lengths, (0.1, 1.0), minimum=64, generator=torch.Generator().manual_seed(0))
    assert (crop.length >= torch.minimum(lengths, torch.tensor(64))).all()
    assert (crop.start >= 0).all()
    assert (crop.start + crop.length <= lengths).all()
    assert crop.length[lengths == 300].float().std() > 10
    assert (crop.length[lengths == 10] == 10).all()


def test_a_crop_of_next_to_nothing_is_a_frame_of_its_own_clip():
    lengths, generator = torch.tensor([30, 30]), torch.Generator().manual_seed(0)
    crop = sample_crop(lengths, (0.001, 0.01), minimum=0, generator=generator)
    assert crop.length.tolist() == [1, 1]
    assert (resize_plan(crop, 4).lower == crop.start[:, None]).all()


def test_a_sampled_plan_can_be_replayed():
    batch = ragged([20, 33])
    plan = resize_plan(sample_crop(batch.lengths, (0.5, 1.0), 4, torch.Generator().manual_seed(3)), 8)
    torch.testing.assert_close(apply_plan(batch, plan).x, apply_plan(batch, plan).x, atol=0, rtol=0)
    again = CropResize(8, crop=(0.5, 1.0), minimum=4)(batch, torch.Generator().manual_seed(3))
    torch.testing.assert_close(again.x, apply_plan(batch, plan).x, atol=0, rtol=0)


def test_uniform_and_random_frames_are_sorted_and_inside():
    lengths = torch.tensor([1, 3, 8, 50])
    for plan in (uniform_plan(lengths, 8), random_plan(lengths, 8, torch.Generator().manual_seed(0))):
        assert (plan.lower.diff(dim=1) >= 0).all()
        assert (plan.lower >= 0).all()
        assert (plan.lower < lengths[:, None]).all()
    assert uniform_plan(lengths, 8).lower[2].tolist() == list(range(8))
    assert random_plan(lengths, 8).lower[2].tolist() == list(range(8))


def test_bad_arguments_are_refused():
    with pytest.raises(InputError, match="0 < low <= high <= 1"):
        sample_crop(torch.tensor([4]), (0.9, 0.5))
    with pytest.raises(InputError, match="crop ratio"):
        centre_crop(torch.tensor([4]), 1.5)
    batch = ragged([4])
    with pytest.raises(InputError, match="resampled already"):
        CropResize(8)(CropResize(8)(batch))
