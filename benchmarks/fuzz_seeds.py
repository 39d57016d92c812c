"""Small good files of every kind that kinelex reads, for :mod:`fuzz` to spoil.

`RAW` has one entry per raw format of `kinelex prepare`: a function that writes the files into a folder, and
one that reads them as the command does. What the other verbs read is in :mod:`fuzz_others`.
"""

from __future__ import annotations

import io
import pickle
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "datasets"))
import folder_files
import format_files
import fuzz_clips
import ntu_files
import set_files
from scipy.io import savemat

from kinelex.datasets import prepare
from kinelex.datasets.registry import READERS
from kinelex.skeleton import get_layout


@dataclass(frozen=True)
class Kind:
    """Files that belong together.

    Args:
        write: writes good ones into a folder; gives those that are spoilt, or None for all.
        read: reads them as kinelex does; raises what goes wrong.
    """

    write: Callable[[Path], list[Path] | None]
    read: Callable[[Path], Any]


def _prepared(dataset: str, source: str = ".", **options: Any) -> Callable[[Path], Any]:
    def read(folder: Path) -> Any:
        return prepare(dataset, folder / source, folder / "out.arrow", progress=False, workers=1, **options)

    return read


def _points(joints: int, frames: int = 3, channels: int = 3, persons: int = 1) -> np.ndarray:
    return format_files.drawn_clip(0, frames, persons, joints, channels)


def _nw_ucla(folder: Path) -> None:
    x = _points(20)[:, 0].tolist()
    for name, label in (("a01_s01_e00_v01", 1), ("a02_s02_e01_v03", 2)):
        fuzz_clips.write_json(
            folder / "all_sqe" / f"{name}.json", {"file_name": name, "skeletons": x, "label": label}
        )


def _utd_mhad(folder: Path) -> None:
    x = _points(20)[:, 0].transpose(1, 2, 0).astype(float)
    savemat(folder / "a1_s1_t1_skeleton.mat", {"d_skel": x})
    savemat(folder / "a2_s2_t1_skeleton.mat", {"d_skel": x}, do_compression=True)


def _ntu(folder: Path) -> None:
    rng = np.random.default_rng(0)
    tracks = [ntu_files.person(rng, range(3)), ntu_files.person(rng, range(1, 3))]
    ntu_files.write(folder, "S001C001P001R001A001", ntu_files.frames_of(tracks, 3))


def _pku(name: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        set_files.write_pku_video(folder, name, set_files.pku_frames(8), [(1, 1, 4), (3, 5, 8)])

    return write


def _sysu(folder: Path) -> None:
    set_files.write_sysu_clip(folder, "p01", "video1", _points(20)[:, 0].astype(float))


def _sbu(folder: Path) -> None:
    raw = np.random.default_rng(0).uniform(0.1, 0.9, (3, 2, 15, 3)).round(4)
    set_files.write_sbu_clip(folder, "s01s02/01/001", set_files.sbu_text(raw))


def _msr(folder: Path) -> None:
    frames = np.concatenate([_points(20)[:, 0], np.ones((3, 20, 1))], axis=-1).reshape(-1, 4)
    text = "".join(" ".join(f"{n:.4f}" for n in line) + "\n" for line in frames)
    (folder / "a01_s01_e01_skeleton3D.txt").write_text(text)


def _utkinect(folder: Path) -> None:
    rows = [
        " ".join([str(t), *(f"{n:.4f}" for n in frame.ravel())]) for t, frame in enumerate(_points(20, 6))
    ]
    (folder / "joints").mkdir()
    (folder / "joints" / "joints_s01_e01.txt").write_text("\n".join(rows) + "\n")
    (folder / "actionLabel.txt").write_text("s01_e01\nwalk: 0 2\nsitDown: 3 5\ncarry: NaN NaN\n")


def _text2action(folder: Path) -> None:
    numbers = _points(8, 4)[:, 0].transpose(1, 2, 0).astype(float)  # (8, 3, T)
    numbers[1:] /= np.linalg.norm(numbers[1:], axis=1, keepdims=True)
    for part in ("pose", "script"):
        (folder / part).mkdir()
    savemat(folder / "pose" / "data_0003.mat", {"pred_vector": numbers.reshape(24, -1)})
    (folder / "script" / "script_0003.txt").write_text("a man waves\nsomebody waves\n")


def _bandai_namco(folder: Path) -> None:
    joints = get_layout("bandai21")
    children = {p: [j for j, q in enumerate(joints.parents) if q == p != j] for p in range(21)}

    def body(joint: int) -> str:
        below = " ".join(map(body, children[joint])) or "End Site { OFFSET 1 0 0 }"
        return f"JOINT {joints.joints[joint]} {{ OFFSET 1 2 3 CHANNELS 1 Zrotation {below} }}"

    hierarchy = f"HIERARCHY ROOT joint_Root {{ OFFSET 0 0 0 CHANNELS 1 Yposition {body(joints.root)} }}"
    motion = "\n".join(" ".join(f"{n}.5" for n in range(t, t + 22)) for t in range(3))
    text = f"{hierarchy}\nMOTION\nFrames: 3\nFrame Time: 0.0333333\n{motion}\n"
    (folder / "dataset-1_bow_sad_001.bvh").write_text(text)


def _jhmdb(folder: Path) -> None:
    x = 100 * _points(15, channels=2)[:, 0].transpose(2, 1, 0).astype(float)
    for video in ("a", "b"):
        place = folder / "joint_positions" / "clap" / video
        place.mkdir(parents=True)
        savemat(place / "joint_positions.mat", {"pos_img": x}, do_compression=video == "b")
    (folder / "splits").mkdir()
    for number in (1, 2, 3):
        (folder / "splits" / f"clap_test_split{number}.txt").write_text("a.avi 1\nb.avi 2\n")


def _penn_action(folder: Path) -> None:
    x = 100 * _points(13, channels=2)[:, 0].astype(float)
    (folder / "labels").mkdir()
    for number, train in ((1, 1.0), (2, -1.0)):
        content = {"x": x[..., 0], "y": x[..., 1], "visibility": np.ones(x.shape[:2]), "action": "bowl"}
        content |= {"train": train, "dimensions": np.array([270.0, 480.0, 3.0])}
        savemat(folder / "labels" / f"{number:04d}.mat", content, do_compression=number == 2)


def _pyskl(folder: Path) -> list[Path]:
    x = _points(17, channels=2).transpose(1, 0, 2, 3)
    notes = [
        {"frame_dir": f"c{i}", "label": i, "total_frames": 3, "img_shape": (480, 640), "keypoint": 100 * x}
        | {"keypoint_score": np.ones(x.shape[:3], np.float16)}
        for i in range(2)
    ]
    content = {"split": {"train": ["c0"], "test": ["c1"]}, "annotations": notes}
    (folder / "set.pkl").write_bytes(pickle.dumps(content, protocol=4))
    return [folder / "set.pkl"]


def _ctrgcn(folder: Path) -> None:
    x = format_files.padded([_points(25), _points(25)], 4)
    parts = {"train": (x[:1], [0]), "test": (x[1:], [1])}
    format_files.write_npz(folder / "set.npz", parts, compressed=True)


def _npy(folder: Path) -> None:
    x = format_files.padded([_points(25), _points(25)], 4)
    format_files.write_npy(folder, "train", x[:1], ["a"], [0], frames=[3])
    format_files.write_npy(folder, "val", x[1:], ["b"], [1], frames=[3])


def _folder(folder: Path) -> None:
    x = folder_files.clip()
    files = {"a.npy": x, "b.npz": {"coordinates": x}, "c.csv": folder_files.csv_of(x)}
    lines = ["file,label,subject", *(f"{name},wave,1" for name in files)]
    folder_files.folder(folder, "\n".join(lines) + "\n", files)


def _clips(name: str, content: Callable[[Path], Any], **options: Any) -> Kind:
    """Clips of a format that `folder` reads by its ending."""

    def write(folder: Path) -> list[Path]:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        content(path)
        first = name.split("/")[0]
        (folder / "manifest.csv").write_text(f"file,label\n{first},wave\n")
        return [p for p in folder.rglob("*") if p.is_file() and p.name != "manifest.csv"]

    return Kind(write, _prepared("folder", **options))


RAW: dict[str, Kind] = {
    "nw_ucla": Kind(_nw_ucla, _prepared("nw_ucla")),
    "utd_mhad": Kind(_utd_mhad, _prepared("utd_mhad")),
    "ntu60": Kind(_ntu, _prepared("ntu60")),
    "ntu120": Kind(_ntu, _prepared("ntu120")),
    "pku1": Kind(_pku("0001-L"), _prepared("pku1")),
    "pku2": Kind(_pku("A01N01-L"), _prepared("pku2")),
    "sysu": Kind(_sysu, _prepared("sysu")),
    "sbu": Kind(_sbu, _prepared("sbu")),
    "msr_action3d": Kind(_msr, _prepared("msr_action3d")),
    "text2action": Kind(_text2action, _prepared("text2action")),
    "bandai_namco": Kind(_bandai_namco, _prepared("bandai_namco")),
    "utkinect": Kind(_utkinect, _prepared("utkinect")),
    "jhmdb": Kind(_jhmdb, _prepared("jhmdb")),
    "penn_action": Kind(_penn_action, _prepared("penn_action")),
    "pyskl": Kind(_pyskl, _prepared("pyskl", "set.pkl")),
    "ctrgcn_npz": Kind(_ctrgcn, _prepared("ctrgcn_npz", "set.npz")),
    "npy": Kind(_npy, _prepared("npy")),
    "folder": Kind(_folder, _prepared("folder")),
    "folder: bvh": _clips("a.bvh", lambda path: path.write_text(folder_files.BVH), units="centimetres"),
    "folder: openpose": _clips("clip/x", fuzz_clips.openpose),
    "folder: coco": _clips("a.json", fuzz_clips.coco),
    "folder: mediapipe": _clips("a.json", fuzz_clips.mediapipe),
    "folder: mediapipe csv": _clips("a.csv", fuzz_clips.mediapipe_csv, layout="mediapipe33"),
    "folder: azure": _clips("a.json", fuzz_clips.azure),
    "folder: trc": _clips("a.trc", fuzz_clips.trc),
    "folder: c3d": _clips("a.c3d", fuzz_clips.c3d),
    "folder: smpl": _clips("a.npz", fuzz_clips.smpl),
    "folder: amc": _clips("a.amc", fuzz_clips.amc),
}


def missing() -> list[str]:
    """Data sets that `prepare` reads and that have no seed here."""
    return sorted(set(READERS) - {name.split(":")[0] for name in RAW})


def bomb(name: str, unpacked: int = 3 << 29) -> bytes:
    """A zip of some megabytes with one array of zeros of ``unpacked`` bytes in it."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        head, {"descr": "<f4", "fortran_order": False, "shape": (unpacked // 300, 25, 3)}
    )
    packed = io.BytesIO()
    with (
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open(name, "w", force_zip64=True) as member,
    ):
        member.write(head.getvalue())
        for _ in range(unpacked >> 20):
            member.write(bytes(1 << 20))
    return packed.getvalue()
