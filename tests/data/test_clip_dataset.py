"""Clips as batches from a store and from arrays: the same numbers, in PyTorch's loader too."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from kinelex.data import Sequence, SkeletonStoreWriter, StoreMeta, open_store
from kinelex.data.clip_prompts import Prompts
from kinelex.data.dataset import ArrayClips, ClipDataset
from kinelex.data.loader import SkeletonLoader
from kinelex.errors import InputError
from kinelex.skeleton import get_layout


def clips(count: int = 12) -> list[np.ndarray]:
    """Clips of 3 to 7 frames with one or two persons."""
    rng = np.random.default_rng(0)
    return [rng.normal(size=(3 + i % 5, 1 + i % 2, 15, 3)).astype(np.float32) for i in range(count)]


@pytest.fixture
def store(tmp_path: Path):
    meta = StoreMeta("tiny", get_layout("sbu15"), ("one", "two"))
    with SkeletonStoreWriter(tmp_path / "s.arrow", meta) as writer:
        for i, clip in enumerate(clips()):
            writer.add(Sequence(f"c{i}", clip, label=i % 2, fps=30.0 if i else None))
    return open_store(tmp_path / "s.arrow")


def same(one, other) -> None:
    assert torch.equal(one.frames, other.frames)
    for name in ("lengths", "labels", "indices"):
        assert torch.equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize("placement", ["memory", "mmap", "device"])
def test_a_store_and_arrays_give_the_same_batches(store, placement: str) -> None:
    arrays = ClipDataset(clips(), labels=[i % 2 for i in range(12)], placement=placement)
    stored = ClipDataset(store, placement=placement)
    assert len(arrays) == len(stored) == 12
    for rows in (0, [3, 1, 1], np.arange(12)):
        same(arrays[rows], stored[rows])
    assert stored[[0, 1]].fps.isnan().tolist() == [True, False]


def test_only_the_rows_that_are_asked_for_are_copied(store) -> None:
    whole, some = ClipDataset(store), ClipDataset(store, rows=np.array([5, 2]))
    (own,) = some._frames._tables[-1:]
    assert len(own) == sum(clip.shape[0] * clip.shape[1] for clip in (clips()[5], clips()[2]))
    same(some[[0, 1]], whole[[5, 2]])
    same(some.batch(np.array([7, 2])), whole[[7, 2]])  # another one is read from the file
    on_device = ClipDataset(store, rows=np.array([5, 2]), placement="device")
    same(on_device[[1]], whole[[2]])
    with pytest.raises(IndexError, match="clip 7 was not put on the device"):
        on_device.batch(np.array([2, 7]))


def test_padded_arrays_and_both_loaders() -> None:
    x = np.random.default_rng(1).normal(size=(10, 3, 6, 15, 2)).astype(np.float32)
    dataset = ClipDataset(x, labels=np.arange(10))
    batch = dataset[[2]]
    np.testing.assert_array_equal(batch.frames.numpy(), x[2].transpose(1, 0, 2, 3))
    seen = []
    for batch in DataLoader(dataset, batch_size=4, shuffle=True, collate_fn=dataset.collate):
        assert batch.frames.shape == (6 * len(batch), 3, 15, 2)
        seen += batch.labels.tolist()
    assert sorted(seen) == [*range(10)]
    loader = SkeletonLoader(dataset, np.arange(10), 5, shuffle=True, seed=3)
    loader.set_epoch(1)
    again = SkeletonLoader(torch.from_numpy(x), np.arange(10), 5, shuffle=True, seed=3)
    again.set_epoch(1)
    for one, other in zip(loader, again, strict=True):
        assert torch.equal(one.frames, other.frames)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (np.ones((4, 3, 6, 15)), r"expects clips \(N, C, T, V, M\), got an array of shape \(4, 3, 6, 15\)"),
        ([], "at least one clip"),
        ([np.ones((4, 1, 15, 3)), np.ones((4, 1, 25, 3))], r"clip 1 has shape \(4, 1, 25, 3\), expects"),
        ([np.ones((4, 1, 15, 5))], r"with C 2 or 3"),
        ([np.full((4, 1, 15, 3), np.nan)], "an absent joint is all zeros"),
    ],
)
def test_arrays_that_are_no_clips(given, said: str) -> None:
    with pytest.raises(InputError, match=said):
        ArrayClips(given)


def test_prompts_of_ones_own_go_along() -> None:
    texts = np.random.default_rng(2).normal(size=(12, 8)).astype(np.float32)
    dataset = ClipDataset(clips(), prompts={"language": Prompts(texts, present=np.arange(12) != 3)})
    language = dataset[[3, 5]].prompts["language"]
    assert language.frame[1, 0].tolist() == texts[5].tolist()
    assert language.mask.tolist() == [False, True]


def test_labels_that_do_not_fit(store) -> None:
    with pytest.raises(InputError, match="a label for each of 12 clips"):
        ClipDataset(clips(), labels=[1, 2])
    with pytest.raises(InputError, match="a store has its own"):
        ClipDataset(store, labels=[0] * 12)


def test_a_single_prompt_has_a_scale_too() -> None:
    statistics = Prompts(np.ones((3, 2, 4)), np.ones((3, 6)), np.array([True, False, False])).statistics()
    assert torch.isfinite(statistics.clip_scale)
    assert torch.equal(statistics.clip_mean, torch.ones(6))


def test_a_mask_stands_for_the_rows_that_it_chooses(store) -> None:
    labels = np.array([0, 0, 1, 1, 2, 2])
    dataset = ClipDataset(np.ones((6, 3, 4, 25, 1)), labels)
    assert dataset[labels == 1].indices.tolist() == dataset[2:4].indices.tolist() == [2, 3]
    assert ClipDataset(np.ones((6, 3, 4, 25, 1)), labels, rows=labels == 2)[[0, 1]].labels.tolist() == [2, 2]
    loader = SkeletonLoader(ArrayClips(np.ones((6, 3, 4, 25, 1)), labels), labels > 0, batch_size=4)
    assert [batch.indices.tolist() for batch in loader] == [[2, 3, 4, 5]]
    store.verify(np.arange(len(store)) == 1)
