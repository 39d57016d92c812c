"""The reader of folders of padded arrays: both published trees, padding, protocols, and what does not fit."""

import pickle
import tempfile
from pathlib import Path

import numpy as np
import pytest
from format_files import clips_of, drawn_clip, padded, spoilt, write_npy
from hypothesis import given, settings
from hypothesis import strategies as st

from kinelex.data import open_store
from kinelex.datasets import prepare, split_sizes
from kinelex.datasets.npy import NpyReader
from kinelex.errors import InputError

NAMES = [f"S001C00{c}P00{c}R001A001.skeleton" for c in (1, 2, 3)]
CLIPS = [drawn_clip(0, 4, 1), drawn_clip(1, 6, 2), drawn_clip(2, 2, 1)]


def test_frames_of_zeros_at_the_end_go_unless_num_frame_says_more(tmp_path: Path) -> None:
    x = padded(CLIPS, 8)
    write_npy(tmp_path / "raw", "train", x, NAMES, [2, 0, 1])
    write_npy(tmp_path / "raw", "val", x[:1], ["other"], [0], frames=[7])
    prepare("npy", tmp_path / "raw", tmp_path / "s.arrow", progress=False)
    store = open_store(tmp_path / "s.arrow")
    assert store.ids == [*(name.removesuffix(".skeleton") for name in NAMES), "other"]
    assert store.labels.tolist() == [2, 0, 1, 0]
    assert store.cameras.tolist() == [1, 2, 3, -1]
    assert store.splits == [("given:train",)] * 3 + [("given:test",)]
    for row, clip in enumerate(CLIPS):
        np.testing.assert_array_equal(store.sequence(row), clip)
    np.testing.assert_array_equal(store.sequence(3), x[0, :7, :1])


def test_frames_repeated_to_fill_the_array_go_by_num_frame(tmp_path: Path) -> None:
    clip = drawn_clip(0, 3, 2)
    x = np.concatenate([clip, clip, clip[:2]])[None]
    write_npy(tmp_path / "xview", "train", x, ["a"], [0], frames=[3], data="data_joint")
    prepare("npy", tmp_path / "xview", tmp_path / "s.arrow", progress=False)
    store = open_store(tmp_path / "s.arrow")
    np.testing.assert_array_equal(store.sequence(0), clip)
    assert store.splits == [("xview:train",)]


def test_a_folder_per_protocol_reads_every_clip_once(tmp_path: Path) -> None:
    x = padded(CLIPS, 8)
    write_npy(tmp_path / "raw" / "xsub", "train", x[:2], NAMES[:2], [2, 0])
    write_npy(tmp_path / "raw" / "xsub", "val", x[2:], NAMES[2:], [1])
    write_npy(tmp_path / "raw" / "xview", "train", x[1:], NAMES[1:], [0, 1])
    write_npy(tmp_path / "raw" / "xview", "val", x[:1], NAMES[:1], [2])
    (tmp_path / "raw" / "notes").mkdir()
    summary = prepare("npy", tmp_path / "raw", tmp_path / "s.arrow", progress=False)
    assert (summary.written, summary.skipped) == (3, 0)
    store = open_store(summary.store)
    assert split_sizes(store) == {"xsub": (2, 1), "xview": (2, 1)}
    assert store.splits == [
        ("xsub:train", "xview:test"),
        ("xsub:train", "xview:train"),
        ("xsub:test", "xview:train"),
    ]
    for row, clip in enumerate(CLIPS):
        np.testing.assert_array_equal(store.sequence(row), clip)


def test_position_goes_before_other_arrays_and_labels_may_be_arrays(tmp_path: Path) -> None:
    x = padded(CLIPS, 8)
    write_npy(tmp_path, "train", 9 * x, NAMES, [0, 1, 2], data="joint")
    write_npy(tmp_path, "train", x, NAMES, [0, 1, 2])
    np.save(tmp_path / "train_motion.npy", x)
    (tmp_path / "train_label.pkl").write_bytes(pickle.dumps([NAMES, np.array([0, 1, 2])]))
    prepare("npy", tmp_path, tmp_path / "s.arrow", progress=False)
    store = open_store(tmp_path / "s.arrow")
    np.testing.assert_array_equal(store.sequence(1), CLIPS[1])
    assert store.labels.tolist() == [0, 1, 2]


def test_rows_that_are_no_clip_are_skipped(tmp_path: Path) -> None:
    x = padded([drawn_clip(i) for i in range(6)], 5)
    x[1] = 0
    x[2, 1] = np.inf
    raw = write_npy(tmp_path / "raw", "test", x, list("abcdef"), [0, 1, 2, -1, "x", 0], frames=[4] * 5 + [6])
    summary = prepare("npy", raw, tmp_path / "s.arrow", progress=False)
    assert (summary.written, summary.skipped) == (1, 5)
    text = (tmp_path / "skipped.csv").read_text()
    for reason in (
        "row 1,no frame has a body",
        "c: coordinates of frame 1 are not finite",
        "d: class -1 is out of range",
        "row 4,its label is no whole number",
        '"has 6 frames in num_frame, expects 1 to 5"',
    ):
        assert reason in text


@pytest.mark.parametrize(
    ("file", "thing", "reason"),
    [
        ("train_label.pkl", None, r"train_label.pkl does not exist: expects a pickle \(names, labels\)"),
        ("train_label.pkl", pickle.dumps(5), r"expects a pickle \(names, labels\)"),
        ("train_label.pkl", pickle.dumps((["a"], [1])), "has 3 clips, but there are 1 names beside it"),
        ("train_label.pkl", pickle.dumps((NAMES, [1])), "has 3 clips, but there are 1 labels beside it"),
        ("train_label.pkl", pickle.dumps((5, [1])), "a list of names and a list of labels"),
        (
            "train_label.pkl",
            pickle.dumps(tempfile.mkdtemp),
            "wants to run tempfile.mkdtemp, which was refused",
        ),
        ("train_position.npy", np.ones((3, 8, 2, 25, 3)), r"expects an array \(N, C, T, V, M\)"),
        ("train_position.npy", np.ones((3, 3, 8, 25)), r"expects an array \(N, C, T, V, M\)"),
        ("train_position.npy", np.ones((2, 3, 8, 25, 2)), "has 2 clips, but there are 3 names beside it"),
        (
            "train_position.npy",
            np.ones((3, 3, 8, 20, 2)),
            "20 joints of 3 coordinates do not tell the layout",
        ),
        ("train_position.npy", b"?", "not a readable .npy array"),
        ("train_num_frame.npy", np.ones((3, 2)), "expects one whole number per clip"),
        ("train_num_frame.npy", np.array([1, 2.5, 1]), "expects one whole number per clip"),
        ("train_num_frame.npy", np.array([1]), "has 3 clips, but there are 1 numbers of frames beside it"),
        ("val_position.npy", np.ones((1, 3, 8, 20, 2)), "val_label.pkl does not exist"),
        ("kinelex.json", b"[]", "the note that kinelex wrote there is damaged"),
    ],
)
def test_what_does_not_fit(file: str, thing: object, reason: str, tmp_path: Path) -> None:
    raw = write_npy(tmp_path / "raw", "train", padded(CLIPS, 8), NAMES, [0, 1, 2])
    if thing is None:
        (raw / file).unlink()
    elif isinstance(thing, bytes):
        (raw / file).write_bytes(thing)
    else:
        np.save(raw / file, thing)
    with pytest.raises(InputError, match=reason):
        prepare("npy", raw, tmp_path / "s.arrow", progress=False)


def test_a_clip_on_both_sides_and_an_empty_folder(tmp_path: Path) -> None:
    x = padded(CLIPS, 8)
    write_npy(tmp_path / "raw", "train", x, NAMES, [0, 1, 2])
    write_npy(tmp_path / "raw", "val", x[:1], NAMES[:1], [0])
    with pytest.raises(InputError, match="has S001C001P001R001A001, which is given:train already"):
        prepare("npy", tmp_path / "raw", tmp_path / "s.arrow", progress=False)
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="none holds no clip: expects a folder with train_position.npy"):
        prepare("npy", tmp_path / "none", tmp_path / "s.arrow", progress=False)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["train_position.npy", "train_label.pkl", "train_num_frame.npy"]),
    st.sampled_from([1.0, 0.99, 0.5, 0.02, 0.0]),
    st.floats(0, 1),
    st.integers(-1, 255),
)
def test_damaged_files_end_in_an_error_or_in_clips(file: str, cut: float, at: float, value: int) -> None:
    # Neither format has a checksum: a number replaced is another number. What must hold is that nothing but
    # an InputError or clips of the right shape comes out, and nothing at all of a truncated file.
    with tempfile.TemporaryDirectory() as folder:
        raw = write_npy(Path(folder), "train", padded(CLIPS, 8), NAMES, [0, 1, 2], frames=[4, 6, 2])
        path = raw / file
        at = at * 0.005 if file == "train_position.npy" else at  # its header
        path.write_bytes(spoilt(path.read_bytes(), cut, at, value))
        found = clips_of(NpyReader, raw)
        if cut < 1:
            assert found is None
        for clip in (found or {}).values():
            assert clip.coordinates.shape[2:] == (25, 3)


def test_arrays_with_a_confidence_as_those_of_kinetics(tmp_path: Path) -> None:
    x = padded([drawn_clip(0, 3, 1, 18) - 1, drawn_clip(1, 4, 2, 18) - 1], 4)  # as fractions of the picture
    x[..., 2] = np.where(x[..., 2] != 0, np.abs(x[..., 2]) / 2, 0)
    raw = write_npy(tmp_path / "raw", "train", x, ["a", "b"], [0, 1])
    summary = prepare("npy", raw, tmp_path / "s.arrow", progress=False, layout="openpose18")
    store = open_store(summary.store)
    assert (store.channels, store.persons.tolist()) == (2, [1, 2])
    np.testing.assert_allclose(store.scores(1), x[1, ..., 2], rtol=1e-6)
    assert any("taken as its confidence" in note for note in summary.notes)


def test_other_orders_of_axes_are_told_or_refused(tmp_path: Path) -> None:
    x = padded(CLIPS, 8)
    raw = write_npy(tmp_path / "raw", "train", x, NAMES, [2, 0, 1])
    data = raw / "train_position.npy"
    np.save(data, np.load(data).transpose(0, 4, 2, 3, 1))
    with pytest.raises(InputError, match=r"expects an array \(N, C, T, V, M\).*pass --axes NMTVC"):
        prepare("npy", raw, tmp_path / "s.arrow", progress=False)
    prepare("npy", raw, tmp_path / "s.arrow", progress=False, axes="NMTVC")
    np.testing.assert_array_equal(open_store(tmp_path / "s.arrow").sequence(1), CLIPS[1])
    np.save(data, np.load(data) * 1000)
    with pytest.raises(InputError, match="--units millimetres"):
        prepare("npy", raw, tmp_path / "s.arrow", progress=False, axes="NMTVC")
    prepare("npy", raw, tmp_path / "s.arrow", progress=False, axes="NMTVC", units="mm")
    np.testing.assert_allclose(open_store(tmp_path / "s.arrow").sequence(1), CLIPS[1], rtol=1e-6)


def test_an_empty_part_does_not_tell_what_the_numbers_are(tmp_path: Path) -> None:
    x = padded([drawn_clip(0, 4, 1, 17) * 100], 5)
    x[..., 2] = 0.5 * (x[..., 0] != 0)
    write_npy(tmp_path / "raw", "train", x[:0], [], [])
    write_npy(tmp_path / "raw", "val", x, ["a"], [0])
    prepare("npy", tmp_path / "raw", tmp_path / "s.arrow", progress=False)
    store = open_store(tmp_path / "s.arrow")
    assert (store.ids, store.channels, store.meta.units) == (["a"], 2, "pixels")
