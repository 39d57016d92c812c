"""Splits of the users' own, in files with the ids of clips."""

from pathlib import Path

import numpy as np
import pytest

from kinelex.data import Sequence, SkeletonStore, SkeletonStoreWriter, StoreMeta, open_store
from kinelex.datasets import get_split
from kinelex.errors import InputError
from kinelex.skeleton import get_layout


@pytest.fixture
def store(tmp_path: Path) -> SkeletonStore:
    """Clips c0 to c5."""
    with SkeletonStoreWriter(tmp_path / "s.arrow", StoreMeta("mine", get_layout("sbu15"), ("a",))) as writer:
        for i in range(6):
            writer.add(Sequence(f"c{i}", np.ones((2, 1, 15, 3)), 0))
    return open_store(tmp_path / "s.arrow")


GOOD = {
    "s.json": '{"test": ["c3"], "train": ["c2", "c0"]}',
    "s.yaml": "train: [c0, c2]\ntest:\n- c3\n",
    "s.csv": "id,part\nc2,train\n\nc3,test\nc0, train\n",
    "no head.CSV": "c0,train\nc3,test\nc2,train\n",
}


@pytest.mark.parametrize("name", GOOD)
def test_a_split_of_the_users_own(name: str, store: SkeletonStore, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(GOOD[name])
    split = get_split(store, f"file:{path}")
    assert (split.train.tolist(), split.test.tolist()) == ([0, 2], [3])
    few = get_split(store, f"file:{path}:few-random:0.5:0")
    assert (len(few.train), few.test.tolist()) == (1, [3])
    assert (get_split(store, f"file:{path}:few-random:0.5:0").train == few.train).all()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("s.json", None, "does not exist, expects a JSON or YAML file"),
        ("s.txt", "c0", "the name ends in '.txt', expects a JSON or YAML file"),
        ("s.json", "{", "does not parse"),
        ("s.yaml", "a: [", "does not parse"),
        ("s.json", "[]", "expects the keys 'train' and 'test', got list"),
        (
            "s.json",
            '{"train": ["c0"], "val": ["c1"]}',
            "expects the keys 'train' and 'test', got 'train', 'val'",
        ),
        ("s.json", '{"train": "c0", "test": ["c1"]}', "expects a list of ids under 'train', got str"),
        ("s.yaml", "{train: [001], test: [c1]}", "the id 1 under 'train' is no text: put it in quotes"),
        ("s.json", '{"train": ["c0"], "test": []}', "no clip is in the test part"),
        ("s.json", '{"train": ["c0", "x"], "test": ["c1"]}', "1 of 2 ids are not in .*, the first is 'x'"),
        ("s.json", '{"train": ["c0", "c0"], "test": ["c1"]}', "the id 'c0' stands there twice"),
        ("s.json", '{"train": ["c0", "c1"], "test": ["c1"]}', "1 clips are in both parts, the first is 'c1'"),
        ("s.csv", "id,part\nc0,train\nc1,validation", "line 3: expects an id and train or test"),
        ("s.csv", "c0,train,1\n", "line 1: expects an id and train or test, got 'c0,train,1'"),
        ("s.csv", "", "no clip is in the train part"),
        ("s.csv", 'c0,"train\n' + "c1,test\n" * 20_000, "cannot be read as CSV"),
    ],
)
def test_files_that_are_no_split(
    name: str, text: str | None, message: str, store: SkeletonStore, tmp_path: Path
) -> None:
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=message):
        get_split(store, f"file:{path}")
