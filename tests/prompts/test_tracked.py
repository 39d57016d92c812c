"""Missing joints in words and drawings: nothing is told or drawn of what is not there."""

import numpy as np
import pytest

from kinelex.prompts.engines.kinematic.body import INDEX, _fill, find_bodies, landmark_matrix
from kinelex.prompts.engines.kinematic.engine import describe_clip
from kinelex.prompts.engines.render import draw_frames
from kinelex.skeleton import get_layout

LAYOUT = get_layout("kinect20")
FRAMES = np.array([0, 15, 29])


def person(persons: int = 1) -> np.ndarray:
    """Somebody who waves with the right hand, (30, persons, 20, 3)."""
    y = {"head": 1.6, "shoulder": 1.4, "elbow": 1.1, "wrist": 0.8, "hand": 0.7, "hip": 0.9, "knee": 0.5}
    x = np.zeros((30, persons, 20, 3), np.float32)
    for j, name in enumerate(LAYOUT.joints):
        side, _, part = name.rpartition("_")
        x[:, :, j] = ({"left": -0.2, "right": 0.2}.get(side, 0.01), y.get(part, 0.1), 2.0)
    x[:, :, :3, 1] = 0.9, 1.2, 1.4
    wave = 0.3 * np.sin(np.arange(30) * 0.7)
    for name, height in (("right_elbow", 1.5), ("right_wrist", 1.8), ("right_hand", 1.9)):
        x[:, :, LAYOUT.index(name), 1] = height
        x[:, :, LAYOUT.index(name), 0] = 0.3 + (wave if name != "right_elbow" else 0 * wave)[:, None]
    for m in range(persons):
        x[:, m, :, 0] += 1.2 * m
    return x


def without(x: np.ndarray, *parts: str, frames: slice = slice(None), who: int = 0) -> np.ndarray:
    x = x.copy()
    gone = [j for j, name in enumerate(LAYOUT.joints) if name.endswith(parts)]
    x[frames, who, gone] = 0
    return x


def words(x: np.ndarray) -> str:
    texts = describe_clip(x, LAYOUT, FRAMES)
    return " ".join([*texts.frames, texts.clip])


@pytest.mark.parametrize(
    ("parts", "gone", "kept"),
    [
        (("left_elbow", "left_wrist", "left_hand"), ("left arm", "left hand"), "right hand"),
        (("right_elbow", "right_wrist", "right_hand"), ("right arm", "right hand"), "left arm"),
        (("knee", "ankle", "foot"), ("stands", "knee", "feet", "foot"), "right hand"),
        (("head",), ("touches the head", "at the head", "The head"), "right hand"),
        (("hip", "pelvis"), ("arm", "hand", "leans", "stands"), "Little of the person is seen."),
    ],
)
def test_no_words_about_what_is_never_there(parts, gone, kept):
    told = words(without(person(), *parts))
    assert not any(word in told for word in gone), told
    assert kept in told


def test_heights_without_legs_are_those_with_them():
    whole, cut = (
        describe_clip(x, LAYOUT, FRAMES) for x in (person(), without(person(), "knee", "ankle", "foot"))
    )
    for one, two in zip(whole.frames, cut.frames, strict=True):
        hand = next(s for s in one.split(". ") if s.startswith("The right hand is"))
        assert hand in two


def test_a_short_gap_changes_no_word():
    gap = without(person(), "left_hand", "left_wrist", "ankle", frames=slice(14, 18))
    assert describe_clip(gap, LAYOUT, FRAMES).frames == describe_clip(person(), LAYOUT, FRAMES).frames


def test_limbs_that_are_not_there_are_not_drawn():
    matrix = landmark_matrix(LAYOUT)
    cut = without(person(), "left_elbow", "left_wrist", "left_hand", frames=slice(8, None))
    bodies = find_bodies(cut, matrix)
    assert bodies[0].tracked[0].all()
    assert not bodies[0].tracked[29, INDEX["left_hand"]]
    blue = (40, 90, 200)
    early, late = draw_frames(bodies, np.array([0, 29]), ("front",), 128)[:, 0].astype(int)

    def painted(image: np.ndarray) -> int:
        shade = image / np.maximum(image.max(axis=2, keepdims=True), 1)
        return int((np.abs(shade - np.array(blue) / 200).max(axis=2) < 0.05).sum())

    assert painted(early) > 20
    assert painted(late) == 0


def test_a_second_person_who_left_is_neither_told_nor_drawn():
    x = without(person(2), *LAYOUT.joints, frames=slice(15, None), who=1)
    texts = describe_clip(x, LAYOUT, FRAMES)
    assert "The two persons" in texts.frames[0]
    assert "The two persons" not in texts.frames[2]
    assert "The other person's" not in texts.frames[2]
    bodies = find_bodies(x, landmark_matrix(LAYOUT))
    pictures = draw_frames(bodies, np.array([0, 29]), ("front",), 96)[:, 0]
    alone = draw_frames(bodies[:1], np.array([29]), ("front",), 96)[0, 0]
    colours = [len(np.unique(p.reshape(-1, 3), axis=0)) for p in (*pictures, alone)]
    assert colours[0] > colours[1]


def test_a_missing_joint_takes_its_place_in_the_nearest_frame():
    """Against a loop over frames and joints; of two frames as near the earlier."""
    rng = np.random.default_rng(0)
    x, seen = rng.normal(size=(40, 6, 3)), rng.random((40, 6)) < 0.3
    seen[:, 4] = False
    filled = _fill(x, seen)
    for t in range(40):
        for v in (0, 1, 2, 3, 5):
            there = np.flatnonzero(seen[:, v])
            nearest = min(there, key=lambda frame: (abs(frame - t), frame))
            np.testing.assert_array_equal(filled[t, v], x[nearest, v])
        np.testing.assert_allclose(filled[t, 4], filled[t, [0, 1, 2, 3, 5]].mean(axis=0))


def test_a_clip_of_an_hour_fits_into_memory():
    """Memory grows with frames and joints, not with the square of the frames: that would be a terabyte."""
    x = np.ones((108_000, 25, 3))
    seen = np.arange(108_000)[:, None] % 100 < np.arange(25)
    assert _fill(x, seen).shape == x.shape
