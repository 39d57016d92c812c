"""Which video, which part of it, which frames: what the engines look at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat
from video_files import clip_store, numbered, read_number, write_video

from kinelex.datasets.pku import clip_id
from kinelex.errors import InputError
from kinelex.prompts import EngineContext, create
from kinelex.prompts.registry import PICTURES
from kinelex.prompts.video.video import VideoPictures, video_frames

NTU = ("S001C001P001R001A001", "S001C002P003R002A013")


def shown(source: VideoPictures, row: int, indices: object) -> list[int] | None:
    pictures = source.frames(row, np.asarray(indices))
    return None if pictures is None else [read_number(picture) for picture in pictures]


def test_a_clips_own_video_is_found_by_name_also_in_folders(tmp_path: Path) -> None:
    clips = dict.fromkeys([*NTU, "a1_s1_t1", "own", "nothing"], 30)
    store = clip_store(tmp_path / "s.arrow", clips)
    folder = tmp_path / "raw"
    for name in (f"setup1/{NTU[0]}_rgb.avi", f"{NTU[1]}_rgb.AVI", "RGB/a1_s1_t1_color.avi", "own.mp4"):
        write_video(folder / name, 30)
    write_video(folder / ".own.mp4", 30)  # a hidden file is none
    source = create(PICTURES, "video", EngineContext(store, folder))
    for row in range(4):
        assert shown(source, row, [0, 7, 7, 29]) == [0, 7, 7, 29]
    assert shown(source, 4, [0]) is None
    assert source.decoded <= 4 * 30
    assert source.notes() == []


def test_frames_of_another_count_are_matched_in_proportion_and_that_is_said(tmp_path: Path) -> None:
    store = clip_store(tmp_path / "s.arrow", {"a": 20, "b": 30})
    write_video(tmp_path / "a.mp4", 40)
    write_video(tmp_path / "b.mp4", 30)
    source = VideoPictures(EngineContext(store, tmp_path))
    assert shown(source, 0, [0, 10, 19]) == [1, 21, 39]
    assert shown(source, 1, [0, 10, 29]) == [0, 10, 29]
    (said,) = source.notes()
    assert said.startswith(
        "1 clips have videos with another number of frames than their skeletons (2.00 to 2.00"
    )


def test_video_frames_stay_in_the_video_and_rise() -> None:
    for skeleton in (1, 2, 7, 50):
        for video in (1, 3, 50, 121):
            found = video_frames(np.arange(skeleton), skeleton, video)
            assert found.min() >= 0
            assert found.max() < video
            assert (np.diff(found) >= 0).all()
            assert abs(found[0] + found[-1] - (video - 1)) <= 1  # as far from the beginning as from the end


def test_a_clip_is_decoded_once_even_if_two_engines_look(tmp_path: Path) -> None:
    store = clip_store(tmp_path / "s.arrow", {"a": 60})
    write_video(tmp_path / "a.mp4", 60)
    source = VideoPictures(EngineContext(store, tmp_path))
    assert shown(source, 0, np.arange(1, 60, 4)) == list(range(1, 60, 4))
    before = source.decoded
    assert shown(source, 0, [5, 33]) == [5, 33]
    assert source.decoded == before <= 60


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """A recording of PKU-MMD of 120 frames with three clips, one of which lies before the one above it."""
    write_video(tmp_path / "raw" / "RGB" / "0002-L.avi", 120, g=12)
    labels = tmp_path / "raw" / "Label" / "0002-L.txt"
    labels.parent.mkdir(parents=True)
    labels.write_text("10,11,30,2\n\n3,61,100,2\n5,31,45,1\n")
    return tmp_path / "raw"


def pku_store(path: Path) -> EngineContext:
    clips = {clip_id("0002-L", 9, 1): 20, clip_id("0002-L", 2, 2): 40, clip_id("0002-L", 4, 3): 15}
    return EngineContext(clip_store(path / "s.arrow", clips), path / "raw")


def test_clips_of_a_recording_are_cut_at_their_label_lines(tmp_path: Path, recording: Path) -> None:
    source = VideoPictures(pku_store(tmp_path))
    assert shown(source, 0, [0, 19]) == [10, 29]
    assert shown(source, 1, [0, 20, 39]) == [60, 80, 99]
    assert shown(source, 2, [0, 14]) == [30, 44]


def test_a_recording_is_decoded_going_on(tmp_path: Path, recording: Path) -> None:
    (recording / "Label" / "0002-L.txt").write_text("10,11,30,2\n3,41,80,2\n5,81,95,1\n")
    source = VideoPictures(pku_store(tmp_path))
    for row in range(3):
        assert shown(source, row, np.arange(15)) is not None
    assert source.decoded <= 110


def test_a_recording_with_other_counts_than_its_skeletons(tmp_path: Path, recording: Path) -> None:
    skeletons = recording / "Skeleton" / "0002-L.txt"
    skeletons.parent.mkdir()
    skeletons.write_text((" ".join(["0.1"] * 150) + "\n") * 60)  # half as many as the video
    (recording / "Label" / "0002-L.txt").write_text("10,11,30,2\n3,11,50,2\n5,31,45,1\n")
    source = VideoPictures(pku_store(tmp_path))
    assert shown(source, 0, [0, 19]) == [21, 59]
    assert "matched in proportion" in source.notes()[0]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (None, r"where it begins in the video 0002-L stands in label/0002-L.txt, which is not in .*raw or"),
        ("3,11,30,2\n", "line 1 has class 3, the clip F002V001C010L001 has 10"),
        ("10,11,31,2\n", "has 20 frames in .*, its line in the label file 21"),
        ("\n", "is empty"),
    ],
)
def test_labels_that_do_not_fit(tmp_path: Path, recording: Path, labels: str | None, message: str) -> None:
    path = recording / "Label" / "0002-L.txt"
    path.unlink()
    if labels is not None:
        path.write_text(labels)
    source = VideoPictures(pku_store(tmp_path))
    with pytest.raises(InputError, match=message):
        source.frames(0, np.array([0]))


def test_a_clip_after_the_end_of_its_recording_has_no_pictures(tmp_path: Path, recording: Path) -> None:
    (recording / "Label" / "0002-L.txt").write_text("10,111,130,2\n3,61,100,2\n5,31,45,1\n")
    source = VideoPictures(pku_store(tmp_path))
    assert shown(source, 0, [0]) is None
    assert shown(source, 1, [0]) == [60]
    assert "ends at frame 130" in source.notes()[0]


def test_an_unreadable_video_leaves_its_clip_without_pictures(tmp_path: Path) -> None:
    store = clip_store(tmp_path / "s.arrow", {"a": 30, "b": 30, "c": 30})
    write_video(tmp_path / "b.mp4", 30)
    (tmp_path / "a.mp4").write_bytes(b"no video")
    whole = write_video(tmp_path / "c.avi", [numbered(i) for i in range(30)] * 8).read_bytes()
    (tmp_path / "c.avi").write_bytes(whole[: 2 * len(whole) // 3])
    source = VideoPictures(EngineContext(store, tmp_path))
    assert [shown(source, row, [3]) for row in range(3)] == [None, [3], None]
    (said,) = source.notes()
    assert said.startswith("2 clips get no pictures from their videos; the first: ")
    assert "a.mp4 cannot be read as a video" in said


def test_what_is_wrong_with_a_folder_of_videos_is_said(tmp_path: Path) -> None:
    store = clip_store(tmp_path / "s.arrow", {NTU[0]: 5})
    folder = tmp_path / "raw"
    with pytest.raises(InputError, match="name their folder with --source DIR"):
        VideoPictures(EngineContext(store))
    with pytest.raises(InputError, match="raw is no folder"):
        VideoPictures(EngineContext(store, folder))
    folder.mkdir()
    with pytest.raises(InputError, match=rf"expects names such as {NTU[0]}_rgb.avi .* no file ends in .mp4"):
        VideoPictures(EngineContext(store, folder))
    write_video(folder / "film.mp4", 3)
    with pytest.raises(InputError, match="the videos there are named as film.mp4"):
        VideoPictures(EngineContext(store, folder))
    write_video(folder / f"{NTU[0]}_rgb.avi", 5)
    write_video(folder / "again" / f"{NTU[0]}.mp4", 5)
    with pytest.raises(InputError, match=f"two videos are named as the clip {NTU[0]}"):
        VideoPictures(EngineContext(store, folder))


def test_depth_maps_and_drawings_as_pictures(tmp_path: Path, lively: np.ndarray, small_store: Path) -> None:
    from kinelex.data import open_store

    store = clip_store(tmp_path / "s.arrow", {"a1_s1_t1": 10, "a1_s2_t1": 10})
    depth = np.zeros((24, 32, 10), np.uint16)
    depth[6:18, 10:15] = 1800
    (tmp_path / "raw" / "Depth").mkdir(parents=True)
    savemat(tmp_path / "raw" / "Depth" / "a1_s1_t1_depth.mat", {"d_depth": depth})
    source = create(PICTURES, "depth", EngineContext(store, tmp_path / "raw"))
    pictures = source.frames(0, np.array([0, 9]))
    assert pictures.shape == (2, 24, 32, 3)
    assert pictures.dtype == np.uint8
    assert (pictures[0, 6:18, 10:15] == 255).all()
    assert not pictures[0, :6].any()
    assert source.frames(1, np.array([0])) is None
    drawn = create(PICTURES, "render", EngineContext(open_store(small_store)), view="side", image_size=64)
    assert drawn.frames(9, np.array([0, 4, 9])).shape == (3, 64, 64, 3)
    assert drawn.settings == {"view": "side", "image_size": 64}
    with pytest.raises(InputError, match="unknown view 'sied': did you mean 'side'"):
        create(PICTURES, "render", EngineContext(open_store(small_store)), view="sied")
