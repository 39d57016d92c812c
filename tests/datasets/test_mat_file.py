"""The reader of .mat files against scipy's, and with damaged files."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import loadmat, savemat

from kinelex.errors import InputError
from kinelex.files.mat_file import read_mat, read_mat_texts

WORLD = np.random.default_rng(0).normal(size=(4, 3, 2))


@pytest.mark.parametrize("packed", [False, True])
def test_numeric_arrays_as_scipy_reads_them(packed: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    written = {"d": WORLD, "one": np.array([[3.5]]), "row": np.arange(5.0), "none": np.zeros((0, 3))}
    for kind in ("f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"):
        written[kind] = np.arange(24).reshape(2, 3, 4).astype(kind)
    savemat(
        path, {**written, "text": "abc", "cell": np.array([[1, "a"]], dtype=object)}, do_compression=packed
    )
    found, expected = read_mat(path), loadmat(path)
    assert set(found) == set(written)
    for name, array in found.items():
        assert array.dtype == expected[name].dtype
        np.testing.assert_array_equal(array, expected[name])


def test_texts(tmp_path: Path) -> None:
    for packed in (False, True):
        savemat(
            tmp_path / "a.mat", {"action": "squat", "long": "tennis_serve", "x": WORLD}, do_compression=packed
        )
        assert read_mat_texts(tmp_path / "a.mat") == {"action": "squat", "long": "tennis_serve"}


def test_real_files_as_scipy_reads_them(shared: Path) -> None:
    folder = shared / "data" / "utd_mhad" / "Skeleton"
    if not folder.is_dir():
        pytest.skip("UTD-MHAD is not in the shared folder")
    for path in sorted(folder.glob("*.mat"))[::50]:
        np.testing.assert_array_equal(read_mat(path)["d_skel"], loadmat(path)["d_skel"])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no .mat file of version 5, or truncated or damaged"),
        (b"x" * 200, "no .mat file of version 5"),
        (b"\x89HDF\r\n\x1a\n" + b"x" * 200, "version 7.3: save it again in MATLAB with the option -v7"),
        (b"x" * 126 + b"IM" + b"\x0e\0\0\0", "it ends within a tag"),
        (b"x" * 126 + b"IM" + b"\x0e\0\0\0\xff\0\0\0", "an element of 255 bytes ends after the file"),
        (b"x" * 126 + b"IM" + b"\x0e\0\0\0\0\0\0\0", "a variable without flags, shape and name"),
    ],
)
def test_what_is_no_mat_file(content: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "a.mat").write_bytes(content)
    with pytest.raises(InputError, match=f"a.mat: .*{reason}"):
        read_mat(tmp_path / "a.mat")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_mat(tmp_path / "a.mat")


def _content(packed: bool) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        savemat(Path(folder) / "a.mat", {"SW": WORLD}, do_compression=packed)
        return (Path(folder) / "a.mat").read_bytes()


CONTENT = {packed: _content(packed) for packed in (False, True)}


def _read(content: bytes) -> dict[str, np.ndarray] | None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.mat"
        path.write_bytes(content)
        try:
            return read_mat(path)
        except InputError:
            return None


@settings(max_examples=100, deadline=None)
@given(st.booleans(), st.integers(0, 400))
def test_a_truncated_file_has_no_variable(packed: bool, cut: int) -> None:
    cut = min(cut, len(CONTENT[packed]) - 1)
    assert not _read(CONTENT[packed][:cut])


@settings(max_examples=300, deadline=None)
@given(st.booleans(), st.integers(0, 400), st.binary(min_size=1, max_size=8))
def test_replaced_bytes_never_crash(packed: bool, place: int, token: bytes) -> None:
    content = CONTENT[packed]
    found = _read(content[:place] + token + content[place + len(token) :])
    if packed and found and "SW" in found:  # the packed form has a checksum
        np.testing.assert_array_equal(found["SW"], WORLD)


def test_variables_that_unpack_to_much_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    savemat(
        path, {"a": np.zeros((1, 2**24), np.int8), "b": np.zeros((1, 2**25), np.int8)}, do_compression=True
    )
    assert path.stat().st_size < 100_000
    with pytest.raises(InputError, match="unpack to more than 33554432 bytes"):
        read_mat(path)
