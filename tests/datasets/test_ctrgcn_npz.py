"""The reader of CTR-GCN's padded arrays: padding, persons, labels, streaming, and damaged files."""

import tempfile
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from format_files import clips_of, content, drawn_clip, only_true_clips, padded, spoilt, write_npz
from hypothesis import given, settings
from hypothesis import strategies as st

from kinelex.data import open_store
from kinelex.datasets import prepare, split_sizes
from kinelex.datasets.ctrgcn_npz import CtrgcnNpzReader
from kinelex.errors import InputError

TRAIN = [drawn_clip(0, 4, 1), drawn_clip(1, 6, 2), drawn_clip(2, 2, 1)]
TEST = [drawn_clip(3, 5, 2), drawn_clip(4, 1, 1)]
PARTS = {"train": (padded(TRAIN, 8), [2, 0, 1]), "test": (padded(TEST, 8), [1, 1])}


@pytest.mark.parametrize("compressed", [False, True])
def test_rows_arrive_without_their_padding(compressed: bool, tmp_path: Path) -> None:
    path = write_npz(tmp_path / "NTU60_CS.npz", PARTS, compressed=compressed)
    summary = prepare("ctrgcn_npz", path, tmp_path / "s.arrow", progress=False)
    assert (summary.written, summary.skipped) == (5, 0)
    store = open_store(summary.store)
    assert store.ids == [*(f"train_{i:06d}" for i in range(3)), "test_000000", "test_000001"]
    assert store.labels.tolist() == [2, 0, 1, 1, 1]
    assert store.lengths.tolist() == [4, 6, 2, 5, 1]
    assert store.persons.tolist() == [1, 2, 1, 2, 1]
    assert (store.layout.name, store.meta.units, len(store.class_names)) == ("ntu25", "metres", 3)
    assert store.splits == [("given:train",)] * 3 + [("given:test",)] * 2
    assert split_sizes(store) == {"given": (3, 2)}
    for row, clip in enumerate([*TRAIN, *TEST]):
        np.testing.assert_array_equal(store.sequence(row), clip)


def test_empty_frames_in_the_middle_stay_and_empty_rows_go(tmp_path: Path) -> None:
    x = padded(TRAIN, 8)
    x[0, [0, 2]] = 0  # lost at the beginning and in the middle
    x[1] = 0
    path = write_npz(tmp_path / "a.npz", {"train": (x, [0, 1, 2])})
    summary = prepare("ctrgcn_npz", path, tmp_path / "s.arrow", progress=False)
    assert (summary.written, summary.skipped) == (2, 1)
    store = open_store(summary.store)
    np.testing.assert_array_equal(store.sequence(0), x[0, :4, :1])
    with pytest.raises(InputError, match="a.npz:row 1 of x_train: no frame has a body"):
        prepare("ctrgcn_npz", path, tmp_path / "t.arrow", strict=True, progress=False)


def test_labels_as_numbers_and_rows_that_are_not_one_hot(tmp_path: Path) -> None:
    path = write_npz(tmp_path / "a.npz", PARTS, y_train=np.array([4, 0, 1]))
    prepare("ctrgcn_npz", path, tmp_path / "s.arrow", progress=False)
    assert open_store(tmp_path / "s.arrow").labels.tolist() == [4, 0, 1, 1, 1]
    y = np.array([[0, 1, 0], [0, 0, 0], [1, 1, 0]])
    write_npz(path, PARTS, y_train=y)
    summary = prepare("ctrgcn_npz", path, tmp_path / "s.arrow", progress=False)
    assert (summary.written, summary.skipped) == (3, 2)
    with pytest.raises(InputError, match="row 1 of x_train: its label is not one-hot"):
        prepare("ctrgcn_npz", path, tmp_path / "t.arrow", strict=True, progress=False)


def test_other_layouts_must_be_named(tmp_path: Path) -> None:
    clips = [drawn_clip(0, 3, 2, 20), drawn_clip(1, 3, 1, 20)]
    path = write_npz(tmp_path / "a.npz", {"test": (padded(clips, 5), [0, 1])})
    with pytest.raises(InputError, match=r"a frame has 120 numbers, expects 150 .*pass --layout NAME"):
        prepare("ctrgcn_npz", path, tmp_path / "s.arrow", progress=False)
    with pytest.raises(InputError, match="no whole number of persons with 17 joints"):
        prepare("ctrgcn_npz", path, tmp_path / "s.arrow", progress=False, layout="coco17")
    prepare("ctrgcn_npz", path, tmp_path / "s.arrow", progress=False, layout="kinect20")
    np.testing.assert_array_equal(open_store(tmp_path / "s.arrow").sequence(0), clips[0])
    flat = [drawn_clip(0, 3, 2, 17, 2)]
    path = write_npz(tmp_path / "b.npz", {"test": (padded(flat, 5), [0])})
    prepare("ctrgcn_npz", path, tmp_path / "s.arrow", progress=False, layout="coco17")
    store = open_store(tmp_path / "s.arrow")
    assert (store.channels, store.meta.units) == (2, "pixels")
    np.testing.assert_array_equal(store.sequence(0), flat[0])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"x_train": np.zeros((3, 8, 2, 75))}, "expects arrays .* of one width"),
        ({"x_train": np.zeros((3, 8, 75))}, "expects arrays .* of one width"),
        ({"x_train": np.asfortranarray(np.ones((3, 8, 150)))}, "expects rows that lie together"),
        ({"x_train": np.full((3, 8, 150), "a")}, "x_train: holds <U1, expects numbers"),
        ({"y_train": np.eye(3)[[0, 1]]}, r"x_train has 3 rows, y_train has shape \(2,\)"),
        ({"y_train": np.ones((3, 2, 2))}, "y_train has shape"),
        ({"y_train": np.array([0, 1, 10**6])}, "y_train has the class 1000000"),
        ({"y_train": np.array([{}, 1, 2], dtype=object)}, "y_train: not a readable|y_train: holds object"),
        ({"id_train": np.array(["a"])}, r"x_train has 3 rows, id_train has shape \(1,\)"),
        ({"num_frame_train": np.array([1, 9, 1])}, "num_frame_train is out of range, expects 1 to 8"),
        ({"kinelex": np.array("{")}, "the note that kinelex wrote there is damaged"),
    ],
)
def test_arrays_that_do_not_fit(changes: dict[str, Any], reason: str, tmp_path: Path) -> None:
    path = write_npz(tmp_path / "a.npz", PARTS, **changes)
    with pytest.raises(InputError, match=f"a.npz.*{reason}"):
        prepare("ctrgcn_npz", path, tmp_path / "s.arrow", progress=False)


def test_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_text("?")
    np.savez(tmp_path / "b.npz", x=np.ones(3))
    for path, reason in (
        (tmp_path / "a.npz", "not a readable .npz file"),
        (tmp_path / "b.npz", "holds x.npy: expects a .npz file with x_train"),
        (tmp_path, "is a folder: expects a .npz file"),
        (tmp_path / "c.npz", "does not exist: expects a .npz file"),
    ):
        with pytest.raises(InputError, match=reason):
            prepare("ctrgcn_npz", path, tmp_path / "s.arrow", progress=False)


@pytest.mark.parametrize("compressed", [False, True])
def test_the_array_is_never_in_memory(compressed: bool, tmp_path: Path) -> None:
    x = np.zeros((1500, 60, 2, 25, 3), np.float32)  # 54 MB
    x[:, :3] = 1
    path = write_npz(tmp_path / "a.npz", {"train": (x, [0] * len(x))}, compressed=compressed)
    size = x.nbytes
    del x
    reader = CtrgcnNpzReader(path)
    items = reader.items()
    tracemalloc.start()
    try:
        count = sum(1 for item in items for _ in reader.read(item))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 1500
    assert peak < size / 2


def _whole(path: Path, compressed: bool) -> bytes:
    return write_npz(path, PARTS, compressed=compressed).read_bytes()


@pytest.mark.parametrize("compressed", [False, True])
def test_worker_processes_give_the_same_store(compressed: bool, tmp_path: Path) -> None:
    clips = [drawn_clip(i, 1 + i % 3) for i in range(600)]
    path = write_npz(tmp_path / "a.npz", {"train": (padded(clips, 3), [0] * 600)}, compressed=compressed)
    assert len(CtrgcnNpzReader(path).items()) > 2
    for workers in (1, 2):
        prepare("ctrgcn_npz", path, tmp_path / f"{workers}.arrow", progress=False, workers=workers)
    assert content(tmp_path / "1.arrow") == content(tmp_path / "2.arrow")
    assert list(content(tmp_path / "2.arrow").values())[599][0] == clips[599].tolist()


@settings(max_examples=60, deadline=None)
@given(st.booleans(), st.sampled_from([1.0, 1.0, 0.9, 0.3]), st.floats(0, 1), st.integers(-1, 255))
def test_damaged_files_never_give_a_wrong_clip(compressed: bool, cut: float, at: float, value: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        whole = _whole(Path(folder) / "a.npz", compressed)
        true = clips_of(CtrgcnNpzReader, Path(folder) / "a.npz")
    assert true is not None
    assert len(true) == 5
    only_true_clips(CtrgcnNpzReader, "a.npz", spoilt(whole, cut, at, value), true, {})


def test_an_empty_part_is_none(tmp_path: Path) -> None:
    x = padded([drawn_clip(0), drawn_clip(1)], 5)
    path = write_npz(tmp_path / "a.npz", {"train": (x[:0], []), "test": (x, [0, 1])})
    summary = prepare("ctrgcn_npz", path, tmp_path / "s.arrow", progress=False)
    assert (summary.written, summary.skipped) == (2, 0)
