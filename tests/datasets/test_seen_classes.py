"""Splits of classes into seen and unseen ones, and protocols that leave the unseen out of training."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from kinelex.data import Sequence, SkeletonStore, SkeletonStoreWriter, StoreMeta, open_store
from kinelex.data.splits.seen_classes import class_split, class_split_names
from kinelex.datasets import get_split
from kinelex.errors import InputError
from kinelex.skeleton import get_layout

NAMES = tuple("abcdefgh")


def split_file(folder: Path, content: object) -> str:
    path = folder / "split.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return str(path)


@pytest.fixture
def store(tmp_path: Path) -> SkeletonStore:
    """40 clips of 4 classes by 5 subjects; every tenth has no label."""
    path = tmp_path / "store.arrow"
    with SkeletonStoreWriter(path, StoreMeta("utd_mhad", get_layout("kinect20"), NAMES[:4])) as writer:
        for i in range(40):
            label = None if i % 10 == 9 else i % 4
            writer.add(Sequence(f"c{i}", np.ones((2, 1, 20, 3)), label, subject=1 + i % 5))
    return open_store(path)


def test_a_file_names_classes_by_name_or_number(tmp_path: Path) -> None:
    found = class_split(split_file(tmp_path, {"unseen": ["c", "A8", "a01"]}), NAMES)
    assert found.unseen == (0, 2, 7)
    assert found.seen == (1, 3, 4, 5, 6)
    some = class_split(split_file(tmp_path, {"unseen": ["c"], "seen": ["h", "A1"]}), NAMES)
    assert some.seen == (0, 7)


def test_exemplars_follow_their_classes(tmp_path: Path) -> None:
    path = split_file(tmp_path, {"unseen": ["h", "b"], "exemplars": ["clip_h", "clip_b"]})
    assert class_split(path, NAMES).exemplars == ("clip_b", "clip_h")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"unseen": ["a", "b"], "seen": ["b", "c"]}, "'b' both seen and unseen"),
        ({"unseen": ["a", "A1"]}, "'a' twice under 'unseen'"),
        ({"unseen": ["z"]}, "unknown class in the split"),
        ({"unseen": ["A9"]}, "has A9, the store has A1 to A8"),
        ({"unseen": []}, "a list of classes under 'unseen'"),
        ({"unseen": "a"}, "a list of classes under 'unseen', got 'a'"),
        ({"unseen": [3]}, "has 3, which is no text"),
        ({"unseen": list(NAMES)}, "leaves no class to train on"),
        ({"classes": 60, "unseen": ["a"]}, "is for 60 classes, the store has 8"),
        ({"unsen": ["a"]}, "has no 'unseen'"),
        ({"unseen": ["a"], "exemplar": []}, "did you mean 'exemplars'"),
        ({"unseen": ["a", "b"], "exemplars": ["x"]}, "1 exemplars for 2 unseen classes"),
        ("[1, 2", "cannot be read as YAML"),
        ("just text", "has no 'unseen'"),
    ],
)
def test_wrong_files_are_refused(content: object, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        class_split(split_file(tmp_path, content), NAMES)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("missing.yaml", "does not exist"),
        ("ntu60_55", "did you mean 'ntu60_55_5'"),
        ("random:0:0", "1 to 7 unseen classes, got 0"),
        ("random:8:0", "1 to 7 unseen classes, got 8"),
        ("random:2", "random:UNSEEN:SEED"),
        ("random:2:x", "a whole number as the seed"),
    ],
)
def test_wrong_names_are_refused(given: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        class_split(given, NAMES)


def test_a_draw_depends_on_names_and_seed_alone() -> None:
    def drawn(seed: int, names: tuple[str, ...]) -> set[str]:
        return {names[i] for i in class_split(f"random:3:{seed}", names).unseen}

    assert drawn(0, NAMES) == drawn(0, NAMES[::-1])
    assert len({frozenset(drawn(seed, NAMES)) for seed in range(20)}) > 10
    assert {len(drawn(seed, NAMES)) for seed in range(20)} == {3}


@pytest.mark.parametrize("name", class_split_names())
def test_the_published_splits_have_the_numbers_in_their_names(name: str) -> None:
    total = 120 if name.startswith("ntu120") else 60
    found = class_split(name, [f"class {i}" for i in range(total)])
    unseen = 20 if name.endswith("one_shot") else int(name.rsplit("_", 1)[1])
    assert (len(found.seen), len(found.unseen)) == (total - unseen, unseen)
    if name.endswith("one_shot"):
        assert [c + 1 for c in found.unseen] == list(range(1, 121, 6))
        assert [int(clip[-3:]) for clip in found.exemplars] == list(range(1, 121, 6))


def test_a_protocol_leaves_the_unseen_classes_out_of_its_training_part(store: SkeletonStore) -> None:
    whole, part = get_split(store, "xsub"), get_split(store, "xsub:seen-random:1:0")
    unseen = class_split("random:1:0", store.class_names).unseen[0]
    np.testing.assert_array_equal(part.test, whole.test)
    kept = [row for row in whole.train if store.labels[row] not in (-1, unseen)]
    np.testing.assert_array_equal(part.train, kept)
    assert 0 < len(kept) < len(whole.train)


def test_unseen_classes_go_with_folds_and_few_labels(store: SkeletonStore) -> None:
    seen = get_split(store, "xsub:seen-random:1:0").train
    fold = get_split(store, "xsub:seen-random:1:0:fold1of3")
    assert sorted([*fold.train, *fold.test]) == seen.tolist()
    other = get_split(store, "xsub:fold1of3:seen-random:1:0")
    assert set(other.train) <= set(seen)
    assert len(other.test) > len(fold.test)
    assert set(get_split(store, "xsub:seen-random:1:0:few-random:0.5:0").train) < set(seen)


def test_all_clips_of_the_classes_by_name(store: SkeletonStore, tmp_path: Path) -> None:
    split = get_split(store, f"classes:{split_file(tmp_path, {'unseen': ['b'], 'seen': ['a', 'd']})}")
    assert set(store.labels[split.train]) == {0, 3}
    assert set(store.labels[split.test]) == {1}
    assert len(split.test) == (store.labels == 1).sum()


def test_a_training_part_without_a_seen_class_is_refused(store: SkeletonStore, tmp_path: Path) -> None:
    ids = [store.ids[row] for row in np.flatnonzero(store.labels == 1)]
    part = tmp_path / "part.yaml"
    part.write_text(yaml.safe_dump({"train": ids[:4], "test": ids[4:]}))
    classes = split_file(tmp_path, {"unseen": ["b"]})
    with pytest.raises(InputError, match="no clip of the training part of file:.* is of a seen class"):
        get_split(store, f"file:{part}:seen-{classes}")
