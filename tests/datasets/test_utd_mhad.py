"""The reader of UTD-MHAD: joint order, and every kind of bad clip."""

import io
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from kinelex.data import open_store
from kinelex.datasets import prepare
from kinelex.datasets.making.parts import read_item
from kinelex.datasets.reader import Skipped
from kinelex.datasets.utd_mhad import UtdMhadReader
from kinelex.errors import InputError
from kinelex.skeleton import get_layout

Write = Callable[..., Path]
Rows = Callable[[Path], list[dict[str, str]]]
KINECT = get_layout("kinect20")
UTD = get_layout("utd20")


def test_utd_mhad_joints_are_put_into_the_common_order(write_utd_mhad: Write, tmp_path: Path) -> None:
    write_utd_mhad(tmp_path / "Skeleton", "a27_s8_t4")
    (tmp_path / "Depth").mkdir()
    savemat(tmp_path / "Depth" / "a27_s8_t4_depth.mat", {"d_depth": np.zeros((2, 2, 4))})
    store = open_store(prepare("utd_mhad", tmp_path, tmp_path / "s.arrow", progress=False).store)
    assert store.ids == ["a27_s8_t4"]
    assert (store.labels[0], store.subjects[0], store.cameras[0], store.replications[0]) == (26, 8, -1, 4)
    for joint, name in enumerate(KINECT.joints):
        assert (store.sequence(0)[:, 0, joint, 0] == UTD.joints.index(name)).all()
    assert store.sequence(0)[:, 0, 0, 1].tolist() == [0, 1, 2, 3]


def test_utd_mhad_clip_of_one_frame(write_utd_mhad: Write, tmp_path: Path) -> None:
    write_utd_mhad(tmp_path, "a1_s1_t1", value=np.ones((20, 3)))
    store = open_store(prepare("utd_mhad", tmp_path, tmp_path / "s.arrow", progress=False).store)
    assert store.sequence(0).shape == (1, 1, 20, 3)


@pytest.mark.parametrize(
    ("name", "changes", "reason"),
    [
        ("a1_s1", {}, "the name does not parse, expects aX_sY_tZ_skeleton.mat"),
        ("a28_s1_t1", {}, "the name has action 28, expects 1 to 27"),
        ("a0_s1_t1", {}, "the name has action 0, expects 1 to 27"),
        ("a1_s1_t1", {"variable": "skeleton"}, "expects the variable 'd_skel', the file has skeleton"),
        (
            "a1_s1_t1",
            {"value": np.ones((25, 3, 4))},
            r"'d_skel' has shape \(25, 3, 4\), expects \(20, 3, T\)",
        ),
        ("a1_s1_t1", {"value": np.ones((20, 2, 4))}, r"'d_skel' has shape \(20, 2, 4\)"),
        ("a1_s1_t1", {"value": np.ones((20, 3, 0))}, "'d_skel' has shape|has no frames"),
        ("a1_s1_t1", {"value": "walking"}, "expects the variable 'd_skel', the file has none"),
        ("a1_s1_t1", {"value": np.full((20, 3, 2), 1j)}, "'d_skel' holds complex numbers, expects real ones"),
        ("a1_s1_t1", {"value": np.full((20, 3, 2), np.nan)}, "coordinates of frame 0 are not finite"),
    ],
)
def test_bad_utd_mhad_clips_are_skipped(
    write_utd_mhad: Write, skipped_rows: Rows, name: str, changes: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    write_utd_mhad(tmp_path, "a2_s2_t2")
    bad = write_utd_mhad(tmp_path, name, **changes)
    with pytest.raises(InputError, match=f"{bad.name}: .*({reason})"):
        prepare("utd_mhad", tmp_path, tmp_path / "s.arrow", strict=True, progress=False)
    assert prepare("utd_mhad", tmp_path, tmp_path / "s.arrow", progress=False).skipped == 1
    assert skipped_rows(tmp_path / "s.arrow")[0]["file"] == str(bad)


@pytest.mark.parametrize("keep", [0, 60, 200, 0.5, 0.99])
def test_a_truncated_mat_file_is_skipped(
    write_utd_mhad: Write, skipped_rows: Rows, keep: float, tmp_path: Path
) -> None:
    write_utd_mhad(tmp_path, "a2_s2_t2")
    bad = write_utd_mhad(tmp_path, "a1_s1_t1")
    content = bad.read_bytes()
    bad.write_bytes(content[: int(keep if keep >= 1 else keep * len(content))])
    assert prepare("utd_mhad", tmp_path, tmp_path / "s.arrow", progress=False).skipped == 1
    assert "a1_s1_t1_skeleton.mat" in skipped_rows(tmp_path / "s.arrow")[0]["file"]


def _content() -> bytes:
    """An unpacked .mat file of a clip: every byte of it counts."""
    file = io.BytesIO()
    savemat(file, {"d_skel": np.random.default_rng(0).normal(size=(20, 3, 4))})
    return file.getvalue()


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_damage_is_skipped_or_read_right(data: st.DataObject) -> None:
    content = _content()
    start = data.draw(st.integers(0, len(content) - 1))
    kind = data.draw(st.sampled_from(["cut", "replaced", "moved", "left out"]))
    if kind == "cut":
        damaged = content[:start]
    elif kind == "replaced":
        damaged = content[:start] + data.draw(st.binary(min_size=1, max_size=9)) + content[start + 4 :]
    elif kind == "moved":
        damaged = content[start:] + content[:start]
    else:
        damaged = content[:start] + content[start + data.draw(st.integers(1, 64)) :]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a1_s1_t1_skeleton.mat"
        path.write_bytes(damaged)
        reader = UtdMhadReader(Path(folder))
        ((_, found),) = read_item(reader, reader.meta(), reader.items()[0])
    if isinstance(found, Skipped):
        assert found.reason.startswith(f"{path}: ")
    else:
        assert found.coordinates.shape == (4, 1, 20, 3)
