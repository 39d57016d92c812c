"""Motion capture's files as clips: .trc, .c3d, .amc with .asf, joints of SMPL in .npz; exact values."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from kinelex.datasets.formats.clip_files import files_of, read_clip
from kinelex.errors import InputError
from kinelex.skeleton import SkeletonLayout, get_layout

WRITE = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "fuzz_clips.py"))
MARKERS = ("Hip", "RHip", "RKnee", "LHip", "Neck", "Cup")
PLACES = np.random.default_rng(0).integers(1, 2000, size=(3, len(MARKERS), 3)).astype(float)


def trc(
    path: Path, places: np.ndarray = PLACES, unit: str = "mm", frames: int | None = None, end: str = "\n"
) -> Path:
    count = len(places) if frames is None else frames
    rows = [
        f"{t + 1}\t{t / 60:.5f}\t" + "\t".join("" if np.isnan(n) else f"{n:g}" for n in frame.ravel())
        for t, frame in enumerate(places)
    ]
    head = [
        f"PathFileType\t4\t(X/Y/Z)\t{path.name}",
        "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames",
        f"60\t60\t{count}\t{len(MARKERS)}\t{unit}\t60\t1\t{count}",
        "Frame#\tTime\t" + "\t\t\t".join(MARKERS),
        "\t\t" + "\t".join(f"{axis}{i}" for i in range(1, len(MARKERS) + 1) for axis in "XYZ"),
        "",
    ]
    path.write_text("\n".join(head + rows) + end)
    return path


@pytest.mark.parametrize(("unit", "metres"), [("mm", 0.001), ("m", 1.0)])
def test_trc_in_metres(unit: str, metres: float, tmp_path: Path) -> None:
    places = PLACES.copy()
    places[1, 2] = np.nan  # not seen
    clip = read_clip(trc(tmp_path / "a.trc", places, unit), None)
    assert clip.fps == 60
    np.testing.assert_allclose(clip.coordinates[:, 0], np.nan_to_num(places) * metres)
    assert clip.layout is not None
    assert clip.layout.joints == ("pelvis", "right_hip", "right_knee", "left_hip", "neck", "cup")
    assert clip.layout.parents == (0, 0, 1, 0, 0, 0)


def test_markers_are_chosen_by_name(tmp_path: Path) -> None:
    layout = SkeletonLayout("leg", ("neck", "pelvis", "right_knee"), (0, 0, 1))
    clip = read_clip(trc(tmp_path / "a.trc"), layout)
    np.testing.assert_allclose(clip.coordinates[:, 0], PLACES[:, [4, 0, 2]] * 0.001)
    with pytest.raises(InputError, match=r"a.trc: unknown joint of coco17 in this file 'nose'"):
        read_clip(tmp_path / "a.trc", get_layout("coco17"))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("PathFileType", "Other"), "expects the head of a .trc file"),
        (("\tmm\t", "\tparsec\t"), "unit 'parsec': expects a positive rate"),
        (("\t6\tmm", "\t7\tmm"), "NumMarkers is 7, but 6 names follow"),
        (("60\t60\t3", "60\t60\t4"), r"NumFrames is 4, but 3 rows follow \(truncated\?\)"),
        (("NumFrames", "Frames"), "line 3: expects the head"),
        (("\n2\t", "\n2\t1\t"), "line 8: has 19 numbers behind frame and time, expects 18"),
        (("\n2\t0.01667\t", "\n2\t0.01667\tx"), "line 8: expects numbers"),
    ],
)
def test_bad_trc(change: tuple[str, str], reason: str, tmp_path: Path) -> None:
    path = trc(tmp_path / "a.trc")
    path.write_text(path.read_text().replace(*change, 1))
    with pytest.raises(InputError, match=reason):
        read_clip(path, None)


def test_trc_without_its_last_line_end(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="line 9 is not ended, so the file may be truncated"):
        read_clip(trc(tmp_path / "a.trc", end=""), None)


@pytest.fixture
def c3d(tmp_path: Path) -> Path:
    pytest.importorskip("ezc3d")
    places = PLACES.copy()
    places[1, 2] = np.nan  # ezc3d writes it as a point that was not seen
    WRITE["c3d"](tmp_path / "a.c3d", [f"subject:{name}" for name in MARKERS], places, 100.0)
    return tmp_path / "a.c3d"


def test_c3d_in_metres(c3d: Path) -> None:
    clip = read_clip(c3d, None)
    expected = PLACES / 1000
    expected[1, 2] = 0
    assert clip.fps == 100
    np.testing.assert_allclose(clip.coordinates[:, 0], expected, rtol=1e-6)
    assert clip.layout is not None
    assert clip.layout.joints[:3] == ("pelvis", "right_hip", "right_knee")


def test_c3d_runs_nothing_that_lies_in_the_working_folder(
    c3d: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ezc3d.py").write_text("raise SystemExit('not the library')")
    monkeypatch.chdir(tmp_path)
    assert read_clip(c3d, None).coordinates.shape[0] == len(PLACES)


@pytest.mark.parametrize("keep", [0, 3, 100, 600, -300])
def test_truncated_c3d(c3d: Path, keep: int) -> None:
    c3d.write_bytes(c3d.read_bytes()[:keep])
    with pytest.raises(InputError, match=r"a.c3d: not a readable .c3d file"):
        read_clip(c3d, None)


def test_c3d_without_its_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    (tmp_path / "a.c3d").write_bytes(b"x")
    with pytest.raises(InputError, match=r"pip install 'kinelex\[formats\]'"):
        read_clip(tmp_path / "a.c3d", None)


ASF = """\
:version 1.10
:name test
:units
  mass 1.0
  length 0.5
  angle deg
:documentation
   two bones of a leg, one of the trunk
:root
   order TX TY TZ RX RY RZ
   axis XYZ
   position 0 0 0
   orientation 0 0 0
:bonedata
  begin
     id 1
     name lfemur
     direction 0 -1 0
     length 2
     axis 0 0 90  XYZ
     dof rx ry rz
     limits (-160.0 20.0)
            (-70.0 70.0)
            (-60.0 70.0)
  end
  begin
     id 2
     name ltibia
     direction 0 -1 0
     length 1
     axis 0 0 0 XYZ
     dof rx
     limits (-10.0 170.0)
  end
  begin
     id 3
     name upperback
     direction 0 1 0
     length 3
     axis 0 0 0 XYZ
  end
:hierarchy
  begin
    root lfemur upperback
    lfemur ltibia
  end
"""
AMC = """\
#!OML:ASF
:FULLY-SPECIFIED
:DEGREES
1
root 0 0 0 0 0 0
lfemur 0 0 0
ltibia 0
2
root 1 2 3 0 0 90
lfemur 0 0 0
ltibia 90
3
root 0 0 0 0 0 0
lfemur 90 0 0
ltibia 0
"""


def amc(folder: Path, motion: str = AMC, skeleton: str = ASF) -> Path:
    (folder / "07.asf").write_text(skeleton)
    (folder / "07_01.amc").write_text(motion)
    return folder / "07_01.amc"


def test_amc_by_forward_kinematics(tmp_path: Path) -> None:
    path = amc(tmp_path)
    clip = read_clip(path, None)
    assert clip.layout is not None
    assert clip.layout.joints == ("pelvis", "left_knee", "spine", "left_ankle")
    assert clip.layout.parents == (0, 0, 0, 1)
    in_units = [
        [[0, 0, 0], [0, -2, 0], [0, 3, 0], [0, -3, 0]],
        # The whole body turned by 90 about z, so that down is +x; the shin by 90 about x before that.
        [[1, 2, 3], [3, 2, 3], [-2, 2, 3], [3, 2, 2]],
        # The thigh turned by 90 about its own x axis, which is the world's y: down stays down.
        [[0, 0, 0], [0, -2, 0], [0, 3, 0], [0, -3, 0]],
    ]
    np.testing.assert_allclose(clip.coordinates[:, 0], np.array(in_units) * 0.0254 / 0.5, atol=1e-9)
    assert files_of(path) == (path, tmp_path / "07.asf")


def test_amc_lengths_do_not_change(tmp_path: Path) -> None:
    angles = np.random.default_rng(0).uniform(-180, 180, size=(5, 7))
    motion = ":DEGREES\n" + "".join(
        f"{t + 1}\nroot 0 0 0 {a[0]} {a[1]} {a[2]}\nlfemur {a[3]} {a[4]} {a[5]}\nltibia {a[6]}\n"
        for t, a in enumerate(angles)
    )
    x = read_clip(amc(tmp_path, motion), None).coordinates[:, 0]
    np.testing.assert_allclose(np.linalg.norm(x[:, 1] - x[:, 0], axis=1), 2 * 0.0508)
    np.testing.assert_allclose(np.linalg.norm(x[:, 3] - x[:, 1], axis=1), 0.0508)


@pytest.mark.parametrize(
    ("motion", "skeleton", "reason"),
    [
        (AMC[:-1], ASF, "its last line is not ended"),
        (AMC[: AMC.rindex("ltibia")], ASF, r"frame 3 lacks ltibia \(truncated\?\)"),
        (AMC.replace("ltibia 90", "ltibia nan"), ASF, "line 11: expects finite numbers"),
        (AMC.replace("ltibia 90", "ltibia 90 1"), ASF, "line 11: expects a frame's number, or a bone"),
        (AMC.replace("ltibia 90", "tail 90"), ASF, "line 11: expects a frame's number, or a bone"),
        (":DEGREES\n", ASF, "has no frames"),
        (AMC, ASF[: ASF.index(":hierarchy")], "expects the sections :root, :bonedata and :hierarchy"),
        (AMC, ASF.replace("length 2", "length x"), "bone 1: expects numbers"),
        (AMC, ASF.replace("    lfemur ltibia\n", ""), ":hierarchy names 3 of 4 bones"),
        (AMC, ASF.replace("root lfemur", "root tail"), "expects bones, parents first"),
        (AMC, ASF.replace("length 0.5", "length 0"), "length is 0, expects a positive number"),
        (AMC, ASF.replace("axis 0 0 90  XYZ", "axis 0 0 90 XXY"), "expects an order of X, Y and Z"),
        (
            AMC,
            ASF.replace("direction 0 1 0", "direction 0 1"),
            "expects a direction and an axis of three numbers",
        ),
    ],
)
def test_bad_amc(motion: str, skeleton: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=reason):
        read_clip(amc(tmp_path, motion, skeleton), None)


def test_amc_without_a_skeleton(tmp_path: Path) -> None:
    path = amc(tmp_path)
    (tmp_path / "07.asf").unlink()
    with pytest.raises(InputError, match=r"expects its skeleton beside it, 07_01.asf or the only .asf"):
        read_clip(path, None)


@pytest.mark.parametrize(
    ("shape", "key", "layout", "joints"),
    [
        ((4, 24, 3), "joints", "smpl24", 24),
        ((4, 52, 3), "Jtr", "smpl22", 22),
        ((4, 1, 22, 3), "joints", "smpl22", 22),
    ],
)
def test_smpl_joints(shape: tuple[int, ...], key: str, layout: str, joints: int, tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    np.savez(tmp_path / "a.npz", **{key: x, "mocap_framerate": np.array(120.0), "poses": np.zeros((4, 156))})
    clip = read_clip(tmp_path / "a.npz", None)
    assert clip.layout is not None
    assert (clip.layout.name, clip.fps) == (layout, 120.0)
    np.testing.assert_array_equal(clip.coordinates[:, 0], x.reshape(4, -1, 3)[:, :joints])


def test_smpl_poses_alone_need_the_body_model(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", poses=np.zeros((4, 156)), trans=np.zeros((4, 3)))
    with pytest.raises(InputError, match="holds SMPL poses and no joints: run the body model"):
        read_clip(tmp_path / "a.npz", None)
    np.savez(tmp_path / "b.npz", joints=np.zeros((4, 17, 3)))
    with pytest.raises(InputError, match=r"'joints' has shape \(4, 17, 3\), expects \(T, 22 or more, 3\)"):
        read_clip(tmp_path / "b.npz", None)
