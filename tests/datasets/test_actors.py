"""The built-in actors: bodies, mirror images, cameras, noise, determinism, and how hard the clips are."""

import time
from collections import Counter

import numpy as np
import pytest
from sklearn.linear_model import RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from kinelex.data import open_store
from kinelex.datasets.synthetic import (
    ACTIONS,
    NUM_PERFORMERS,
    Performer,
    actors_meta,
    clip_key,
    generate_actors,
    make_clip,
    make_performer,
    perform,
    write_actors,
)
from kinelex.datasets.synthetic.camera import hidden_joints, record, view
from kinelex.errors import InputError
from kinelex.skeleton import get_layout

LAYOUT = get_layout("ntu25")
BY_NAME = {action.name: action for action in ACTIONS}
PERFORMERS = [make_performer(n) for n in range(1, NUM_PERFORMERS + 1)]
FLIP = np.array([-1.0, 1.0, 1.0])


def play(name, performer=None, take=0):
    """Noise-free coordinates (T, M, 25, 3) of one take."""
    return perform(BY_NAME[name], performer or Performer(), np.random.default_rng(take)).coordinates


def joint(x, name, person=0):
    return x[:, person, LAYOUT.index(name)]


@pytest.fixture(scope="module")
def clips():
    start = time.perf_counter()
    made = list(generate_actors(clips=960))
    print(f"\n960 clips in {time.perf_counter() - start:.1f} s")
    return made


@pytest.mark.parametrize("action", ACTIONS, ids=lambda a: a.name)
def test_bones_keep_their_length(action):
    performer, partner = PERFORMERS[2], PERFORMERS[3]
    x = perform(action, performer, np.random.default_rng(1), partner).coordinates
    children, parents = np.array(LAYOUT.bones).T
    lengths = np.linalg.norm(x[:, :, children] - x[:, :, parents], axis=-1)
    np.testing.assert_allclose(lengths, np.broadcast_to(lengths[:1], lengths.shape), atol=1e-9)
    assert lengths.min() > 0.04
    mine = dict(zip(LAYOUT.bones, lengths[0, 0], strict=True))
    thigh = mine[LAYOUT.index("right_knee"), LAYOUT.index("right_hip")]
    assert thigh == pytest.approx(performer.body.thigh)


@pytest.mark.parametrize("action", ACTIONS, ids=lambda a: a.name)
def test_movements_are_smooth_and_above_the_ground(action):
    for performer in PERFORMERS[::3]:
        x = perform(action, performer, np.random.default_rng(2), performer).coordinates
        assert np.isfinite(x).all()
        assert np.linalg.norm(np.diff(x, axis=0), axis=-1).max() < 0.45  # 13.5 m/s: no jump cut
        feet = x[:, :, [LAYOUT.index("left_ankle"), LAYOUT.index("right_ankle")], 1]
        assert 0.0 < feet.min() < 0.12
        assert x[..., LAYOUT.index("head"), 1].max() < 2.8


@pytest.mark.parametrize("pair", [("wave right hand", "wave left hand"), ("kick right leg", "kick left leg")])
@pytest.mark.parametrize("take", [0, 1, 2])
def test_mirror_images(pair, take):
    right, left = (play(name, take=take) for name in pair)
    np.testing.assert_allclose(left, right[:, :, list(LAYOUT.mirror)] * FLIP, atol=1e-9)
    assert np.abs(left - right).max() > 0.3


def test_left_handers_use_the_other_hand():
    def height(performer, side):
        return np.ptp(joint(play("throw", performer), f"{side}_hand")[:, 1])

    right_hander, left_hander = Performer(), Performer(left_handed=True)
    assert height(right_hander, "right") > height(right_hander, "left")
    assert height(left_hander, "left") > height(left_hander, "right")
    assert sum(p.left_handed for p in PERFORMERS) == 2


def test_actions_do_what_they_say():
    pelvis = {name: joint(play(name), "pelvis") for name in BY_NAME}
    assert pelvis["sit down"][-1, 1] < pelvis["sit down"][0, 1] - 0.2
    assert pelvis["stand up"][-1, 1] > pelvis["stand up"][0, 1] + 0.2
    assert pelvis["jump"][:, 1].max() > pelvis["jump"][0, 1] + 0.1
    assert pelvis["walk"][-1, 2] > pelvis["walk"][0, 2] + 1.0  # forward is +z on the stage
    assert np.ptp(pelvis["march on the spot"][:, 2]) < 0.2
    speed = {n: np.abs(np.diff(pelvis[n][:, 2])).max() for n in ("walk", "run")}
    assert speed["run"] > 1.2 * speed["walk"]
    turned = play("turn around")
    across = joint(turned, "left_shoulder") - joint(turned, "right_shoulder")
    assert across[0, 0] > 0.2
    assert across[-1, 0] < -0.2
    assert joint(play("pick up"), "right_hand")[:, 1].min() < 0.6
    both = play("raise both arms")
    assert min(joint(both, f"{s}_hand")[:, 1].max() for s in ("left", "right")) > 1.75
    clap = play("clap")
    assert np.linalg.norm(joint(clap, "left_hand") - joint(clap, "right_hand"), axis=-1).min() < 0.15


@pytest.mark.parametrize(
    ("name", "most"), [("shake hands", 0.2), ("hand over", 0.2), ("push the other", 0.5)]
)
def test_two_persons_meet(name, most):
    x = play(name)
    assert x.shape[1] == 2
    target = "shoulder_center" if name == "push the other" else "right_hand"
    gap = np.linalg.norm(joint(x, "right_hand") - joint(x, target, person=1), axis=-1)
    assert gap.min() < most
    assert gap[0] > gap.min() + 0.1
    toes = [joint(x, "left_foot", m)[0, 2] - joint(x, "left_ankle", m)[0, 2] for m in (0, 1)]
    assert toes[0] > 0 > toes[1]  # face to face


def test_camera_frame_is_that_of_a_kinect():
    x = play("bow")
    seen = {c: view(x, c, 0.0, np.random.default_rng(0)) for c in (1, 2, 3)}
    across = {c: joint(s, "right_shoulder")[0] - joint(s, "left_shoulder")[0] for c, s in seen.items()}
    assert across[2][0] > 0.25  # a person who faces the camera has the right hand at larger x
    assert across[1][2] * across[3][2] < 0  # the outer cameras see different sides
    for s in seen.values():
        assert joint(s, "head")[0, 1] > joint(s, "pelvis")[0, 1] > joint(s, "left_foot")[0, 1]
        assert 2.0 < s[..., 2].min() < s[..., 2].max() < 5.0
        up = np.array([0.0, 1.0, 0.0])
        left = joint(s, "left_shoulder")[0] - joint(s, "right_shoulder")[0]
        forward = joint(s, "left_foot")[0] - joint(s, "left_ankle")[0]
        assert np.cross(left, up) @ forward > 0  # right-handed, as the real recordings are
        # a rotation and a shift: no distance changes
        np.testing.assert_allclose(
            np.linalg.norm(s[:, :, 1:] - s[:, :, :-1], axis=-1),
            np.linalg.norm(x[:, :, 1:] - x[:, :, :-1], axis=-1),
            atol=1e-9,
        )


def test_noise_grows_with_depth_and_at_hidden_joints_and_lost_joints_stand_still():
    still = np.tile(view(play("bow")[:1], 2, 0.0, np.random.default_rng(0)), (600, 1, 1, 1))
    behind = still.copy()
    behind[:, 0, LAYOUT.index("right_wrist")] = still[:, 0, LAYOUT.index("spine")] + [0.02, 0.0, 0.3]
    assert hidden_joints(behind)[0, 0, LAYOUT.index("right_wrist")]
    near, far, covered = (
        record(x, np.random.default_rng(5)) for x in (still, still + [0, 0, 1.5], behind)
    )  # (600, 1, 25, 3)

    def trembling(x, name):
        return np.median(np.abs(np.diff(joint(x, name), axis=0)[np.diff(joint(x, name)[:, 0]) != 0]))

    assert trembling(far, "head") > 1.5 * trembling(near, "head")
    assert trembling(near, "left_hand") > 1.5 * trembling(near, "pelvis")
    assert trembling(covered, "right_wrist") > 2 * trembling(near, "right_wrist")
    held = (np.diff(near, axis=0) == 0).all(axis=-1)
    assert 0.001 < held.mean() < 0.1
    assert np.abs(near - still).max() < 0.5


def test_clips_are_spread_over_actions_performers_and_cameras(clips):
    keys = [clip_key(i) for i in range(1440)]
    assert len(set(keys)) == 1440
    assert set(Counter(k[:3] for k in keys).values()) == {2}
    assert {k[0] for k in keys[:24]} == set(range(1, 25))
    assert len(ACTIONS) >= 16
    assert len({c.id for c in clips}) == 960
    assert set(Counter(c.label for c in clips).values()) == {40}
    assert {c.subject for c in clips} == set(range(1, 11))
    assert {c.camera for c in clips} == {1, 2, 3}
    lengths = [len(c.coordinates) for c in clips]
    assert min(lengths) >= 30
    assert max(lengths) <= 110
    assert np.std(lengths) > 12
    for clip in clips:
        assert clip.coordinates.shape[1:] == (2 if ACTIONS[clip.label].partner else 1, 25, 3)
        assert clip.caption
        assert "{" not in clip.caption
    absent = [(c.coordinates[:, 1] == 0).all(axis=(1, 2)).any() for c in clips if c.coordinates.shape[1] == 2]
    assert 0.05 < np.mean(absent) < 0.4


def test_same_seed_same_clips_in_any_order(clips):
    for i in (959, 3, 500):
        alone = make_clip(clip_key(i), PERFORMERS)
        assert (alone.id, alone.caption) == (clips[i].id, clips[i].caption)
        np.testing.assert_array_equal(alone.coordinates, clips[i].coordinates)
    other = next(generate_actors(clips=1, seed=1)).coordinates
    assert other.shape != clips[0].coordinates.shape or not np.array_equal(other, clips[0].coordinates)


def test_store(tmp_path):
    calls = []
    path = tmp_path / "actors.arrow"
    assert (
        write_actors(path, clips=30, seed=4, progress=lambda done, total: calls.append((done, total))) == 30
    )
    assert calls[-1] == (30, 30)
    store = open_store(path)
    assert len(store) == 30
    assert store.meta.dataset == "actors"
    assert store.layout.name == "ntu25"
    assert store.meta.class_names == actors_meta().class_names
    assert store.meta.prepared["seed"] == 4
    expected = list(generate_actors(clips=30, seed=4))
    np.testing.assert_array_equal(store.sequence(29), expected[29].coordinates)
    assert store.captions == [c.caption for c in expected]


@pytest.mark.parametrize(("option", "message"), [({"clips": 0}, "at least 1"), ({"seed": -1}, "0 or more")])
def test_wrong_numbers(tmp_path, option, message):
    with pytest.raises(InputError, match=message):
        generate_actors(**option)
    with pytest.raises(InputError, match=message):
        write_actors(tmp_path / "never.arrow", **option)
    assert not list(tmp_path.iterdir())


def resampled(clip, body):
    """(32, 2, 25, 3): 32 frames, centred on the spine, as recorded or turned into the body's own frame."""
    x = clip.coordinates.astype(float)
    at = np.linspace(0, len(x) - 1, 32)
    low = np.minimum(at.astype(int), len(x) - 2)
    share = (at - low)[:, None, None, None]
    x = x[low] * (1 - share) + x[low + 1] * share
    x = np.where(np.abs(x).sum(axis=(2, 3), keepdims=True) > 0, x - x[0, 0, LAYOUT.index("spine")], 0)
    if body:
        across = x[0, 0, LAYOUT.index("left_shoulder")] - x[0, 0, LAYOUT.index("right_shoulder")]
        angle = np.arctan2(across[2], across[0])
        cos, sin = np.cos(angle), np.sin(angle)
        x = x @ np.array([[cos, 0, -sin], [0, 1, 0], [sin, 0, cos]])
    return np.concatenate([x, np.zeros_like(x)], axis=1)[:, :2]


def nearest(x, labels, train, test, cosine):
    x = x.reshape(len(x), -1)
    if cosine:
        x = x / np.linalg.norm(x, axis=1, keepdims=True)
    close = 2 * x[test] @ x[train].T - (x[train] ** 2).sum(axis=1)
    return float((labels[train][close.argmax(axis=1)] == labels[test]).mean())


def test_hard_for_nearest_neighbours_but_recognisable(clips):
    labels, subjects, cameras = (
        np.array([getattr(c, n) for c in clips]) for n in ("label", "subject", "camera")
    )
    train, test = (subjects <= 6) & (cameras <= 2), (subjects > 6) & (cameras == 3)
    raw, turned = (np.stack([resampled(c, body) for c in clips]) for body in (False, True))
    for cosine in (True, False):
        as_recorded, in_body = (nearest(x, labels, train, test, cosine) for x in (raw, turned))
        print(f"\nnearest neighbour, {'cosine' if cosine else 'euclidean'}: {as_recorded:.3f} {in_body:.3f}")
        assert 0.4 < as_recorded < 0.8
        assert 0.5 < in_body < 0.85
    velocity = np.diff(turned, axis=1)
    relative = turned - turned[:, :, :, :1]
    spin = turned[:, :-1, ..., [1]] * velocity[..., [2]] - turned[:, :-1, ..., [2]] * velocity[..., [1]]
    parts = (
        *(relative.mean(1), relative.std(1), relative.max(1), relative.min(1), spin.mean(1)),
        *(np.abs(velocity).mean(1), np.abs(velocity).max(1), turned[:, -1] - turned[:, 0], turned[:, ::4]),
    )
    described = np.concatenate([p.reshape(len(clips), -1) for p in parts], axis=1)
    model = make_pipeline(StandardScaler(), RidgeClassifier(1000.0)).fit(described[train], labels[train])
    supervised = model.score(described[test], labels[test])
    print(f"linear classifier on summaries: {supervised:.3f}")
    assert supervised > 0.85
