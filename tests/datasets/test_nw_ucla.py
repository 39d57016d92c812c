"""The reader of Northwestern-UCLA: good clips, and every kind of bad one."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kinelex.datasets import prepare
from kinelex.errors import InputError
from kinelex.skeleton import get_layout
from kinelex.store import open_store

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
            "coordinates of frame 2 are not finite",
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
