"""Baselines on tiny synthetic stores."""

import numpy as np
import pytest

from kinelex.data import Sequence, SkeletonStoreWriter, StoreMeta, open_store
from kinelex.errors import InputError
from kinelex.evaluation import chance, prompt_probe, raw_knn
from kinelex.evaluation.baselines import raw_features
from kinelex.skeleton import SkeletonLayout, get_layout

LAYOUT = get_layout("kinect20")
TRAIN, TEST = np.arange(0, 24), np.arange(24, 48)


def test_raw_features_are_the_clip_about_its_first_spine(tmp_path):
    rng = np.random.default_rng(0)
    clip = rng.normal(size=(8, 1, 20, 3)).astype(np.float32)
    path = tmp_path / "one.arrow"
    with SkeletonStoreWriter(path, StoreMeta("one", LAYOUT, ("a",))) as writer:
        writer.add(Sequence("x", clip, 0))
    flat = raw_features(open_store(path), np.array([0]), frames=8).reshape(3, 8, 20)
    for frame in range(8):
        for joint in range(20):
            expected = clip[frame, 0, joint] - clip[0, 0, LAYOUT.index("spine")]
            np.testing.assert_allclose(flat[:, frame, joint], expected, atol=1e-6)


def test_persons_who_are_not_there_are_zeros_in_every_batch(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "pair.arrow"
    with SkeletonStoreWriter(path, StoreMeta("pair", LAYOUT, ("a",))) as writer:
        writer.add(Sequence("alone", rng.normal(size=(5, 1, 20, 3)), 0))
        writer.add(Sequence("two", rng.normal(size=(5, 2, 20, 3)), 0))
    flat = raw_features(open_store(path), np.array([0, 1]), frames=4, aligned=True, batch_size=1)
    alone, two = flat.reshape(2, 3, 4, 20, 2)
    assert not alone[..., 1].any()
    assert two[..., 1].any()


def test_alignment_undoes_the_turn_of_the_camera(store):
    plain, aligned = raw_knn(store, TRAIN, TEST, aligned=False), raw_knn(store, TRAIN, TEST, aligned=True)
    assert aligned.top1 == 1.0
    assert plain.top1 < 0.8
    assert plain.top1 == max(plain.details["cosine"]["top1"], plain.details["euclidean"]["top1"])


def test_alignment_of_flat_coordinates_is_refused(tmp_path):
    path = tmp_path / "flat.arrow"
    with SkeletonStoreWriter(path, StoreMeta("flat", LAYOUT, ("a",))) as writer:
        writer.add(Sequence("x", np.ones((3, 1, 20, 2)), 0))
    with pytest.raises(InputError, match="3-D"):
        raw_knn(open_store(path), np.array([0]), np.array([0]), aligned=True)


def test_chance_and_majority():
    rows = chance(np.array([0, 2, 2]), np.array([2, 1, 0, 2]), 10)
    assert rows["chance"].top1 == 0.1
    assert rows["majority"].top1 == 0.5


def test_prompt_probe_of_both_beats_each(store, make_prompts):
    rows = prompt_probe(store, make_prompts(), TRAIN, TEST)
    assert rows["prompt_probe_both"].top1 == 1.0
    assert 0.5 < rows["prompt_probe_language"].top1 < 0.9
    assert 0.5 < rows["prompt_probe_vision"].top1 < 0.9
    assert rows["prompt_probe_language"].details["test"] == 24


def test_clips_without_a_modality_are_left_out_and_counted(store, make_prompts):
    prompts = make_prompts(without_vision=set(range(20, 36)))
    rows = prompt_probe(store, prompts, TRAIN, TEST)
    assert rows["prompt_probe_vision"].details["train"] == 20
    assert rows["prompt_probe_vision"].details["test"] == 12
    assert "12 of 24" in rows["prompt_probe_vision"].note
    assert rows["prompt_probe_both"].details["test"] == 24
    assert rows["prompt_probe_both"].details["imputed_test"] == {"language": 0, "vision": 12}
    assert "12 test clips lack vision prompts" in rows["prompt_probe_both"].note


@pytest.mark.parametrize(("part", "name"), [(TEST, "test"), (TRAIN, "training")])
def test_a_modality_that_a_whole_part_lacks_gives_no_rate_alone_or_in_both(store, make_prompts, part, name):
    prompts = make_prompts(without_vision=set(part.tolist()))
    rows = prompt_probe(store, prompts, TRAIN, TEST)
    for row in (rows["prompt_probe_vision"], rows["prompt_probe_both"]):
        assert row.top1 is None
        assert f"no clip of the {name} part has" in row.note
    assert rows["prompt_probe_language"].top1 > 0.5


def test_prompts_of_another_store_are_refused(store, make_prompts):
    prompts = make_prompts(fingerprint="another")
    with pytest.raises(InputError, match="made for another store"):
        prompt_probe(store, prompts, TRAIN, TEST)


def test_raw_coordinates_of_a_layout_without_a_torso(tmp_path):
    hand = SkeletonLayout("hand", ("wrist", "thumb", "finger"), (0, 0, 0))
    path = tmp_path / "hand.arrow"
    with SkeletonStoreWriter(path, StoreMeta("hand", hand, ("a", "b"))) as writer:
        for i in range(4):
            x = np.random.default_rng(i).normal(size=(5, 1, 3, 3)) + 10 * (i % 2) * np.arange(3)[:, None]
            writer.add(Sequence(f"{i}", x, i % 2))
    assert raw_knn(open_store(path), np.array([0, 1]), np.array([2, 3]), aligned=False).top1 == 1.0
