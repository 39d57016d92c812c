"""Reading one video: the right frames, none decoded twice, what is broken is said."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from video_files import read_number, write_video

from kinelex.files import video as video_file
from kinelex.files.video import BrokenVideo, VideoFile

FORMS: dict[str, tuple[str, dict[str, Any]]] = {
    "plain.avi": ("mpeg4", {"g": 12}),  # as NTU RGB+D's
    "reordered.avi": ("mpeg4", {"g": 12, "bf": 2}),
    "reordered.mp4": ("mpeg4", {"g": 12, "bf": 2}),
    "plain.mkv": ("mpeg4", {"g": 12, "bf": 2}),
    "plain.mov": ("mjpeg", {"color_range": "pc"}),
    "h264.mp4": ("libx264", {"g": 12}),
    "h264.mkv": ("libx264", {"g": 12}),
    "h264.avi": ("libx264", {"g": 12}),  # its time stamps do not tell the order
    "open.mp4": ("libx264", {"x264-params": "open-gop=1:keyint=10:bframes=3"}),
}


@pytest.fixture
def times(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The time of every frame that any decoder puts out."""
    seen: list[Any] = []
    decode = video_file._decode

    def noted(context: Any, packet: Any) -> list[Any]:
        frames = decode(context, packet)
        seen.extend(frame.pts for frame in frames)
        return frames

    monkeypatch.setattr(video_file, "_decode", noted)
    return seen


@pytest.mark.parametrize("name", FORMS)
def test_wanted_frames_come_in_one_pass(name: str, tmp_path: Path, times: list[Any]) -> None:
    codec, options = FORMS[name]
    video = VideoFile(write_video(tmp_path / name, 90, codec, **options))
    assert video.frames == 90
    wanted = np.array([50, 3, 3, 4, 30, 89, 77])
    got = {number: read_number(picture) for number, picture in video.pictures(wanted)}
    assert got == {n: n for n in sorted(set(wanted.tolist()))}
    assert len(times) == len(set(times)) == video.decoded <= 90


@pytest.mark.parametrize("name", ["plain.avi", "reordered.mp4", "h264.mp4", "h264.avi"])
def test_a_later_part_goes_on_where_the_last_one_ended(name: str, tmp_path: Path, times: list[Any]) -> None:
    codec, options = FORMS[name]
    video = VideoFile(write_video(tmp_path / name, 90, codec, **options))
    for part in (
        np.arange(5, 20),
        np.arange(20, 32),
        np.array([33, 70]),
        np.array([71, 86]),
        np.array([88, 89]),
    ):
        assert [read_number(picture) for _, picture in video.pictures(part)] == part.tolist()
    assert len(times) == len(set(times)) <= 90
    assert [read_number(p) for _, p in video.pictures(np.array([2, 40]))] == [2, 40]  # back again


def test_stretches_without_a_wanted_frame_are_not_decoded(tmp_path: Path, times: list[Any]) -> None:
    video = VideoFile(write_video(tmp_path / "v.mp4", 120, "mpeg4", g=10, sc_threshold=10**9))
    assert [read_number(p) for _, p in video.pictures(np.array([61, 119]))] == [61, 119]
    assert video.decoded < 40  # two groups of ten, and a few frames that the decoder has under way


def test_files_that_are_no_whole_video(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "v.avi", 60, "mpeg4").read_bytes()
    film = write_video(tmp_path / "v.mp4", 60, "mpeg4").read_bytes()
    cases = {
        "cut.avi": (whole[: len(whole) // 2], r"is truncated: \d+ of 60 frames"),
        "cut.mp4": (film[: len(film) // 2], "cannot be read as a video"),
        "empty.avi": (b"", "cannot be read as a video"),
        "text.avi": (b"a text", "cannot be read as a video"),
    }
    for name, (content, message) in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BrokenVideo, match=message):
            VideoFile(tmp_path / name)
    with pytest.raises(BrokenVideo, match="cannot be read as a video"):
        VideoFile(tmp_path / "absent.avi")


@pytest.mark.parametrize("name", ["h264.avi", "plain.avi"])
def test_a_few_frames_less_than_the_header_says(name: str, tmp_path: Path) -> None:
    codec, options = FORMS[name]
    content = write_video(tmp_path / name, 200, codec, **options).read_bytes()
    (tmp_path / "cut.avi").write_bytes(content[: content.index(b"idx1") * 99 // 100])
    video = VideoFile(tmp_path / "cut.avi")
    assert video.frames == 200  # so that frames are matched as if all were there
    got = {number: read_number(picture) for number, picture in video.pictures(np.array([10, 100, 199]))}
    assert (got[10], got[100]) == (10, 100)
    assert 190 <= got[199] < 199  # the last that is there


def test_a_film_in_matroska_that_ends_early_is_truncated(tmp_path: Path) -> None:
    content = write_video(tmp_path / "v.mkv", 90, "mpeg4").read_bytes()
    (tmp_path / "cut.mkv").write_bytes(content[: len(content) // 2])
    with pytest.raises(BrokenVideo, match=r"is truncated: 1\.\d of [34]\.\d seconds are there"):
        VideoFile(tmp_path / "cut.mkv")


def test_a_damaged_stretch_is_an_error_or_a_picture_never_a_hang(tmp_path: Path) -> None:
    for name in ("plain.avi", "h264.mp4", "h264.avi"):
        codec, options = FORMS[name]
        content = bytearray(write_video(tmp_path / name, 60, codec, **options).read_bytes())
        rng = np.random.default_rng(0)
        for at in rng.integers(len(content) // 3, len(content) // 2, 400).tolist():
            content[at] = 255
        (tmp_path / name).write_bytes(bytes(content))
        with suppress(BrokenVideo):
            assert len(list(VideoFile(tmp_path / name).pictures(np.arange(0, 60, 4)))) == 15


def test_a_video_held_upright_is_turned() -> None:
    picture = np.arange(6).reshape(2, 3, 1).repeat(3, axis=2)
    assert np.array_equal(video_file.upright(picture, 0), picture)
    assert video_file.upright(picture, 90)[..., 0].tolist() == [[2, 5], [1, 4], [0, 3]]
    assert video_file.upright(picture, -90)[..., 0].tolist() == [[3, 0], [4, 1], [5, 2]]
