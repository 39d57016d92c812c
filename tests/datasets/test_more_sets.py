"""The readers of UT-Kinect, Penn Action and JHMDB: files made in the shape that their pages describe."""

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from kinelex.data import SkeletonStore, open_store
from kinelex.datasets import get_split, prepare, protocol_names
from kinelex.datasets.jhmdb import CLASSES as JHMDB
from kinelex.datasets.penn_action import CLASSES as PENN
from kinelex.datasets.utkinect import LABELS, read_labels
from kinelex.errors import InputError

RNG = np.random.default_rng(0)


def store_of(dataset: str, raw: Path, skipped: int = 0) -> SkeletonStore:
    summary = prepare(dataset, raw, raw.parent / f"{dataset}.arrow", progress=False)
    assert summary.skipped == skipped
    return open_store(summary.store)


def reasons(store: SkeletonStore) -> str:
    return store.path.with_name("skipped.csv").read_text()


def utkinect(folder: Path, recordings: list[str], labels: str, numbers: list[int]) -> np.ndarray:
    frames = RNG.uniform(-1, 1, size=(len(numbers), 20, 3)).round(4)
    (folder / "joints").mkdir(parents=True)
    rows = [f"{n} " + " ".join(map(str, f.ravel())) + " \n" for n, f in zip(numbers, frames, strict=True)]
    for recording in recordings:
        (folder / "joints" / f"joints_{recording}.txt").write_text("".join(rows))
    (folder / "actionLabel.txt").write_text("".join(f"{recording}\n{labels}" for recording in recordings))
    return frames


def test_utkinect_recordings_are_cut_at_their_labels(tmp_path: Path) -> None:
    names = [f"s{s:02}_e{e:02}" for s in (1, 6) for e in (1, 2)]
    labels = "walk: 10 14\nsitDown: 16 20\ncarry: NaN NaN\nclapHands: 50 60\n"
    numbers = [8, 10, 12, 12, 14, 16, 20]  # as filmed: every other frame, one of them twice
    frames = utkinect(tmp_path / "raw", names, labels, numbers)
    store = store_of("utkinect", tmp_path / "raw", skipped=8)
    assert store.ids[:3] == ["s01_e01_a01", "s01_e01_a02", "s01_e02_a01"]
    assert store.class_names == tuple(LABELS.values())
    np.testing.assert_array_equal(store.sequence(0)[:, 0], frames[[1, 2, 4]].astype(np.float32))
    assert store.lengths.tolist() == [3, 2] * 4
    assert "has no frames of carry (NaN)" in reasons(store)
    assert "has no frame from 50 to 60 (clapHands)" in reasons(store)
    assert protocol_names(store) == ("xsub", "loseq:1", "loseq:2", "loseq:11", "loseq:12")
    assert get_split(store, "xsub").train.tolist() == [0, 1, 2, 3]
    assert get_split(store, "loseq:2").test.tolist() == [2, 3]
    assert get_split(store, "loseq:2").train.tolist() == [0, 1, 4, 5, 6, 7]
    with pytest.raises(InputError, match="unknown protocol"):
        get_split(store, "loseq:3")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("s01_e01\nwlak: 1 2\n", "line 2: unknown action 'wlak': did you mean 'walk'"),
        ("walk: 1 2\n", r"line 1: expects a recording \(s01_e01\) or frames"),
        ("s01_e01\nwalk: 1\n", "line 2: expects a recording"),
        ("", "the file is empty"),
    ],
)
def test_bad_utkinect_labels(text: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "actionLabel.txt").write_text(text)
    with pytest.raises(InputError, match=f"actionLabel.txt: {reason}"):
        read_labels(tmp_path / "actionLabel.txt")


def test_bad_utkinect_recordings_are_skipped(tmp_path: Path) -> None:
    utkinect(tmp_path / "raw", ["s01_e01", "s01_e02", "s02_e01"], "walk: 1 2\npush: 2 1\n", [1, 2])
    joints = tmp_path / "raw" / "joints"
    (joints / "joints_s01_e02.txt").write_text("1 2 3\n")
    (joints / "joints_s09_e01.txt").write_text("1 2 3\n")
    cut = (joints / "joints_s02_e01.txt").read_text()
    (joints / "joints_s02_e01.txt").write_text(cut[:-2])  # its last number may have lost digits
    store = store_of("utkinect", tmp_path / "raw", skipped=4)
    assert store.lengths.tolist() == [2, 1]
    assert "line 1: expects 61 numbers, got 3" in reasons(store)
    assert "has no frames of 's09_e01'" in reasons(store)
    assert "push ends at 1, before it begins at 2" in reasons(store)


def penn(folder: Path, name: str, **changes: object) -> np.ndarray:
    folder.mkdir(parents=True, exist_ok=True)
    points = RNG.uniform(1, 400, size=(5, 13, 2)).round(2)
    seen = np.ones((5, 13), np.uint8)
    seen[2, 4] = 0
    content = {"action": "squat", "x": points[..., 0], "y": points[..., 1], "visibility": seen, "train": 1}
    content |= {"pose": "front", "dimensions": np.array([270, 480, 5]), "nframes": 5, **changes}
    savemat(folder / f"{name}.mat", {key: value for key, value in content.items() if value is not None})
    points[2, 4] = 0
    return points


def test_penn_action(tmp_path: Path) -> None:
    points = penn(tmp_path / "raw" / "labels", "0001")
    penn(tmp_path / "raw" / "labels", "0002", train=-1, action="tennis_serve")
    store = store_of("penn_action", tmp_path / "raw")
    assert (store.layout.name, store.meta.units, store.ids) == ("penn13", "pixels", ["0001", "0002"])
    assert store.labels.tolist() == [PENN.index("squat"), PENN.index("tennis_serve")]
    np.testing.assert_array_equal(store.sequence(0)[:, 0], points.astype(np.float32))
    split = get_split(store, "split")
    assert (split.train.tolist(), split.test.tolist()) == ([0], [1])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"x": None}, "lacks x"),
        ({"action": None}, "lacks action"),
        ({"x": np.ones((4, 13))}, r"have shapes \(4, 13\), \(5, 13\), \(5, 13\)"),
        ({"action": "squad"}, "unknown action 'squad': did you mean 'squat'"),
        ({"train": np.ones(2)}, "'train' has 2 numbers"),
    ],
)
def test_bad_penn_action(changes: dict[str, object], reason: str, tmp_path: Path) -> None:
    penn(tmp_path / "labels", "0001", **changes)
    with pytest.raises(InputError, match=f"0001.mat: .*{reason}"):
        prepare("penn_action", tmp_path, tmp_path / "s.arrow", strict=True, progress=False)


def jhmdb(folder: Path, action: str, video: str, shape: tuple[int, ...] = (2, 15, 6)) -> np.ndarray:
    place = folder / "joint_positions" / action / video
    place.mkdir(parents=True)
    points = RNG.uniform(1, 300, size=shape)
    savemat(place / "joint_positions.mat", {"pos_img": points, "scale": np.ones(6), "viewpoint": "SE"})
    return points


def test_jhmdb(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    points = jhmdb(raw, "golf", "video_a")
    jhmdb(raw, "golf", "video_b")
    jhmdb(raw, "brush_hair", "video_c")
    (raw / "splits").mkdir()
    for k in (1, 2, 3):
        lines = f"video_a.avi {1 if k == 1 else 2}\nvideo_b.avi {2 if k == 1 else 1} \n"
        (raw / "splits" / f"golf_test_split{k}.txt").write_text(lines)
        (raw / "splits" / f"brush_hair_test_split{k}.txt").write_text("video_c.avi 1\n")
    store = store_of("jhmdb", raw)
    assert store.ids == ["brush_hair/video_c", "golf/video_a", "golf/video_b"]
    assert store.labels.tolist() == [0, JHMDB.index("golf"), JHMDB.index("golf")]
    np.testing.assert_array_equal(store.sequence(1)[:, 0], points.transpose(2, 1, 0).astype(np.float32))
    assert protocol_names(store) == ("split1", "split2", "split3")
    assert get_split(store, "split1").train.tolist() == [0, 1]
    assert get_split(store, "split2").test.tolist() == [1]


def test_bad_jhmdb(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    jhmdb(raw, "golf", "good")
    jhmdb(raw, "golf", "wrong", (2, 14, 6))
    jhmdb(raw, "walking", "a")
    store = store_of("jhmdb", raw, skipped=2)
    assert r"'pos_img' has shape (2, 14, 6), expects (2, 15, T)" in reasons(store)
    assert "the folder 'walking' is no class" in reasons(store)
    (raw / "splits").mkdir()
    (raw / "splits" / "golf_test_split1.txt").write_text("good.avi 3\n")
    with pytest.raises(InputError, match=r"golf_test_split1.txt: line 1: expects VIDEO.avi and 1 \(train\)"):
        prepare("jhmdb", raw, tmp_path / "t.arrow", strict=True, progress=False)
