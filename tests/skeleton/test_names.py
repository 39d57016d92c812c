"""Joint names of other tools: each convention against the names that it should give."""

from pathlib import Path

import pytest

from kinelex.errors import InputError
from kinelex.skeleton import SkeletonLayout, common_names, get_layout, layout_names

CONVENTIONS = {
    "Mixamo": (
        "mixamorig:Hips mixamorig_LeftUpLeg mixamorig:LeftLeg mixamorig:LeftFoot mixamorig:LeftToeBase "
        "mixamorig:RightShoulder mixamorig:RightArm mixamorig:RightForeArm mixamorig:RightHand",
        "pelvis left_hip left_knee left_ankle left_foot "
        "right_clavicle right_shoulder right_elbow right_wrist",
    ),
    "CMU in BVH": (
        "Hips LHipJoint LeftUpLeg LeftLeg LeftFoot LeftToeBase Spine1 LeftShoulder LeftArm LThumb",
        "pelvis left_hip_joint left_hip left_knee left_ankle left_foot spine1 left_clavicle left_shoulder "
        "left_thumb",
    ),
    "CMU in ASF": (
        "root lfemur ltibia lfoot ltoes rclavicle rhumerus rradius rwrist rhand rfingers",
        "pelvis left_hip left_knee left_ankle left_foot right_clavicle right_shoulder right_elbow "
        "right_wrist right_hand right_fingers",
    ),
    "Bandai Namco": (
        "joint_Root Hips Shoulder_L UpperArm_L LowerArm_L Hand_L UpperLeg_R LowerLeg_R Foot_R Toes_R",
        "root pelvis left_clavicle left_shoulder left_elbow left_wrist right_hip right_knee right_ankle "
        "right_foot",
    ),
    "Blender": ("thigh.L shin.L foot.L toe.L hand.R", "left_hip left_knee left_ankle left_foot right_wrist"),
    "OpenPose": (
        "Nose RShoulder LElbow MidHip LBigToe RSmallToe LHeel REar",
        "nose right_shoulder left_elbow pelvis left_big_toe right_small_toe left_heel right_ear",
    ),
    "MediaPipe": (
        "NOSE LEFT_EYE_INNER mouth_left RIGHT_PINKY LEFT_FOOT_INDEX",
        "nose left_eye_inner left_mouth right_pinky left_foot",
    ),
    "Kinect": (
        "SpineBase SpineMid SpineShoulder ShoulderLeft HandLeft HandTipLeft FootRight",
        "pelvis spine shoulder_center left_shoulder left_hand left_hand_tip right_foot",
    ),
    "by hand": (
        "r_elbow L_Knee leftHip lwrist rightankle left-eye",
        "right_elbow left_knee left_hip left_wrist right_ankle left_eye",
    ),
}


@pytest.mark.parametrize("suite", CONVENTIONS)
def test_names_of_other_tools(suite: str) -> None:
    names, expected = (text.split() for text in CONVENTIONS[suite])
    assert common_names(names) == expected


def test_one_name_alone_and_names_with_spaces() -> None:
    assert common_names(["Thigh_L"]) == ["left_hip"]
    assert common_names(["Hand_L_end", "LeftToe_end"]) == ["left_hand_end", "left_toe_end"]
    assert common_names(["LHipJoint"]) == ["left_hip"]
    assert common_names(["Bip01 L Thigh", "Left Wrist"]) == ["left_hip", "left_wrist"]
    assert common_names(["anna_LeftArm", "anna_Spine", "anna_LeftForeArm"]) == [
        "left_shoulder",
        "spine",
        "left_elbow",
    ]


def test_words_of_no_vocabulary_stay() -> None:
    assert common_names(["lips", "Tail", "index", "Ruder 2", "左手"]) == [
        "lips",
        "tail",
        "index",
        "ruder_2",
        "左手",
    ]


@pytest.mark.parametrize("name", layout_names())
def test_names_of_built_in_layouts_are_the_vocabulary(name: str) -> None:
    joints = get_layout(name).joints
    assert tuple(common_names(joints)) == joints


def test_toes_and_fingers_belong_to_their_limbs() -> None:
    toes = ("left_big_toe", "left_toe_end", "left_toes", "left_up_leg_end", "left_little_toe")
    fingers = ("right_hand_index1", "right_middle_2", "right_fingers", "right_thumb_tip", "right_hand_end")
    rest = ("pelvis", "left_clavicle", "right_ear", "thumb")
    names = (*rest, *toes, *fingers)
    parts = SkeletonLayout("odd", names, (0,) * len(names)).parts
    for part, joints in (("torso", rest), ("left_leg", toes), ("right_arm", fingers)):
        assert tuple(names[j] for j in parts[part]) == joints


def test_a_layout_file_with_names_of_another_tool(tmp_path: Path) -> None:
    (tmp_path / "rig.yaml").write_text("name: rig\njoints: {Hips: Hips, Thigh_L: Hips, Thigh_R: Hips}\n")
    layout = get_layout(tmp_path / "rig.yaml")
    assert layout.joints == ("pelvis", "left_hip", "right_hip")
    assert layout.mirror == (0, 2, 1)
    (tmp_path / "twice.yaml").write_text("name: rig\njoints: {Hips: Hips, L_Knee: Hips, left_knee: Hips}\n")
    with pytest.raises(InputError, match="joint named twice: left_knee"):
        get_layout(tmp_path / "twice.yaml")
