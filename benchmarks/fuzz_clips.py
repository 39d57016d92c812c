"""Small good files of clips in the formats that `folder` reads, for :mod:`fuzz_seeds`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np


def write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def openpose(path: Path) -> None:
    people = [{"person_id": [-1], "pose_keypoints_2d": [float(n % 100 + 1) for n in range(75)]}]
    for number in range(2):
        write_json(path.parent / f"walk_{number:012d}_keypoints.json", {"version": 1.3, "people": people})


def coco(path: Path) -> None:
    points = [float(n % 90 + 5) for n in range(51)]
    write_json(path, [{"image_id": i, "category_id": 1, "keypoints": points, "score": 0.9} for i in range(2)])


def mediapipe(path: Path) -> None:
    marks = [{"x": 0.1 + 0.02 * n, "y": 0.5, "z": 0.1, "visibility": 0.9} for n in range(33)]
    write_json(path, [{"pose_landmarks": marks, "pose_world_landmarks": marks}] * 2)


def azure(path: Path) -> None:
    bodies = [{"body_id": 1, "joint_positions": [[100.0 + n, 20.0, 2000.0] for n in range(32)]}]
    write_json(path, {"frames": [{"frame_id": i, "bodies": bodies} for i in range(2)], "joint_names": []})


def trc(path: Path) -> None:
    lines = [
        f"PathFileType\t4\t(X/Y/Z)\t{path.name}",
        "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames",
        "30\t30\t2\t3\tm\t30\t1\t2",
        "Frame#\tTime\tPelvis\t\t\tLHip\t\t\tRHip\t\t",
        "\t\tX1\tY1\tZ1\tX2\tY2\tZ2\tX3\tY3\tZ3",
        "",
        *("\t".join([str(t + 1), f"{t / 30:.3f}", *(f"{0.1 * n:.2f}" for n in range(9))]) for t in range(2)),
    ]
    path.write_text("\n".join(lines) + "\n")


def c3d(
    path: Path,
    names: Sequence[str] = ("LSHO", "RSHO", "LASI", "RASI"),
    places: np.ndarray | None = None,
    fps: float = 30.0,
) -> None:
    """Markers at places (T, markers, 3) in millimetres, drawn where none are given; NaN is not seen."""
    import ezc3d

    file = ezc3d.c3d()
    about = {"RATE": [fps], "LABELS": list(names), "UNITS": ["mm"]}
    for key, value in about.items():
        file["parameters"]["POINT"][key]["value"] = value
    if places is None:
        places = np.random.default_rng(0).uniform(1, 900, (2, len(names), 3))
    file["data"]["points"] = np.insert(places, 3, 1.0, axis=2).transpose(2, 1, 0)
    file.write(str(path))


def smpl(path: Path) -> None:
    rng = np.random.default_rng(0)
    np.savez(path, joints=0.3 * rng.normal(size=(3, 24, 3)), mocap_framerate=np.array(30.0), gender="neutral")


ASF = """:version 1.10
:name toy
:units
  mass 1.0
  length 0.45
  angle deg
:root
  order TX TY TZ RX RY RZ
  axis XYZ
  position 0 0 0
  orientation 0 0 0
:bonedata
  begin
    id 1
    name lhipjoint
    direction 0.5 -0.8 0.1
    length 2.4
    axis 0 0 0 XYZ
  end
  begin
    id 2
    name lfemur
    direction 0.3 -0.9 0
    length 7.1
    axis 0 0 20 XYZ
    dof rx ry rz
    limits (-160.0 20.0)
           (-70.0 70.0)
           (-60.0 70.0)
  end
:hierarchy
  begin
    root lhipjoint
    lhipjoint lfemur
  end
"""


def amc(path: Path) -> None:
    path.with_suffix(".asf").write_text(ASF)
    rows = [f"{t}\nroot 1 2 {t} 0 10 0\nlfemur 5 6 {t}\n" for t in (1, 2)]
    path.write_text(":FULLY-SPECIFIED\n:DEGREES\n" + "".join(rows))


def mediapipe_csv(path: Path) -> None:
    rows = [",".join(f"{0.01 * (n + t):.3f}" for n in range(132)) for t in range(2)]
    path.write_text("\n".join(rows) + "\n")
