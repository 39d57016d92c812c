"""The readers of PKU-MMD I and II: generated videos, bad ones, and the real keys of the C2VL texts."""

import re
from pathlib import Path

import numpy as np
import pytest
from set_files import pku_frames, read_all, write_pku_video

from kinelex.data import open_store
from kinelex.datasets import prepare
from kinelex.datasets.pku import (
    Pku1Reader,
    Pku2Reader,
)
from kinelex.errors import InputError
from kinelex.evaluation.recordings import from_pku
from kinelex.skeleton import get_layout

FRAMES = pku_frames(12)
LABELS = [(48, 1, 3), (3, 4, 4), (51, 6, 12)]


def _skeletons(folder: Path, video: str = "A01N02-M") -> Path:
    return folder / "skeleton" / f"{video}.txt"


def _labels(folder: Path, video: str = "A01N02-M") -> Path:
    return folder / "label" / f"{video}.txt"


def test_each_label_line_is_a_clip(tmp_path: Path) -> None:
    alone = pku_frames(6, second=False, seed=1)
    write_pku_video(tmp_path / "raw", "A01N02-M", FRAMES, LABELS)
    write_pku_video(tmp_path / "raw", "A01N02-L", alone, [(1, 2, 6)], end="\r\n")
    summary = prepare("pku2", tmp_path / "raw", tmp_path / "s.arrow", progress=False)
    assert str(summary) == "4 written"
    store = open_store(summary.store)
    assert store.ids == [
        "A001N002V001C001L001",
        "A001N002V002C048L001",
        "A001N002V002C003L002",
        "A001N002V002C051L003",
    ]
    assert store.labels.tolist() == [0, 47, 2, 50]
    assert store.cameras.tolist() == [1, 2, 2, 2]
    assert store.subjects.tolist() == [2] * 4
    assert store.setups.tolist() == [1] * 4
    assert store.replications.tolist() == [1, 1, 2, 3]
    assert store.persons.tolist() == [1, 2, 2, 2]
    assert store.layout == get_layout("ntu25")
    assert store.class_names[47] == "wear jacket"
    np.testing.assert_array_equal(store.sequence(0), alone[1:6, :1].astype(np.float32))
    for row, (_, start, end) in enumerate(LABELS, start=1):
        np.testing.assert_array_equal(store.sequence(row), FRAMES[start - 1 : end].astype(np.float32))


def test_whole_videos_with_their_label_lines(tmp_path: Path) -> None:
    """The untrimmed form, which the task detection reads."""
    write_pku_video(tmp_path / "raw", "A01N02-M", FRAMES, LABELS)
    store = open_store(prepare("pku2", tmp_path / "raw", tmp_path / "s.arrow", progress=False).store)
    (found,) = from_pku(store, np.array([0, 2]), tmp_path / "raw")
    np.testing.assert_array_equal(found.clip.coordinates, FRAMES.astype(np.float32))
    assert found.true.spans.tolist() == [[0, 3], [3, 4], [5, 12]]
    assert found.true.labels.tolist() == [47, 2, 50]
    with pytest.raises(InputError, match="skeleton/A01N02-M.txt"):
        list(from_pku(store, np.array([0]), tmp_path / "nowhere"))
    for number, (line, message) in enumerate((("1,5,99,1", "not in the video"), (" ", "file is empty"))):
        write_pku_video(tmp_path / str(number), "A01N02-M", FRAMES, LABELS)
        _labels(tmp_path / str(number)).write_text(f"{line}\n")
        with pytest.raises(InputError, match=message):
            list(from_pku(store, np.array([0]), tmp_path / str(number)))


def test_persons_who_come_and_go(tmp_path: Path) -> None:
    frames = pku_frames(6)
    frames[:3, 1] = 0  # the second comes in frame 4
    frames[2] = 0  # nobody in frame 3
    frames[5, 0] = 0  # only the second in frame 6
    write_pku_video(tmp_path, "A01N02-M", frames, [(1, 1, 2), (1, 1, 6), (1, 6, 6), (1, 3, 3)])
    clips, reasons = read_all(Pku2Reader(tmp_path))
    assert [clip.coordinates.shape[1] for clip in clips] == [1, 2, 1]
    np.testing.assert_array_equal(clips[1].coordinates, frames.astype(np.float32))
    np.testing.assert_array_equal(clips[2].coordinates, frames[5:, 1:].astype(np.float32))
    assert reasons == [f"{_labels(tmp_path)}: line 4: frames 3 to 3 have no body (all are 0)"]


def test_phase_one(tmp_path: Path) -> None:
    raw = tmp_path / "PKUMMD"
    write_pku_video(raw, "0002-R", FRAMES, LABELS[:1])
    (raw / "skeleton").rename(raw / "PKU_Skeleton_Renew")
    (raw / "label").rename(raw / "Train_Label_PKU_final")
    clips, reasons = read_all(Pku1Reader(raw))
    assert reasons == []
    (clip,) = clips
    assert (clip.id, clip.camera, clip.setup, clip.subject) == ("F002V003C048L001", 3, 2, None)


def test_each_phase_reads_its_own_videos(tmp_path: Path) -> None:
    for video in ("0002-L", "A01N01-L"):
        write_pku_video(tmp_path, video, FRAMES, LABELS[:1])
    (tmp_path / "cross-view.txt").write_text("Training videos:\n0002-L\nValidation videos:\n\n")
    (tmp_path / "cross_view_v2.txt").write_text("Training videos:\nA01N01-L,\nValidation videos:\n\n")
    for reader, video in ((Pku1Reader, "F002V001"), (Pku2Reader, "A001N001V001")):
        clips, reasons = read_all(reader(tmp_path))
        assert [clip.id for clip in clips] == [f"{video}C048L001"]
        assert clips[0].splits == ("xview:train",)
        assert reasons == []


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("48,0,3,2", "frames 0 to 3 are not in the video, expects a part of frames 1 to 12"),
        ("48,3,13,2", "frames 3 to 13 are not in the video"),
        ("48,5,4,2", "frames 5 to 4 are not in the video"),
        ("0,1,3,2", "class 0 is out of range, expects 1 to 51"),
        ("52,1,3,2", "class 52 is out of range"),
        ("48,1,3", "is '48,1,3', expects class,start,end,confidence in whole numbers"),
        ("48,1,3,", "is '48,1,3,', expects class,start,end,confidence"),
        ("48,1,3.5,2", "is '48,1,3.5,2', expects class,start,end,confidence"),
        ("48,-1,3,2", "expects class,start,end,confidence"),
        ("48,1,1_2,2", "expects class,start,end,confidence"),
        ("48,1,3,x", "field 1 is 'x', expects a number"),
        ("48;1;3;2", "expects class,start,end,confidence"),
    ],
)
def test_a_bad_label_line_is_skipped_and_the_others_stay(line: str, reason: str, tmp_path: Path) -> None:
    write_pku_video(tmp_path, "A01N02-M", FRAMES, LABELS)
    good = _labels(tmp_path).read_text().splitlines()
    _labels(tmp_path).write_text("\n".join([good[0], "", line, good[2], ""]))
    clips, reasons = read_all(Pku2Reader(tmp_path))
    assert [clip.id[-4:] for clip in clips] == ["L001", "L003"]
    (found,) = reasons
    assert found.startswith(f"{_labels(tmp_path)}: line 3: ")  # blank lines are lines of the file
    assert re.search(reason, found)


def test_a_last_label_line_without_an_end_is_whole_if_it_has_a_confidence(tmp_path: Path) -> None:
    write_pku_video(tmp_path, "A01N02-M", FRAMES, LABELS)
    text = _labels(tmp_path).read_text()
    for cut, count in ((1, 3), (2, 2), (3, 2)):
        _labels(tmp_path).write_text(text[:-cut])
        assert len(read_all(Pku2Reader(tmp_path))[0]) == count


def _spoil(folder: Path, number: int, change: str) -> None:
    """Change a line, from 1, of a skeleton file."""
    lines = _skeletons(folder).read_text().splitlines()
    old = lines[number - 1]
    fields = old.split()
    lines[number - 1] = {
        "short": " ".join(fields[:149]),
        "long": old + " 1.0",
        "blank": "",
        "word": " ".join([*fields[:7], "x", *fields[8:]]),
        "nan": " ".join([*fields[:7], "nan", *fields[8:]]),
    }[change]
    _skeletons(folder).write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("short", "frames 6 to 12 cannot be counted: .*line 5: expects 150 numbers, got 149"),
        ("long", "line 5: expects 150 numbers, got 151"),
        ("blank", "line 5: expects 150 numbers, got 0"),
    ],
)
def test_frames_after_a_broken_line_cannot_be_counted(change: str, reason: str, tmp_path: Path) -> None:
    write_pku_video(tmp_path, "A01N02-M", FRAMES, LABELS)
    _spoil(tmp_path, 5, change)
    clips, reasons = read_all(Pku2Reader(tmp_path))
    assert [clip.id[-4:] for clip in clips] == ["L001", "L002"]
    assert re.search(reason, reasons[0])
    assert f"{_labels(tmp_path)}: line 3: " in reasons[0]


@pytest.mark.parametrize(("change", "shown"), [("word", "'x'"), ("nan", "'nan'")])
def test_a_bad_number_costs_the_clips_that_it_is_in(change: str, shown: str, tmp_path: Path) -> None:
    write_pku_video(tmp_path, "A01N02-M", FRAMES, LABELS)
    _spoil(tmp_path, 4, change)
    clips, reasons = read_all(Pku2Reader(tmp_path))
    assert [clip.id[-4:] for clip in clips] == ["L001", "L003"]
    assert f"{_skeletons(tmp_path)}: line 4: field 8 is {shown}, expects a number" in reasons[0]


def test_videos_with_a_part_missing(tmp_path: Path) -> None:
    for video in ("A01N02-L", "A01N02-M", "A01N02-R", "A01N03-L"):
        write_pku_video(tmp_path, video, FRAMES, LABELS)
    _labels(tmp_path, "A01N02-L").unlink()
    _skeletons(tmp_path, "A01N02-R").unlink()
    _skeletons(tmp_path, "A01N03-L").write_text("")
    (tmp_path / "skeleton" / "A1N2-L.txt").write_text("x")
    clips, reasons = read_all(Pku2Reader(tmp_path))
    assert len(clips) == 3
    assert [reason.removeprefix(f"{tmp_path}/") for reason in reasons] == [
        "skeleton/A01N02-L.txt: has no label file, expects label/A01N02-L.txt beside the skeletons",
        "label/A01N02-R.txt: has no skeletons, expects skeleton/A01N02-R.txt beside it",
        "skeleton/A01N03-L.txt: the file is empty",
        "skeleton/A1N2-L.txt: the name does not parse, expects the files skeleton/A01N01-L.txt, ... and "
        "label/A01N01-L.txt, ...",
    ]
