"""The vision engines: drawn bodies and depth crops."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from kinelex.data import Sequence, SkeletonStoreWriter, StoreMeta, open_store
from kinelex.errors import InputError
from kinelex.prompts import EngineContext, create
from kinelex.prompts.engines.depth import depth_picture, foreground_box
from kinelex.skeleton import get_layout

LAYOUT = get_layout("kinect20")
Person = Callable[..., np.ndarray]


def store_of(path: Path, *clips: np.ndarray) -> EngineContext:
    with SkeletonStoreWriter(path / "s.arrow", StoreMeta("tiny", LAYOUT, ("a",))) as writer:
        for i, clip in enumerate(clips):
            writer.add(Sequence(f"a1_s{i + 1}_t1", clip, label=0))
    return EngineContext(open_store(path / "s.arrow"))


def draw(path: Path, clip: np.ndarray, **options: object) -> np.ndarray:
    context = store_of(path, clip)
    crops = create("vision engine", "render", context, **options).crops(0, np.array([0, len(clip) - 1]))
    assert crops.boxes.shape == (2, 4)
    assert not crops.flags.any()
    return crops.images


def reds(image: np.ndarray) -> np.ndarray:
    """Where the right arm is, (H, W)."""
    i = image.astype(int)
    return (i[..., 0] > 140) & (i[..., 1] < 80) & (i[..., 2] < 80)


def blues(image: np.ndarray) -> np.ndarray:
    i = image.astype(int)
    return (i[..., 2] > 140) & (i[..., 0] < 80)


def test_a_drawn_body_stands_upright_with_its_right_arm_on_the_viewers_left(
    tmp_path: Path, person: Person
) -> None:
    images = draw(tmp_path, person(), image_size=128)
    assert images.shape == (2, 2, 128, 128, 3)
    assert images.dtype == np.uint8
    front = images[0, 0]
    assert np.argwhere(reds(front))[:, 1].mean() < 64 < np.argwhere(blues(front))[:, 1].mean()
    body = np.argwhere((front != front[0, 0]).any(-1) & (np.arange(128)[:, None] < 118))
    assert np.ptp(body[:, 0]) > 1.8 * np.ptp(body[:, 1])
    side = images[0, 1]
    assert reds(side).sum() > 3 * blues(side).sum()  # the near arm hides the far one


def test_a_raised_hand_is_drawn_above_the_head(tmp_path: Path, person: Person) -> None:
    up = {"right_elbow": (0.2, 1.75, 0), "right_wrist": (0.2, 2.0, 0), "right_hand": (0.2, 2.08, 0)}
    still, raised = (
        draw(tmp_path, person(), image_size=128)[0, 0],
        draw(tmp_path, person(**up), image_size=128)[0, 0],
    )
    assert np.argwhere(reds(raised))[:, 0].min() < 25 < np.argwhere(reds(still))[:, 0].min()


def test_the_camera_does_not_change_the_drawing(tmp_path: Path, lively: np.ndarray) -> None:
    angle = np.radians(110)
    about_y = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    one, two = draw(tmp_path, lively), draw(tmp_path, lively @ about_y.T + (1, 2, 3))
    assert np.abs(one.astype(int) - two).max() <= 40  # a pixel at an edge may round the other way
    assert (one != two).mean() < 0.002


def test_two_persons_are_both_drawn(tmp_path: Path, person: Person) -> None:
    other = person() * (-1, 1, -1) + (0, 0, -1.0)
    both = np.concatenate([person(), other], axis=1)
    alone, pair = draw(tmp_path, person())[0, 1], draw(tmp_path, both)[0, 1]
    columns = [np.ptp(np.argwhere(reds(i) | blues(i))[:, 1]) for i in (alone, pair)]
    assert columns[1] > columns[0] + 15


def test_views_are_chosen_and_checked(tmp_path: Path, person: Person) -> None:
    images = draw(tmp_path, person(), views=["back"], image_size=64)
    assert images.shape == (2, 1, 64, 64, 3)
    assert np.argwhere(reds(images[0, 0]))[:, 1].mean() > 32
    with pytest.raises(InputError, match="unknown view 'frnt': did you mean 'front'"):
        draw(tmp_path, person(), views=["frnt"])
    with pytest.raises(InputError, match="at least 32 pixels, got image size 8"):
        draw(tmp_path, person(), image_size=8)


def test_foreground_box_is_padded_and_clipped() -> None:
    depth = np.zeros((240, 320), np.uint16)
    assert foreground_box(depth) is None
    depth[100:200, 0:50] = 2000
    assert np.array_equal(foreground_box(depth, padding=0.1), [0, 90, 60, 210])


def test_depth_picture_keeps_shape_and_shows_near_as_bright() -> None:
    depth = np.zeros((100, 40), np.uint16)
    depth[10:50, 10:30] = 1500
    depth[50:90, 10:30] = 2500
    picture = depth_picture(depth, 100)
    assert picture.shape == (100, 100, 3)
    assert picture[:, :25].max() == 0
    assert picture[:, 75:].max() == 0
    assert picture[30, 50, 0] == 255
    assert picture[70, 50, 0] == 60
    assert not depth_picture(np.zeros((5, 5)), 32).any()


@pytest.fixture
def depth_context(tmp_path: Path, person: Person) -> EngineContext:
    """Three clips: one with a depth file, one without, one whose file has too few frames."""
    context = store_of(tmp_path, person(10), person(10), person(10))
    folder = tmp_path / "raw" / "Depth"
    folder.mkdir(parents=True)
    depth = np.zeros((240, 320, 10), np.uint16)
    depth[60:180, 100:150, :8] = 1800  # the last two frames are empty
    savemat(folder / "a1_s1_t1_depth.mat", {"d_depth": depth})
    savemat(folder / "a1_s3_t1_depth.mat", {"d_depth": depth[:, :, :4]})
    return replace(context, source=tmp_path / "raw")


def test_depth_crops_and_the_missing_modality(depth_context: EngineContext) -> None:
    engine = create("vision engine", "depth", depth_context)
    crops = engine.crops(0, np.array([0, 9]))
    assert crops.images.shape == (2, 1, 160, 160, 3)
    assert crops.boxes.tolist() == [[90, 50, 160, 190], [0, 0, 320, 240]]
    assert crops.flags.tolist() == [False, True]
    assert crops.images[0].max() == 255
    assert engine.crops(1, np.array([0])) is None
    with pytest.raises(InputError, match="expects 10 frames as the skeletons have"):
        engine.crops(2, np.array([9]))


def test_depth_files_that_cannot_be_read(depth_context: EngineContext, tmp_path: Path) -> None:
    (tmp_path / "raw" / "Depth" / "a1_s2_t1_depth.mat").write_bytes(b"MATLAB 5.0 but truncated")
    with pytest.raises(InputError, match=r"a1_s2_t1_depth.mat is no depth map"):
        create("vision engine", "depth", depth_context).crops(1, np.array([0]))
    for source, message in (
        (None, "name their folder with --source DIR"),
        (tmp_path, "has no folder Depth"),
        (tmp_path / "empty", "holds no"),
    ):
        (tmp_path / "empty" / "Depth").mkdir(parents=True, exist_ok=True)
        with pytest.raises(InputError, match=message):
            create("vision engine", "depth", replace(depth_context, source=source))
    with pytest.raises(InputError, match="unknown option of vision engine depth 'views'"):
        create("vision engine", "depth", depth_context, views=["front"])


def test_real_depth_maps(shared: Path, tmp_path: Path, person: Person) -> None:
    context = store_of(tmp_path, person(30), person(30))  # the ids a1_s1_t1 and a1_s2_t1 of the data set
    context = replace(context, source=shared / "data" / "utd_mhad")
    engine = create("vision engine", "depth", context)
    crops = engine.crops(0, np.array([0, 15, 29]))
    width, height = crops.boxes[:, 2] - crops.boxes[:, 0], crops.boxes[:, 3] - crops.boxes[:, 1]
    assert (height > 1.5 * width).all()  # a standing person
    assert not crops.flags.any()
    assert engine.crops(1, np.array([0])) is None  # even subjects have no depth maps here
