"""The skeleton store: round trips, views without a copy, and what is wrong with a clip or a file."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import kinelex
from kinelex.data import Sequence, SkeletonStore, SkeletonStoreWriter, StoreMeta, open_store
from kinelex.errors import InputError
from kinelex.skeleton import SkeletonLayout, get_layout

ARM = SkeletonLayout("arm", ("shoulder_center", "left_elbow", "left_hand"), (0, 0, 1))
META = StoreMeta(
    "arms",
    ARM,
    ("wave", "rest"),
    units="millimetres",
    source="here",
    prepared={"reader": "test", "version": 2},
)


def write(path: Path, clips: list[Sequence], meta: StoreMeta = META) -> SkeletonStore:
    with SkeletonStoreWriter(path, meta) as writer:
        for clip in clips:
            writer.add(clip)
    return open_store(path)


def ragged(count: int, seed: int = 0) -> list[Sequence]:
    """Clips of 1 to 9 frames and 1 or 2 persons."""
    rng = np.random.default_rng(seed)
    sizes = zip(rng.integers(1, 10, count), rng.integers(1, 3, count), strict=True)
    return [
        Sequence(f"c{i}", rng.normal(size=(t, m, 3, 3)).astype(np.float32), label=i % 2, subject=i)
        for i, (t, m) in enumerate(sizes)
    ]


numbers = st.none() | st.integers(0, 2**31 - 1)


@st.composite
def sequences(draw: st.DrawFn) -> list[Sequence]:
    channels = draw(st.sampled_from([2, 3]))
    finite = st.floats(-1e6, 1e6, width=32)
    clips = []
    for i in range(draw(st.integers(1, 5))):
        shape = (draw(st.integers(1, 6)), draw(st.integers(1, 2)), 3)
        x = draw(arrays(np.float32, (*shape, channels), elements=finite))
        x[0, 0, 0, 0] = 1  # a clip without any body is refused
        pixels = draw(st.none() | arrays(np.float32, (*shape, 2), elements=finite))
        label = draw(st.none() | st.integers(0, 1))
        caption = draw(st.none() | st.text(max_size=20))
        rest = [draw(numbers) for _ in range(4)]
        scores = draw(st.none() | arrays(np.float32, shape, elements=finite))
        splits = tuple(draw(st.lists(st.sampled_from(["xsub:train", "xsub:test", "xview:test"]), max_size=3)))
        size = draw(st.none() | st.tuples(st.integers(1, 9999), st.integers(1, 9999)))
        beside = (pixels, caption, scores, splits, size)
        clips.append(Sequence(f"{i}-{draw(st.text(max_size=5))}", x, label, *rest, *beside))
    return clips


@settings(max_examples=60, deadline=None)
@given(clips=sequences())
def test_what_is_written_is_read_back(
    clips: list[Sequence], tmp_path_factory: pytest.TempPathFactory
) -> None:
    store = write(tmp_path_factory.mktemp("round") / "trip.arrow", clips)
    assert store.ids == [clip.id for clip in clips]
    assert store.captions == [clip.caption for clip in clips]
    assert store.channels == clips[0].coordinates.shape[3]
    for name in ("label", "subject", "camera", "setup", "replication"):
        expected = [-1 if getattr(clip, name) is None else getattr(clip, name) for clip in clips]
        assert getattr(store, f"{name}s").tolist() == expected
    for i, clip in enumerate(clips):
        np.testing.assert_array_equal(store.sequence(i), clip.coordinates)
        pixels = store.image_coordinates(i)
        if clip.image_coordinates is None:
            assert pixels is None
        else:
            np.testing.assert_array_equal(pixels, clip.image_coordinates)
        scores = store.scores(i)
        assert (scores is None) == (clip.scores is None)
        if scores is not None:
            np.testing.assert_array_equal(scores, clip.scores)
        assert store.image_size(i) == clip.image_size
    assert store.splits == [clip.splits for clip in clips]


def test_the_store_keeps_what_it_says_about_itself(tmp_path: Path) -> None:
    store = write(tmp_path / "a.arrow", ragged(3))
    assert store.meta == META
    assert store.layout == ARM
    assert store.class_names == ("wave", "rest")
    assert kinelex.open_store(tmp_path / "a.arrow").ids == store.ids


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """A record batch for every 30 kB of coordinates."""
    monkeypatch.setattr("kinelex.data.skeleton_writer._BYTES_PER_BATCH", 30_000)


@pytest.mark.usefixtures("small_batches")
def test_ragged_clips_over_several_record_batches(tmp_path: Path) -> None:
    clips = ragged(600)
    store = write(tmp_path / "a.arrow", clips)
    with pa.memory_map(str(store.path)) as file:
        reader = pa.ipc.open_file(file)
        ends = np.cumsum([reader.get_batch(b).num_rows for b in range(reader.num_record_batches)]).tolist()
    assert 4 < len(ends) < 10
    assert len(store) == ends[-1] == 600
    assert store.lengths.tolist() == [len(clip.coordinates) for clip in clips]
    for i in (0, *ends[:-1], *(end - 1 for end in ends), -1, -600):
        np.testing.assert_array_equal(store.sequence(i), clips[i].coordinates)
    for i in (600, -601):
        with pytest.raises(IndexError, match=f"clip {i} of a store of 600"):
            store.sequence(i)


@pytest.mark.usefixtures("small_batches")
def test_person_frames_are_the_rows_of_every_clip(tmp_path: Path) -> None:
    clips = ragged(300)
    store = write(tmp_path / "a.arrow", clips)
    tables, which, start = store.person_frames()
    for i, clip in enumerate(clips):
        for t in range(clip.coordinates.shape[0]):
            for m in range(clip.coordinates.shape[1]):
                row = tables[which[i]][start[i] + t * store.persons[i] + m]
                np.testing.assert_array_equal(row, clip.coordinates[t, m].ravel())


@pytest.mark.usefixtures("small_batches")
def test_coordinates_are_views_of_the_mapped_file(tmp_path: Path) -> None:
    store = write(tmp_path / "a.arrow", ragged(300))
    before = pa.total_allocated_bytes()
    clip, tables = store.sequence(270), store.person_frames()[0]
    assert pa.total_allocated_bytes() == before
    assert not clip.flags.writeable
    assert any(np.shares_memory(clip, table) for table in tables[1:])
    with pytest.raises(ValueError, match="read-only"):
        clip[0] = 0


def test_fingerprint_depends_on_the_clips_and_not_on_the_place(tmp_path: Path) -> None:
    first = write(tmp_path / "a.arrow", ragged(5)).fingerprint
    assert write(tmp_path / "elsewhere.arrow", ragged(5)).fingerprint == first
    assert write(tmp_path / "a.arrow", ragged(4)).fingerprint != first


def test_any_arrow_program_can_read_it(tmp_path: Path) -> None:
    clips = ragged(3)
    write(tmp_path / "a.arrow", clips)
    table = pa.ipc.open_file(pa.memory_map(str(tmp_path / "a.arrow"))).read_all()
    row = table.slice(1, 1).to_pylist()[0]
    x = np.array(row["coordinates"], np.float32).reshape(row["frames"], row["persons"], 3, 3)
    np.testing.assert_array_equal(x, clips[1].coordinates)


GOOD = np.ones((4, 1, 3, 3), np.float32)


def _with(value: float) -> np.ndarray:
    x = GOOD.copy()
    x[2, 0, 1, 0] = value
    return x


@pytest.mark.parametrize(
    ("clip", "message"),
    [
        (Sequence("b", GOOD[:, 0]), r"b: expects coordinates \(T, M, V, C\), got shape \(4, 3, 3\)"),
        (Sequence("b", GOOD[..., :1]), r"got shape \(4, 1, 3, 1\)"),
        (Sequence("b", np.ones((4, 1, 5, 3))), r"b: expects 3 joints \(arm\), got 5"),
        (Sequence("b", GOOD[:0]), "b: has no frames"),
        (Sequence("b", GOOD[:, :0]), "b: has no frames"),
        (Sequence("b", _with(np.nan)), "b: coordinates of frame 2 are not finite"),
        (Sequence("b", _with(-np.inf)), "b: coordinates of frame 2 are not finite"),
        (Sequence("b", 0 * GOOD), "b: no frame has a body"),
        (Sequence("b", GOOD, label=2), "b: class 2 is out of range, expects 0 to 1"),
        (Sequence("b", GOOD, label=-1), "b: class -1 is out of range"),
        (Sequence("b", GOOD[..., :2]), "b: expects 3 coordinates per joint, got 2"),
        (
            Sequence("b", GOOD, image_coordinates=GOOD),
            r"b: expects image coordinates \(4, 1, 3, 2\), got \(4, 1, 3, 3\)",
        ),
        (Sequence("b", GOOD, scores=GOOD[..., :2, 0]), r"b: expects scores \(4, 1, 3\), got \(4, 1, 2\)"),
        (Sequence("b", GOOD, scores=_with(np.nan)[..., 0]), "b: scores of frame 2 are not finite"),
        (Sequence("b", GOOD, image_size=(0, 4)), r"b: expects an image size \(height, width\).*\(0, 4\)"),
        (Sequence("b", GOOD, subject=-1), "b: subject -1 is out of range"),
        (Sequence("b", GOOD, setup=2**31), "b: setup 2147483648 is out of range, expects 0 to 2147483647"),
        (Sequence("b", GOOD * np.float64(1e300)), "b: coordinates of frame 0 are not finite"),
        (Sequence("a", GOOD), "two clips have the id a"),
    ],
)
def test_a_clip_that_does_not_fit_is_refused(clip: Sequence, message: str, tmp_path: Path) -> None:
    with SkeletonStoreWriter(tmp_path / "a.arrow", META) as writer:
        writer.add(Sequence("a", GOOD, label=0))
        with pytest.raises(InputError, match=message):
            writer.add(clip)
        assert len(writer) == 1
    assert open_store(tmp_path / "a.arrow").ids == ["a"]


def test_a_store_without_clips_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no clip to write"), SkeletonStoreWriter(tmp_path / "a.arrow", META):
        pass
    assert not list(tmp_path.iterdir())


def test_frame_rates_are_kept_and_stores_of_version_2_open(tmp_path: Path) -> None:
    clips = [Sequence("a", np.ones((2, 1, 3, 3)), fps=29.97), Sequence("b", np.ones((2, 1, 3, 3)))]
    store = write(tmp_path / "a.arrow", clips)
    np.testing.assert_allclose(store.fps, [29.97, np.nan], rtol=1e-6)
    table = pa.ipc.open_file(str(tmp_path / "a.arrow")).read_all().drop_columns("fps")
    header = table.schema.metadata[b"kinelex"].replace(b'"format_version": 3', b'"format_version": 2')
    table = table.replace_schema_metadata({b"kinelex": header})
    with pa.OSFile(str(tmp_path / "old.arrow"), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    old = open_store(tmp_path / "old.arrow")
    assert np.isnan(old.fps).all()
    assert np.array_equal(old.sequence(0), store.sequence(0))
    with pytest.raises(InputError, match="a: expects a positive number of frames per second, got 0"):
        write(tmp_path / "b.arrow", [Sequence("a", np.ones((2, 1, 3, 3)), fps=0)])


def test_classes_of_one_name_are_refused(tmp_path):
    with pytest.raises(InputError, match="expects a name of its own for each class, got 'wave' twice"):
        SkeletonStoreWriter(
            tmp_path / "a.arrow", StoreMeta("a", get_layout("sbu15"), ("wave", "sit", "wave"))
        )
    assert not list(tmp_path.iterdir())
