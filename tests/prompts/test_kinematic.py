"""The kinematic engine says what hand-made bodies do, whatever the camera."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from kinelex.errors import InputError
from kinelex.prompts import describe_clip
from kinelex.prompts.engines.kinematic.strokes import corners, reversals, roundest_loop
from kinelex.skeleton import SkeletonLayout, get_layout, layout_names, mirror, retarget

LAYOUT = get_layout("kinect20")
HANGS = {"elbow": 0.27, "wrist": 0.52, "hand": 0.6}  # metres below the shoulder
Person = Callable[..., np.ndarray]


def texts(x: np.ndarray) -> tuple[str, str]:
    """The text of the middle frame and of the clip."""
    made = describe_clip(x, LAYOUT, np.array([len(x) // 2]))
    assert made.clip is not None
    return made.frames[0], made.clip


def swap_sides(text: str) -> str:
    return text.replace("left", "@").replace("right", "left").replace("@", "right")


def turned(
    x: np.ndarray, degrees: tuple[float, float, float], offset: tuple[float, float, float]
) -> np.ndarray:
    a, b, c = np.radians(degrees)
    about_y = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    about_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return x @ (about_z @ about_x @ about_y).T + np.array(offset)


def test_standing_still(person: Person) -> None:
    frame, clip = texts(person())
    assert frame == "The left arm hangs down. The right arm hangs down. The person stands with straight legs."
    assert clip.startswith("Both arms keep still.")
    assert "The person stays on the spot." in clip


def test_hand_above_the_head_is_said_of_the_right_side(person: Person) -> None:
    up = {"right_elbow": (0.2, 1.75, 0), "right_wrist": (0.2, 2.0, 0), "right_hand": (0.2, 2.08, 0)}
    frame, _ = texts(person(**up))
    assert "The right hand is high above the head, the right arm straight." in frame
    assert "The left arm hangs down." in frame


@pytest.mark.parametrize(
    ("hand", "words"),
    [
        ((-0.15, 1.2, -0.2), "across the body"),
        ((0.75, 1.4, 0.0), "out to the side"),
        ((0.2, 1.4, -0.6), "reaching forward"),
        ((0.1, 1.0, 0.3), "behind the back"),
    ],
)
def test_place_of_a_hand(person: Person, hand: tuple[float, float, float], words: str) -> None:
    frame, _ = texts(person(right_hand=hand, right_wrist=hand))
    assert words in frame.split("The right")[1]


def test_both_hands_at_the_head(person: Person) -> None:
    hands = {
        f"{s}_{j}": (sign * 0.1, 1.65, -0.05)
        for s, sign in (("left", -1), ("right", 1))
        for j in ("hand", "wrist")
    }
    frame, clip = texts(person(**hands))
    assert "Both hands touch the head." in frame
    assert "The left hand is at the head most of the time." in clip


def test_sitting_down_and_standing_up(person: Person) -> None:
    x = person(40)
    sink = np.clip(np.linspace(-0.5, 1.5, 40), 0, 1)[:, None]
    upper = [j for j, n in enumerate(LAYOUT.joints) if not n.endswith(("knee", "ankle", "foot"))]
    x[:, 0, upper, 1] -= 0.45 * sink
    x[:, 0, upper, 2] += 0.4 * sink
    for side in ("left", "right"):
        x[:, 0, LAYOUT.index(f"{side}_knee"), 2] -= 0.05 * sink[:, 0]
    _, clip = texts(x)
    assert "The hips sink far down and the person sits down." in clip
    _, back = texts(x[::-1])
    assert "The hips rise far up and the person stands up." in back


def test_bowing_to_the_ground_with_one_hand(person: Person) -> None:
    x = person(30)
    bow = np.sin(np.linspace(0, np.pi, 30)) * np.radians(80)
    pelvis = x[0, 0, LAYOUT.index("pelvis")]
    for j, name in enumerate(LAYOUT.joints):
        if not name.endswith(("hip", "knee", "ankle", "foot")):
            up, ahead = (x[:, 0, j] - pelvis)[:, 1].copy(), (x[:, 0, j] - pelvis)[:, 2].copy()
            x[:, 0, j, 1] = pelvis[1] + up * np.cos(bow) + ahead * np.sin(bow)
            x[:, 0, j, 2] = pelvis[2] - up * np.sin(bow) + ahead * np.cos(bow)
    shoulder = x[:, 0, LAYOUT.index("left_shoulder")]
    for part in ("elbow", "wrist", "hand"):  # the left arm hangs, the right hand goes to the ground
        x[:, 0, LAYOUT.index(f"left_{part}")] = shoulder - (0, HANGS[part], 0)
        x[10:20, 0, LAYOUT.index(f"right_{part}")] = (0.2, 0.1, -0.5)
    frame, clip = texts(x)
    assert "The upper body is bent deeply to the ground." in frame
    assert "The right hand is down at the floor" in frame
    assert "The trunk bends and straightens up again." in clip
    assert "Only the right hand reaches down to the ground." in clip


@pytest.mark.parametrize(("sign", "words"), [(1, "counter-clockwise"), (-1, "clockwise")])
def test_circles_have_a_direction(person: Person, sign: int, words: str) -> None:
    angle = sign * np.linspace(0, 2 * np.pi, 40)
    hand = np.stack([0.2 + 0.3 * np.cos(angle), 1.45 + 0.3 * np.sin(angle), np.full(40, -0.4)], axis=1)
    _, clip = texts(person(40, right_hand=hand, right_wrist=hand))
    assert f"The right hand draws a round circle {words}." in clip
    assert clip.startswith("Only the right arm moves")


def test_waving_is_repeated(person: Person) -> None:
    t = np.linspace(0, 1, 60)
    hand = np.stack([0.35 + 0.2 * np.sin(8 * np.pi * t), np.full(60, 1.75), np.full(60, -0.1)], axis=1)
    _, clip = texts(person(60, left_hand=hand * (-1, 1, 1), left_wrist=hand * (-1, 1, 1)))
    assert "The left hand goes from side to side many times." in clip
    assert "The right hand" not in clip


def test_walking_has_a_direction(person: Person) -> None:
    x = person(40)
    x[..., 2] -= np.linspace(0, 2, 40)[:, None, None]
    frame, clip = texts(x)
    assert "The person walks forward." in frame
    assert "The person moves forward." in clip
    assert "The person moves backward." in texts(x[::-1])[1]


def test_words_do_not_depend_on_the_camera(lively: np.ndarray) -> None:
    indices = np.arange(0, 50, 5)
    seen = describe_clip(lively, LAYOUT, indices)
    for degrees in ((70.0, 0.0, 0.0), (180.0, -20.0, 0.0), (-100.0, 15.0, 30.0)):
        other = describe_clip(turned(lively, degrees, (0.4, -1.0, 3.0)), LAYOUT, indices)
        assert other == seen


def test_a_mirrored_clip_swaps_left_and_right(lively: np.ndarray) -> None:
    indices = np.arange(0, 50, 5)
    seen = describe_clip(lively, LAYOUT, indices)
    x = torch.from_numpy(lively.transpose(3, 0, 2, 1)[None].copy())
    reflected = mirror(x, LAYOUT)[0].numpy().transpose(1, 3, 2, 0)
    other = describe_clip(reflected, LAYOUT, indices)
    for mine, theirs in zip(seen.frames, other.frames, strict=True):
        assert set(swap_sides(theirs).split(". ")) == set(mine.split(". "))
    assert "The right hand draws a round circle counter-clockwise." in str(seen.clip)
    assert "The left hand draws a round circle clockwise." in str(other.clip)
    assert "The left hand goes from side to side several times." in str(seen.clip)
    assert "The right hand goes from side to side several times." in str(other.clip)


def test_noise_of_a_depth_camera_changes_few_words(lively: np.ndarray) -> None:
    indices = np.arange(5, 50, 5)
    rng = np.random.default_rng(0)
    noisy = lively + rng.normal(0, 0.01, lively.shape)
    noisy[20, 0, LAYOUT.index("right_wrist")] += 1.0  # a spike in one frame
    clean, other = describe_clip(lively, LAYOUT, indices), describe_clip(noisy, LAYOUT, indices)
    mine, theirs = (set(". ".join(t.frames).split(". ")) for t in (clean, other))
    assert len(mine & theirs) >= 0.6 * len(mine)
    assert "round circle counter-clockwise" in str(other.clip)


def test_one_frame_and_untracked_joints(person: Person) -> None:
    frame, clip = texts(person(1))
    assert frame.startswith("The left arm hangs down.")
    assert clip == "The person holds still."
    x = person(20)
    x[5:9, 0, LAYOUT.index("right_hand")] = 0  # not tracked for a while
    x[:, 0, LAYOUT.index("left_foot")] = 0  # never tracked
    x[10] = 0  # nobody there
    assert texts(x)[0].startswith("The left arm hangs down. The right arm hangs down.")


def test_two_persons(person: Person) -> None:
    one = person(30)
    two = turned(person(30), (180.0, 0.0, 0.0), (0.0, 0.0, -2.0))
    two[..., 2] += np.linspace(0, 1.3, 30)[:, None, None]
    frame, clip = texts(np.concatenate([one, two], axis=1))
    assert "face each other" in frame
    assert "The other person's left arm hangs down." in frame
    assert clip.startswith("The two persons come closer to each other. The two persons face each other.")
    nobody = np.concatenate([one, np.zeros_like(one)], axis=1)
    assert "other" not in texts(nobody)[0]


@pytest.mark.parametrize("name", [name for name in layout_names() if name not in ("hand21", "text2action8")])
def test_every_body_gets_texts(name: str, lively: np.ndarray) -> None:
    layout = get_layout(name)
    ntu = torch.from_numpy(lively.transpose(3, 0, 2, 1)[None].copy())
    if name in ("sbu15", "kinect20", "utd20", "ntu25"):
        x = retarget(ntu, LAYOUT, layout)[0].numpy().transpose(1, 3, 2, 0)
    else:
        rng = np.random.default_rng(0)
        x = rng.normal(size=(50, 1, layout.num_joints, 3))
    made = describe_clip(x, layout, np.arange(0, 50, 10))
    assert len(made.frames) == 5
    assert all(made.frames)
    if name == "sbu15":
        assert "The right hand draws a round circle counter-clockwise." in str(made.clip)


def test_a_layout_without_legs_is_refused() -> None:
    layout = SkeletonLayout("hand", ("wrist", "thumb"), (0, 0))
    with pytest.raises(InputError, match="layout hand has neither the joint 'pelvis'"):
        describe_clip(np.ones((3, 1, 2, 3)), layout, np.array([0]))


def test_what_cannot_be_described_is_said(person: Person) -> None:
    x = person(9)
    lost = x.copy()
    lost[3, 0, 5] = np.nan
    for frames, indices, words in (
        (lost, [0], "coordinates of frame 3 are not finite numbers"),
        (x[:, 0], [0], r"expects coordinates \(T, M, V, C\)"),
        (x[:, :, :9], [0], r"expects 20 joints \(kinect20\), got 9"),
        (x, [0, 9], "expects frames from 0 to 8"),
    ):
        with pytest.raises(InputError, match=words):
            describe_clip(frames, get_layout("kinect20"), np.array(indices))


def test_corners_match_a_plain_recursion() -> None:
    path = np.cumsum(np.random.default_rng(1).normal(size=(40, 3)), axis=0)

    def recurse(a: int, b: int) -> list[int]:
        best, worst = 0.0, a
        for i in range(a + 1, b):
            chord = path[b] - path[a]
            share = min(max(float((path[i] - path[a]) @ chord / (chord @ chord)), 0.0), 1.0)
            off = float(np.linalg.norm(path[i] - path[a] - share * chord))
            if off > best:
                best, worst = off, i
        return [a, b] if best <= 1.0 else recurse(a, worst)[:-1] + recurse(worst, b)

    assert corners(path, 1.0) == recurse(0, 39)


def test_loop_area_matches_the_shoelace_formula() -> None:
    square = np.array([[0, 0], [1, 0], [1, 1], [0, 1], [0, 0.0]])
    area, roundness = roundest_loop(square)
    assert area == pytest.approx(1.0)
    assert roundness == pytest.approx(np.pi / 4)
    assert roundest_loop(square[::-1])[0] == pytest.approx(-1.0)


def test_reversals_ignore_small_wiggles() -> None:
    wave = np.sin(np.linspace(0, 6 * np.pi, 200))
    assert reversals(wave, 0.5) == 6
    assert reversals(wave + 0.05 * np.sin(np.arange(200.0)), 0.5) == 6
    assert reversals(np.linspace(0, 1, 50), 0.5) == 0
