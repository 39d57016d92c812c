"""A folder of one's own clips: every kind of file, own layouts, the manifest, and bad files and rows."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from folder_files import BVH, clip, csv_of, folder
from format_files import drawn_clip

from kinelex.data import open_store
from kinelex.datasets import prepare, split_sizes
from kinelex.datasets.formats.bvh import read_bvh
from kinelex.errors import InputError


def prepared(source: Path, **options: Any) -> Any:
    prepare("folder", source, source.parent / "s.arrow", progress=False, **options)
    return open_store(source.parent / "s.arrow")


def test_ten_lines_of_yaml_and_a_manifest_do(tmp_path: Path) -> None:
    manifest = (
        "file,label,subject,camera,split,id,caption\n"
        "a/one.npy,wave,anna,0,train,,She waves.\n"
        'b/two.npy,point,bert,1,test,second,"He points, twice."\n'
    )
    one, two = clip(0), clip(1, persons=2)
    store = prepared(folder(tmp_path / "raw", manifest, {"a/one.npy": one[:, 0], "b/two.npy": two}))
    assert store.ids == ["a/one", "second"]
    assert store.layout.name == "arm"
    assert store.class_names == ("point", "wave")
    assert store.labels.tolist() == [1, 0]
    assert store.subjects.tolist() == [0, 1]
    assert list(store.meta.prepared["subject"]) == ["anna", "bert"]
    assert store.cameras.tolist() == [0, 1]
    assert store.captions == ["She waves.", "He points, twice."]
    assert split_sizes(store) == {"given": (1, 1)}
    np.testing.assert_array_equal(store.sequence(0), one)
    np.testing.assert_array_equal(store.sequence(1), two)


def test_the_example_of_the_docs(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "datasets" / "formats.md").read_text("utf-8")
    layout, manifest = (re.search(rf"```{kind}(.*?)```", page, re.S)[1] for kind in ("yaml\n", "\n(?=file,)"))
    assert len(layout.splitlines()) <= 10
    x = drawn_clip(0, 5, 1, 7)
    source = folder(
        tmp_path / "raw", manifest, {"anna/0001.npy": x[:, 0], "bert/0001.csv": csv_of(x)}, layout
    )
    store = prepared(source)
    assert (store.layout.name, store.class_names) == ("arms", ("point", "wave"))
    assert store.layout.mirror == (0, 4, 5, 6, 1, 2, 3)
    for row in (0, 1):
        np.testing.assert_allclose(store.sequence(row), x, rtol=1e-6)


def test_folders_of_classes_do_without_a_manifest(tmp_path: Path) -> None:
    files = {
        f"{part}/{label}/{n}.npy": clip(n) for n, part in enumerate(("train", "test")) for label in ("b", "a")
    }
    source = folder(tmp_path / "raw", "", files)
    (source / "manifest.csv").unlink()
    store = prepared(source)
    assert store.ids == ["test/a/1", "test/b/1", "train/a/0", "train/b/0"]
    assert (store.class_names, store.labels.tolist()) == (("a", "b"), [0, 1, 0, 1])
    assert split_sizes(store) == {"given": (2, 2)}
    (tmp_path / "names.txt").write_text("b\na\n")
    assert prepared(source, classes=tmp_path / "names.txt").labels.tolist() == [1, 0, 1, 0]


def test_parts_of_a_file_by_frames_and_by_seconds(tmp_path: Path) -> None:
    x = clip(0, frames=12)
    manifest = "file,label,start,end,fps,frames\nlong.npy,0,,4,,4\nlong,1,4,,,\nlong.mp4,1,0.5s,2s,4,6\n"
    source = folder(tmp_path / "raw", manifest, {"long.npy": x})
    store = prepared(source)
    assert store.ids == ["long_0_4", "long_4_end", "long_0.5s_2s"]
    for row, part in enumerate((slice(0, 4), slice(4, 12), slice(2, 8))):
        np.testing.assert_array_equal(store.sequence(row), x[part])
    assert store.fps[2] == 4
    for cells, reason in (
        ("1,40,", "start 1 and end 40 are no part of its 12 frames"),
        ("0.5,2,", "start is '0.5', expects a frame from 0, or seconds such as 1.5s"),
        ("0s,1s,", "no rate is known: add a column fps, or pass --fps"),
        ("0,1,-3", "fps is '-3', expects a positive number"),
    ):
        (source / "manifest.csv").write_text(f"file,start,end,fps\nlong.npy,{cells}\n")
        with pytest.raises(InputError, match=reason):
            prepared(source)
    (source / "manifest.csv").write_text("file,start,end\nlong.npy,0s,1s\n")
    assert prepared(source, fps=5.0).lengths.tolist() == [5]


def test_other_orders_of_axes(tmp_path: Path) -> None:
    x = clip(0, frames=4, persons=2)
    for axes, order in (("CTVM", (3, 0, 2, 1)), ("(M, T, V, C)", (1, 0, 2, 3)), ("tvcm", (0, 2, 3, 1))):
        source = folder(tmp_path / "raw", "file\na.npy\n", {"a.npy": x.transpose(order)})
        np.testing.assert_array_equal(prepared(source, axes=axes).sequence(0), x)
    source = folder(tmp_path / "raw", "file\na.npy\n", {"a.npy": x[:, 0].transpose(2, 0, 1)})
    np.testing.assert_array_equal(prepared(source, axes="CTV").sequence(0), x[:, :1])
    with pytest.raises(InputError, match="--axes TV: expects each of T, V, C once, and M"):
        prepared(source, axes="TV")
    with pytest.raises(InputError, match="--axes TMVC has 4 axes, the array 3"):
        prepared(source, axes="TMVC")


def test_a_body_has_the_size_of_one_in_metres(tmp_path: Path) -> None:
    x = clip(0)
    source = folder(tmp_path / "raw", "file\na.npy\n", {"a.npy": x * 100})
    with pytest.raises(InputError, match=r"no body in metres: pass --units centimetres \(then .* m\)"):
        prepared(source)
    for units in ("cm", "centimetres"):
        store = prepared(source, units=units)
        assert store.meta.units == "metres"
        np.testing.assert_allclose(store.sequence(0), x, rtol=1e-6)
    np.testing.assert_allclose(prepared(source, units="metres").sequence(0), x * 100, rtol=1e-6)
    assert prepared(source, units="heads").meta.units == "heads"
    with pytest.raises(InputError, match="both convert"):
        prepared(source, units="cm", scale=0.01)


def test_every_kind_of_file_gives_the_same_clip(tmp_path: Path) -> None:
    x = clip(3)
    header = "frame;hand_x;hand_y;hand_z;elbow_x;elbow_y;elbow_z;shoulder_x;shoulder_y;shoulder_z"
    turned = np.concatenate([np.arange(3)[:, None], x[:, 0, ::-1].reshape(3, -1)], axis=1)
    files = {
        "a.npy": x[:, 0],
        "b.npy": x.astype(np.float64),
        "c.npz": {"coordinates": x, "scores": np.full((3, 3), 0.5)},
        "d.csv": csv_of(x),
        "e.csv": csv_of(turned, header, ";"),
        "f.csv": csv_of(x, delimiter="\t").replace("\n", "\r\n"),
    }
    manifest = "file,label\n" + "".join(f"{name},0\n" for name in files)
    store = prepared(folder(tmp_path / "raw", manifest, files))
    assert store.ids == list("abcdef")
    for row in range(len(files)):
        np.testing.assert_allclose(store.sequence(row), x, rtol=1e-6)
    assert (store.scores(2) == 0.5).all()
    assert store.scores(0) is None


def test_two_persons_and_two_coordinates_in_csv(tmp_path: Path) -> None:
    flat = clip(0, persons=1, channels=2)
    source = folder(tmp_path / "raw", "file\na.csv\n", {"a.csv": csv_of(flat)})
    store = prepared(source)
    assert (store.channels, store.meta.units, store.labels.tolist()) == (2, "pixels", [-1])
    np.testing.assert_allclose(store.sequence(0), flat, rtol=1e-6)
    header = ",".join(f"{joint}_{axis}" for joint in ("shoulder", "elbow", "hand") for axis in "xy")
    (source / "a.csv").write_text(csv_of(flat, header))
    np.testing.assert_allclose(prepared(source).sequence(0), flat, rtol=1e-6)
    two = clip(0, persons=2)
    (source / "a.csv").write_text(csv_of(two))
    np.testing.assert_allclose(prepared(source).sequence(0), two, rtol=1e-6)


def test_bvh_brings_its_own_layout_or_gives_the_joints_asked_for(tmp_path: Path) -> None:
    source = folder(tmp_path / "raw", "file,label\na.bvh,0\n", {"a.bvh": BVH}, layout=None)
    places = read_bvh(source / "a.bvh").positions()
    store = prepared(source, scale=0.01, units="metres")
    assert store.layout.joints == ("pelvis", "left_hip", "left_up_leg_end")
    np.testing.assert_allclose(store.sequence(0)[:, 0], places * 0.01, rtol=1e-5)
    for number, joints in enumerate(("{LeftUpLeg: Hips, Hips: Hips}", "{left_hip: pelvis, pelvis: pelvis}")):
        own = tmp_path / f"own{number}.yaml"
        own.write_text(f"name: own\njoints: {joints}\n")
        found = prepared(source, layout=str(own), units="metres").sequence(0)
        np.testing.assert_allclose(found[:, 0], places[:, [1, 0]], rtol=1e-5)
    (tmp_path / "bad.yaml").write_text("name: own\njoints: {Hip: Hip, left_toe: Hip}\n")
    with pytest.raises(InputError, match="unknown joint of own in this file 'left_toe'"):
        prepared(source, layout=str(tmp_path / "bad.yaml"))


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_a_manifest_of_a_spreadsheet(mark: str, tmp_path: Path) -> None:
    lines = ("file,label,caption", 'a.npy,wave,"one, two\nthree; four\u2028five"', "b.npy,clap,six")
    source = folder(tmp_path / "raw", "", {f"{n}.npy": clip(i) for i, n in enumerate("ab")})
    text = "\r\n".join(mark.join(line.split(",", 2)) for line in lines) + "\r\n"
    (source / "manifest.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    store = prepared(source)
    assert (store.labels.tolist(), store.class_names) == ([1, 0], ("clap", "wave"))
    assert store.captions == ["one, two\nthree; four\u2028five", "six"]


def test_labels_splits_and_classes(tmp_path: Path) -> None:
    manifest = "file,label,split\na.npy,2,xsub_train xview_val\nb.npy,,xsub_val;mini\nc.npy,0,\n"
    source = folder(tmp_path / "raw", manifest, {f"{n}.npy": clip(i) for i, n in enumerate("abc")})
    store = prepared(source)
    assert store.class_names == ("class 0", "class 1", "class 2")
    assert store.labels.tolist() == [2, -1, 0]
    assert store.splits == [("xsub:train", "xview:test"), ("xsub:test", "mini"), ()]
    (tmp_path / "names.txt").write_text("walk\nrun\njump\n")
    assert prepared(source, classes=tmp_path / "names.txt").class_names == ("walk", "run", "jump")
    (source / "manifest.csv").write_text("file,label\na.npy,run\nb.npy,fly\nc.npy,walk\n")
    store = prepared(source, classes=tmp_path / "names.txt")
    assert (store.ids, store.labels.tolist()) == (["a", "c"], [1, 0])
    assert "unknown label 'fly'. Known: jump, run, walk" in (tmp_path / "skipped.csv").read_text()


def test_the_layout_is_told_by_the_size_or_asked_for(tmp_path: Path) -> None:
    source = folder(tmp_path / "raw", "file\na.npy\n", {"a.npy": drawn_clip(0, 3, 1, 25, 3)}, layout=None)
    assert prepared(source).layout.name == "ntu25"
    np.save(source / "a.npy", clip())
    with pytest.raises(
        InputError, match=r"a.npy: 3 joints of 3 coordinates do not tell .*--layout FILE.yaml"
    ):
        prepared(source)
    (source / "a.csv").write_text(csv_of(clip()))
    (source / "manifest.csv").write_text("file\na.csv\n")
    with pytest.raises(InputError, match="a.csv: a .csv does not tell its layout"):
        prepared(source)
    with pytest.raises(InputError, match="--scale -1.0: expects a positive number"):
        prepared(source, scale=-1.0)


@pytest.mark.parametrize(
    ("name", "thing", "reason"),
    [
        ("x.npy", None, "does not exist, but the manifest lists it"),
        ("x.txt", "1", "expects a file ending in .npy, .npz, .csv, .bvh"),
        ("x.npy", "?", "not a readable .npy array"),
        ("x.npy", np.ones((3, 4, 3)), r"expects 3 joints \(arm\), got 4"),
        ("x.npy", np.ones((3, 10)), "10 columns, expects 9"),
        ("x.npy", np.ones(9), r"expects shape \(T, V, C\) or \(T, M, V, C\)"),
        ("x.npy", np.ones((3, 3, 2)), r"2 numbers per joint, expects 3 \(x, y, z\)"),
        ("x.npy", np.ones((1, 40, 3, 2)), "1 frames of 40 persons: pass --axes MTVC"),
        ("x.npy", np.ones((3, 40, 3, 2)), "3 frames of 40 persons: pass --axes MTVC or CTVM"),
        ("x.npy", np.zeros((3, 3, 3)), "no frame has a body"),
        ("x.npy", np.full((3, 3, 3), np.nan), "no frame has a body"),
        ("x.npy", np.full((3, 3, 3), 1e300), "coordinates of frame 0 are not finite"),
        ("x.npy", np.ones((3, 3, 3), complex), "holds complex128, expects numbers"),
        ("x.npy", np.array([[["a"]]]), "holds <U1, expects numbers"),
        ("x.npy", np.ones((0, 3, 3)), "has no frames"),
        (
            "x.npz",
            {"positions": np.ones((3, 3, 3))},
            "expects the array 'coordinates', the file has positions",
        ),
        ("x.npz", {"coordinates": np.ones((3, 3, 3)), "scores": np.ones(3)}, "expects 'scores' of shape"),
        ("x.npz", "?", "not a readable .npz file"),
        ("x.csv", "", "is empty"),
        ("x.csv", "1,2,3\n", "3 columns, expects 9"),
        ("x.csv", csv_of(clip())[:-1], "its last line is not ended"),
        ("x.csv", csv_of(clip()) + "1,2\n", "expects numbers, as many in each row"),
        ("x.csv", csv_of(clip()) + "1,2,3,4,5,6,7,8,x\n", "expects numbers, as many in each row"),
        ("x.csv", csv_of(clip(), "a,b,c,d,e,f,g,h,i"), "unknown column for arm 'a'"),
        ("x.csv", csv_of(clip(), "elbow_x,elbow_x"), "2 names in the header, 9 numbers in a row"),
        ("x.csv", "elbow_x,elbow_x\n1,2\n", "columns twice in the header: elbow_x"),
        ("x.csv", "elbow_x,elbow_y\n1,2\n", "the header lacks shoulder_x, shoulder_y"),
        ("x.csv", "elbow_x,elbow_y\n", "has a header and no rows"),
        ("x.bvh", "?", "expects a line MOTION"),
    ],
)
def test_bad_clips_are_skipped(name: str, thing: Any, reason: str, tmp_path: Path) -> None:
    files = {"a.npy": clip(), **({} if thing is None else {name: thing})}
    source = folder(tmp_path / "raw", f"file,label\na.npy,0\n{name},0\n", files)
    summary = prepare("folder", source, tmp_path / "s.arrow", progress=False)
    assert (summary.written, summary.skipped) == (1, 1)
    with pytest.raises(InputError, match=f"{name}: .*{reason}"):
        prepare("folder", source, tmp_path / "t.arrow", strict=True, progress=False)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("b.npy,0,,,", "line 3 has 5 cells, the header 4"),
        ("b.npy,0", "line 3 has 2 cells, the header 4"),
        (",0,,", "line 3: names no file"),
        ("../b.npy,0,,", "line 3: ../b.npy is outside of the folder"),
        ("/etc/b.npy,0,,", "line 3: /etc/b.npy is outside of the folder"),
        ("b.npy,99999,,", "line 3: label 99999 is out of range"),
        ("b.npy,9999999999,,", "line 3: label is '9999999999', expects a whole number of at most 9"),
        ("b.npy,0,,5", "b.npy: has 3 frames, the manifest says 5"),
        ("b.npy,0,,x", "line 3: frames is 'x', expects a whole number"),
        ("b.npy,0,a,", "has the id a, which"),
    ],
)
def test_bad_rows_are_skipped(row: str, reason: str, tmp_path: Path) -> None:
    files = {"a.npy": clip(), "b.npy": clip(1)}
    source = folder(tmp_path / "raw", f"file,label,id,frames\na.npy,0,,3\n{row}\n", files)
    summary = prepare("folder", source, tmp_path / "s.arrow", progress=False)
    assert (summary.written, summary.skipped) == (1, 1)
    with pytest.raises(InputError, match=reason):
        prepare("folder", source, tmp_path / "t.arrow", strict=True, progress=False)


@pytest.mark.parametrize(
    ("manifest", "reason"),
    [
        ("", "expects a header and one row per clip, got 0 rows"),
        ("file,label\n", "expects a header and one row per clip, got 1 rows"),
        ("file,lable\na.npy,0\n", "unknown column 'lable': did you mean 'label'?"),
        ("label,id\n0,a\n", "expects the column 'file' and each column once"),
        ("file,file\na.npy,a.npy\n", "expects the column 'file' and each column once"),
        ("file,label\na.npy,0", "its last line is not ended"),
        ("file\nb.npy\n", "b.npy: does not exist, but the manifest lists it"),
        ("file\na\0.npy\n", r"line 2: 'a\\x00.npy' is no name of a file"),
        ("file,label\na.npy,wave\na.npy,10\n", "column 'label' has 'wave' and '10': expects whole numbers"),
        ("file,label\na.npy,-1\na.npy,2\n", "column 'label' has '-1' and '2': expects whole numbers"),
        ("file,subject\na.npy,1.0\n", "column 'subject' has '1.0': expects whole numbers"),
    ],
)
def test_bad_manifests(manifest: str, reason: str, tmp_path: Path) -> None:
    source = folder(tmp_path / "raw", manifest, {"a.npy": clip()})
    with pytest.raises(InputError, match=reason):
        prepared(source)
    (source / "manifest.csv").unlink()
    with pytest.raises(InputError, match="manifest.csv does not exist: expects a folder with manifest.csv"):
        prepared(source)
