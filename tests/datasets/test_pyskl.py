"""The reader of pyskl's pickles: 2-D and 3-D, scores, splits, and every kind of bad annotation."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from format_files import clips_of, drawn_clip, spoilt
from hypothesis import given, settings
from hypothesis import strategies as st

from kinelex.data import open_store
from kinelex.datasets import prepare, split_sizes
from kinelex.datasets.formats.conventions import split_tags
from kinelex.datasets.pyskl import PysklReader
from kinelex.errors import InputError


def annotation(name: str, label: int | None = 1, seed: int = 0, **changes: Any) -> dict[str, Any]:
    x = drawn_clip(seed, frames=3, persons=2).transpose(1, 0, 2, 3)  # (M, T, V, C)
    entry = {"frame_dir": name, "label": label, "keypoint": x, "total_frames": 3} | changes
    return {key: value for key, value in entry.items() if value is not ...}


def write(path: Path, entries: list[Any], split: Any = None) -> Path:
    path.write_bytes(pickle.dumps({"split": split or {}, "annotations": entries}, protocol=4))
    return path


def test_3d_annotations_arrive_as_they_are(tmp_path: Path) -> None:
    names = ["S001C002P003R001A001", "S017C001P009R002A003", "other"]
    entries = [annotation(name, i, seed=i) for i, name in enumerate(names)]
    entries[1]["keypoint"][1] = 0  # nobody there
    split = {"xsub_train": names[:2], "xsub_val": names[2:], "mini": names[:1], "test1": ["who?", names[0]]}
    summary = prepare(
        "pyskl", write(tmp_path / "a.pkl", entries, split), tmp_path / "s.arrow", progress=False
    )
    assert (summary.written, summary.skipped) == (3, 0)
    store = open_store(summary.store)
    assert store.ids == names
    assert store.labels.tolist() == [0, 1, 2]
    assert (store.layout.name, store.meta.units, store.channels) == ("ntu25", "metres", 3)
    assert store.class_names == ("class 0", "class 1", "class 2")
    assert store.splits == [("xsub:train", "mini", "split1:test"), ("xsub:train",), ("xsub:test",)]
    assert split_sizes(store)["xsub"] == (2, 1)
    assert [store.setups.tolist(), store.cameras.tolist()] == [[1, 17, -1], [2, 1, -1]]
    assert [store.subjects.tolist(), store.replications.tolist()] == [[3, 9, -1], [1, 2, -1]]
    assert store.persons.tolist() == [2, 1, 2]
    np.testing.assert_array_equal(store.sequence(0), entries[0]["keypoint"].transpose(1, 0, 2, 3))
    np.testing.assert_array_equal(store.sequence(1)[:, 0], entries[1]["keypoint"][0])
    assert store.scores(0) is None
    assert store.image_size(0) is None


def test_2d_annotations_bring_scores_and_image_size(tmp_path: Path) -> None:
    x = (100 * drawn_clip(1, 5, 2, 17, 2)).astype(np.float16)
    scores = drawn_clip(2, 5, 2, 17, 2)[..., 0].astype(np.float16)
    entry = annotation("v_Archery_g01", ..., keypoint=x.transpose(1, 0, 2, 3), total_frames=np.int64(5))
    entry |= {
        "keypoint_score": scores.transpose(1, 0, 2),
        "img_shape": (240, 320),
        "original_shape": (240, 320),
    }
    path, classes = write(tmp_path / "a.pkl", [entry], {"train": ["v_Archery_g01"]}), tmp_path / "names.txt"
    classes.write_text("archery\nbowling\n")
    prepare("pyskl", path, tmp_path / "s.arrow", progress=False, classes=classes)
    store = open_store(tmp_path / "s.arrow")
    assert (store.layout.name, store.meta.units, store.channels) == ("coco17", "pixels", 2)
    assert store.class_names == ("archery", "bowling")
    assert store.labels.tolist() == [-1]
    assert store.splits == [("given:train",)]
    assert store.image_size(0) == (240, 320)
    np.testing.assert_array_equal(store.sequence(0), x.astype(np.float32))
    np.testing.assert_array_equal(store.scores(0), scores.astype(np.float32))


def test_a_list_of_annotations_alone_and_runs_of_many(tmp_path: Path) -> None:
    entries = [annotation(f"clip{i}", seed=i) for i in range(600)]
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(entries))
    prepare("pyskl", tmp_path / "a.pkl", tmp_path / "s.arrow", progress=False)
    store = open_store(tmp_path / "s.arrow")
    assert store.ids == [f"clip{i}" for i in range(600)]
    np.testing.assert_array_equal(store.sequence(599), entries[599]["keypoint"].transpose(1, 0, 2, 3))


def test_layouts_that_the_size_does_not_tell(tmp_path: Path) -> None:
    x = drawn_clip(0, joints=20).transpose(1, 0, 2, 3)
    path = write(tmp_path / "a.pkl", [annotation("a", keypoint=x, total_frames=4)])
    with pytest.raises(
        InputError, match=r"a.pkl: 20 joints of 3 coordinates do not tell.* \(kinect20, msr20, utd20\)"
    ):
        prepare("pyskl", path, tmp_path / "s.arrow", progress=False)
    with pytest.raises(InputError, match=r"expects 17 joints \(coco17\), got 20: pass another --layout"):
        prepare("pyskl", path, tmp_path / "s.arrow", progress=False, layout="coco17")
    joints = "\n".join(f"  j{i}: j0" for i in range(20))
    (tmp_path / "own.yaml").write_text(f"name: own\njoints:\n{joints}\n")
    prepare("pyskl", path, tmp_path / "s.arrow", progress=False, layout=str(tmp_path / "own.yaml"))
    assert open_store(tmp_path / "s.arrow").layout.name == "own"
    prepare("pyskl", path, tmp_path / "s.arrow", progress=False, layout="kinect20")
    assert open_store(tmp_path / "s.arrow").layout.name == "kinect20"


INFINITE = drawn_clip(5, 3, 2).transpose(1, 0, 2, 3)
INFINITE[0, 1] = np.inf


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (7, "expects a dict, got int"),
        (annotation(...), "has no 'frame_dir'"),
        (annotation("b", "wave"), "'label' is 'wave', expects a whole number"),
        (annotation("b", -1), "class -1 is out of range"),
        (annotation("b", 10**9), "class 1000000000 is out of range, expects 0 to 1"),
        (annotation("b", keypoint=...), "has no 'keypoint'"),
        (annotation("b", keypoint=[1, 2]), "'keypoint' is list"),
        (annotation("b", keypoint=np.array(["a"])), "'keypoint' is <U1 of shape"),
        (annotation("b", keypoint=np.ones((3, 25, 3))), r"'keypoint' is float64 of shape \(3, 25, 3\)"),
        (annotation("b", keypoint=np.ones((1, 3, 25, 2))), "has 2 coordinates per joint, the file's first 3"),
        (annotation("b", keypoint=np.ones((1, 3, 17, 3))), r"expects 25 joints \(ntu25\), got 17"),
        (annotation("b", keypoint=np.ones((0, 3, 25, 3))), "nobody was found in the clip"),
        (annotation("b", keypoint=np.zeros((1, 3, 25, 3))), "no frame has a body"),
        (annotation("b", keypoint=INFINITE), "coordinates of frame 1 are not finite"),
        (annotation("b", total_frames=4), "has 3 frames, 'total_frames' says 4"),
        (annotation("b", keypoint_score=np.ones((2, 2, 25))), "'keypoint_score' has"),
        (annotation("b", keypoint_score="high"), "'keypoint_score' is no array"),
        (annotation("b", img_shape="large"), "'img_shape' is 'large'"),
        (annotation("b", img_shape=(0, 5)), "expects an image size"),
        (annotation("a"), "has the id a, which"),
    ],
)
def test_bad_annotations_are_skipped(bad: Any, reason: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.pkl", [annotation("a"), bad])
    summary = prepare("pyskl", path, tmp_path / "s.arrow", progress=False)
    assert (summary.written, summary.skipped) == (1, 1)
    with pytest.raises(InputError, match=f"a.pkl.*{reason}"):
        prepare("pyskl", path, tmp_path / "t.arrow", strict=True, progress=False)


@pytest.mark.parametrize(
    ("whole", "reason"),
    [
        (5, "expects a dict with the list 'annotations'"),
        ({"split": {}}, "expects a dict with the list 'annotations'"),
        ({"annotations": []}, "'annotations' is empty"),
        ({"annotations": [{}]}, "no annotation has 'keypoint' of shape"),
        ({"annotations": [annotation("a")], "split": ["a"]}, "expects 'split' to map names"),
        ({"annotations": [annotation("a")], "split": {"train": "abc"}}, "expects split 'train' to be a list"),
        ({"annotations": [annotation("a")], "kinelex": "{}"}, "the note that kinelex wrote there is damaged"),
        (pickle.Unpickler, "the pickle wants to run _pickle.Unpickler, which was refused"),
    ],
)
def test_files_that_are_none(whole: Any, reason: str, tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(whole))
    with pytest.raises(InputError, match=f"a.pkl: {reason}"):
        prepare("pyskl", tmp_path / "a.pkl", tmp_path / "s.arrow", progress=False)
    with pytest.raises(InputError, match="is a folder: expects a .pkl file"):
        prepare("pyskl", tmp_path, tmp_path / "s.arrow", progress=False)


def test_class_names_from_a_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a.pkl", [annotation("a")])
    for text, reason in (
        ("", "one name per line"),
        ("a\n\nb\n", "one name per line"),
        ("a\na\n", "names twice: a"),
    ):
        (tmp_path / "names.txt").write_text(text)
        with pytest.raises(InputError, match=f"--classes .*names.txt: .*{reason}"):
            prepare("pyskl", path, tmp_path / "s.arrow", progress=False, classes=tmp_path / "names.txt")
    with pytest.raises(InputError, match="--classes .*missing.txt cannot be read"):
        prepare("pyskl", path, tmp_path / "s.arrow", progress=False, classes=tmp_path / "missing.txt")


def test_split_names() -> None:
    assert split_tags(["xset_train", "sub1_val"]) == {"xset_train": "xset:train", "sub1_val": "sub1:test"}
    assert split_tags(["contest", "latest", "all"]) == {
        "contest": "contest",
        "latest": "latest",
        "all": "all",
    }
    assert split_tags(["a_val", "a_test", "b_val"]) == {
        "a_val": "a:val",
        "a_test": "a:test",
        "b_val": "b:test",
    }


@settings(max_examples=80, deadline=None)
@given(st.sampled_from([1.0, 0.99, 0.5, 0.1, 0.01]), st.floats(0, 1), st.integers(-1, 255))
def test_damaged_pickles_end_in_an_error_or_in_clips(cut: float, at: float, value: int) -> None:
    # A pickle has no checksum: a byte replaced inside an array is another array. What must hold is that
    # nothing but an InputError or clips of the right shape comes out, and nothing at all of a truncated one.
    entries = [annotation("a", 0, seed=1), annotation("b", 1, seed=2)]
    whole = pickle.dumps({"split": {"train": ["a"]}, "annotations": entries}, protocol=4)
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.pkl"
        path.write_bytes(spoilt(whole, cut, at, value))
        found = clips_of(PysklReader, path)
        if cut < 1:
            assert found is None
        for clip in (found or {}).values():
            assert clip.coordinates.shape[2:] == (25, 3)


def test_ids_of_splits_are_clips_without_their_ending_and_those_that_are_none_are_told(
    tmp_path: Path,
) -> None:
    entries = [annotation(f"clip{i}", 0, seed=i) for i in range(3)]
    split = {"xsub_train": ["clip0.mp4", "videos/clip1.avi", "gone"], "xsub_val": ["clip2"]}
    summary = prepare(
        "pyskl", write(tmp_path / "a.pkl", entries, split), tmp_path / "s.arrow", progress=False
    )
    assert open_store(summary.store).splits == [("xsub:train",), ("xsub:train",), ("xsub:test",)]
    assert "ids in the splits that no clip has: xsub_train: 1 of 3" in summary.notes
    assert (
        "ids in the splits are taken without ending or folder, for example clip0.mp4 for clip0"
        in summary.notes
    )
    assert "the layout is ntu25: guessed from 25 joints; --layout names another" in summary.notes
    split = {"xsub_train": ["a", "b"], "xsub_val": ["c"]}
    with pytest.raises(
        InputError, match=r"no id of its splits is a clip \(xsub_train: 2 of 2, xsub_val: 1 of 1\)"
    ):
        prepare("pyskl", write(tmp_path / "a.pkl", entries, split), tmp_path / "s.arrow", progress=False)


def test_labels_may_be_names(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.pkl",
        [annotation(n, label) for n, label in zip("abc", ("run", "jump", "run"), strict=True)],
    )
    prepare("pyskl", path, tmp_path / "s.arrow", progress=False)
    store = open_store(tmp_path / "s.arrow")
    assert (store.class_names, store.labels.tolist()) == (("jump", "run"), [1, 0, 1])
    (tmp_path / "names.txt").write_text("1 run\n2 jump\n")
    prepare("pyskl", path, tmp_path / "s.arrow", progress=False, classes=tmp_path / "names.txt")
    store = open_store(tmp_path / "s.arrow")
    assert (store.class_names, store.labels.tolist()) == (("run", "jump"), [0, 1, 0])


def test_a_confidence_among_the_key_points_is_a_score(tmp_path: Path) -> None:
    x = drawn_clip(1, 3, 1, 25, 3).transpose(1, 0, 2, 3).astype(np.float64)
    x[..., :2] *= 200
    x[..., 2] /= 2
    path = write(tmp_path / "a.pkl", [annotation("a", keypoint=x)])
    with pytest.raises(InputError, match=r"25 joints of 2 coordinates do not tell .*body25, ntu25"):
        prepare("pyskl", path, tmp_path / "s.arrow", progress=False)
    prepare("pyskl", path, tmp_path / "s.arrow", progress=False, layout="body25")
    store = open_store(tmp_path / "s.arrow")
    assert (store.channels, store.meta.units, store.layout.name) == (2, "pixels", "body25")
    np.testing.assert_allclose(store.scores(0)[:, 0], x[0, ..., 2], rtol=1e-6)


def test_what_is_said_of_ids_in_a_set_is_the_same_in_every_process(tmp_path: Path) -> None:
    entries = [annotation(f"clip{i:02}", 0, seed=i) for i in range(30)]
    path = write(tmp_path / "a.pkl", entries, {"train": {f"clip{i:02}.mp4" for i in range(30)}})
    notes = prepare("pyskl", path, tmp_path / "s.arrow", progress=False).notes
    assert "for example clip00.mp4 for clip00" in " ".join(notes)


def test_a_first_annotation_without_anybody_does_not_tell_what_the_numbers_are(tmp_path: Path) -> None:
    x = drawn_clip(0, 3, 2, 17).transpose(1, 0, 2, 3) * 100
    x[..., 2] = 0.5
    entries = [annotation("a", keypoint=np.zeros_like(x)), annotation("b", keypoint=x)]
    prepare("pyskl", write(tmp_path / "a.pkl", entries), tmp_path / "s.arrow", progress=False)
    store = open_store(tmp_path / "s.arrow")
    assert (store.ids, store.channels, store.layout.name) == (["b"], 2, "coco17")
