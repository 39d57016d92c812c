"""The loader: exact frames, order by seed, epoch and rank, resume in mid-epoch, placements."""

import numpy as np
import pytest
import torch

from kinelex.data import (
    ClipPrompts,
    ModalityPrompts,
    PromptMeta,
    PromptStoreWriter,
    Sequence,
    SkeletonStoreWriter,
    StoreMeta,
    open_prompts,
    open_store,
)
from kinelex.data.clip_prompts import PromptShape, StorePrompts
from kinelex.data.loader import SkeletonLoader
from kinelex.data.pictures import write_jpeg
from kinelex.errors import InputError
from kinelex.skeleton import get_layout

CLIPS = 300  # more than one record batch


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("loader") / "store.arrow"
    rng = np.random.default_rng(0)
    with SkeletonStoreWriter(path, StoreMeta("made", get_layout("sbu15"), ("a", "b"))) as writer:
        for i in range(CLIPS):
            shape = (int(rng.integers(1, 9)), 1 + i % 2, 15, 3)
            writer.add(Sequence(f"c{i:03d}", rng.normal(size=shape), label=i % 2))
    return open_store(path)


@pytest.fixture(scope="module")
def prompts(store, tmp_path_factory):
    path = tmp_path_factory.mktemp("loader") / "prompts.arrow"
    meta = PromptMeta("made", store.fingerprint, {"vision": {}, "language": {}}, {"vision": 2, "language": 3})
    with PromptStoreWriter(path, meta) as writer:
        for i in reversed(range(CLIPS)):  # another order than the store's
            text = ModalityPrompts(np.array([0, -1]), np.full((2, 3), i), ["x", "y"])
            image = ModalityPrompts(np.array([0, 1]), np.full((2, 2), i), boxes=np.zeros((2, 4)))
            writer.add(ClipPrompts(f"c{i:03d}", text, image if i % 3 else None))
    return open_prompts(path)


@pytest.mark.parametrize("placement", ["memory", "mmap", "device"])
def test_batches_hold_exactly_the_clips(store, placement):
    rows = np.array([299, 0, 5, 256, 255, 7])
    loader = SkeletonLoader(store, rows, 4, placement=placement)
    batches = list(loader)
    assert [len(b) for b in batches] == [4, 2] == [4, len(loader) and 2]
    seen = []
    for batch in batches:
        offset = 0
        for i, row in enumerate(batch.indices.tolist()):
            t, expected = int(batch.lengths[i]), store.sequence(row)
            got = batch.frames[offset : offset + t].permute(0, 3, 2, 1).numpy()  # (T, M, V, C)
            np.testing.assert_array_equal(got[:, : expected.shape[1]], expected)
            assert not got[:, expected.shape[1] :].any()
            assert batch.labels[i] == row % 2
            offset += t
            seen.append(row)
        assert offset == len(batch.frames)
    assert seen == rows.tolist()


def test_order_depends_on_seed_and_epoch_alone(store):
    rows = np.arange(40)
    one, other = (SkeletonLoader(store, rows, 8, shuffle=True, seed=3) for _ in range(2))
    first = [b.indices.tolist() for b in one]
    assert first == [b.indices.tolist() for b in other]
    assert sorted(sum(first, [])) == rows.tolist()
    one.set_epoch(1)
    assert [b.indices.tolist() for b in one] != first
    assert SkeletonLoader(store, rows, 8, shuffle=True, seed=4).order(0).tolist() != one.order(0).tolist()


def test_resume_in_mid_epoch(store):
    loader = SkeletonLoader(store, np.arange(64), 8, shuffle=True, seed=1)
    loader.set_epoch(2)
    whole = [b.indices.tolist() for b in loader]
    loader.set_epoch(2, batch=5)
    assert [b.indices.tolist() for b in loader] == whole[5:]
    assert [b.indices.tolist() for b in loader] == whole  # only the next iteration is cut


def test_ranks_share_each_global_batch(store):
    rows = np.arange(50)
    whole = [set(b.indices.tolist()) for b in SkeletonLoader(store, rows, 8, shuffle=True)]
    parts = [
        [set(b.indices.tolist()) for b in SkeletonLoader(store, rows, 4, shuffle=True, rank=r, world_size=2)]
        for r in range(2)
    ]
    assert [a | b for a, b in zip(*parts, strict=True)] == whole
    assert all(not a & b for a, b in zip(*parts, strict=True))


def test_pictures_are_decoded_for_those_who_ask(store, tmp_path):
    meta = PromptMeta("made", store.fingerprint, {"vision": {}}, {"vision": 2}, ("tile",))
    with PromptStoreWriter(tmp_path / "tiles.arrow", meta) as writer:
        for i in reversed(range(CLIPS)):
            tile = write_jpeg(np.full((8, 8, 3), i % 250, np.uint8))
            image = ModalityPrompts(np.array([0]), np.zeros((1, 2)), boxes=np.zeros((1, 4)), tile=tile)
            writer.add(ClipPrompts(f"c{i:03d}", None, image if i % 3 else None))
    opened = open_prompts(tmp_path / "tiles.arrow")
    table = StorePrompts(opened, store, ("images",))
    assert table.statistics(np.arange(2)) == {}
    rows = np.array([4, 3, 299])
    batch = SkeletonLoader(store, rows, 3, prompts=table).batch(rows).to("cpu")
    pictures = batch.prompts["images"]
    assert pictures.frame.dtype == torch.uint8
    assert pictures.frame.shape == (3, 8, 8, 3)
    assert pictures.frame[:, 0, 0, 0].tolist() == pytest.approx([4, 0, 49], abs=2)
    assert pictures.mask.tolist() == [True, False, True]
    without = SkeletonLoader(store, rows, 3, prompts=StorePrompts(opened, store, ("vision",)))
    assert "images" not in without.batch(rows).prompts


def test_prompts_come_with_their_clips(store, prompts):
    table = StorePrompts(prompts, store, ("language", "vision"))
    found = table.statistics(np.array([1, 2, 3]))
    assert {m: s.shape for m, s in found.items()} == {
        "language": PromptShape(1, 3, 3),
        "vision": PromptShape(2, 2),
    }
    assert found["language"].frame_mean.tolist() == [2, 2, 2]
    assert found["language"].clip_scale.item() == pytest.approx(1)
    assert found["vision"].frame_mean.tolist() == [1.5, 1.5]  # clip 3 has none
    batch = SkeletonLoader(store, np.array([4, 3, 10]), 3, prompts=table).batch(np.array([4, 3, 10]))
    assert batch.prompts["language"].frame[:, 0, 0].tolist() == [4, 3, 10]
    assert batch.prompts["language"].clip[:, 0].tolist() == [4, 3, 10]
    assert batch.prompts["vision"].mask.tolist() == [True, False, True]
    assert batch.prompts["vision"].frame.shape == (3, 2, 2)
    assert not batch.prompts["vision"].frame[1].any()
    moved = batch.to("cpu")
    assert torch.equal(moved.frames, batch.frames)


def test_prompts_of_another_store_are_refused(store, prompts, tmp_path):
    with SkeletonStoreWriter(tmp_path / "s.arrow", StoreMeta("other", get_layout("sbu15"), ("a",))) as writer:
        writer.add(Sequence("x", np.ones((2, 1, 15, 3)), label=0))
    with pytest.raises(InputError, match="made for another store"):
        StorePrompts(prompts, open_store(tmp_path / "s.arrow"), ("language",))


def test_wrong_arguments(store):
    with pytest.raises(InputError, match="empty"):
        SkeletonLoader(store, np.array([], dtype=int), 4)
    with pytest.raises(InputError, match="batch size"):
        SkeletonLoader(store, np.arange(3), 0)
    with pytest.raises(InputError, match="did you mean 'memory'"):
        SkeletonLoader(store, np.arange(3), 2, placement="memry")
