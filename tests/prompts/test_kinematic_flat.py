"""Bodies in 2-D are told and drawn as filmed: nothing of depth, left and right of the picture, y down."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kinelex.data import Sequence, SkeletonStore, SkeletonStoreWriter, StoreMeta, open_store
from kinelex.errors import InputError
from kinelex.prompts import describe_clip
from kinelex.prompts.base import EngineContext
from kinelex.prompts.engines.kinematic.body import landmark_matrix, y_points_down
from kinelex.prompts.engines.kinematic.engine import KinematicLanguage
from kinelex.prompts.engines.render import RenderVision
from kinelex.skeleton import get_layout, retarget_matrix

KINECT = get_layout("kinect20")
DEPTH = re.compile(
    r"front|forward|behind|back\b(?! (up|home))|inward|outward|ahead|hand swings under|overhand"
)
Person = Callable[..., np.ndarray]


def pictured(x: np.ndarray, side: int = -1, name: str = "coco17") -> np.ndarray:
    """Pixels of metres, filmed from the front (-1), from behind (1) or from the side (0)."""
    across = x[..., 2] if side == 0 else side * x[..., 0]
    pixels = np.stack([960 + 400 * across, 900 - 400 * x[..., 1]], axis=-1)
    return (retarget_matrix(KINECT, get_layout(name)) @ pixels).astype(np.float32)


def texts(pixels: np.ndarray, name: str = "coco17") -> tuple[str, str]:
    made = describe_clip(pixels, get_layout(name), np.array([len(pixels) // 2]))
    assert not DEPTH.search(" ".join([*made.frames, str(made.clip)]).replace("come back up", ""))
    return made.frames[0], str(made.clip)


@pytest.mark.parametrize("name", ["coco17", "openpose18", "body25", "mediapipe33", "h36m17"])
@pytest.mark.parametrize("side", [-1, 0, 1])
def test_standing_and_a_raised_hand(person: Person, name: str, side: int) -> None:
    frame, clip = texts(pictured(person(), side, name), name)
    assert frame == "The left arm hangs down. The right arm hangs down. The person stands with straight legs."
    assert "The person stays on the spot. The body keeps its direction." in clip
    up = {"right_elbow": (0.2, 1.75, 0), "right_wrist": (0.2, 2.0, 0), "right_hand": (0.2, 2.08, 0)}
    frame, _ = texts(pictured(person(**up), side, name), name)
    assert "The right hand is high above the head, the right arm straight." in frame
    assert "The left arm hangs down." in frame


@pytest.mark.parametrize("side", [-1, 1])
def test_where_a_hand_is_in_the_picture(person: Person, side: int) -> None:
    for hand, words in (((-0.15, 1.2, 0), "across the body"), ((0.75, 1.4, 0), "out to the side")):
        frame, _ = texts(pictured(person(right_hand=hand, right_wrist=hand), side))
        assert words in frame.split("The right hand")[1]
    folded = {"right_elbow": (0.2, 1.15, 0), "right_wrist": (0.2, 1.4, 0), "right_hand": (0.2, 1.42, 0)}
    assert "the right arm folded" in texts(pictured(person(**folded), side))[0]


def test_movements_are_those_of_the_picture(person: Person) -> None:
    x = person(40)
    x[..., 0] += np.linspace(0, 2, 40)[:, None, None]  # to the person's right
    for side, way in ((-1, "left"), (1, "right")):
        frame, clip = texts(pictured(x, side))
        assert f"The person walks to the {way}." in frame
        assert f"The person moves to the {way}." in clip
    t = np.linspace(0, 1, 40)[:, None]
    hand = np.array([0.3, 1.0, 0]) + t * (0, 0.9, 0)
    frame, clip = texts(pictured(person(40, left_hand=hand * (-1, 1, 1), left_wrist=hand * (-1, 1, 1))))
    assert "The left hand moves up." in frame
    assert "The left hand rises." in clip


@pytest.mark.parametrize(("side", "words"), [(1, "counter-clockwise"), (-1, "clockwise")])
def test_a_circle_turns_as_it_is_filmed(person: Person, side: int, words: str) -> None:
    angle = np.linspace(0, 2 * np.pi, 40)
    hand = np.stack([0.2 + 0.4 * np.cos(angle), 1.45 + 0.4 * np.sin(angle), np.full(40, -0.4)], axis=1)
    _, clip = texts(pictured(person(40, right_hand=hand, right_wrist=hand), side))
    assert f"The right hand draws a round circle {words}." in clip


def test_two_persons_stand_side_by_side(person: Person) -> None:
    one, two = person(30), person(30)
    two[..., 0] -= np.linspace(2, 0.7, 30)[:, None, None]  # filmed from the front: on the right
    both = np.concatenate([pictured(one), pictured(two)], axis=1)
    frame, clip = texts(both)
    assert "and stand side by side, the second on the right." in frame
    assert "The other person's left arm hangs down." in frame
    assert "The two persons come closer to each other." in clip
    assert "face each other" not in frame + clip


def test_a_bow_seen_from_the_side(person: Person) -> None:
    x = person(30)
    bow = np.sin(np.linspace(0, np.pi, 30)) * np.radians(80)
    pelvis = x[0, 0, KINECT.index("pelvis")]
    for j, name in enumerate(KINECT.joints):
        if not name.endswith(("hip", "knee", "ankle", "foot")):
            up = (x[:, 0, j] - pelvis)[:, 1].copy()
            x[:, 0, j, 1], x[:, 0, j, 2] = pelvis[1] + up * np.cos(bow), -up * np.sin(bow)
    frame, clip = texts(pictured(x, 0))
    assert "The upper body is bent deeply to the ground." in frame
    assert "The trunk folds down to the ground." in clip


def store_of(path: Path, clips: list[np.ndarray]) -> SkeletonStore:
    with SkeletonStoreWriter(path, StoreMeta("flat", get_layout("coco17"), ("a",), "pixels")) as writer:
        for i, clip in enumerate(clips):
            writer.add(Sequence(f"c{i}", clip, label=0))
    return open_store(path)


def test_which_way_is_up_follows_from_the_store(person: Person, tmp_path: Path) -> None:
    upright = pictured(person())
    handstand = upright * (1, -1) + np.array([0, 1200], np.float32)
    matrix = landmark_matrix(get_layout("coco17"))
    down = store_of(tmp_path / "down.arrow", [upright, handstand, upright])
    up = store_of(tmp_path / "up.arrow", [handstand, handstand, upright])
    assert [y_points_down(store, matrix) for store in (down, up)] == [True, False]
    for store, row, way in ((down, 0, "down"), (up, 0, "up")):
        engine = KinematicLanguage(EngineContext(store))
        assert engine.settings == {"plane": "as filmed", "y": way}
        assert engine.texts(row, np.array([3])).frames[0].startswith("The left arm hangs down. The right arm")
        picture = RenderVision(EngineContext(store)).crops(row, np.array([3])).images[0, 0].astype(int)
        assert (abs(picture[:80] - (224, 178, 140)).max(axis=2) < 70).sum() > 50  # the head is on top


def test_views_of_a_flat_store(person: Person, tmp_path: Path, small_store: Path) -> None:
    flat = store_of(tmp_path / "flat.arrow", [pictured(person(right_hand=(0.8, 1.5, 0)))])
    engine = RenderVision(EngineContext(flat))
    assert engine.settings == {"views": ["filmed"], "image_size": 160, "y": "down"}
    picture = engine.crops(0, np.array([0])).images[0, 0].astype(int)
    assert (picture[..., 0] - picture[..., 2] > 120).nonzero()[1].mean() < 80  # the right arm, on the left
    with pytest.raises(InputError, match="vision.views=front: 2-D skeletons are seen as filmed alone"):
        RenderVision(EngineContext(flat), views=("front",))
    with pytest.raises(InputError, match="vision.views=filmed: .* this store can have front, back, side"):
        RenderVision(EngineContext(open_store(small_store)), views=("filmed",))
