"""Damaged files of one's own: an error, a skip or the clip, and never another exception."""

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from folder_files import BVH, OWN, clip, csv_of, folder
from format_files import clips_of, spoilt
from hypothesis import given, settings
from hypothesis import strategies as st

from kinelex.data import open_store
from kinelex.datasets import prepare
from kinelex.datasets.folder import FolderReader
from kinelex.datasets.formats.bvh import read_bvh
from kinelex.datasets.formats.clip_files import is_clip
from kinelex.datasets.formats.manifest import Row, folder_manifest
from kinelex.datasets.single import ReadOptions, read_source
from kinelex.errors import InputError

X = clip(7, frames=4)
FILES: dict[str, bytes] = {}
with tempfile.TemporaryDirectory() as _made:
    for _name, _thing in {"a.npy": X, "a.npz": {"coordinates": X}, "a.csv": csv_of(X), "a.bvh": BVH}.items():
        folder(Path(_made), "file\n", {_name: _thing})
        FILES[_name] = (Path(_made) / _name).read_bytes()


@settings(max_examples=120, deadline=None)
@given(st.sampled_from(sorted(FILES)), st.floats(0, 1))
def test_truncated_clips_are_none_or_end_at_a_line(name: str, cut: float) -> None:
    layout = {} if name == "a.bvh" else {"layout.yaml": OWN.encode()}
    beside = {"manifest.csv": f"file\n{name}\n".encode(), **layout}
    with tempfile.TemporaryDirectory() as there:
        for other, text in {**beside, name: spoilt(FILES[name], cut, 0, -1)}.items():
            (Path(there) / other).write_bytes(text)
        found = clips_of(lambda path: FolderReader(path), Path(there))
    if found:
        x = found["a"].coordinates
        true = read_true(name)
        np.testing.assert_allclose(x, true[: len(x)], rtol=1e-5)
        assert len(x) == len(true) or name == "a.csv"  # the one format that does not say its length


def read_true(name: str) -> np.ndarray:
    if name != "a.bvh":
        return X
    with tempfile.TemporaryDirectory() as there:
        (Path(there) / name).write_bytes(FILES[name])
        return read_bvh(Path(there) / name).positions()[:, None].astype(np.float32)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([*sorted(FILES), "manifest.csv"]),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=3),
)
def test_replaced_bytes_end_in_a_skip_or_a_clip(name: str, changes: list[tuple[float, int]]) -> None:
    held = name if name in FILES else "a.npy"
    layout = {} if held == "a.bvh" else {"layout.yaml": OWN.encode()}
    files = {"manifest.csv": f"file,label,subject\n{held},0,1\n".encode(), held: FILES[held], **layout}
    for at, value in changes:
        files[name] = spoilt(files[name], 1, at, value)
    with tempfile.TemporaryDirectory() as there:
        for other, text in files.items():
            (Path(there) / other).write_bytes(text)
        found = clips_of(FolderReader, Path(there)) or {}
    for one in found.values():
        assert one.coordinates.shape[1:] == (1, 3, 3) or name in ("a.npy", "a.bvh")
        if name == "a.npz":
            np.testing.assert_array_equal(one.coordinates, X)  # it has a checksum


def test_reordered_blocks_of_a_hierarchy_are_refused(tmp_path: Path) -> None:
    lines = BVH.splitlines()
    blocks = ["\n".join(lines[a:b]) for a, b in ((0, 5), (5, 9), (9, 14), (14, 15), (15, 19))]
    for order in ([1, 0, 2, 3, 4], [0, 2, 1, 3, 4], [4, 0, 1, 2, 3], [0, 1, 4, 2, 3]):
        text = "\n".join(blocks[i] for i in order) + "\n"
        source = folder(tmp_path / "raw", "file\na.bvh\n", {"a.bvh": text}, layout=None)
        with pytest.raises(InputError, match=r"a\.bvh: "):
            prepare("folder", source, tmp_path / "s.arrow", progress=False)


def test_folders_of_frames_keep_a_number_behind_a_point_in_their_ids(tmp_path: Path) -> None:
    frame = json.dumps({"people": [{"pose_keypoints_2d": list(range(1, 76))}]})
    for take in ("take.1", "take.2"):
        (tmp_path / "raw" / "wave" / take).mkdir(parents=True)
        (tmp_path / "raw" / "wave" / take / "x_000000000000_keypoints.json").write_text(frame)
    rows = folder_manifest(tmp_path / "raw", is_clip)
    assert rows is not None
    assert [row.id for row in rows.rows if isinstance(row, Row)] == ["wave/take.1", "wave/take.2"]
    (clips,) = {tuple(c.id for g in read_source(tmp_path / "raw", ReadOptions()) for c in g.clips)}
    assert clips == ("wave/take.1", "wave/take.2")


@pytest.mark.parametrize("name", [".", "./", "x" * 300 + ".npy"])
def test_a_row_whose_name_no_file_can_have_is_skipped(name: str, tmp_path: Path) -> None:
    source = folder(tmp_path / "raw", f"file,label\na.npy,0\n{name},0\n", {"a.npy": clip()})
    summary = prepare("folder", source, tmp_path / "s.arrow", progress=False)
    assert (summary.written, summary.skipped) == (1, 1)
    assert "line 3: " in (tmp_path / "skipped.csv").read_text()
    assert "is no name of a file" in (tmp_path / "skipped.csv").read_text()


def test_links_to_folders_elsewhere_are_followed(tmp_path: Path) -> None:
    folder(tmp_path / "disk", "", {"a.npy": clip(0)})
    (tmp_path / "disk" / "manifest.csv").unlink()
    folder(tmp_path / "raw", "", {"jump/b.npy": clip(1)})
    (tmp_path / "raw" / "manifest.csv").unlink()
    (tmp_path / "raw" / "wave").symlink_to(tmp_path / "disk")
    (tmp_path / "raw" / "again").symlink_to(tmp_path / "raw" / "jump")
    prepare("folder", tmp_path / "raw", tmp_path / "s.arrow", progress=False)
    store = open_store(tmp_path / "s.arrow")
    assert (store.ids, store.class_names) == (["jump/b", "wave/a"], ("jump", "wave"))


def test_a_first_clip_without_anybody_does_not_tell_what_the_numbers_are(tmp_path: Path) -> None:
    x = clip(channels=3) * 100
    x[..., 2] = 0.5  # pixels with a confidence
    files = {"a.npy": np.zeros_like(x), "b.npy": np.full_like(x, np.nan), "c.npy": x}
    source = folder(tmp_path / "raw", "file,label\na.npy,0\nb.npy,0\nc.npy,0\n", files)
    prepare("folder", source, tmp_path / "s.arrow", progress=False)
    store = open_store(tmp_path / "s.arrow")
    assert (store.ids, store.channels, store.meta.units) == (["c"], 2, "pixels")


def test_clips_of_one_name_or_of_one_file_are_told_apart(tmp_path: Path) -> None:
    folder(tmp_path / "own", "", {"a.npy": clip(0), "a.npz": {"coordinates": clip(1)}})
    (tmp_path / "own" / "manifest.csv").unlink()
    found = read_source(tmp_path / "own", ReadOptions(layout=str(tmp_path / "own" / "layout.yaml")))
    assert [c.id for g in found for c in g.clips] == ["a", "a.npz"]
    (tmp_path / "ut").mkdir()
    (tmp_path / "ut" / "actionLabel.txt").write_text("s01_e01\nwalk: 1 5\nsitDown: 6 9\n")
    rows = [" ".join([str(i), *(str(i / 10 + v / 100) for v in range(60))]) for i in range(1, 12)]
    (tmp_path / "ut" / "joints_s01_e01.txt").write_text("\n".join(rows) + "\n")
    found = read_source(tmp_path / "ut", ReadOptions(), "utkinect")
    ids = [c.id for g in found for c in g.clips]
    assert ids == ["joints_s01_e01/s01_e01_a01", "joints_s01_e01/s01_e01_a02"]
