"""The text of NTU RGB+D's files: exact numbers, and never a wrong clip from a damaged file."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ntu_files import Frames, Track, as_written, frames_of, lines_of, person, read_plainly, text_of

from kinelex.datasets.bodies import Recording
from kinelex.datasets.ntu_text import read_fast, read_recording, read_slowly
from kinelex.errors import InputError

PATH = Path("S001C002P003R002A013.skeleton")


def scene() -> Frames:
    """Two bodies, one lost for a frame and found again, the other with a new number; an empty frame."""
    rng = np.random.default_rng(3)
    tracks = [person(rng, [0, 2, 3], 81), person(rng, [0, 1], 7), person(rng, [2, 3], 72057594037931101)]
    return frames_of(tracks, 5)


def read(text: bytes) -> Recording:
    """As read_recording does."""
    fast = read_fast(text)
    return read_slowly(text, PATH) if fast is None else fast


def assert_says(recording: Recording, frames: Frames) -> None:
    """The recording is what the frames are, number by number."""
    assert recording.frames == len(frames)
    flat = [(t, slot, *body) for t, bodies in enumerate(frames) for slot, body in enumerate(bodies)]
    assert recording.frame.tolist() == [row[0] for row in flat]
    assert recording.slot.tolist() == [row[1] for row in flat]
    numbers = list(dict.fromkeys(row[2] for row in flat))
    assert recording.track.tolist() == [numbers.index(row[2]) for row in flat]
    values = np.array([row[3] for row in flat]).reshape(len(flat), 25, 12)
    pixels = np.where(np.isfinite(values[..., 5:7]), values[..., 5:7], 0)
    np.testing.assert_array_equal(recording.coordinates, values[..., :3].astype(np.float32))
    np.testing.assert_array_equal(recording.pixels, pixels.astype(np.float32))
    assert recording.coordinates.dtype == recording.pixels.dtype == np.float32


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("reader", [read_fast, lambda text: read_slowly(text, PATH)])
def test_both_ways_read_what_is_written(end, reader):
    assert_says(reader(text_of(scene(), end)), scene())


def test_a_file_is_read(tmp_path):
    path = tmp_path / PATH
    path.write_bytes(text_of(scene()))
    assert_says(read_recording(path), scene())
    with pytest.raises(InputError, match=f"{tmp_path}: cannot be read"):
        read_recording(tmp_path)


def test_no_body_and_seven_bodies():
    assert_says(read_fast(text_of([[], []])), [[], []])
    rng = np.random.default_rng(0)
    seven = frames_of([person(rng, range(2), body) for body in range(7)], 2)
    assert_says(read_fast(text_of(seven)), seven)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(-3e38, 3e38, allow_nan=False), min_size=12, max_size=12),
    st.sampled_from([".7g", ".9g", ".17g", "r", "e", ".3f"]),
)
def test_numbers_are_those_of_float(values, form):
    tokens = [repr(v) if form == "r" else f"{v:{form}}" for v in values]
    lines = lines_of(scene())
    lines[4] = " ".join(tokens)
    recording = read("".join(line + "\n" for line in lines).encode())
    np.testing.assert_array_equal(
        recording.coordinates[0, 0], np.array(list(map(float, tokens[:3])), np.float32)
    )
    np.testing.assert_array_equal(recording.pixels[0, 0], np.array(list(map(float, tokens[5:7])), np.float32))


def test_numbers_between_two_floats_round_once_to_double():
    """A decimal number a hair above the middle of two floats: float() rounds it to the middle first."""
    token = repr(float(np.float32(1)) + 2.0**-24) + "00000000000000001"
    lines = lines_of(scene())
    lines[4] = " ".join([token] * 12)
    text = "".join(line + "\n" for line in lines).encode()
    assert read_fast(text).coordinates[0, 0, 0] == np.float32(float(token)) == 1


@pytest.mark.parametrize(
    ("line", "text", "reason"),
    [
        (1, "", "line 1: expects the number of frames, got ''"),
        (1, "five", "line 1: expects the number of frames, got 'five'"),
        (1, "0", "line 1: expects the number of frames, at least 1, got '0'"),
        (1, "-5", "line 1: expects the number of frames, got '-5'"),
        (1, "4", "line 195: expects the end of the file after 4 frames, got '0'"),
        (
            1,
            "6",
            "line 196: expects the number of bodies of frame 6 of 6, the file ends here: it is truncated",
        ),
        (2, "2 2", "line 2: expects the number of bodies of frame 1 of 5, got '2 2'"),
        (2, "1", "line 30: expects the number of bodies of frame 2 of 5, got '7 0 1 1"),
        (2, "3", "line 57: expects 10 numbers of a body, the first its own, got '1'"),
        (3, "x 0 1 1 1 1 0 0.1 0.1 2", "line 3: expects 10 numbers of a body, the first its own, got 'x 0"),
        (3, "81 0 1 1 1 1 0 0.1 0.1", "line 3: expects 10 numbers of a body"),
        (4, "20", "line 4: expects the number of joints, 25, got '20'"),
        (5, "1 2 3 4 5 6 7 8 9 10 11", "line 5: expects 12 numbers of a joint, got '1 2 3 4"),
        (5, "1 2 3 4 5 6 7 8 9 10 11 12 13", "line 5: expects 12 numbers of a joint"),
        (5, "1 2 3 4 5 6 7 8 9 10 11 two", "line 5: expects 12 numbers of a joint"),
        (5, "1,5 2 3 4 5 6 7 8 9 10 11 12", "line 5: expects 12 numbers of a joint, got '1,5 2"),
        (5, "1_5 2 3 4 5 6 7 8 9 10 11 12", "line 5: expects 12 numbers of a joint, got '1_5 2"),
        (5, "1 2 nan 4 5 6 7 8 9 10 11 12", "line 5: expects finite coordinates x y z, got '1 2 nan"),
        (5, "1 -Infinity 3 4 5 6 7 8 9 10 11 12", "line 5: expects finite coordinates x y z"),
        (5, "1 2 1e39 4 5 6 7 8 9 10 11 12", "line 5: expects finite coordinates x y z"),
        (5, "1 2 1e400 4 5 6 7 8 9 10 11 12", "line 5: expects finite coordinates x y z"),
        (5, "\u00b2 2 3 4 5 6 7 8 9 10 11 12", "line 5: expects 12 numbers of a joint"),
        (30, "81 0 1 1 1 1 0 0.1 0.1 2", "line 30: expects every body once in frame 1, got '81'"),
    ],
)
def test_what_is_wrong_is_named(line, text, reason):
    lines = lines_of(scene())
    lines[line - 1] = text
    with pytest.raises(InputError) as error:
        read("".join(line + "\r\n" for line in lines).encode())
    assert str(error.value).startswith(f"{PATH}: {reason}")


def test_untidy_text_is_read_all_the_same():
    whole = text_of(scene(), "\n")
    for untidy in (
        whole.replace(b" ", b"  ").replace(b"\n", b" \n"),
        whole.replace(b" ", b"\t"),
        whole + b"\n \r\n",
        whole.replace(b"\n", b"\r\n", 7),
    ):
        assert untidy != whole
        assert_says(read(untidy), scene())


def test_pixels_that_kinect_could_not_tell_are_zero():
    frames = scene()
    frames[0][0][1][:3, 5:7] = [[np.nan, np.inf], [-np.inf, 7], [1e300, 8]]
    text = text_of(frames)
    frames[0][0][1][2, 5] = np.nan
    assert_says(read(text), frames)
    assert_says(read(text.replace(b" -inf ", b" -Infinity ").replace(b"nan", b"NaN")), frames)


def test_no_truncation_gives_another_clip():
    """Cut at every byte: of the last line's end anything may be missing, of all else nothing."""
    rng = np.random.default_rng(1)
    for frames in (frames_of([person(rng, [0])], 1), frames_of([person(rng, [0])], 2), [[]] * 12):
        text = text_of(frames)
        for end in range(len(text)):
            if end >= len(text) - 2:
                assert_says(read(text[:end]), frames)
            else:
                with pytest.raises(InputError, match="^S001C002P003R002A013.skeleton: line "):
                    read(text[:end])


def test_a_missing_last_line_end_is_no_reason_to_be_slow():
    frames = frames_of([person(np.random.default_rng(1), [0, 1])], 2)
    assert_says(read_fast(text_of(frames, "\n")[:-1]), frames)
    assert_says(read_fast(text_of(frames)[:-2]), frames)


def test_a_last_line_that_may_have_lost_digits_is_not_trusted():
    text = text_of(frames_of([person(np.random.default_rng(1), [0])], 1), "\n")
    *_, last = text.split()
    for cut in (text[: -len(last) - 2], text[: -len(last) - 1] + b"1.", text[: -len(last) - 1] + b"0.5"):
        with pytest.raises(InputError, match="and the end of the line"):
            read(cut)


def same_or_refused(text: bytes) -> None:
    """The text is refused by name, or read as the plain reader does; what that reads is never refused."""
    try:
        expected = read_plainly(text)
    except (ValueError, IndexError):
        expected = None
    recording, reason = read_or_reason(text)
    if recording is None:
        assert reason.startswith(f"{PATH}: line ")
        assert expected is None
    else:
        assert expected is not None
        assert_says(recording, expected)


def read_or_reason(text: bytes) -> tuple[Recording | None, str]:
    """The recording, or why it is refused."""
    try:
        return read(text), ""
    except InputError as error:
        return None, str(error)


TEXT = text_of(scene(), "\n")
TOKENS = st.sampled_from(
    [
        "",
        "0",
        "1",
        "2",
        "3",
        "25",
        "26",
        "-1",
        "+1",
        "1e3",
        ".5",
        "5.",
        "1e",
        "x",
        "nan",
        "inf",
        "1.5.2",
        "0x1",
    ]
) | st.floats(-1e30, 1e30).map(repr)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_replaced_token(data):
    tokens = TEXT.decode().replace("\n", " \n ").split(" ")
    places = [i for i, token in enumerate(tokens) if token != "\n"]
    head = st.sampled_from(places[:40]) | st.sampled_from(places)
    for _ in range(data.draw(st.integers(1, 2))):
        tokens[data.draw(head)] = data.draw(TOKENS)
    same_or_refused(" ".join(tokens).replace(" \n ", "\n").replace(" \n", "\n").encode())


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_reordered_block(data):
    lines = TEXT.decode().splitlines(keepends=True)
    at = st.integers(0, len(lines))
    a, b, c, d = sorted(data.draw(at) for _ in range(4))
    lines = lines[:a] + lines[c:d] + lines[b:c] + lines[a:b] + lines[d:]
    same_or_refused("".join(lines).encode())


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_damaged_stretch_of_bytes(data):
    start = data.draw(st.integers(0, len(TEXT)))
    stop = data.draw(st.integers(start, min(len(TEXT), start + 400)))
    put = data.draw(st.binary(max_size=4) | st.sampled_from([b" ", b"\n", b"0", b"7"]))
    text = TEXT[:start] + put + TEXT[stop:]
    recording, reason = read_or_reason(text)
    if recording is None:
        assert reason.startswith(f"{PATH}: line ")
    else:
        ended = text if text.endswith(b"\n") else text + b"\n"
        assert_says(recording, read_plainly(ended.replace(b"\x0b", b" ").replace(b"\x0c", b" ")))


def test_a_number_of_a_body_that_begins_with_a_zero_is_the_same_body():
    assert TEXT[8071:8072].isdigit()
    assert TEXT[8070:8071] == b"\n"
    text = TEXT[:8071] + b"0" + TEXT[8071:]
    assert_says(read_or_reason(text)[0], read_plainly(text))


def test_the_generator_and_the_plain_reader_agree():
    for one, other in zip(read_plainly(text_of(scene())), scene(), strict=True):
        assert [body for body, _ in one] == [body for body, _ in other]
        for (_, x), (_, y) in zip(one, other, strict=True):
            np.testing.assert_array_equal(x, y)
    track = Track(1, np.arange(1), as_written(np.full((1, 25, 12), 1 / 3)))
    assert track.values[0, 0, 0] == 0.3333333
