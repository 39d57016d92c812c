"""Protocols and the folds of their training parts."""

from pathlib import Path

import numpy as np
import pytest

from kinelex.datasets import get_split, prepare, protocol_names, split_sizes
from kinelex.errors import InputError
from kinelex.skeleton import get_layout
from kinelex.store import Sequence, SkeletonStore, SkeletonStoreWriter, StoreMeta, open_store


def make_store(folder: Path, dataset: str, rows: list[tuple[int | None, int | None]]) -> SkeletonStore:
    """A store with one clip per (subject, camera)."""
    path = folder / f"{dataset}.arrow"
    with SkeletonStoreWriter(path, StoreMeta(dataset, get_layout("kinect20"), ("wave",))) as writer:
        for i, (subject, camera) in enumerate(rows):
            writer.add(Sequence(f"c{i}", np.ones((2, 1, 20, 3)), 0, subject, camera))
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
        ("xsub:fold1of7", "needs 7 subjects, the training part of xsub has 6: ask for at most 6 folds"),
    ],
)
def test_unknown_protocols_and_folds(name: str, message: str, actors: SkeletonStore) -> None:
    with pytest.raises(InputError, match=message):
        get_split(actors, name)


def test_a_store_that_lacks_a_part_says_which(tmp_path: Path) -> None:
    store = make_store(tmp_path, "nw_ucla", [(1, 1), (2, 2)])
    assert split_sizes(store) == {"xview": (2, 0)}
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
    ("dataset", "protocol", "sizes"), [("nw_ucla", "xview", (1020, 464)), ("utd_mhad", "xsub", (431, 430))]
)
def test_real_data_sets_have_the_published_sizes(
    dataset: str, protocol: str, sizes: tuple[int, int], shared: Path, tmp_path: Path
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
