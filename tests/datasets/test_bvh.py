"""Motion-capture files: positions against a plain walk through the hierarchy, and every kind of bad file."""

from pathlib import Path

import numpy as np
import pytest

from kinelex.datasets.formats.bvh import read_bvh
from kinelex.errors import InputError

HIERARCHY = """HIERARCHY
ROOT Hips
{
	OFFSET 5.0 6.0 7.0
	CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
	JOINT LeftUpLeg
	{
		OFFSET 0.5 -1.0 0.25
		CHANNELS 3 Yrotation Zrotation Xrotation
		End Site
		{
			OFFSET 0.0 -1e0 .5
		}
	}
	JOINT Spine
	{
		OFFSET 0.0 2.0 0.0
		CHANNELS 4 Yposition Zrotation Xrotation Yrotation
		JOINT Left Hand
		{
			OFFSET 1.0 0.0 0.0
			CHANNELS 1 Xrotation
		}
	}
}
"""
CHANNELS = 14


def bvh_text(motion: np.ndarray, hierarchy: str = HIERARCHY) -> str:
    rows = "\n".join(" ".join(f"{value:.6f}" for value in row) for row in motion)
    return f"{hierarchy}MOTION\nFrames: {len(motion)}\nFrame Time: 0.033333\n{rows}\n"


def turn(axis: str, degrees: float) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array(
        {
            "X": [[1, 0, 0], [0, c, -s], [0, s, c]],
            "Y": [[c, 0, s], [0, 1, 0], [-s, 0, c]],
            "Z": [[c, -s, 0], [s, c, 0], [0, 0, 1]],
        }[axis]
    )


def walked(row: np.ndarray) -> list[np.ndarray]:
    """Places in one frame, joint by joint."""
    root = row[:3]
    hips = turn("Z", row[3]) @ turn("X", row[4]) @ turn("Y", row[5])
    leg = root + hips @ [0.5, -1, 0.25]
    thigh = hips @ turn("Y", row[6]) @ turn("Z", row[7]) @ turn("X", row[8])
    spine = root + hips @ [0, row[9], 0]  # its Y position replaces the offset's
    back = hips @ turn("Z", row[10]) @ turn("X", row[11]) @ turn("Y", row[12])
    return [root, leg, leg + thigh @ [0, -1, 0.5], spine, spine + back @ [1, 0, 0]]


def test_positions_are_those_of_a_plain_walk(tmp_path: Path) -> None:
    motion = np.random.default_rng(0).uniform(-170, 170, (7, CHANNELS)).round(6)
    (tmp_path / "a.bvh").write_text(bvh_text(motion))
    found = read_bvh(tmp_path / "a.bvh")
    assert [joint.name for joint in found.joints] == [
        "Hips",
        "LeftUpLeg",
        "LeftUpLeg_end",
        "Spine",
        "Left Hand",
    ]
    np.testing.assert_allclose(found.positions(), [walked(row) for row in motion], atol=1e-9)


def test_the_hierarchy_is_a_layout(tmp_path: Path) -> None:
    (tmp_path / "a.bvh").write_text(bvh_text(np.ones((1, CHANNELS))))
    layout = read_bvh(tmp_path / "a.bvh").layout("mocap")
    assert layout.joints == ("pelvis", "left_hip", "left_up_leg_end", "spine", "left_wrist")
    assert layout.parents == (0, 0, 1, 0, 3)
    twice = HIERARCHY.replace("JOINT Spine", "JOINT left_up_leg")
    (tmp_path / "b.bvh").write_text(bvh_text(np.ones((1, CHANNELS)), twice))
    assert read_bvh(tmp_path / "b.bvh").layout("mocap").joints[:2] == ("Hips", "LeftUpLeg")


GOOD = bvh_text(np.arange(2.0 * CHANNELS).reshape(2, CHANNELS))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "expects a line MOTION"),
        (GOOD[:200], "expects a line MOTION"),
        (GOOD[:-1], "is not ended, so the file may be truncated"),
        (GOOD[: GOOD.rindex("0.000000 1.0")], "'Frames: 2', but 0 lines follow"),
        (GOOD.replace("Frames: 2", "Frames: 3"), r"'Frames: 3', but 2 lines follow \(truncated\?\)"),
        (GOOD.replace("Frames: 2", "Frames: two"), "line 27: expects 'Frames: N'"),
        (GOOD.replace("5.000000", "5.0.0"), "line 29: expects numbers, got '5.0.0'"),
        (GOOD.replace("5.000000", "nan"), "line 29: expects numbers, got 'nan'"),
        (GOOD.replace("5.000000", "1e999"), "a number of the motion is too large"),
        (GOOD.replace("5.000000 ", "", 1), "line 29 has 13 numbers, expects 14"),
        (GOOD.replace("ROOT", "JOINT"), "line 2: expects ROOT, got 'JOINT'"),
        (GOOD.replace("HIERARCHY", "TREE"), "line 1: expects HIERARCHY, got 'TREE'"),
        (GOOD.replace("OFFSET 0.5", "OFFSET half"), "line 8: expects a number, got 'half'"),
        (GOOD.replace("CHANNELS 3", "CHANNELS 4"), "line 10: expects Xposition or .*, got 'End'"),
        (
            GOOD.replace("CHANNELS 3", "CHANNELS x"),
            "line 9: expects a number of channels from 0 to 6, got 'x'",
        ),
        (GOOD.replace("}\nMOTION", "MOTION"), "the hierarchy ends too early, expects JOINT or End"),
        (GOOD.replace("HIERARCHY\n", "HIERARCHY\n}\n"), "line 2: expects ROOT"),
        ("HIERARCHY\nMOTION\n", "the hierarchy ends too early, expects ROOT"),
    ],
)
def test_bad_files_say_what_and_where(text: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "a.bvh").write_text(text)
    with pytest.raises(InputError, match=f"a.bvh: .*{reason}"):
        read_bvh(tmp_path / "a.bvh")


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    (tmp_path / "a.bvh").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="a.bvh: cannot be read"):
        read_bvh(tmp_path / "a.bvh")
