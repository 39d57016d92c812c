"""Names in PKU-MMD: the lists of the splits, and the keys of the C2VL texts, the real ones too."""

import json
import tempfile
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from set_files import pku_frames, write_pku_video

from kinelex.data import open_store
from kinelex.datasets import get_split, prepare
from kinelex.datasets.pku import (
    Pku2Reader,
    PromptKey,
    class_names,
    clip_id,
    parse_prompt_key,
)
from kinelex.errors import InputError

FRAMES = pku_frames(12)
LABELS = [(48, 1, 3), (3, 4, 4), (51, 6, 12)]


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


NAMES = ["A01N01-L", "A01N01-M", "A01N02-L", "A12N10-R"]
LIST = f"Training videos:\n{', '.join(NAMES[:2])}\nValidation videos:\n{', '.join(NAMES[2:])}\n"


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(LIST)), st.text(max_size=3))
def test_a_truncated_or_changed_list_is_refused_or_tags_videos_that_it_names(cut: int, more: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_pku_video(Path(folder), "A01N01-L", FRAMES, LABELS)
        text = LIST[:cut] + more
        (Path(folder) / "cross_subject_v2.txt").write_text(text, encoding="utf-8", errors="replace")
        try:
            (item,) = Pku2Reader(Path(folder)).items()
        except InputError:
            return
    lines = text.splitlines()
    assert (item.part.splits == ("xsub:train",)) == ("A01N01-L" in lines[1])


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
