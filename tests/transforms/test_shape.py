"""Clips as another sensor would give them."""

import pytest
import torch

from kinelex.errors import InputError
from kinelex.skeleton import get_layout, retarget
from kinelex.transforms import Compose, OtherSensor


def seen(clips: torch.Tensor, sensor: OtherSensor, seed: int = 0) -> torch.Tensor:
    """The clips of NTU's layout, augmented."""
    return Compose([sensor], layout="ntu25")(clips, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", ["coco17", "sbu15", "kinect20"])
def test_clips_go_to_the_other_layout_and_back(name):
    clips = torch.randn(3, 3, 4, 25, 2, generator=torch.Generator().manual_seed(1))
    there, here = get_layout(name), get_layout("ntu25")
    expected = retarget(retarget(clips, here, there), there, here)
    found = seen(clips, OtherSensor(1.0, (name,)))
    torch.testing.assert_close(found, expected)
    assert not torch.allclose(found, clips)


def test_each_clip_draws_for_itself_and_some_stay_as_they_are():
    clips = torch.randn(1, 3, 4, 25, 1, generator=torch.Generator().manual_seed(1)).expand(
        400, -1, -1, -1, -1
    )
    found = seen(clips, OtherSensor(0.5, ("coco17", "sbu15")))
    kinds, counts = torch.unique(found, dim=0, return_counts=True)
    assert len(kinds) == 3
    assert (found == clips).flatten(1).all(dim=1).float().mean() == pytest.approx(0.5, abs=0.08)
    assert counts.min() > 70
    assert torch.equal(found, seen(clips, OtherSensor(0.5, ("coco17", "sbu15"))))
    assert torch.equal(seen(clips, OtherSensor(0.0)), clips)


def test_a_joint_that_is_missing_stays_missing_and_so_does_a_person():
    clips = torch.randn(2, 3, 4, 25, 2, generator=torch.Generator().manual_seed(1))
    wrist = get_layout("ntu25").index("left_wrist")
    clips[0, :, :, wrist, 0] = 0
    clips[1, ..., 1] = 0
    found = seen(clips, OtherSensor(1.0, ("coco17",)))
    assert not found[0, :, :, wrist, 0].any()
    assert found[0, :, :, wrist, 1].any()
    assert not found[1, ..., 1].any()


def test_flat_clips_lose_the_coordinate_in_which_the_body_is_thinnest():
    clips = torch.randn(6, 3, 4, 25, 1, generator=torch.Generator().manual_seed(1)) + 5
    thin = torch.tensor([0, 1, 2, 2, 1, 0])
    clips[torch.arange(6), thin] = clips[torch.arange(6), thin] * 0.1 + 3
    found = seen(clips, OtherSensor(0.0, flat=1.0))
    for one, before, axis in zip(found, clips, thin, strict=True):
        assert not one[axis].any()
        others = [c for c in range(3) if c != axis]
        assert torch.equal(one[others], before[others])
    plane = clips[:, :2]
    assert torch.equal(seen(plane, OtherSensor(0.0, flat=1.0)), plane)  # clips in 2-D have no depth


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"layouts": ("coco18",)}, "coco18"),
        ({"layouts": ()}, "at least one layout"),
        ({"flat": 2.0}, "probability"),
        ({"probability": -1.0}, "probability"),
    ],
)
def test_what_does_not_suit_is_refused(options, said):
    with pytest.raises(InputError, match=said):
        OtherSensor(**options)
