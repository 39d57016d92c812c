"""Export and back: coordinates, labels, ids and splits stay; files are as other programs expect them."""

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from format_files import content, drawn_clip

from kinelex.data import Sequence, SkeletonStoreWriter, StoreMeta, open_store
from kinelex.datasets import prepare, split_sizes
from kinelex.datasets.export import ExportSummary, export_data
from kinelex.errors import InputError
from kinelex.skeleton import get_layout

NAMES = ("wave", "point", "fall, slowly")


def store_of(path: Path, layout: str = "ntu25", channels: int = 3, **changes: Any) -> Path:
    """300 clips of 1 to 9 frames and one or two persons, in two protocols; the last is in neither."""
    joints = get_layout(layout).num_joints
    units = "metres" if channels == 3 else "pixels"
    with SkeletonStoreWriter(path, StoreMeta("own", get_layout(layout), NAMES, units)) as writer:
        for i in range(300):
            x = drawn_clip(i, 1 + i % 9, 1 + i % 2, joints, channels)
            if i % 7 == 0:
                x[-1] = 0  # a frame in which nobody is seen, at the end
                x[0] += 1
            tags = (f"xsub:{'train' if i % 3 else 'test'}", f"xview:{'test' if i % 4 else 'train'}")
            more = {"subject": i % 5, "camera": i % 3, "splits": tags if i < 299 else ("mini",)}
            if channels == 2:
                more |= {"scores": x[..., 0] / 10, "image_size": (480, 640)}
            writer.add(Sequence(f"clip {i}", x, i % 3, **{**more, **changes}))
    return path


def there_and_back(store: Path, to: str, out: Path, **options: Any) -> tuple[ExportSummary, Path]:
    summary = export_data(store, to, out, progress=False, **options)
    assert not [name for name in os.listdir(out.parent) if name.startswith(".")]
    prepared = prepare(to, out, out.parent / "back.arrow", progress=False)
    assert prepared.skipped == 0
    return summary, prepared.store


@pytest.mark.parametrize("to", ["ctrgcn_npz", "npy"])
@pytest.mark.parametrize(("layout", "channels"), [("ntu25", 3), ("coco17", 2), ("utd20", 3)])
def test_padded_formats_and_back(to: str, layout: str, channels: int, tmp_path: Path) -> None:
    store = store_of(tmp_path / "s.arrow", layout, channels)
    summary, back = there_and_back(store, to, tmp_path / "out", protocol="xview")
    assert (summary.clips, summary.left_out, summary.cut) == (299, 1, 0)
    assert str(summary).endswith("out, 1 left out that are in no part of the protocol")
    true = {
        name: (x, label, tuple(tag for tag in tags if tag.startswith("xview")))
        for name, (x, label, tags) in content(store).items()
        if name != "clip 299"
    }
    assert content(back) == true
    found = open_store(back)
    assert (found.class_names, found.layout) == (NAMES, get_layout(layout))
    assert found.meta.units == open_store(store).meta.units
    assert split_sizes(found) == {"xview": (75, 224)}


@pytest.mark.parametrize(("layout", "channels"), [("ntu25", 3), ("coco17", 2)])
def test_pyskl_and_back(layout: str, channels: int, tmp_path: Path) -> None:
    store = store_of(tmp_path / "s.arrow", layout, channels)
    summary, back = there_and_back(store, "pyskl", tmp_path / "a.pkl")
    assert (summary.clips, summary.left_out, summary.cut) == (300, 0, 0)
    assert content(back) == content(store)
    one, two = open_store(store), open_store(back)
    assert two.class_names == NAMES
    assert split_sizes(one) == split_sizes(two)
    for column in ("subjects", "cameras", "setups", "replications"):
        np.testing.assert_array_equal(getattr(one, column), getattr(two, column))
    for row in (0, 299):
        assert one.image_size(row) == two.image_size(row)
        np.testing.assert_array_equal(one.scores(row), two.scores(row))


def test_what_other_programs_read(tmp_path: Path) -> None:
    store = store_of(tmp_path / "s.arrow")
    opened = open_store(store)
    export_data(store, "ctrgcn_npz", tmp_path / "a.npz", "xsub", progress=False)
    with np.load(tmp_path / "a.npz") as held:
        assert held["x_train"].shape == (199, 9, 150)
        assert held["y_train"].shape == (199, 3)
        first = held["x_train"][0].reshape(9, 2, 25, 3)
        np.testing.assert_array_equal(first[:2, :2], opened.sequence(1))
        assert np.where(held["y_train"] > 0)[1].tolist() == [i % 3 for i in range(299) if i % 3]
    export_data(store, "npy", tmp_path / "npy", "xsub", frames=5, progress=False)
    x = np.load(tmp_path / "npy" / "val_position.npy")
    names, labels = pickle.loads((tmp_path / "npy" / "val_label.pkl").read_bytes())
    assert x.shape == (100, 3, 5, 25, 2)
    assert (names[1], labels[1]) == ("clip 3", 0)
    np.testing.assert_array_equal(x[1, :, :4].transpose(1, 3, 2, 0), opened.sequence(3))
    export_data(store, "pyskl", tmp_path / "a.pkl", "xsub", progress=False)
    held = pickle.loads((tmp_path / "a.pkl").read_bytes())
    assert b"numpy._core" not in (tmp_path / "a.pkl").read_bytes()
    assert list(held["split"]) == ["xsub_train", "xsub_val", "mini"]
    assert len(held["annotations"]) == 300
    entry = held["annotations"][3]
    assert (entry["frame_dir"], entry["label"], entry["total_frames"]) == ("clip 3", 0, 4)
    np.testing.assert_array_equal(entry["keypoint"].transpose(1, 0, 2, 3), opened.sequence(3))


def test_cut_frames_generated_protocols_and_val_beside_test(tmp_path: Path) -> None:
    store = store_of(tmp_path / "s.arrow")
    summary, back = there_and_back(store, "ctrgcn_npz", tmp_path / "a.npz", protocol="random:0.5:0", frames=4)
    assert (summary.clips, summary.cut) == (300, sum(1 + i % 9 > 4 for i in range(300)))
    assert open_store(back).lengths.max() == 4
    assert list(split_sizes(open_store(back))) == ["random_0.5_0"]
    with SkeletonStoreWriter(store, StoreMeta("own", get_layout("ntu25"), NAMES)) as writer:
        for i, part in enumerate(("train", "val", "test")):
            writer.add(Sequence(part, drawn_clip(i), None, splits=(f"given:{part}",)))
    _, back = there_and_back(store, "pyskl", tmp_path / "b.pkl")
    assert open_store(back).splits == [("given:train",), ("given:val",), ("given:test",)]


def test_what_cannot_be_exported(tmp_path: Path) -> None:
    store = store_of(tmp_path / "s.arrow")
    for to, options, reason in (
        ("npz", {}, "unknown format 'npz': did you mean"),
        ("npy", {"protocol": "xset"}, "unknown protocol of own 'xset'|has no protocols|unknown protocol"),
        ("npy", {"frames": 0}, "--frames 0: expects at least 1"),
        ("pyskl", {"frames": 9}, "--frames is for padded formats"),
    ):
        with pytest.raises(InputError, match=reason):
            export_data(store, to, tmp_path / "out", progress=False, **options)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("")
    for to in ("npy", "pyskl", "ctrgcn_npz"):
        with pytest.raises(InputError, match="is there already|is a directory"):
            export_data(store, to, tmp_path / "full", progress=False)
        with pytest.raises(InputError, match="cannot be written"):
            export_data(store, to, tmp_path / "full" / "file" / "out", progress=False)
    with SkeletonStoreWriter(store, StoreMeta("own", get_layout("ntu25"), NAMES)) as writer:
        for i in range(4):
            writer.add(Sequence(f"{i}", drawn_clip(i)))
    with pytest.raises(InputError, match=r"has no protocol of its own: pass --protocol"):
        export_data(store, "npy", tmp_path / "out", progress=False)
    with pytest.raises(
        InputError, match="4 clips have no label, which this format cannot say: use --to pyskl"
    ):
        export_data(store, "npy", tmp_path / "out", "random:0.5:0", progress=False)
    assert not (tmp_path / "out").exists()


def test_a_failure_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(store_of(tmp_path / "s.arrow"))
    for name in ("a.npz", "a.pkl"):
        (tmp_path / name).write_text("old")
    sequence = store.sequence

    def fails(row: int) -> np.ndarray:
        if row > 200:
            raise KeyboardInterrupt
        return sequence(row)

    monkeypatch.setattr(store, "sequence", fails)
    for to, out in (("ctrgcn_npz", "a.npz"), ("pyskl", "a.pkl"), ("npy", "folder")):
        with pytest.raises(KeyboardInterrupt):
            export_data(store, to, tmp_path / out, progress=False)
    assert sorted(os.listdir(tmp_path)) == ["a.npz", "a.pkl", "s.arrow"]
    assert (tmp_path / "a.npz").read_text() == (tmp_path / "a.pkl").read_text() == "old"


@pytest.mark.parametrize("to", ["pyskl", "ctrgcn_npz"])
def test_a_store_is_never_replaced_by_its_export(to: str, tmp_path: Path) -> None:
    store = store_of(tmp_path / "s.arrow")
    kept = store.read_bytes()
    with pytest.raises(InputError, match="s.arrow is a store, which would be lost: expects another name"):
        export_data(store, to, store, progress=False)
    assert store.read_bytes() == kept
