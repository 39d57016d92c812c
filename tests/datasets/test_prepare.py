"""`prepare`: what is written, what is skipped, and what happens to bad input."""

import csv
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from kinelex.datasets import dataset_names, prepare, split_sizes
from kinelex.datasets.prepare import PrepareSummary
from kinelex.errors import InputError
from kinelex.skeleton import get_layout
from kinelex.store import open_store

KINECT, UTD = get_layout("kinect20"), get_layout("utd20")
Folder = Callable[[], Path]


def write_nw_ucla(folder: Path, name: str, **changes: Any) -> Path:
    """One clip of 3 frames as the JSON release has it, with fields changed."""
    action = int(name[1:3])
    actions = (1, 2, 3, 4, 5, 6, 8, 9, 11, 12)
    skeletons = np.random.default_rng(action).normal(size=(3, 20, 3)).round(4).tolist()
    content = {"file_name": name, "skeletons": skeletons, "label": actions.index(action) + 1} | changes
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not ...}))
    return path


def write_utd_mhad(folder: Path, name: str, variable: str = "d_skel", **changes: Any) -> Path:
    """One clip of 4 frames whose x is the joint's number in the data set's order."""
    x = np.zeros((20, 3, 4))
    x[:, 0] = np.arange(20)[:, None]
    x[:, 1] = np.arange(4)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}_skeleton.mat"
    savemat(path, {variable: changes.get("value", x)})
    return path


@pytest.fixture
def ucla(tmp_path: Path) -> Path:
    folder = tmp_path / "raw" / "all_sqe"
    for name in ("a01_s01_e00_v01", "a12_s02_e03_v03", "a04_s10_e01_v02"):
        write_nw_ucla(folder, name)
    return folder


def skipped_rows(store: Path) -> list[dict[str, str]]:
    with open(store.with_name("skipped.csv"), newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_nw_ucla_clips_arrive_as_they_are(ucla: Path, tmp_path: Path) -> None:
    summary = prepare("nw_ucla", ucla.parent, tmp_path / "out" / "s.arrow", progress=False)
    assert str(summary) == "3 written"
    assert (summary.written, summary.skipped, summary.skipped_file) == (3, 0, None)
    store = open_store(summary.store)
    assert store.ids == ["a01_s01_e00_v01", "a04_s10_e01_v02", "a12_s02_e03_v03"]
    assert store.labels.tolist() == [0, 3, 9]
    assert store.subjects.tolist() == [1, 10, 2]
    assert store.cameras.tolist() == [1, 2, 3]
    assert store.replications.tolist() == [0, 1, 3]
    assert store.layout == KINECT
    assert store.class_names[9] == "carry"
    raw = json.loads((ucla / "a04_s10_e01_v02.json").read_text())["skeletons"]
    np.testing.assert_array_equal(store.sequence(1)[:, 0], np.array(raw, np.float32))
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["s.arrow"]


def test_utd_mhad_joints_are_put_into_the_common_order(tmp_path: Path) -> None:
    write_utd_mhad(tmp_path / "Skeleton", "a27_s8_t4")
    (tmp_path / "Depth").mkdir()
    savemat(tmp_path / "Depth" / "a27_s8_t4_depth.mat", {"d_depth": np.zeros((2, 2, 4))})
    store = open_store(prepare("utd_mhad", tmp_path, tmp_path / "s.arrow", progress=False).store)
    assert store.ids == ["a27_s8_t4"]
    assert (store.labels[0], store.subjects[0], store.cameras[0], store.replications[0]) == (26, 8, -1, 4)
    for joint, name in enumerate(KINECT.joints):
        assert (store.sequence(0)[:, 0, joint, 0] == UTD.joints.index(name)).all()
    assert store.sequence(0)[:, 0, 0, 1].tolist() == [0, 1, 2, 3]


def test_utd_mhad_clip_of_one_frame(tmp_path: Path) -> None:
    write_utd_mhad(tmp_path, "a1_s1_t1", value=np.ones((20, 3)))
    store = open_store(prepare("utd_mhad", tmp_path, tmp_path / "s.arrow", progress=False).store)
    assert store.sequence(0).shape == (1, 1, 20, 3)


def _frames(count: int = 3, joints: int = 20) -> list[Any]:
    return np.ones((count, joints, 3)).tolist()


def _spoilt(frame: int, joint: int, value: Any) -> list[Any]:
    frames = _frames()
    frames[frame][joint] = value
    return frames


@pytest.mark.parametrize(
    ("name", "changes", "reason"),
    [
        ("a01_s01_e00_v01x", {}, "the name does not parse, expects aXX_sYY_eZZ_vWW.json"),
        ("a01_s01_v01", {}, "the name does not parse"),
        ("a01_s01_e00_v02", {"label": 0}, "field 'label' is 0, expects a number from 1 to 10"),
        ("a01_s01_e00_v02", {"label": 11}, "field 'label' is 11, expects a number from 1 to 10"),
        ("a01_s01_e00_v02", {"label": "1"}, "field 'label' is '1', expects a number from 1 to 10"),
        ("a01_s01_e00_v02", {"label": 2}, "field 'label' is 2, expects 1 for action 1 of the name"),
        ("a01_s01_e00_v02", {"label": ...}, "has no 'label'"),
        ("a01_s01_e00_v02", {"skeletons": ...}, "has no 'skeletons'"),
        ("a01_s01_e00_v02", {"skeletons": []}, "field 'skeletons' has no frames"),
        ("a01_s01_e00_v02", {"skeletons": 7}, "field 'skeletons' has no frames"),
        (
            "a01_s01_e00_v02",
            {"skeletons": _frames(3, 19)},
            "frame 0 of 'skeletons' has 19 joints, expects 20",
        ),
        (
            "a01_s01_e00_v02",
            {"skeletons": [*_frames(2), *_frames(1, 25)]},
            "frame 2 of 'skeletons' has 25 joints, expects 20",
        ),
        (
            "a01_s01_e00_v02",
            {"skeletons": _spoilt(1, 4, [0, 1])},
            r"frame 1, joint 4 of 'skeletons' is \[0, 1\], expects 3 numbers",
        ),
        (
            "a01_s01_e00_v02",
            {"skeletons": _spoilt(1, 4, ["x", 0, 1])},
            r"frame 1, joint 4 of 'skeletons' is \['x', 0, 1\], expects 3 numbers",
        ),
        (
            "a01_s01_e00_v02",
            {"skeletons": _spoilt(2, 0, [float("nan"), 0, 1])},
            "coordinates of frame 2 are not finite",
        ),
        (
            "a01_s01_e00_v02",
            {"skeletons": _spoilt(2, 0, [0, float("inf"), 1])},
            "coordinates of frame 2 are not finite",
        ),
        (
            "a01_s01_e00_v02",
            {"skeletons": _spoilt(2, 0, [None, 0, 1])},
            "coordinates of frame 2 are not finite",
        ),
        ("a01_s01_e00_v02", {"skeletons": np.zeros((2, 20, 3)).tolist()}, "no frame has a body"),
    ],
)
def test_bad_nw_ucla_clips_are_skipped_and_listed(
    name: str, changes: dict[str, Any], reason: str, ucla: Path, tmp_path: Path
) -> None:
    bad, out = write_nw_ucla(ucla, name, **changes), tmp_path / "s.arrow"
    summary = prepare("nw_ucla", ucla, out, progress=False)
    assert str(summary) == "3 written, 1 skipped: see skipped.csv"
    assert summary.skipped_file == tmp_path / "skipped.csv"
    row = skipped_rows(out)[0]
    assert row["file"] == str(bad)
    with pytest.raises(InputError, match=f"{bad.name}: .*{reason}") as error:
        prepare("nw_ucla", ucla, tmp_path / "strict.arrow", strict=True, progress=False)
    assert str(error.value) == f"{bad}: {row['reason']}"
    assert not (tmp_path / "strict.arrow").exists()
    assert len(open_store(out)) == 3


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (
            b'{"file_name": "x",\n "skeletons": [[[0.1, 0.2',
            "line 2, column .*not valid JSON.*truncated or damaged",
        ),
        (b"", "line 1, column 1: not valid JSON"),
        (b"[1, 2]", "expects an object with the fields 'skeletons' and 'label'"),
        (b"\xff\xfe\x00\x81", "cannot be read as a JSON text"),
    ],
)
def test_a_damaged_json_file_is_skipped(content: bytes, reason: str, ucla: Path, tmp_path: Path) -> None:
    (ucla / "a01_s01_e00_v02.json").write_bytes(content)
    with pytest.raises(InputError, match=f"a01_s01_e00_v02.json: {reason}"):
        prepare("nw_ucla", ucla, tmp_path / "s.arrow", strict=True, progress=False)
    assert prepare("nw_ucla", ucla, tmp_path / "s.arrow", progress=False).skipped == 1


def test_an_action_that_the_set_does_not_have(ucla: Path, tmp_path: Path) -> None:
    (ucla / "a07_s01_e00_v01.json").write_text("{}")
    with pytest.raises(
        InputError, match="the name has action 7, expects one of 1, 2, 3, 4, 5, 6, 8, 9, 11, 12"
    ):
        prepare("nw_ucla", ucla, tmp_path / "s.arrow", strict=True, progress=False)


@pytest.mark.parametrize(
    ("name", "changes", "reason"),
    [
        ("a1_s1", {}, "the name does not parse, expects aX_sY_tZ_skeleton.mat"),
        ("a28_s1_t1", {}, "the name has action 28, expects 1 to 27"),
        ("a0_s1_t1", {}, "the name has action 0, expects 1 to 27"),
        ("a1_s1_t1", {"variable": "skeleton"}, "expects the variable 'd_skel', the file has skeleton"),
        (
            "a1_s1_t1",
            {"value": np.ones((25, 3, 4))},
            r"'d_skel' has shape \(25, 3, 4\), expects \(20, 3, T\)",
        ),
        ("a1_s1_t1", {"value": np.ones((20, 2, 4))}, r"'d_skel' has shape \(20, 2, 4\)"),
        ("a1_s1_t1", {"value": np.ones((20, 3, 0))}, "'d_skel' has shape|has no frames"),
        ("a1_s1_t1", {"value": "walking"}, "'d_skel' has shape"),
        ("a1_s1_t1", {"value": np.full((20, 3, 2), 1j)}, "'d_skel' holds complex128, expects real numbers"),
        ("a1_s1_t1", {"value": np.full((20, 3, 2), np.nan)}, "coordinates of frame 0 are not finite"),
    ],
)
def test_bad_utd_mhad_clips_are_skipped(
    name: str, changes: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    write_utd_mhad(tmp_path, "a2_s2_t2")
    bad = write_utd_mhad(tmp_path, name, **changes)
    with pytest.raises(InputError, match=f"{bad.name}: .*({reason})"):
        prepare("utd_mhad", tmp_path, tmp_path / "s.arrow", strict=True, progress=False)
    assert prepare("utd_mhad", tmp_path, tmp_path / "s.arrow", progress=False).skipped == 1
    assert skipped_rows(tmp_path / "s.arrow")[0]["file"] == str(bad)


@pytest.mark.parametrize("keep", [0, 60, 200, 0.5, 0.99])
def test_a_truncated_mat_file_is_skipped(keep: float, tmp_path: Path) -> None:
    write_utd_mhad(tmp_path, "a2_s2_t2")
    bad = write_utd_mhad(tmp_path, "a1_s1_t1")
    content = bad.read_bytes()
    bad.write_bytes(content[: int(keep if keep >= 1 else keep * len(content))])
    assert prepare("utd_mhad", tmp_path, tmp_path / "s.arrow", progress=False).skipped == 1
    assert "a1_s1_t1_skeleton.mat" in skipped_rows(tmp_path / "s.arrow")[0]["file"]


def test_two_files_with_one_id(ucla: Path, tmp_path: Path) -> None:
    write_nw_ucla(ucla / "copy", "a01_s01_e00_v01")
    prepare("nw_ucla", ucla, tmp_path / "s.arrow", progress=False)
    row = skipped_rows(tmp_path / "s.arrow")[0]
    assert row["file"] == str(ucla / "copy" / "a01_s01_e00_v01.json")
    assert row["reason"] == f"has the id a01_s01_e00_v01, which {ucla / 'a01_s01_e00_v01.json'} already has"


def test_skipped_csv_keeps_the_rows_of_other_stores_and_forgets_old_ones(ucla: Path, tmp_path: Path) -> None:
    bad = write_nw_ucla(ucla, "a01_s01_e00_v02", label=2)
    for name in ("a.arrow", "b.arrow", "a.arrow"):
        prepare("nw_ucla", ucla, tmp_path / name, progress=False)
    assert sorted(row["store"] for row in skipped_rows(tmp_path / "a.arrow")) == ["a.arrow", "b.arrow"]
    bad.unlink()
    prepare("nw_ucla", ucla, tmp_path / "a.arrow", progress=False)
    assert [row["store"] for row in skipped_rows(tmp_path / "a.arrow")] == ["b.arrow"]
    prepare("nw_ucla", ucla, tmp_path / "b.arrow", progress=False)
    assert not (tmp_path / "skipped.csv").exists()


@pytest.mark.parametrize("dataset", ["nw_ucla", "utd_mhad"])
def test_no_folder_an_empty_folder_and_no_file_that_parses(dataset: str, tmp_path: Path) -> None:
    source, out = tmp_path / "raw", tmp_path / "out" / "s.arrow"
    with pytest.raises(InputError, match=r"raw does not exist: expects a folder with the files"):
        prepare(dataset, source, out, progress=False)
    with pytest.raises(InputError, match="needs its raw files: expects a folder with"):
        prepare(dataset, None, out, progress=False)
    source.mkdir()
    with pytest.raises(InputError, match=r"raw holds no clip: expects a folder with the files"):
        prepare(dataset, source, out, progress=False)
    for ending in ("json", "mat"):
        (source / f"holiday.{ending}").write_text("?")
    with pytest.raises(
        InputError, match=r"none of the 1 files in .* is a clip, nothing was written.*holiday"
    ):
        prepare(dataset, source, out, progress=False)
    with pytest.raises(InputError, match=r"holiday.json is a file: expects a folder"):
        prepare(dataset, source / "holiday.json", out, progress=False)
    assert not out.parent.exists()


def test_unknown_data_set_and_a_place_that_cannot_be_written(ucla: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"unknown data set 'nwucla': did you mean 'nw_ucla'\?"):
        prepare("nwucla", ucla, tmp_path / "s.arrow", progress=False)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        prepare("nw_ucla", ucla, tmp_path / "file" / "s.arrow", progress=False)
    with pytest.raises(InputError, match="is a directory, expects the name of a file"):
        prepare("nw_ucla", ucla, tmp_path, progress=False)
    with pytest.raises(InputError, match="actors are built in and read no files: leave out"):
        prepare("actors", ucla, tmp_path / "s.arrow", progress=False)


def test_a_failure_half_way_keeps_the_old_store(ucla: Path, tmp_path: Path) -> None:
    out = tmp_path / "s.arrow"
    prepare("nw_ucla", ucla, out, progress=False)
    old = out.read_bytes()
    write_nw_ucla(ucla, "a12_s09_e00_v01", label=1)
    with pytest.raises(InputError, match="a12_s09_e00_v01"):
        prepare("nw_ucla", ucla, out, strict=True, progress=False)
    assert out.read_bytes() == old
    assert sorted(os.listdir(tmp_path)) == ["raw", "s.arrow"]


def test_the_progress_bar_goes_to_stderr(
    ucla: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    prepare("nw_ucla", ucla, tmp_path / "s.arrow")
    captured = capfd.readouterr()
    assert captured.out == ""
    assert "prepare nw_ucla" in captured.err
    assert "3/3" in captured.err


def test_the_built_in_actors_need_no_files(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    summary = prepare("actors", None, tmp_path / "s.arrow")
    assert "960/960" in capfd.readouterr().err
    store = open_store(tmp_path / "s.arrow")
    assert summary.written == len(store) == 960
    assert all(min(sizes) > 0 for sizes in split_sizes(store).values())


def test_summary_wording() -> None:
    assert dataset_names() == ("actors", "nw_ucla", "utd_mhad")
    assert str(PrepareSummary(Path("a"), 1484, 0, 1.0)) == "1 484 written"
    assert str(PrepareSummary(Path("a"), 1480, 4, 1.0)) == "1 480 written, 4 skipped: see skipped.csv"


@pytest.mark.parametrize(("dataset", "clips"), [("nw_ucla", 1484), ("utd_mhad", 861)])
def test_the_real_data_sets(dataset: str, clips: int, shared: Path, tmp_path: Path) -> None:
    summary = prepare(dataset, shared / "data" / dataset, tmp_path / "s.arrow", progress=False)
    assert (summary.written, summary.skipped) == (clips, 0)
    if dataset == "utd_mhad":
        lines = (shared / "data" / dataset / "classes.txt").read_text().splitlines()
        assert open_store(summary.store).class_names == tuple(line.split(" ", 1)[1] for line in lines if line)
