"""PKU-MMD files truncated, changed and put out of order at random: a clean skip or a correct clip."""

import contextlib
import re
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from set_files import pku_frames, read_all, write_pku_video

from kinelex.data import Sequence
from kinelex.datasets.pku import (
    Pku2Reader,
)


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
        skeleton, label = (Path(folder) / kind / "A01N02-M.txt" for kind in ("skeleton", "label"))
        return skeleton.read_bytes(), label.read_bytes()


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
