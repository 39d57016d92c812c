"""The reader of Northwestern-UCLA: good clips, and every kind of bad one."""

import json
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinelex.data import open_store
from kinelex.datasets import prepare
from kinelex.datasets.making.parts import read_item
from kinelex.datasets.nw_ucla import NwUclaReader
from kinelex.datasets.reader import Skipped
from kinelex.errors import InputError
from kinelex.skeleton import get_layout

Write = Callable[..., Path]
Rows = Callable[[Path], list[dict[str, str]]]
KINECT = get_layout("kinect20")


def test_nw_ucla_clips_arrive_as_they_are(ucla: Path, tmp_path: Path) -> None:
    summary = prepare("nw_ucla", ucla.parent, tmp_path / "out" / "s.arrow", progress=False)
    assert str(summary) == "3 written"
    assert (summary.written, summary.skipped, summary.skipped_file) == (3, 0, None)
    store = open_store(summary.store)
    assert store.ids == ["a01_s01_e00_v01", "a04_s10_e01_v02", "a12_s02_e03_v03"]
    assert store.labels.tolist() == [0, 3, 9]
    assert store.subjects.tolist() == [1, 10, 2]
    assert store.cameras.tolist() == [1, 2, 3]
    assert store.replications.tolist() == [0, 1, 3]
    assert store.layout == KINECT
    assert store.class_names[9] == "carry"
    raw = json.loads((ucla / "a04_s10_e01_v02.json").read_text())["skeletons"]
    np.testing.assert_array_equal(store.sequence(1)[:, 0], np.array(raw, np.float32))
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["s.arrow"]


def _frames(count: int = 3, joints: int = 20) -> list[Any]:
    return np.ones((count, joints, 3)).tolist()


def _spoilt(frame: int, joint: int, value: Any) -> list[Any]:
    frames = _frames()
    frames[frame][joint] = value
    return frames


@pytest.mark.parametrize(
    ("name", "changes", "reason"),
    [
        ("a01_s01_e00_v01x", {}, "the name does not parse, expects aXX_sYY_eZZ_vWW.json"),
        ("a01_s01_v01", {}, "the name does not parse"),
        ("a01_s01_e00_v02", {"label": 0}, "field 'label' is 0, expects a number from 1 to 10"),
        ("a01_s01_e00_v02", {"label": 11}, "field 'label' is 11, expects a number from 1 to 10"),
        ("a01_s01_e00_v02", {"label": "1"}, "field 'label' is '1', expects a number from 1 to 10"),
        ("a01_s01_e00_v02", {"label": 2}, "field 'label' is 2, expects 1 for action 1 of the name"),
        ("a01_s01_e00_v02", {"label": ...}, "has no 'label'"),
        ("a01_s01_e00_v02", {"skeletons": ...}, "has no 'skeletons'"),
        ("a01_s01_e00_v02", {"skeletons": []}, "field 'skeletons' has no frames"),
        ("a01_s01_e00_v02", {"skeletons": 7}, "field 'skeletons' has no frames"),
        (
            "a01_s01_e00_v02",
            {"skeletons": _frames(3, 19)},
            "frame 0 of 'skeletons' has 19 joints, expects 20",
        ),
        (
            "a01_s01_e00_v02",
            {"skeletons": [*_frames(2), *_frames(1, 25)]},
            "frame 2 of 'skeletons' has 25 joints, expects 20",
        ),
        (
            "a01_s01_e00_v02",
            {"skeletons": _spoilt(1, 4, [0, 1])},
            r"frame 1, joint 4 of 'skeletons' is \[0, 1\], expects 3 numbers",
        ),
        (
            "a01_s01_e00_v02",
            {"skeletons": _spoilt(1, 4, ["x", 0, 1])},
            r"frame 1, joint 4 of 'skeletons' is \['x', 0, 1\], expects 3 numbers",
        ),
        (
            "a01_s01_e00_v02",
            {"skeletons": _spoilt(1, 4, ["0.5", 0, 1])},
            r"frame 1, joint 4 of 'skeletons' is \['0.5', 0, 1\], expects 3 numbers",
        ),
        ("a01_s01_e00_v02", {"skeletons": _spoilt(1, 4, [True, 0, 1])}, r"is \[True, 0, 1\], expects 3"),
        ("a01_s01_e00_v02", {"label": True}, "field 'label' is True"),
        ("a01_s01_e00_v02", {"skeletons": _spoilt(1, 4, [10**400, 0, 1])}, "numbers out of range"),
        (
            "a01_s01_e00_v02",
            {"skeletons": _spoilt(2, 0, [float("nan"), 0, 1])},
            "coordinates of frame 2 are not finite",
        ),
        (
            "a01_s01_e00_v02",
            {"skeletons": _spoilt(2, 0, [0, float("inf"), 1])},
            "coordinates of frame 2 are not finite",
        ),
        (
            "a01_s01_e00_v02",
            {"skeletons": _spoilt(2, 0, [None, 0, 1])},
            r"frame 2, joint 0 of 'skeletons' is \[None, 0, 1\], expects 3 numbers",
        ),
        ("a01_s01_e00_v02", {"skeletons": np.zeros((2, 20, 3)).tolist()}, "no frame has a body"),
    ],
)
def test_bad_nw_ucla_clips_are_skipped_and_listed(
    write_nw_ucla: Write,
    skipped_rows: Rows,
    name: str,
    changes: dict[str, Any],
    reason: str,
    ucla: Path,
    tmp_path: Path,
) -> None:
    bad, out = write_nw_ucla(ucla, name, **changes), tmp_path / "s.arrow"
    summary = prepare("nw_ucla", ucla, out, progress=False)
    assert str(summary) == "3 written, 1 skipped: see skipped.csv"
    assert summary.skipped_file == tmp_path / "skipped.csv"
    row = skipped_rows(out)[0]
    assert row["file"] == str(bad)
    with pytest.raises(InputError, match=f"{bad.name}: .*{reason}") as error:
        prepare("nw_ucla", ucla, tmp_path / "strict.arrow", strict=True, progress=False)
    assert str(error.value) == f"{bad}: {row['reason']}"
    assert not (tmp_path / "strict.arrow").exists()
    assert len(open_store(out)) == 3


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (
            b'{"file_name": "x",\n "skeletons": [[[0.1, 0.2',
            "line 2, column .*not valid JSON.*truncated or damaged",
        ),
        (b"", "line 1, column 1: not valid JSON"),
        (b"[1, 2]", "expects an object with the fields 'skeletons' and 'label'"),
        (b"\xff\xfe\x00\x81", "cannot be read as a JSON text"),
        (b"[" * 100_000, "cannot be read as a JSON text|not valid JSON"),
        (b'{"label": ' + b"1" * 5000 + b"}", "cannot be read as a JSON text"),
    ],
)
def test_a_damaged_json_file_is_skipped(content: bytes, reason: str, ucla: Path, tmp_path: Path) -> None:
    (ucla / "a01_s01_e00_v02.json").write_bytes(content)
    with pytest.raises(InputError, match=f"a01_s01_e00_v02.json: {reason}"):
        prepare("nw_ucla", ucla, tmp_path / "s.arrow", strict=True, progress=False)
    assert prepare("nw_ucla", ucla, tmp_path / "s.arrow", progress=False).skipped == 1


def test_an_action_that_the_set_does_not_have(ucla: Path, tmp_path: Path) -> None:
    (ucla / "a07_s01_e00_v01.json").write_text("{}")
    with pytest.raises(
        InputError, match="the name has action 7, expects one of 1, 2, 3, 4, 5, 6, 8, 9, 11, 12"
    ):
        prepare("nw_ucla", ucla, tmp_path / "s.arrow", strict=True, progress=False)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_damage_is_skipped_or_read_right(data: st.DataObject) -> None:
    raw = np.random.default_rng(0).normal(size=(3, 20, 3)).round(4)
    text = json.dumps({"file_name": "x", "skeletons": raw.tolist(), "label": 1})
    tokens = re.findall(r'"[^"]*"|[-.\d]+|\S', text)
    at = data.draw(st.integers(0, len(tokens) - 1))
    kind = data.draw(st.sampled_from(["cut", "replaced", "moved", "left out"]))
    if kind == "cut":
        damaged = text[: data.draw(st.integers(0, len(text) - 1))]
    elif kind == "replaced":
        strange = ["", "1e999", "NaN", "null", "true", '"7"', "[", "]", "{}", "-", "1e400", "9" * 5000, "x"]
        damaged = " ".join([*tokens[:at], data.draw(st.sampled_from(strange)), *tokens[at + 1 :]])
    elif kind == "moved":
        damaged = " ".join(tokens[at:] + tokens[:at])
    else:
        damaged = " ".join(tokens[:at] + tokens[at + data.draw(st.integers(1, 40)) :])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a01_s01_e00_v01.json"
        path.write_text(damaged)
        reader = NwUclaReader(Path(folder))
        ((_, found),) = read_item(reader, reader.meta(), reader.items()[0])
    if isinstance(found, Skipped):
        assert found.reason.startswith(f"{path}: ")
    else:  # whole frames can be left out unseen; no number is wrong
        assert found.label == 0
        expected = {tuple(frame.ravel()) for frame in raw.astype(np.float32)}
        assert {tuple(frame.ravel()) for frame in found.coordinates} <= expected


def test_a_link_to_the_folder_is_followed(ucla: Path, tmp_path: Path) -> None:
    (tmp_path / "all").mkdir()
    (tmp_path / "all" / "all_sqe").symlink_to(ucla)
    assert len(NwUclaReader(tmp_path / "all").items()) == 3
