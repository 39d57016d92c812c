"""Protocols and the folds of their training parts."""

from pathlib import Path

import numpy as np
import pytest

from kinelex.data import Sequence, SkeletonStore, SkeletonStoreWriter, StoreMeta, open_store
from kinelex.datasets import get_split, prepare, protocol_names, split_sizes
from kinelex.errors import InputError
from kinelex.skeleton import get_layout

BODY = np.ones((2, 1, 20, 3))


def make_store(folder: Path, dataset: str, rows: list[tuple[int | None, int | None]]) -> SkeletonStore:
    """A store with one clip per (subject, camera)."""
    clips = [Sequence(f"c{i}", BODY, 0, subject, camera) for i, (subject, camera) in enumerate(rows)]
    return store_of(folder / f"{dataset}.arrow", dataset, clips)


def store_of(path: Path, dataset: str, clips: list[Sequence]) -> SkeletonStore:
    """A store of given clips, with the classes a, b and c."""
    with SkeletonStoreWriter(path, StoreMeta(dataset, get_layout("kinect20"), ("a", "b", "c"))) as writer:
        for clip in clips:
            writer.add(clip)
    return open_store(path)


@pytest.fixture
def actors(tmp_path: Path) -> SkeletonStore:
    """12 performers, 3 cameras; performer p has p clips per camera."""
    rows = [(subject, camera) for subject in range(1, 13) for camera in (1, 2, 3) for _ in range(subject)]
    return make_store(tmp_path, "actors", rows)


def test_protocols_of_the_actors(actors: SkeletonStore) -> None:
    assert protocol_names(actors) == ("xsub", "xview", "unseen")
    known, seen = actors.subjects <= 6, actors.cameras <= 2
    expected = {
        "xsub": (known, ~known),
        "xview": (seen, ~seen),
        "unseen": (known & seen, ~known & ~seen),
    }
    for name, (train, test) in expected.items():
        split = get_split(actors, name)
        assert split.name == name
        np.testing.assert_array_equal(split.train, np.flatnonzero(train))
        np.testing.assert_array_equal(split.test, np.flatnonzero(test))
        assert split_sizes(actors)[name] == (train.sum(), test.sum())


@pytest.mark.parametrize("protocol", ["xsub", "xview", "unseen"])
@pytest.mark.parametrize("folds", [2, 3, 5, 6])
def test_folds_are_disjoint_by_subject_and_inside_the_training_part(
    protocol: str, folds: int, actors: SkeletonStore
) -> None:
    whole, tested = get_split(actors, protocol), []
    for fold in range(1, folds + 1):
        split = get_split(actors, f"{protocol}:fold{fold}of{folds}")
        assert split.name == f"{protocol}:fold{fold}of{folds}"
        assert not set(actors.subjects[split.train]) & set(actors.subjects[split.test])
        assert sorted([*split.train, *split.test]) == whole.train.tolist()
        assert len(split.test)
        tested += split.test.tolist()
        again = get_split(actors, f"{protocol}:fold{fold}of{folds}")
        np.testing.assert_array_equal(split.test, again.test)
    assert sorted(tested) == whole.train.tolist()


def test_folds_have_similar_sizes(actors: SkeletonStore) -> None:
    # Subjects with 1 to 6 clips in each of 3 cameras: dealt to 3 folds of 7 * 3 clips.
    sizes = [len(get_split(actors, f"xsub:fold{fold}of3").test) for fold in (1, 2, 3)]
    assert sizes == [21, 21, 21]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("xsup", r"unknown protocol of actors 'xsup': did you mean 'xsub'\? Known: unseen, xsub, xview"),
        ("xsup:fold1of5", r"unknown protocol of actors 'xsup'"),
        ("xsub:1of5", "a fold of a protocol's training part is written PROTOCOL:foldKofN"),
        ("xsub:fold1of5:fold1of2", "is written PROTOCOL:foldKofN"),
        ("xsub:fold0of5", "expects at least 2 folds, counted from 1"),
        ("xsub:fold6of5", "expects at least 2 folds, counted from 1"),
        ("xsub:fold1of1", "expects at least 2 folds, counted from 1"),
        ("xsub:few-some:0.1:0", "is written PROTOCOL:few-balanced:RATIO:SEED"),
        ("xsub:few-random:0.1:0:fold1of2", "a fold of a protocol's training part is written"),
        ("xsub:fold1of7", "needs 7 subjects, the training part of xsub has 6: ask for at most 6 folds"),
    ],
)
def test_unknown_protocols_and_folds(name: str, message: str, actors: SkeletonStore) -> None:
    with pytest.raises(InputError, match=message):
        get_split(actors, name)


def test_a_store_that_lacks_a_part_says_which(tmp_path: Path) -> None:
    store = make_store(tmp_path, "nw_ucla", [(1, 1), (2, 2)])
    assert split_sizes(store) == {"xview": (2, 0), "loso:1": (1, 1), "loso:2": (1, 1)}
    with pytest.raises(InputError, match=r"no clip for the test part of xview \(camera 3\)"):
        get_split(store, "xview")
    with pytest.raises(InputError, match=r"no clip for the test part of xview"):
        get_split(store, "xview:fold1of2")
    rest = make_store(tmp_path, "actors", [(1, 1)])
    with pytest.raises(
        InputError, match=r"test part of unseen \(subject other than 1, 2, 3, 4, 5, 6; camera 3\)"
    ):
        get_split(rest, "unseen")


def test_a_clip_without_a_subject_is_in_no_part_and_in_no_fold(tmp_path: Path) -> None:
    store = make_store(tmp_path, "actors", [(1, 1), (7, 3), (None, 3), (None, 1)])
    split = get_split(store, "xsub")
    assert (split.train.tolist(), split.test.tolist()) == ([0], [1])
    with pytest.raises(InputError, match="has clips without a subject, so folds of xview cannot be made"):
        get_split(store, "xview:fold1of2")


def test_a_data_set_without_protocols(tmp_path: Path) -> None:
    store = make_store(tmp_path, "mine", [(1, 1)])
    assert protocol_names(store) == ()
    with pytest.raises(InputError, match="the data set mine has no protocols, so not 'xsub' either"):
        get_split(store, "xsub")


@pytest.mark.parametrize(
    ("dataset", "protocol", "sizes", "subjects"),
    [("nw_ucla", "xview", (1020, 464), 10), ("utd_mhad", "xsub", (431, 430), 8)],
)
def test_real_data_sets_have_the_published_sizes(
    dataset: str, protocol: str, sizes: tuple[int, int], subjects: int, shared: Path, tmp_path: Path
) -> None:
    out = tmp_path / "s.arrow"
    prepare(dataset, shared / "data" / dataset, out, progress=False)
    store = open_store(out)
    split = get_split(store, protocol)
    assert (len(split.train), len(split.test)) == sizes
    assert not set(split.train) & set(split.test)
    fold = get_split(store, f"{protocol}:fold1of4")
    assert set(fold.train) | set(fold.test) == set(split.train)
    assert not set(store.subjects[fold.train]) & set(store.subjects[fold.test])
    losos = [name for name in protocol_names(store) if name.startswith("loso:")]
    assert losos == [f"loso:{k}" for k in range(1, subjects + 1)]
    assert sum(test for name, (_, test) in split_sizes(store).items() if name in losos) == len(store)


def test_tags_of_the_files_are_protocols(tmp_path: Path) -> None:
    tags = [("xsub:train", "xset:test"), ("xsub:test",), (), ("xset:train", "xset:val", "odd")]
    clips = [Sequence(f"c{i}", BODY, 0, subject=1, splits=t) for i, t in enumerate(tags)]
    store = store_of(tmp_path / "s.arrow", "mine", clips)
    assert protocol_names(store) == ("xset", "xsub")
    assert split_sizes(store) == {"xset": (1, 1), "xsub": (1, 1)}
    split = get_split(store, "xset")
    assert (split.train.tolist(), split.test.tolist()) == ([3], [0])
    with pytest.raises(InputError, match="unknown protocol of mine 'xsu': did you mean 'xsub'.*random:0.8"):
        get_split(store, "xsu")


def test_tags_win_over_the_rule_of_that_name(tmp_path: Path) -> None:
    clips = [Sequence("a", BODY, 0, camera=3, splits=("xview:train",)), Sequence("b", BODY, 0, camera=1)]
    store = store_of(tmp_path / "s.arrow", "nw_ucla", clips)
    assert split_sizes(store) == {"xview": (1, 0)}
    with pytest.raises(InputError, match="has no clip for the test part of xview: prepare"):
        get_split(store, "xview")


def test_a_clip_in_both_parts_is_an_error(tmp_path: Path) -> None:
    clips = [Sequence("a", BODY, 0, splits=("cv:train", "cv:test")), Sequence("b", BODY, 0)]
    store = store_of(tmp_path / "s.arrow", "mine", clips)
    with pytest.raises(InputError, match="1 clips are in both parts of cv, the first is a"):
        get_split(store, "cv")


@pytest.fixture
def many(tmp_path: Path) -> list[Sequence]:
    """40 clips of class a, 11 of b, 1 of c, 5 without a label."""
    labels = [0] * 40 + [1] * 11 + [2] + [None] * 5
    return [Sequence(f"clip{i}", BODY, label, subject=i % 4 + 1) for i, label in enumerate(labels)]


def ids_of(store: SkeletonStore, rows: np.ndarray) -> set[str]:
    return {store.ids[row] for row in rows}


def test_random_is_stratified_and_depends_on_ids_and_seed_alone(many: list[Sequence], tmp_path: Path) -> None:
    store = store_of(tmp_path / "s.arrow", "mine", many)
    turned = store_of(tmp_path / "t.arrow", "mine", many[::-1])
    split, other = get_split(store, "random:0.8:3"), get_split(turned, "random:0.8:3")
    assert ids_of(store, split.train) == ids_of(turned, other.train)
    assert ids_of(store, split.test) == ids_of(turned, other.test)
    assert sorted([*split.train, *split.test]) == list(range(len(store)))
    train = [int((store.labels[split.train] == label).sum()) for label in (0, 1, 2, -1)]
    assert train == [32, 9, 1, 4]
    assert ids_of(store, get_split(store, "random:0.8:4").train) != ids_of(store, split.train)
    small = get_split(store, "random:0.01:0")  # one of every class trains at least, one tests
    assert [int((store.labels[small.train] == label).sum()) for label in (0, 1, 2, -1)] == [1, 1, 1, 1]
    large = get_split(store, "random:0.99:0")
    assert [int((store.labels[large.test] == label).sum()) for label in (0, 1, 2, -1)] == [1, 1, 0, 1]
    fold = get_split(store, "random:0.8:3:fold2of4")
    assert set(fold.train) | set(fold.test) == set(split.train)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("random", "is written random:RATIO:SEED"),
        ("random:0.8", "is written random:RATIO:SEED"),
        ("random:0.8:1:2", "is written random:RATIO:SEED"),
        ("random:1:0", "expects a share above 0 and below 1, such as 0.1, got '1'"),
        ("random:nan:0", "expects a share above 0"),
        ("random:most:0", "expects a share above 0"),
        ("random:0.5:-1", "expects a whole number as the seed, got '-1'"),
        ("loso", "has several subjects: take loso:1 or another of its subjects 1, 2, 3, 4"),
        ("loso:7", "has no subject '7': take loso:1 or another of its subjects 1, 2, 3, 4"),
        ("xview", "the data set mine has no protocols.*: take random:0.8:SEED, loso:SUBJECT or file:PATH"),
    ],
)
def test_generated_protocols_written_wrongly(
    name: str, message: str, many: list[Sequence], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        get_split(store_of(tmp_path / "s.arrow", "mine", many), name)


def test_loso(tmp_path: Path) -> None:
    store = make_store(tmp_path, "mine", [(1, 1), (7, 3), (None, 3), (7, 1), (2, 1)])
    split = get_split(store, "loso:7")
    assert (split.train.tolist(), split.test.tolist()) == ([0, 4], [1, 3])
    alone = store_of(tmp_path / "a.arrow", "nw_ucla", [Sequence("a", BODY, 0, subject=3, camera=1)])
    assert protocol_names(alone) == ("xview",)
    with pytest.raises(InputError, match="knows 1 subjects, 'loso:3' needs two or more"):
        get_split(alone, "loso:3")


def test_the_settings_of_sysu(tmp_path: Path) -> None:
    clips = [Sequence(f"p{s}_v{v}", BODY, v, subject=s) for s in range(1, 9) for v in range(3)]
    store = store_of(tmp_path / "s.arrow", "sysu", clips)
    names = protocol_names(store)
    assert names[:2] == ("setting1:1", "setting1:2")
    assert (len(names), names[-1]) == (60, "setting2:30")
    assert set(split_sizes(store).values()) == {(12, 12)}
    split = get_split(store, "setting2:7")
    assert not set(store.subjects[split.train]) & set(store.subjects[split.test])
    fold = get_split(store, "setting2:7:fold1of2")
    assert sorted([*fold.train, *fold.test]) == split.train.tolist()
    assert len(get_split(store, "setting1:3:few-balanced:0.25:0").train) == 3
    for name in ("setting3:1", "setting1:31", "setting1", "xsub", "setting1:x"):
        with pytest.raises(InputError, match="unknown protocol"):
            get_split(store, name)
    nobody = store_of(tmp_path / "t.arrow", "sysu", [Sequence("a", BODY, 0), Sequence("b", BODY, 0)])
    assert len(protocol_names(nobody)) == 30
    with pytest.raises(InputError, match="clips without a subject"):
        get_split(nobody, "setting2:1")
