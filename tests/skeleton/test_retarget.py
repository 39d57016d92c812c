"""Retargeting: exact copies, midpoints, every pair of layouts, round trips."""

from itertools import permutations

import numpy as np
import pytest
import torch

from kinelex.errors import InputError
from kinelex.skeleton import (
    SkeletonLayout,
    get_layout,
    has_landmarks,
    landmark_weights,
    layout_names,
    retarget,
    retarget_matrix,
)

BODIES = [name for name in layout_names() if name not in ("hand21", "coco133", "text2action8")]
PAIRS = [
    *permutations(BODIES, 2),
    *(("coco133", name) for name in BODIES),
]  # no other body has face and fingers


def _clip(layout: SkeletonLayout) -> torch.Tensor:
    return torch.randn(2, 3, 4, layout.num_joints, 1, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", layout_names())
def test_a_layout_to_itself_is_an_exact_copy(name: str) -> None:
    layout = get_layout(name)
    x = _clip(layout)
    assert torch.equal(retarget(x, layout, layout), x)


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_every_pair_of_layouts_copies_common_joints(source: str, target: str) -> None:
    ours, theirs = get_layout(source), get_layout(target)
    matrix = retarget_matrix(ours, theirs)
    assert matrix.shape == (theirs.num_joints, ours.num_joints)
    np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-6)
    assert (matrix >= 0).all()
    x = _clip(ours)
    y = retarget(x, ours, theirs)
    for joint in set(ours.joints) & set(theirs.joints):
        assert torch.equal(y[:, :, :, theirs.index(joint)], x[:, :, :, ours.index(joint)])


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_substitutes_stay_on_the_side_of_the_body(source: str, target: str) -> None:
    ours, theirs = get_layout(source), get_layout(target)
    for joint, weights in zip(theirs.joints, retarget_matrix(ours, theirs), strict=True):
        used = {ours.joints[j] for j in weights.nonzero()[0]}
        if joint.startswith("left_"):
            assert not any(name.startswith("right_") for name in used), (joint, used)
        if joint.startswith("right_"):
            assert not any(name.startswith("left_") for name in used), (joint, used)


def test_midpoints_where_a_joint_has_no_counterpart() -> None:
    coco, h36m = get_layout("coco17"), get_layout("h36m17")
    x = _clip(coco)
    y = retarget(x, coco, h36m)
    hips = (x[:, :, :, coco.index("left_hip")] + x[:, :, :, coco.index("right_hip")]) / 2
    torch.testing.assert_close(y[:, :, :, h36m.index("pelvis")], hips)
    shoulders = (x[:, :, :, coco.index("left_shoulder")] + x[:, :, :, coco.index("right_shoulder")]) / 2
    torch.testing.assert_close(y[:, :, :, h36m.index("spine")], (hips + shoulders) / 2)


@pytest.mark.parametrize("order", [("utd20", "kinect20"), ("kinect20", "utd20")])
def test_round_trip_between_two_orders_of_the_same_joints(order: tuple[str, str]) -> None:
    here, there = (get_layout(name) for name in order)
    assert set(here.joints) == set(there.joints)
    x = _clip(here)
    assert torch.equal(retarget(retarget(x, here, there), there, here), x)


def test_round_trip_through_a_larger_layout() -> None:
    small, large = get_layout("kinect20"), get_layout("ntu25")
    assert set(small.joints) < set(large.joints)
    x = _clip(small)
    assert torch.equal(retarget(retarget(x, small, large), large, small), x)


def test_feet_from_toes_and_a_chest_from_the_spine() -> None:
    body, smpl = get_layout("body25"), get_layout("smpl24")
    assert landmark_weights(body, "left_foot")[[19, 20]].tolist() == [0.5, 0.5]
    assert landmark_weights(smpl, "left_big_toe")[10] == 1
    ntu = get_layout("ntu25")
    chest = landmark_weights(ntu, "chest")
    assert chest[[ntu.index("spine"), ntu.index("shoulder_center")]].tolist() == [0.5, 0.5]


@pytest.mark.parametrize("name", BODIES)
def test_every_body_has_the_landmarks_of_normalising(name: str) -> None:
    assert has_landmarks(get_layout(name), "pelvis", "spine", "left_shoulder", "right_shoulder", "neck")


def test_a_hand_has_no_landmarks_of_a_body() -> None:
    assert not has_landmarks(get_layout("hand21"), "pelvis")


def test_landmark_weights_of_a_joint_and_of_a_substitute() -> None:
    coco = get_layout("coco17")
    assert landmark_weights(coco, "nose").tolist() == np.eye(17)[0].tolist()
    assert landmark_weights(coco, "pelvis")[[11, 12]].tolist() == [0.5, 0.5]


def test_errors_name_the_joint_and_the_shape() -> None:
    hand = SkeletonLayout("hand", ("palm", "finger"), (0, 0))
    with pytest.raises(InputError, match="layout hand has neither the joint 'pelvis' nor"):
        retarget_matrix(hand, get_layout("ntu25"))
    with pytest.raises(InputError, match=r"expects 25 joints \(ntu25\).*got shape \(1, 3, 2, 20, 1\)"):
        retarget(torch.zeros(1, 3, 2, 20, 1), get_layout("ntu25"), get_layout("coco17"))


def test_joints_made_from_missing_ones_take_what_is_there_or_are_missing() -> None:
    coco, h36m, openpose = (get_layout(name) for name in ("coco17", "h36m17", "openpose18"))
    x = _clip(coco) + 3
    left, right = (coco.index(f"{side}_shoulder") for side in ("left", "right"))
    x[:, :, 1, left] = 0  # one of a pair
    x[:, :, 2, [left, right]] = 0  # both
    x[:, :, 3, coco.index("left_wrist")] = 0  # a joint that is copied
    neck = retarget(x, coco, openpose)[:, :, :, openpose.index("neck")]
    torch.testing.assert_close(neck[:, :, 0], (x[:, :, 0, left] + x[:, :, 0, right]) / 2)
    torch.testing.assert_close(neck[:, :, 1], x[:, :, 1, right])
    assert not neck[:, :, 2].any()
    y = retarget(x, coco, h36m)
    hips = (x[:, :, :, coco.index("left_hip")] + x[:, :, :, coco.index("right_hip")]) / 2
    torch.testing.assert_close(
        y[:, :, 1, h36m.index("spine")], (hips[:, :, 1] + x[:, :, 1, right]) / 2
    )  # half hips, half shoulders, though one of those is missing
    assert not y[:, :, 2, h36m.index("spine")].any()
    assert not y[:, :, 3, h36m.index("left_wrist")].any()


def test_the_next_substitute_is_taken_where_the_better_one_is_missing() -> None:
    coco, h36m = get_layout("coco17"), get_layout("h36m17")
    x = _clip(coco) + 3
    ears, eyes = ([coco.index(f"{side}_{name}") for side in ("left", "right")] for name in ("ear", "eye"))
    x[:, :, 1:, ears] = 0
    x[:, :, 2:, eyes] = 0
    head = retarget(x, coco, h36m)[:, :, :, h36m.index("head")]
    torch.testing.assert_close(head[:, :, 0], x[:, :, 0, ears].mean(dim=2))
    torch.testing.assert_close(head[:, :, 1], x[:, :, 1, eyes].mean(dim=2))
    torch.testing.assert_close(head[:, :, 2:], x[:, :, 2:, coco.index("nose")])


def test_whole_numbers_have_midpoints_too() -> None:
    x = torch.arange(2 * 17).reshape(1, 2, 1, 17, 1) + 1
    coco, openpose = get_layout("coco17"), get_layout("openpose18")
    assert torch.equal(retarget(x, coco, openpose), retarget(x.float(), coco, openpose))
