"""The reader of SYSU 3D HOI and its drawn splits."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import savemat
from set_files import read_all, write_sysu_clip

from kinelex.data import Sequence, SkeletonStore, SkeletonStoreWriter, StoreMeta, open_store
from kinelex.datasets import get_split, prepare
from kinelex.datasets.sysu import CLASSES, SysuReader, read_clip, sysu_split
from kinelex.errors import InputError
from kinelex.skeleton import get_layout

WORLD = np.random.default_rng(0).normal(size=(5, 20, 3))
PIXELS = np.random.default_rng(1).uniform(0, 640, size=(5, 20, 2))

# Fixed for good: results named setting2:1 are about these subjects.
SETTING_2_DRAW_1 = [3, 4, 9, 12, 13, 14, 17, 18, 20, 23, 24, 27, 28, 30, 33, 36, 37, 38, 39, 40]


def test_clips_arrive_as_they_are(tmp_path: Path) -> None:
    write_sysu_clip(tmp_path / "raw", "p10", "video12", WORLD, PIXELS)
    write_sysu_clip(tmp_path / "raw", "p2", "video10", WORLD * 2)
    write_sysu_clip(tmp_path / "raw", "p2", "video9", WORLD[:1])
    summary = prepare("sysu", tmp_path / "raw", tmp_path / "s.arrow", progress=False)
    assert str(summary) == "3 written"
    store = open_store(summary.store)
    assert store.ids == ["p2_video9", "p2_video10", "p10_video12"]
    assert store.labels.tolist() == [8, 9, 11]
    assert store.subjects.tolist() == [2, 2, 10]
    assert store.lengths.tolist() == [1, 5, 5]
    assert store.layout == get_layout("kinect20")
    assert store.class_names[11] == "sweeping"
    np.testing.assert_array_equal(store.sequence(0)[:, 0], WORLD[:1].astype(np.float32))
    np.testing.assert_array_equal(store.sequence(2)[:, 0], WORLD.astype(np.float32))
    pixels = store.image_coordinates(2)
    assert pixels is not None
    np.testing.assert_array_equal(pixels[:, 0], PIXELS.astype(np.float32))
    assert store.image_coordinates(1) is None
    assert store.image_size(2) == (480, 640)


def test_pixels_may_come_with_depth_and_may_be_left_out(tmp_path: Path) -> None:
    with_depth = np.concatenate([PIXELS, np.ones((5, 20, 1))], axis=2)
    path = write_sysu_clip(tmp_path, "p1", "video1", WORLD, with_depth)
    found = read_clip(path, 1).image_coordinates
    assert found is not None
    np.testing.assert_array_equal(found[:, 0], PIXELS.astype(np.float32))
    without = read_clip(path, 1, no_pixels=True)
    assert (without.image_coordinates, without.image_size) == (None, None)


def test_persons_are_numbered_by_their_names_or_in_their_order(tmp_path: Path) -> None:
    for person in ("li", "an", "bo2"):
        write_sysu_clip(tmp_path, person, "video1", WORLD)
    clips, _ = read_all(SysuReader(tmp_path))
    assert [(clip.id, clip.subject) for clip in clips] == [
        ("an_video1", 1),
        ("bo2_video1", 2),
        ("li_video1", 3),
    ]


@pytest.mark.parametrize(
    ("video", "variables", "reason"),
    [
        ("clip1", {"SW": WORLD}, "the folder's name does not parse, expects <person>/videoK/sklWorld.mat"),
        ("video0", {"SW": WORLD}, "the class 0 is out of range, expects video1 to video12"),
        ("video13", {"SW": WORLD}, "the class 13 is out of range"),
        ("video1", {"SI": WORLD}, "expects the variable 'SW', the file has SI"),
        ("video1", {}, "expects the variable 'SW', the file has none"),
        ("video1", {"SW": WORLD[:, :19]}, r"'SW' has shape \(19, 3, 5\), expects \(20, 3, T\)"),
        ("video1", {"SW": WORLD[:, :, :2]}, r"'SW' has shape \(20, 2, 5\), expects \(20, 3, T\)"),
        ("video1", {"SW": WORLD[:0]}, "'SW' has shape"),
        ("video1", {"SW": WORLD * 1j}, "'SW' holds complex numbers, expects real ones"),
        ("video1", {"SW": np.where(WORLD[2, 3, 1] == WORLD, np.nan, WORLD)}, "frame 2 of .* is not finite"),
        ("video1", {"SW": np.where(WORLD[4, 0, 0] == WORLD, 1e300, WORLD)}, "frame 4 of .* is not finite"),
    ],
)
def test_bad_clips_are_skipped(video: str, variables: dict[str, Any], reason: str, tmp_path: Path) -> None:
    path = tmp_path / "p1" / video / "sklWorld.mat"
    path.parent.mkdir(parents=True)
    savemat(path, {name: value.transpose(1, 2, 0) for name, value in variables.items()})
    with pytest.raises(InputError, match=reason) as error:
        read_clip(path, 1)
    assert str(error.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"SI": PIXELS[:4]}, "variable 'SI' has 4 frames, expects 5 as in sklWorld.mat"),
        ({"SI": PIXELS, "B": PIXELS}, "expects one variable, the file has SI, B"),
        ({"SI": PIXELS[:, :, :1]}, r"has shape \(20, 1, 5\), expects \(20, 2 or 3, T\)"),
    ],
)
def test_pixels_that_do_not_fit_are_no_pixels(content: dict[str, Any], reason: str, tmp_path: Path) -> None:
    path = write_sysu_clip(tmp_path, "p1", "video1", WORLD)
    savemat(path.with_name("sklImage.mat"), {k: v.transpose(1, 2, 0) for k, v in content.items()})
    with pytest.raises(InputError, match=f"sklImage.mat: .*{reason}.*; --no-pixels leaves pixels out"):
        read_clip(path, 1)
    summary = prepare("sysu", tmp_path, tmp_path / "s.arrow", progress=False, no_pixels=True)
    assert str(summary) == "1 written"


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_damaged_file_is_skipped_or_read_as_it_is(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write_sysu_clip(Path(folder), "p1", "video1", WORLD)
        content = path.read_bytes()
        cut = data.draw(st.integers(0, len(content) - 1))
        path.write_bytes(content[:cut])
        with pytest.raises(InputError, match="truncated or damaged|expects the variable"):
            read_clip(path, 1)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 200), st.binary(min_size=1, max_size=4))
def test_a_damaged_head_never_crashes(place: int, token: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write_sysu_clip(Path(folder), "p1", "video1", WORLD)
        content = path.read_bytes()
        path.write_bytes(content[:place] + token + content[place + len(token) :])
        try:
            clip = read_clip(path, 1)
        except InputError:
            return
        assert clip.coordinates.shape[2:] == (20, 3)


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> SkeletonStore:
    """A store with all 480 names: 40 subjects, 12 classes."""
    path = tmp_path_factory.mktemp("sysu") / "s.arrow"
    with SkeletonStoreWriter(path, StoreMeta("sysu", get_layout("kinect20"), CLASSES)) as writer:
        for subject in range(1, 41):
            for label in range(12):
                x = np.ones((1, 1, 20, 3))
                writer.add(Sequence(f"p{subject}_video{label + 1}", x, label=label, subject=subject))
    return open_store(path)


@pytest.mark.parametrize("number", range(1, 31))
def test_both_settings_halve_the_set(names: SkeletonStore, number: int) -> None:
    for setting in (1, 2):
        train, test = sysu_split(names, setting, number)
        assert (len(train), len(test)) == (240, 240)
        assert sorted([*train, *test]) == list(range(480))
        assert (np.diff(train) > 0).all()
        assert np.bincount(names.labels[train]).tolist() == [20] * 12
        if setting == 2:
            assert not set(names.subjects[train]) & set(names.subjects[test])
            assert len(set(names.subjects[train])) == 20


def test_the_draws_differ_from_each_other_and_stay_the_same(names: SkeletonStore) -> None:
    for setting in (1, 2):
        draws = {sysu_split(names, setting, number)[0].tobytes() for number in range(1, 31)}
        assert len(draws) == 30
    train, _ = sysu_split(names, 2, 1)
    assert sorted(set(names.subjects[train].tolist())) == SETTING_2_DRAW_1
    split = get_split(names, "setting2:1")
    np.testing.assert_array_equal(split.train, train)


@pytest.mark.parametrize(("setting", "number"), [(0, 1), (3, 1), (1, 0), (2, 31)])
def test_there_are_thirty_draws_of_two_settings(names: SkeletonStore, setting: int, number: int) -> None:
    with pytest.raises(InputError, match="expects setting1:1 to setting1:30 or setting2:1 to setting2:30"):
        sysu_split(names, setting, number)


def test_clips_without_a_subject_or_class_cannot_be_drawn(tmp_path: Path) -> None:
    with SkeletonStoreWriter(tmp_path / "s.arrow", StoreMeta("sysu", get_layout("kinect20"), CLASSES)) as w:
        w.add(Sequence("a", np.ones((1, 1, 20, 3))))
    store = open_store(tmp_path / "s.arrow")
    with pytest.raises(InputError, match="has clips without a class, which setting 1 needs"):
        sysu_split(store, 1, 1)
    with pytest.raises(InputError, match="has clips without a subject, which setting 2 needs"):
        sysu_split(store, 2, 1)
