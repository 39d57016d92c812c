"""The reader of SBU Kinect Interaction: generated clips, bad ones, and the real set."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from set_files import read_all, sbu_text, write_sbu_clip

from kinelex.data import open_store
from kinelex.datasets import get_split, prepare, protocol_names
from kinelex.datasets.sbu import CLASSES, SbuReader, read_clip
from kinelex.errors import InputError

RAW = np.random.default_rng(0).uniform(0.1, 2, size=(4, 2, 15, 3)).round(5)
TEXT = sbu_text(RAW, first=55)


def _metres(raw: np.ndarray) -> np.ndarray:
    """The published formulas, number by number."""
    out = np.zeros(raw.shape, np.float32)
    for index in np.ndindex(raw.shape[:3]):
        x, y, z = raw[index]
        out[index] = (1280 - x * 2560) / 1000, (960 - y * 1920) / 1000, z * 10000 / 7.8125 / 1000
    return out


def test_a_clip_arrives_in_metres(tmp_path: Path) -> None:
    clip = read_clip(write_sbu_clip(tmp_path, "s03s06/05/002", TEXT))
    assert (clip.id, clip.label, clip.subject, clip.replication) == ("s03s06_05_002", 4, 306, 2)
    assert clip.coordinates.dtype == np.float32
    np.testing.assert_allclose(clip.coordinates, _metres(RAW), atol=1e-6)


def test_a_folder_becomes_a_store_and_bad_clips_are_listed(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    write_sbu_clip(raw, "s03s02/08/001", TEXT)
    write_sbu_clip(raw, "s01s02/01/001", TEXT)
    write_sbu_clip(raw, "s01s02/01/002", TEXT[:-5])
    summary = prepare("sbu", raw, tmp_path / "s.arrow", progress=False)
    assert str(summary) == "2 written, 1 skipped: see skipped.csv"
    store = open_store(summary.store)
    assert store.ids == ["s01s02_01_001", "s03s02_08_001"]
    assert store.labels.tolist() == [0, 7]
    assert store.subjects.tolist() == [102, 302]
    assert store.persons.tolist() == [2, 2]
    assert store.layout.name == "sbu15"
    assert store.meta.units == "metres"


def test_a_clip_is_found_from_inside_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_sbu_clip(tmp_path, "s01s02/01/001", TEXT)
    monkeypatch.chdir(tmp_path / "s01s02" / "01")
    assert [clip.id for clip in read_all(SbuReader(Path()))[0]] == ["s01s02_01_001"]


LINES = TEXT.splitlines(keepends=True)
PERSON_2 = sbu_text(RAW * np.array([1, 0])[:, None, None])


@pytest.mark.parametrize(
    ("place", "text", "reason"),
    [
        ("s1s02/01/001", TEXT, "the folders' names do not parse, expects sAAsBB/CC/RRR"),
        ("s01s02/1/001", TEXT, "the folders' names do not parse"),
        ("s01s02/09/001", TEXT, "the class 9 is out of range, expects 1 to 8"),
        ("s01s02/00/001", TEXT, "the class 0 is out of range"),
        ("s01s02/01/001", "", "the file is empty"),
        ("s01s02/01/001", "\r\n\r\n", "the file is empty"),
        ("s01s02/01/001", TEXT.rstrip(), "line 4: has no end of line; the file is truncated"),
        ("s01s02/01/001", TEXT[:-20] + "\n", "line 4: expects 91 numbers, got 8"),
        ("s01s02/01/001", TEXT.replace("\r\n", ",\r\n"), "line 1: expects 91 numbers, got 92"),
        ("s01s02/01/001", LINES[0] + "\r\n" + LINES[1], "line 2: expects 91 numbers, got 1"),
        ("s01s02/01/001", LINES[0] + LINES[2], "line 2: expects frame 56, got 57; lines are missing"),
        ("s01s02/01/001", LINES[1] + LINES[0], "line 2: expects frame 57, got 55"),
        ("s01s02/01/001", "nan" + TEXT[2:], "line 1: field 1 is 'nan', expects a number"),
        ("s01s02/01/001", "5_5" + TEXT[2:], "line 1: field 1 is '5_5', expects a number"),
        ("s01s02/01/001", "1e99" + TEXT[2:], "line 1: field 1 is '1e99', expects a number"),
        ("s01s02/01/001", "٥".encode() + TEXT[2:].encode(), "line 1: field 1 is .*, expects a number"),
        ("s01s02/01/001", PERSON_2, "line 1: person 2 is all zeros, expects two persons"),
    ],
)
def test_bad_clips_are_skipped(place: str, text: str | bytes, reason: str, tmp_path: Path) -> None:
    path = write_sbu_clip(tmp_path, place, text)
    with pytest.raises(InputError, match=reason) as error:
        read_clip(path)
    assert str(error.value).startswith(f"{path}: ")


def _read(content: bytes) -> np.ndarray | None:
    """The frames of a file's content; None if it is no clip."""
    with tempfile.TemporaryDirectory() as folder:
        path = write_sbu_clip(Path(folder), "s01s02/01/001", content)
        try:
            return read_clip(path).coordinates
        except InputError:
            return None


@settings(max_examples=80, deadline=None)
@given(st.integers(0, len(TEXT)))
def test_a_truncated_file_is_skipped_or_gives_whole_frames(cut: int) -> None:
    frames = _read(TEXT.encode()[:cut])
    if frames is None:
        return
    assert TEXT[cut - 1] in "\r\n"
    np.testing.assert_allclose(frames, _metres(RAW)[: len(frames)], atol=1e-6)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 4 * 91 - 1), st.binary(max_size=8) | st.sampled_from([b"nan", b"-inf", b"", b"1e400"]))
def test_a_replaced_token_is_skipped_or_read_as_it_stands(place: int, token: bytes) -> None:
    table = [line.strip().encode().split(b",") for line in LINES]
    table[place // 91][place % 91] = token
    frames = _read(b"".join(b",".join(row) + b"\r\n" for row in table))
    if frames is None:
        return
    raw = np.array([[float(f) for f in row[1:]] for row in table if b"\n" not in b",".join(row)])
    np.testing.assert_allclose(frames, _metres(raw.reshape(-1, 2, 15, 3)), rtol=1e-5, atol=1e-5)


@settings(max_examples=50, deadline=None)
@given(st.permutations(range(4)))
def test_reordered_lines_are_skipped(order: list[int]) -> None:
    frames = _read("".join(LINES[i] for i in order).encode())
    assert (frames is not None) == (order == [0, 1, 2, 3])


@pytest.fixture(scope="module")
def real(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare("sbu", shared / "data" / "sbu", tmp_path_factory.mktemp("sbu") / "s.arrow").store


def test_the_real_set(real: Path) -> None:
    store = open_store(real)
    assert len(store) == 282
    assert not real.with_name("skipped.csv").exists()
    assert np.bincount(store.labels).tolist() == [42, 43, 40, 41, 18, 21, 39, 38]
    assert store.class_names == CLASSES
    assert set(store.persons) == {2}
    assert len(np.unique(store.subjects)) == 21
    assert (store.lengths.min(), store.lengths.max(), store.lengths.sum()) == (10, 46, 6822)


def test_the_real_five_folds(real: Path) -> None:
    store = open_store(real)
    assert [n for n in protocol_names(store) if n.startswith("fold")] == [f"fold{k}" for k in range(1, 6)]
    tested = []
    for k in range(1, 6):
        split = get_split(store, f"fold{k}")
        assert sorted([*split.train, *split.test]) == list(range(282))
        assert not set(store.subjects[split.train]) & set(store.subjects[split.test])
        tested += split.test.tolist()
    assert sorted(tested) == list(range(282))


def test_real_bones_are_rigid_and_of_a_body_s_length(real: Path) -> None:
    store = open_store(real)
    thigh = [
        (store.layout.index(f"{side}_hip"), store.layout.index(f"{side}_knee")) for side in ("left", "right")
    ]
    spreads, means = [], []
    for i in range(len(store)):
        x = store.sequence(i)
        lengths = np.stack([np.linalg.norm(x[:, :, a] - x[:, :, b], axis=-1) for a, b in thigh])
        spreads.append(lengths.std(axis=1).mean())
        means.append(lengths.mean())
    assert 0.40 < np.mean(means) < 0.45  # metres
    assert np.mean(spreads) < 0.02
