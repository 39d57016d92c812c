"""Few-label subsets: drawn once, kept beside the store, read from there."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from kinelex.data import Sequence, SkeletonStore, SkeletonStoreWriter, StoreMeta, open_store
from kinelex.data.splits import files
from kinelex.datasets import get_split
from kinelex.errors import InputError
from kinelex.skeleton import get_layout

SIZES = (60, 30, 9, 1)  # training clips per class; another two of each class test, and two have no label


def write_store(path: Path, backwards: bool = False) -> SkeletonStore:
    clips = []
    for label, size in enumerate(SIZES):
        for i in range(size + 2):
            clips.append(
                Sequence(f"c{label}_{i}", np.ones((2, 1, 20, 3)), label, camera=1 if i < size else 3)
            )
    clips += [Sequence(f"u{i}", np.ones((2, 1, 20, 3)), camera=1, subject=5) for i in range(2)]
    with SkeletonStoreWriter(path, StoreMeta("nw_ucla", get_layout("kinect20"), tuple("abcd"))) as writer:
        for clip in clips[::-1] if backwards else clips:
            writer.add(clip)
    return open_store(path)


@pytest.fixture
def store(tmp_path: Path) -> SkeletonStore:
    return write_store(tmp_path / "s.arrow")


def drawn(store: SkeletonStore, name: str) -> list[str]:
    return sorted(store.ids[row] for row in get_split(store, name).train)


def test_random_draws_from_all_labelled_training_clips(store: SkeletonStore) -> None:
    whole, split = get_split(store, "xview"), get_split(store, "xview:few-random:0.2:1")
    assert split.name == "xview:few-random:0.2:1"
    assert len(split.train) == 20
    assert set(split.train) <= set(whole.train)
    assert (store.labels[split.train] >= 0).all()
    np.testing.assert_array_equal(split.test, whole.test)
    assert drawn(store, "xview:few-random:0.2:1") != drawn(store, "xview:few-random:0.2:2")
    assert set(drawn(store, "xview:few-random:0.1:1")) < set(drawn(store, "xview:few-random:0.2:1"))
    assert len(drawn(store, "xview:few-random:0.001:1")) == 1
    for ratio in (0.059, 0.1, 0.237):  # rounded down, as CMD draws
        assert len(drawn(store, f"xview:few-random:{ratio}:1")) == int(sum(SIZES) * ratio)
    assert len(drawn(store, "xview:few-random:1:1")) == sum(SIZES)


@pytest.mark.parametrize(
    ("ratio", "counts"), [("0.01", [1, 1, 1, 1]), ("0.2", [5, 5, 5, 1]), ("0.5", [12, 12, 9, 1])]
)
def test_balanced_draws_the_same_number_of_every_class(
    ratio: str, counts: list[int], store: SkeletonStore
) -> None:
    split = get_split(store, f"xview:few-balanced:{ratio}:0")
    assert np.bincount(store.labels[split.train], minlength=4).tolist() == counts


def test_the_order_of_the_rows_does_not_matter(store: SkeletonStore, tmp_path: Path) -> None:
    other = write_store(tmp_path / "other.arrow", backwards=True)
    for name in ("xview:few-random:0.2:0", "xview:few-balanced:0.2:0"):
        assert drawn(store, name) == drawn(other, name)


def test_the_subset_is_kept_as_a_file_and_read_from_there(store: SkeletonStore, tmp_path: Path) -> None:
    name = "xview:few-balanced:0.1:7"
    assert not list(tmp_path.glob("*.subsets"))
    before = drawn(store, name)
    file = tmp_path / "s.arrow.subsets" / "xview_few-balanced_0.1_7.txt"
    lines = file.read_text().splitlines()
    assert lines[0] == f"# kinelex few-label subset {name}"
    assert sorted(line for line in lines if not line.startswith("# ")) == before
    assert [f.name for f in file.parent.iterdir()] == [file.name]
    file.write_text("# shared by somebody\n\nc0_4\n  c1_2\n")
    assert drawn(store, name) == ["c0_4", "c1_2"]
    copied = tmp_path / "elsewhere" / "s.arrow"
    shutil.copytree(tmp_path, copied.parent, ignore=shutil.ignore_patterns("elsewhere"))
    assert drawn(open_store(copied), name) == ["c0_4", "c1_2"]


def test_without_a_place_to_write_the_subset_is_drawn_each_time(
    store: SkeletonStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "xview:few-random:0.1:0"

    def refuse(*args: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "mkdir", refuse)
        first = drawn(store, name)
    with monkeypatch.context() as patched:
        patched.setattr(files, "write_whole", refuse)
        assert drawn(store, name) == first
    assert not list(tmp_path.glob("*.subsets/*"))
    assert drawn(store, name) == first


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("c0_0\nx1\n", "1 of 2 ids are not in .*, the first is 'x1'.*; delete the file"),
        ("c0_0\nc0_60\n", "1 clips are not in the training part of xview, the first is 'c0_60'; delete"),
        ("c0_0\nc0_0\n", "the id 'c0_0' stands there twice; delete the file"),
        ("# nothing\n", "has no ids: delete the file"),
        (
            "# a\n# of b, store c: 1 of 7 training clips\nc0_0\n",
            "drawn from 7 training clips, xview has .*; del",
        ),
    ],
)
def test_a_file_that_does_not_fit_the_store(
    text: str, message: str, store: SkeletonStore, tmp_path: Path
) -> None:
    folder = tmp_path / "s.arrow.subsets"
    folder.mkdir()
    (folder / "xview_few-random_0.1_0.txt").write_text(text)
    with pytest.raises(InputError, match=message):
        get_split(store, "xview:few-random:0.1:0")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("xview:few-random:0:0", "expects a share above 0 and up to 1, such as 0.1, got '0'"),
        ("xview:few-random:5%:0", "got '5%'"),
        ("xview:few-random:0.1:x", "expects a whole number as the seed, got 'x'"),
        ("xview:few-random:0.1", "a few-label subset is written PROTOCOL:few-balanced:RATIO:SEED"),
        ("xview:few:0.1:0", "a few-label subset is written PROTOCOL:few-balanced:RATIO:SEED"),
        ("xview:few-random:0.1:0:few-random:0.1:0", "a few-label subset is written"),
        ("xveiw:few-random:0.1:0", "did you mean 'xview'"),
    ],
)
def test_names_written_wrongly(name: str, message: str, store: SkeletonStore, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        get_split(store, name)
    assert not list(tmp_path.glob("*.subsets"))


def test_a_training_part_without_labels(store: SkeletonStore, tmp_path: Path) -> None:
    split = tmp_path / "split.csv"
    split.write_text("u0,train\nc0_0,test\n")
    with pytest.raises(InputError, match="no clip of the training part has a label"):
        get_split(store, f"file:{split}:few-balanced:0.5:0")


def test_few_labels_of_a_fold(tmp_path: Path) -> None:
    clips = [
        Sequence(f"c{i}", np.ones((2, 1, 20, 3)), i % 2, subject=i % 4, camera=1 + i // 30) for i in range(90)
    ]
    with SkeletonStoreWriter(
        tmp_path / "f.arrow", StoreMeta("nw_ucla", get_layout("kinect20"), ("a", "b"))
    ) as writer:
        for clip in clips:
            writer.add(clip)
    store = open_store(tmp_path / "f.arrow")
    fold = get_split(store, "xview:fold1of2")
    few = get_split(store, "xview:fold1of2:few-balanced:0.2:0")
    assert set(few.train) < set(fold.train)
    np.testing.assert_array_equal(few.test, fold.test)


@pytest.mark.parametrize(("ratio", "each"), [("0.05", 5), ("0.15", 15), ("0.3", 30), ("0.4", 40)])
def test_the_published_numbers_of_labels_on_nw_ucla(ratio: str, each: int, tmp_path: Path) -> None:
    """1 020 training clips of 10 classes: 5, 15, 30 and 40 labels per class are 5, 15, 30 and 40 %."""
    meta = StoreMeta("nw_ucla", get_layout("kinect20"), tuple("abcdefghij"))
    with SkeletonStoreWriter(tmp_path / "n.arrow", meta) as writer:
        for i in range(1030):
            writer.add(Sequence(f"c{i}", np.ones((1, 1, 20, 3)), i % 10, camera=1 if i < 1020 else 3))
    store = open_store(tmp_path / "n.arrow")
    split = get_split(store, f"xview:few-balanced:{ratio}:0")
    assert np.bincount(store.labels[split.train]).tolist() == [each] * 10
