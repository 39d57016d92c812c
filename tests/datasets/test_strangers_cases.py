"""The small reproductions of public reports that concern readers, each as it should be."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kinelex.data import SkeletonStore, open_store
from kinelex.datasets import prepare
from kinelex.errors import InputError


def prepared(dataset: str, source: Path, tmp_path: Path, **options: Any) -> SkeletonStore:
    prepare(dataset, source, tmp_path / "s.arrow", progress=False, **options)
    return open_store(tmp_path / "s.arrow")


def test_a_header_of_pandas_is_no_frame(shared: Path, tmp_path: Path) -> None:
    store = prepared("folder", shared / "cases" / "3" / "clips", tmp_path, layout="coco17")
    assert store.lengths.tolist() == [3]
    assert store.sequence(0)[0, 0, 0].tolist() == [310.5, 224.0]


@pytest.mark.parametrize(("dataset", "folder"), [("folder", "clips"), ("npy", "kinetics")])
def test_a_confidence_is_no_third_coordinate(dataset: str, folder: str, shared: Path, tmp_path: Path) -> None:
    store = prepared(dataset, shared / "cases" / "5" / folder, tmp_path, layout="openpose18")
    assert (store.channels, store.meta.units) == (2, "pixels")
    scores = store.scores(0)
    assert scores is not None
    assert scores.max() <= 1
    np.testing.assert_array_equal(store.sequence(0).any(axis=3) & (scores == 0), False)


def test_persons_first_are_refused_with_the_order_that_fits(shared: Path, tmp_path: Path) -> None:
    clips = shared / "cases" / "11" / "clips"
    with pytest.raises(InputError, match="1 frames of 40 persons: pass --axes MTVC"):
        prepared("folder", clips, tmp_path, layout="coco17")
    store = prepared("folder", clips, tmp_path, layout="coco17", axes="MTVC")
    assert store.sequence(0).shape == (40, 1, 17, 2)


def test_ids_of_splits_with_the_endings_of_videos(shared: Path, tmp_path: Path) -> None:
    store = prepared("pyskl", shared / "cases" / "13" / "a.pkl", tmp_path)
    assert {tag for tags in store.splits for tag in tags} == {"xsub:train", "xsub:test"}
