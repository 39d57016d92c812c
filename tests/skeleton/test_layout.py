"""Layouts: the built-in ones, and one's own from YAML with everything that can be wrong in it."""

from pathlib import Path

import pytest

from kinelex.errors import InputError
from kinelex.skeleton import PARTS, SkeletonLayout, get_layout, layout_names

HAND = "name: hand\njoints: {wrist: wrist, left_thumb: wrist, right_thumb: wrist, index: left_thumb}\n"
JOINTS = {
    "ntu25": 25,
    "kinect20": 20,
    "utd20": 20,
    "sbu15": 15,
    "coco17": 17,
    "openpose18": 18,
    "h36m17": 17,
    "mediapipe33": 33,
    "body25": 25,
    "halpe26": 26,
    "smpl24": 24,
    "azure32": 32,
    "msr20": 20,
    "jhmdb15": 15,
    "penn13": 13,
    "hand21": 21,
    "coco133": 133,
    "core16": 16,
    "text2action8": 8,
    "bandai21": 21,
}
ARMS_ALONE = ("hand21", "text2action8")
BODIES = [name for name in layout_names() if name not in ARMS_ALONE]


def test_the_built_in_layouts_and_their_joint_counts() -> None:
    assert {name: get_layout(name).num_joints for name in layout_names()} == JOINTS


@pytest.mark.parametrize("name", layout_names())
def test_bones_form_a_tree_over_all_joints(name: str) -> None:
    layout = get_layout(name)
    assert len(layout.bones) == layout.num_joints - 1
    reached = {layout.root}
    for _ in layout.bones:
        reached |= {joint for joint, parent in layout.bones if parent in reached}
    assert reached == set(range(layout.num_joints))


@pytest.mark.parametrize("name", BODIES)
def test_mirroring_pairs_left_with_right_and_is_its_own_inverse(name: str) -> None:
    layout = get_layout(name)
    for joint, other in enumerate(layout.mirror):
        assert layout.mirror[other] == joint
        sides = {layout.joints[joint].split("_")[0], layout.joints[other].split("_")[0]}
        assert sides == {"left", "right"} or joint == other
    assert any(joint != other for joint, other in enumerate(layout.mirror))


@pytest.mark.parametrize("name", BODIES)
def test_each_joint_is_in_one_part_and_no_part_is_empty(name: str) -> None:
    layout = get_layout(name)
    assert tuple(layout.parts) == PARTS
    joints = [joint for part in PARTS for joint in layout.parts[part]]
    assert sorted(joints) == list(range(layout.num_joints))
    assert all(layout.parts[part] for part in PARTS)


@pytest.mark.parametrize(
    ("name", "joints"),
    [
        ("body25", {0: "nose", 1: "neck", 8: "pelvis", 9: "right_hip", 14: "left_ankle", 19: "left_big_toe"}),
        ("halpe26", {16: "right_ankle", 17: "head", 18: "neck", 19: "pelvis", 25: "right_heel"}),
        ("smpl24", {3: "lower_spine", 6: "spine", 9: "chest", 13: "left_clavicle", 23: "right_hand"}),
        (
            "azure32",
            {1: "spine", 4: "left_clavicle", 10: "left_thumb", 18: "left_hip", 26: "head", 27: "nose"},
        ),
        (
            "msr20",
            {0: "left_shoulder", 2: "neck", 6: "pelvis", 11: "left_hand", 16: "right_ankle", 19: "head"},
        ),
        ("jhmdb15", {0: "neck", 1: "spine", 2: "head", 3: "right_shoulder", 10: "left_knee"}),
        ("penn13", {0: "head", 2: "right_shoulder", 7: "left_hip", 12: "right_ankle"}),
        (
            "coco133",
            {9: "left_wrist", 17: "left_big_toe", 31: "chin", 53: "nose_bridge_3", 71: "right_mouth"},
        ),
        (
            "coco133",
            {91: "left_hand_root", 95: "left_thumb_tip", 112: "right_hand_root", 132: "right_pinky_tip"},
        ),
        ("hand21", {0: "wrist", 4: "thumb_tip", 5: "index_mcp", 20: "pinky_tip"}),
    ],
)
def test_joints_stand_where_the_files_have_them(name: str, joints: dict[int, str]) -> None:
    assert {j: get_layout(name).joints[j] for j in joints} == joints


def test_the_face_of_the_whole_body_is_mirrored_point_by_point() -> None:
    mirror = get_layout("coco133").mirror
    sides = {
        0: 16,
        7: 9,
        8: 8,
        17: 26,
        21: 22,
        27: 27,
        31: 35,
        36: 45,
        37: 44,
        39: 42,
        41: 46,
        48: 54,
        50: 52,
    }
    sides |= {57: 57, 59: 55, 60: 64, 61: 63, 67: 65}  # iBUG's 68 points
    assert {a: mirror[23 + a] - 23 for a in sides} == sides


def test_a_hand_is_one_piece_without_sides() -> None:
    hand = get_layout("hand21")
    assert hand.mirror == tuple(range(21))
    assert hand.parts["torso"] == tuple(range(21))
    assert [hand.joints[j] for j, p in hand.bones if p == 0] == [
        "thumb_cmc",
        *(f"{finger}_mcp" for finger in ("index", "middle", "ring", "pinky")),
    ]


@pytest.mark.parametrize("name", layout_names())
def test_yaml_round_trip(name: str) -> None:
    assert SkeletonLayout.from_yaml(get_layout(name).to_yaml()) == get_layout(name)


def test_a_layout_of_ones_own_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "hand.yaml"
    path.write_text(HAND)
    layout = get_layout(path)
    assert layout.joints == ("wrist", "left_thumb", "right_thumb", "index")
    assert layout.parents == (0, 0, 0, 1)
    assert layout.mirror == (0, 2, 1, 3)
    assert get_layout(str(path)) == layout


def test_joint_by_name() -> None:
    assert get_layout("ntu25").index("head") == 3
    with pytest.raises(InputError, match=r"unknown joint of ntu25 'heed': did you mean 'head'\?"):
        get_layout("ntu25").index("heed")


def test_unknown_name_and_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"unknown layout 'ntu52': did you mean 'ntu25'\?"):
        get_layout("ntu52")
    with pytest.raises(InputError, match=r"mine\.yaml does not exist"):
        get_layout(tmp_path / "mine.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("joints: {a: a", "not valid YAML"),
        ("- a\n- b", "expects the keys 'name' and 'joints'"),
        ("name: x", "expects the keys 'name' and 'joints'"),
        ("name: x\njoints: {}", "expects the keys 'name' and 'joints'"),
        ("name: x\njoints: [a, b]", "expects the keys 'name' and 'joints'"),
        ("name: x\njoints: {a: a}\nunits: mm", "expects the keys 'name' and 'joints'"),
        ("name: x\njoints: {a: a, b: c}", "the parent of b is 'c', which is no joint"),
        ("name: x\njoints: {a: b, b: a}", "expects exactly one root .* got none"),
        ("name: x\njoints: {a: a, b: b}", "expects exactly one root .* got a, b"),
        ("name: x\njoints: {a: a, b: c, c: b}", "b is on a cycle of parents"),
    ],
)
def test_wrong_yaml_says_what_was_expected(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        get_layout(path)


def test_errors_of_a_file_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: x\njoints: {a: b}")
    with pytest.raises(InputError, match=r"mine\.yaml: the parent of a"):
        get_layout(path)


def test_joints_and_parents_have_to_fit() -> None:
    with pytest.raises(InputError, match="joint named twice: a"):
        SkeletonLayout("x", ("a", "a"), (0, 0))
    with pytest.raises(InputError, match="one parent per joint, got 2 joints and 1 parents"):
        SkeletonLayout("x", ("a", "b"), (0,))
    with pytest.raises(InputError, match="one parent per joint, got 0 joints"):
        SkeletonLayout("x", (), ())


def test_a_file_that_has_changed_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "hand.yaml"
    path.write_text(HAND)
    assert get_layout(path).num_joints == 4
    path.write_text("name: hand\njoints: {wrist: wrist, thumb: wrist}\n")
    assert get_layout(path).num_joints == 2
