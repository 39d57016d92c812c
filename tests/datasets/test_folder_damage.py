"""Damaged files of one's own: an error, a skip or the clip, and never another exception."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from folder_files import BVH, OWN, clip, csv_of, folder
from format_files import clips_of, spoilt
from hypothesis import given, settings
from hypothesis import strategies as st

from kinelex.datasets import prepare
from kinelex.datasets.folder import FolderReader
from kinelex.datasets.formats.bvh import read_bvh
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
