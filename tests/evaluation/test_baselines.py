"""Baselines on tiny synthetic stores."""

import numpy as np
import pytest

from kinelex.errors import InputError
from kinelex.evaluation import chance, prompt_probe, raw_knn
from kinelex.evaluation.raw import body_axes, first_body, mean_body, raw_features, resample
from kinelex.skeleton import get_layout
from kinelex.store import Sequence, SkeletonStoreWriter, StoreMeta, open_store

LAYOUT = get_layout("kinect20")
TRAIN, TEST = np.arange(0, 24), np.arange(24, 48)


def test_resample_against_a_loop():
    clip = np.random.default_rng(0).normal(size=(7, 2, 3, 3))
    result = resample(clip, 16)
    for frame in range(16):
        position = frame * 6 / 15
        low = min(int(position), 5)
        expected = clip[low] + (position - low) * (clip[low + 1] - clip[low])
        np.testing.assert_allclose(result[frame], expected, atol=1e-12)
    np.testing.assert_array_equal(resample(clip[:1], 4), np.repeat(clip[:1], 4, axis=0))


def test_body_axes_do_not_depend_on_the_camera():
    body = np.random.default_rng(0).normal(size=(20, 3))
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    turn *= np.linalg.det(turn)  # a rotation, not a mirror
    here, there = body @ body_axes(body, LAYOUT).T, (body @ turn.T) @ body_axes(body @ turn.T, LAYOUT).T
    np.testing.assert_allclose(here, there, atol=1e-9)
    trunk = here[LAYOUT.index("shoulder_center")] - here[LAYOUT.index("pelvis")]
    np.testing.assert_allclose(trunk[:2], 0, atol=1e-9)
    assert trunk[2] > 0
    across = here[LAYOUT.index("left_shoulder")] - here[LAYOUT.index("right_shoulder")]
    assert across[0] > 0
    np.testing.assert_allclose(across[1], 0, atol=1e-9)


def test_mean_body_is_that_of_the_frames_that_show_the_person():
    clip = np.zeros((5, 2, LAYOUT.num_joints, 3), np.float32)
    clip[1, 0], clip[3, 0], clip[2, 1] = 2.0, 4.0, 9.0
    np.testing.assert_array_equal(mean_body(clip), np.full((LAYOUT.num_joints, 3), 3.0))


def test_first_body_skips_empty_frames_and_absent_persons():
    clip = np.zeros((4, 2, 20, 3))
    clip[2, 1] = 5.0
    clip[3, 0] = 6.0
    assert first_body(clip)[0, 0] == 5.0


def test_absent_persons_and_joints_stay_at_zero(tmp_path):
    clip = np.random.default_rng(0).normal(size=(5, 2, 20, 3))
    clip[:, 0, 7] = 0
    clip[:, 1] = 0
    path = tmp_path / "pair.arrow"
    with SkeletonStoreWriter(path, StoreMeta("pair", LAYOUT, ("a",))) as writer:
        writer.add(Sequence("x", clip, 0))
    flat = raw_features(open_store(path), np.array([0]), frames=5, aligned=True).reshape(5, 2, 20, 3)
    assert not flat[:, 1].any()
    assert not flat[:, 0, 7].any()
    assert flat[:, 0, 6].all()


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


def test_a_modality_that_no_test_clip_has_gives_no_rate(store, make_prompts):
    prompts = make_prompts(without_vision=set(TEST.tolist()))
    row = prompt_probe(store, prompts, TRAIN, TEST)["prompt_probe_vision"]
    assert row.top1 is None
    assert "no clip of the test part" in row.note


def test_prompts_of_another_store_are_refused(store, make_prompts):
    prompts = make_prompts(fingerprint="another")
    with pytest.raises(InputError, match="made for another store"):
        prompt_probe(store, prompts, TRAIN, TEST)
