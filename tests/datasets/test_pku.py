"""The readers of PKU-MMD I and II: generated videos, bad ones, and the real keys of the C2VL texts."""

import contextlib
import json
import re
import tempfile
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from set_files import pku_frames, read_all, write_pku_video

from kinelex.datasets import get_split, prepare
from kinelex.datasets.pku import (
    Pku1Reader,
    Pku2Reader,
    PromptKey,
    class_names,
    clip_id,
    parse_prompt_key,
)
from kinelex.errors import InputError
from kinelex.skeleton import get_layout
from kinelex.store import Sequence, open_store

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


def _write_lists(folder: Path) -> None:
    (folder / "Split").mkdir(parents=True)
    subject = "Training videos:\nA01N01-L, A01N01-M, \nValidation videos:\nA01N02-L"
    view = "Training videos:\r\nA01N01-M,A01N01-L\r\nValidation videos:\r\nA01N02-L,\r\n"
    (folder / "Split" / "cross_subject_v2.txt").write_text(subject, newline="")
    (folder / "Split" / "cross_view_v2.txt").write_text(view, newline="")


def test_lists_of_the_splits_become_tags_and_protocols(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    _write_lists(raw)
    for video in ("A01N01-L", "A01N01-M", "A01N02-L", "A01N03-L"):
        write_pku_video(raw, video, FRAMES, LABELS[:2])
    store = open_store(prepare("pku2", raw, tmp_path / "s.arrow", progress=False).store)
    train, test = ("xsub:train", "xview:train"), ("xsub:test", "xview:test")
    assert store.splits == [train, train, train, train, test, test, (), ()]
    split = get_split(store, "xsub")
    assert (split.train.tolist(), split.test.tolist()) == ([0, 1, 2, 3], [4, 5])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Training videos:\nA01N01-L\n", "expects 4 lines .*, got 2"),
        ("a\nA01N01-L,A01N0\nb\nA01N02-L\n", "line 2: 'A01N0' is no video, expects names such as A01N01-L"),
        ("a\nA01N01-L\nb\nA01N02-L,0002-L\n", "line 4: '0002-L' is no video"),
        ("a\nA01N01-L\nb\nA01N02-L,A01N01-L\n", "A01N01-L is among the training and the validation videos"),
    ],
)
def test_a_wrong_list_stops_everything(text: str, reason: str, tmp_path: Path) -> None:
    write_pku_video(tmp_path, "A01N01-L", FRAMES, LABELS)
    (tmp_path / "cross_subject_v2.txt").write_text(text)
    with pytest.raises(InputError, match=f"cross_subject_v2.txt: {reason}"):
        Pku2Reader(tmp_path).items()


def test_two_lists_or_two_label_files_are_one_too_many(tmp_path: Path) -> None:
    write_pku_video(tmp_path, "A01N01-L", FRAMES, LABELS)
    _write_lists(tmp_path)
    (tmp_path / "cross-view.txt").write_text("a\nA01N01-L\nb\nA01N02-L\n")
    with pytest.raises(InputError, match="both are a xview split: keep one of them"):
        Pku2Reader(tmp_path).items()
    (tmp_path / "cross-view.txt").unlink()
    write_pku_video(tmp_path / "old", "A01N01-L", FRAMES, LABELS)
    with pytest.raises(InputError, match="label one video: keep one of them"):
        Pku2Reader(tmp_path).items()


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


def _read(skeleton: bytes, label: bytes) -> list[Sequence]:
    with tempfile.TemporaryDirectory() as folder:
        for kind, content in (("skeleton", skeleton), ("label", label)):
            (Path(folder) / kind).mkdir()
            (Path(folder) / kind / "A01N02-M.txt").write_bytes(content)
        return read_all(Pku2Reader(Path(folder)))[0]


SMALL = pku_frames(4, seed=2)
SMALL_LABELS = [(48, 1, 2), (3, 2, 4), (51, 4, 4)]


def _small() -> tuple[bytes, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        write_pku_video(Path(folder), "A01N02-M", SMALL, SMALL_LABELS)
        return _skeletons(Path(folder)).read_bytes(), _labels(Path(folder)).read_bytes()


SKELETON, LABEL = _small()


def _expect_clips_of(frames: np.ndarray, clips: list[Sequence]) -> None:
    """Every clip is the one that its label line names."""
    for clip in clips:
        label, start, end = SMALL_LABELS[(clip.replication or 0) - 1]
        assert clip.label == label - 1
        np.testing.assert_array_equal(clip.coordinates, frames[start - 1 : end].astype(np.float32))


@settings(max_examples=80, deadline=None)
@given(st.integers(0, len(SKELETON)))
def test_truncated_skeletons(cut: int) -> None:
    clips = _read(SKELETON[:cut], LABEL)
    whole = SKELETON[:cut].count(b"\n")
    assert len(clips) == sum(end <= whole for _, _, end in SMALL_LABELS)
    _expect_clips_of(SMALL, clips)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, len(LABEL)))
def test_truncated_labels(cut: int) -> None:
    clips = _read(SKELETON, LABEL[:cut])
    assert len(clips) == LABEL[: cut + 1].count(b"\n")  # a line without its end has its confidence
    _expect_clips_of(SMALL, clips)


TOKENS = st.binary(max_size=8) | st.sampled_from([b"nan", b"inf", b"1e39", b"0x1", b"1_0", b"7.25", b"-"])


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 4 * 150 - 1), TOKENS)
def test_a_replaced_number(place: int, token: bytes) -> None:
    table = [line.split() for line in SKELETON.splitlines()]
    table[place // 150][place % 150] = token
    clips = _read(b"".join(b" ".join(row) + b"\n" for row in table), LABEL)
    before = [end for _, _, end in SMALL_LABELS if end <= place // 150]
    assert len(clips) >= len(before)
    frames = SMALL.copy()
    if re.fullmatch(rb"\s*[-+.0-9eE]+\s*", token):
        with contextlib.suppress(ValueError), np.errstate(over="ignore"):
            frames.reshape(-1)[place] = np.float32(float(token))
    if b"\n" not in token:  # a new line is another file, not another number
        _expect_clips_of(frames, clips)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 11), TOKENS | st.integers(-1, 60).map(lambda n: str(n).encode()))
def test_a_replaced_label_field(place: int, token: bytes) -> None:
    table = [line.split(b",") for line in LABEL.splitlines()]
    table[place // 4][place % 4] = token
    clips = _read(SKELETON, b"".join(b",".join(row) + b"\n" for row in table))
    if b"\n" in token or b"\r" in token:
        return
    for clip in clips:
        label, start, end = (int(field) for field in table[(clip.replication or 0) - 1][:3])
        assert clip.label == label - 1
        np.testing.assert_array_equal(clip.coordinates, SMALL[start - 1 : end].astype(np.float32))
    assert len(clips) >= 2


@settings(max_examples=24, deadline=None)
@given(st.permutations(range(3)))
def test_reordered_labels_are_clips_in_their_new_order(order: list[int]) -> None:
    lines = LABEL.splitlines(keepends=True)
    clips = _read(SKELETON, b"".join(lines[i] for i in order))
    assert [clip.label for clip in clips] == [SMALL_LABELS[i][0] - 1 for i in order]
    assert [clip.replication for clip in clips] == [1, 2, 3]


def test_there_are_51_classes() -> None:
    names = class_names()
    assert len(set(names)) == 51
    assert list(names) == sorted(names)
    assert names[7] == "drink water"


@pytest.mark.parametrize(
    "key",
    [
        "A013N008V004C048L005",
        "A013N008V000C048L005",
        "A013N008V002C052L005",
        "A013N008V002C000L005",
        "A013N008V002C048L000",
        "A113N008V002C048L001",
        "A13N8V2C48L5",
        "A013N008V002C048L005.txt",
        "",
    ],
)
def test_what_is_no_key(key: str) -> None:
    with pytest.raises(InputError, match="is no key of PKU-MMD"):
        parse_prompt_key(key)


@pytest.mark.parametrize(
    ("video", "label", "line"), [("A1N2-L", 0, 1), ("A01N02-L", 51, 1), ("0002-L", 0, 0)]
)
def test_what_is_no_clip(video: str, label: int, line: int) -> None:
    with pytest.raises(InputError, match="no clip of PKU-MMD"):
        clip_id(video, label, line)


@given(
    st.integers(0, 99), st.integers(0, 99), st.sampled_from("LMR"), st.integers(0, 50), st.integers(1, 999)
)
def test_keys_and_clips_are_one_to_one(script: int, subject: int, view: str, label: int, line: int) -> None:
    for video in (f"A{script:02}N{subject:02}-{view}", f"0{script * 10:03}-{view}"):
        key = parse_prompt_key(clip_id(video, label, line))
        assert key == PromptKey(video, "LMR".index(view) + 1, label, line)


def test_every_key_of_the_c2vl_texts_is_a_clip(shared: Path) -> None:
    archive = shared / "data" / "c2vl_prompts" / "pkuv2_language.zip"
    if not archive.exists():
        pytest.skip("the C2VL texts of PKU-MMD II are not in the shared folder")
    with zipfile.ZipFile(archive) as file:
        keys = list(json.loads(file.read("pkuv2_language.json")))
    parsed = [parse_prompt_key(key) for key in keys]
    assert len(keys) == 6952
    assert [clip_id(key.video, key.label, key.line) for key in parsed] == keys
    assert Counter(key.view for key in parsed) == {1: 2330, 2: 2291, 3: 2331}
    assert len({key.label for key in parsed}) == 41
    lines: dict[str, list[int]] = {}
    for key in parsed:
        lines.setdefault(key.video, []).append(key.line)
    assert len(lines) == 1009
    assert all(sorted(found) == list(range(1, len(found) + 1)) for found in lines.values())  # no gap, from 1
