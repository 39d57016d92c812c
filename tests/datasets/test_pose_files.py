"""Pose estimators' files as clips: OpenPose, COCO, AlphaPose, MMPose, MediaPipe, Azure Kinect."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kinelex.data import open_store
from kinelex.datasets import prepare
from kinelex.datasets.formats.clip_files import is_clip, read_clip
from kinelex.datasets.formats.people import Person, clip_of_people
from kinelex.errors import InputError


def pose(joints: int, at: float = 100.0, seed: int = 0) -> np.ndarray:
    """Joints within 50 of a place, (V, 2), whole numbers."""
    return np.random.default_rng(seed).integers(1, 50, size=(joints, 2)) + at


def flat(points: np.ndarray, score: float = 0.9) -> list[float]:
    return np.concatenate([points, np.full((len(points), 1), score)], axis=1).ravel().tolist()


def write(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def openpose(folder: Path, number: int, people: list[Any], video: str = "walk") -> Path:
    content = {"version": 1.3, "people": people}
    return write(folder / f"{video}_{number:012d}_keypoints.json", content)


@pytest.mark.parametrize(("joints", "layout"), [(25, "body25"), (18, "openpose18")])
def test_openpose_folder(joints: int, layout: str, tmp_path: Path) -> None:
    for number in (3, 4, 6):  # frame 5 is lost
        points = flat(pose(joints, 100 + number))
        points[2 * 3 : 2 * 3 + 3] = [0, 0, 0]  # a joint that was not found
        openpose(tmp_path / "clip", number, [{"person_id": [-1], "pose_keypoints_2d": points}])
    clip = read_clip(tmp_path / "clip", None)
    assert is_clip(tmp_path / "clip")
    assert not is_clip(tmp_path)
    assert clip.layout is not None
    assert clip.layout.name == layout
    assert clip.coordinates.shape == (4, 1, joints, 2)
    assert not clip.coordinates[2].any()
    assert not clip.coordinates[:, 0, 2].any()
    np.testing.assert_array_equal(clip.coordinates[3, 0, 5], pose(joints, 106)[5])
    assert clip.scores is not None
    assert clip.scores[0, 0, 5] == np.float32(0.9)
    assert not clip.scores[:, 0, 2].any()


def test_openpose_in_space(tmp_path: Path) -> None:
    points = np.column_stack([pose(25), np.full(25, 2.0), np.ones(25)])
    openpose(tmp_path, 0, [{"pose_keypoints_3d": points.ravel().tolist(), "pose_keypoints_2d": []}])
    assert read_clip(tmp_path, None).coordinates.shape == (1, 1, 25, 3)


def test_persons_keep_their_places_when_their_order_changes(tmp_path: Path) -> None:
    left, right = pose(25, 100), pose(25, 700)
    for t in range(4):
        people = [{"pose_keypoints_2d": flat(p + t)} for p in (left, right)]
        openpose(tmp_path, t, people[::-1] if t % 2 else people)
    openpose(tmp_path, 4, [{"pose_keypoints_2d": flat(right + 4)}])  # one is hidden, and comes back
    openpose(tmp_path, 5, [{"pose_keypoints_2d": flat(right + 5)}, {"pose_keypoints_2d": flat(left + 5)}])
    x = read_clip(tmp_path, None).coordinates
    assert x.shape[1] == 2
    for t in (0, 1, 2, 3, 5):
        np.testing.assert_array_equal(x[t, 0], left + t)
        np.testing.assert_array_equal(x[t, 1], right + t)
    assert not x[4, 0].any()


def test_persons_with_an_id_are_told_apart_by_it(tmp_path: Path) -> None:
    for t, ids in enumerate(([5, 2], [2, 5])):
        people = [{"person_id": [i], "pose_keypoints_2d": flat(pose(25, 100 * i))} for i in ids]
        openpose(tmp_path, t, people)
    x = read_clip(tmp_path, None).coordinates
    np.testing.assert_array_equal(x[:, 0], [pose(25, 500)] * 2)
    np.testing.assert_array_equal(x[:, 1], [pose(25, 200)] * 2)


def test_many_persons_are_bounded_to_those_seen_longest() -> None:
    frames = [[Person(pose(17, 1000 * m), None, m) for m in range(100 if t == 0 else 2)] for t in range(3)]
    clip = clip_of_people(frames, "crowd")
    assert clip.coordinates.shape[:2] == (3, 64)
    np.testing.assert_array_equal(clip.coordinates[2, :2], [pose(17, 0), pose(17, 1000)])


@pytest.mark.parametrize(
    ("people", "reason"),
    [
        ('{"people": [{"pose_key', "cannot be read as JSON"),
        ({"version": 1}, "expects the key 'people'"),
        ({"people": [{"pose_keypoints_2d": [1, 2]}]}, "has 2 numbers, expects 3 for each joint"),
        ({"people": [{"pose_keypoints_2d": ["a"] * 75}]}, "expects numbers"),
        ({"people": [{"face_keypoints_2d": [1]}]}, "expects 'pose_keypoints_2d'"),
        ({"people": [{"pose_keypoints_2d": [1.0] * 45}]}, r"has 15 joints, expects 25 \(BODY_25\) or 18"),
        ({"people": []}, "no frame has a person"),
    ],
)
def test_bad_openpose_files(people: Any, reason: str, tmp_path: Path) -> None:
    write(tmp_path / "a_000000000000_keypoints.json", people)
    with pytest.raises(InputError, match=reason):
        read_clip(tmp_path, None)


def test_frames_of_two_videos_are_no_clip(tmp_path: Path) -> None:
    for video in ("a", "b"):
        openpose(tmp_path, 0, [{"pose_keypoints_2d": flat(pose(25))}], video)
    with pytest.raises(InputError, match=r"frames of 2 videos \(a, b\): expects one folder each"):
        read_clip(tmp_path, None)


def coco(image: Any, points: np.ndarray, **more: Any) -> dict[str, Any]:
    return {"image_id": image, "category_id": 1, "keypoints": flat(points), "score": 0.8, **more}


def test_coco_results_and_alphapose(tmp_path: Path) -> None:
    results = [coco(number, pose(17, 100 + number)) for number in (12, 10, 13)]
    clip = read_clip(write(tmp_path / "coco.json", results), None)
    assert clip.coordinates.shape == (4, 1, 17, 2)  # 11 is lost
    np.testing.assert_array_equal(
        clip.coordinates[[0, 2, 3], 0], [pose(17, 110), pose(17, 112), pose(17, 113)]
    )
    named = [coco(f"{n}.jpg", pose(136, n), idx=[1.0]) for n in (9, 10)] + [
        coco("10.jpg", pose(136, 500), idx=0)
    ]
    clip = read_clip(write(tmp_path / "alphapose-results.json", named), None)
    assert clip.layout is not None
    assert (clip.layout.name, clip.coordinates.shape) == ("halpe26", (2, 2, 26, 2))
    np.testing.assert_array_equal(clip.coordinates[1], [pose(136, 10)[:26], pose(136, 500)[:26]])


def test_coco_annotations_tell_visibility_and_size(tmp_path: Path) -> None:
    points = pose(17)
    keypoints = np.column_stack([points, [0, 1] + [2] * 15]).ravel().tolist()
    images = [{"id": 7, "height": 480, "width": 640}, {"id": 8, "height": 480, "width": 640}]
    content = {"images": images, "annotations": [{"image_id": 8, "keypoints": keypoints}]}
    clip = read_clip(write(tmp_path / "a.json", content), None)
    assert clip.image_size == (480, 640)
    assert not clip.coordinates[0].any()
    assert not clip.coordinates[1, 0, 0].any()
    assert clip.scores is not None
    assert clip.scores[1, 0, :3].tolist() == [0, 0.5, 1]


def test_mmpose_frames_in_the_plane_and_in_space(tmp_path: Path) -> None:
    def instance(points: np.ndarray) -> dict[str, Any]:
        return {"keypoints": points.tolist(), "keypoint_scores": [0.5] * len(points), "bbox_score": 1}

    frames = [{"frame_id": n, "instances": [instance(pose(17, n))]} for n in (1, 3)]
    clip = read_clip(write(tmp_path / "a.json", {"meta_info": {}, "instance_info": frames}), None)
    assert clip.coordinates.shape == (3, 1, 17, 2)
    assert clip.layout is not None
    assert clip.layout.name == "coco17"
    solid = [{"instances": [instance(np.column_stack([pose(17), np.ones(17)]))]}]
    clip = read_clip(write(tmp_path / "b.json", solid), None)
    assert clip.layout is not None
    assert (clip.layout.name, clip.coordinates.shape) == ("h36m17", (1, 1, 17, 3))


def landmarks(x: np.ndarray) -> list[dict[str, float]]:
    return [{"x": p[0], "y": p[1], "z": p[2], "visibility": 0.75} for p in x.tolist()]


IN_PICTURE = np.random.default_rng(1).uniform(0.3, 0.7, size=(2, 33, 3)).round(3)
IN_SPACE = IN_PICTURE - IN_PICTURE[:, 23:25].mean(axis=1, keepdims=True)


@pytest.mark.parametrize("key", ["pose_world_landmarks", "poseWorldLandmarks", "worldLandmarks"])
def test_mediapipe_world_landmarks_win(key: str, tmp_path: Path) -> None:
    frames = [
        {"landmarks": [landmarks(p)], key: [landmarks(s)]} for p, s in zip(IN_PICTURE, IN_SPACE, strict=True)
    ]
    frames.insert(1, {"landmarks": [], key: []})
    clip = read_clip(write(tmp_path / "a.json", {"fps": 25, "frames": frames}), None)
    assert clip.layout is not None
    assert (clip.layout.name, clip.fps, clip.units) == ("mediapipe33", 25.0, None)
    np.testing.assert_allclose(clip.coordinates[[0, 2], 0], IN_SPACE, atol=1e-7)
    assert not clip.coordinates[1].any()
    assert clip.scores is not None
    assert (clip.scores[0] == 0.75).all()


def test_mediapipe_landmarks_of_the_picture_become_pixels(tmp_path: Path) -> None:
    frames: Any = [landmarks(p) for p in IN_PICTURE]
    clip = read_clip(write(tmp_path / "a.json", frames), None)
    assert clip.units == "fractions of the picture"
    np.testing.assert_allclose(clip.coordinates[:, 0], IN_PICTURE[..., :2], atol=1e-7)
    clip = read_clip(write(tmp_path / "b.json", {"width": 640, "height": 480, "frames": frames}), None)
    assert (clip.units, clip.image_size) == (None, (480, 640))
    np.testing.assert_allclose(clip.coordinates[:, 0], IN_PICTURE[..., :2] * [640, 480], atol=1e-4)


@pytest.mark.parametrize("wrapped", [lambda x: x, lambda x: {"pose_landmarks": {"landmark": x}}])
def test_mediapipe_alone_or_wrapped_as_the_old_api_does(wrapped: Any, tmp_path: Path) -> None:
    clip = read_clip(write(tmp_path / "a.json", [wrapped(landmarks(s)) for s in IN_SPACE]), None)
    np.testing.assert_allclose(clip.coordinates[:, 0], IN_SPACE, atol=1e-7)


def test_numbers_in_lists_and_hands(tmp_path: Path) -> None:
    clip = read_clip(write(tmp_path / "a.json", IN_SPACE.tolist()), None)
    np.testing.assert_allclose(clip.coordinates[:, 0], IN_SPACE, atol=1e-7)
    hand = [{"hand_landmarks": [landmarks(p[:21]), landmarks(p[:21] + 3)]} for p in IN_PICTURE]
    clip = read_clip(write(tmp_path / "b.json", hand), None)
    assert clip.layout is not None
    assert (clip.layout.name, clip.coordinates.shape) == ("hand21", (2, 2, 21, 2))


AZURE = np.random.default_rng(2).integers(-900, 3000, size=(2, 32, 3))


def azure(frames: np.ndarray) -> dict[str, Any]:
    return {
        "joint_names": [],
        "frames": [
            {
                "bodies": [{"body_id": 4, "joint_positions": frame.tolist()}],
                "frame_id": t,
                "timestamp_usec": 33333 * t,
            }
            for t, frame in enumerate(frames)
        ],
    }


def test_azure_kinect_in_metres(tmp_path: Path) -> None:
    clip = read_clip(write(tmp_path / "a.json", azure(AZURE)), None)
    assert clip.layout is not None
    assert (clip.layout.name, clip.fps) == ("azure32", 30.0)
    np.testing.assert_allclose(clip.coordinates[:, 0], AZURE / 1000, atol=1e-6)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("[[[1, 2", "cannot be read as JSON"),
        ("", "cannot be read as JSON"),
        ("[" * 100_000, "cannot be read as JSON"),
        ("3", "expects a list of frames with landmarks"),
        ([], "expects a list of frames with landmarks"),
        ({"people": []}, "a clip is the folder of all its frames"),
        ([{"image_id": 1, "keypoints": [1.0] * 50}], "50 numbers in 'keypoints'"),
        ([coco(1, pose(17)), {"image_id": 2}], "entry 1: expects 'image_id' and 'keypoints'"),
        ([coco(1, pose(17)), coco(2, pose(18))], "persons with 17 joints of 2, 18 joints of 2 numbers"),
        ([coco([1], pose(17))], "expects a number or a name"),
        ([coco(0, pose(17)), coco("a", pose(17)), coco(10**18, pose(17))], None),
        ([{"instances": 3}], "frame 0: expects a list of 'instances'"),
        ({"images": 1, "annotations": []}, "expects lists of 'images'"),
        ({"images": [], "annotations": [{}]}, "annotation 0: expects 'keypoints'"),
        (
            [landmarks(IN_SPACE[0]), landmarks(IN_SPACE[0][:30])],
            "persons with 30 joints of 3, 33 joints of 3",
        ),
        ([[{"x": 1, "y": None}]], None),
        ([[{"x": 1, "y": "b"}]], "expects numbers"),
        ([[[1, 2, 3, 4, 5]]], "expects x, y, z for each landmark"),
        ({"frames": [{"bodies": [{"joint_positions": [[1, 2, 3]] * 31}]}]}, r"has shape \(31, 3\)"),
        ({"frames": [{"bodies": []}]}, "no frame has a person"),
    ],
)
def test_bad_json(content: Any, reason: str | None, tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", content)
    if reason is None:
        read_clip(path, None)
        return
    with pytest.raises(InputError, match=reason) as error:
        read_clip(path, None)
    assert str(error.value).startswith(str(path))


def test_a_folder_of_them_becomes_a_store(tmp_path: Path) -> None:
    for name in ("a", "b"):
        for t in range(3):
            openpose(tmp_path / "raw" / name, t, [{"pose_keypoints_2d": flat(pose(25, t))}])
    write(tmp_path / "raw" / "manifest.csv", "file,label\na,wave\nb,clap\n")
    store = open_store(prepare("folder", tmp_path / "raw", tmp_path / "s.arrow", progress=False).store)
    assert (store.layout.name, store.meta.units, store.ids) == ("body25", "pixels", ["a", "b"])
    assert store.sequence(0).shape == (3, 1, 25, 2)


def test_the_key_points_of_another_estimator(shared: Path) -> None:
    clip = read_clip(shared / "data" / "videos" / "pose_squats_3d.full.json", None)
    assert clip.layout is not None
    assert (clip.layout.name, clip.coordinates.shape, clip.units) == ("mediapipe33", (65, 1, 33, 3), None)
