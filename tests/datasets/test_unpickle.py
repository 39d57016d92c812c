"""Pickles are data here: what they hold arrives, what they want to run is refused and named."""

import builtins
import contextlib
import copyreg
import os
import pickle
import subprocess
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinelex.errors import InputError
from kinelex.files.pickled_arrays import shape_of, whole_array
from kinelex.files.unpickle import read_pickle

GOOD = {
    "plain": [1, -(10**30), 2.5, None, True, "ü", b"by\xfftes", {1, 2}, frozenset([3]), (1, (2,)), {"a": []}],
    "half": np.arange(6, dtype=np.float16).reshape(2, 3),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "other order": np.arange(4, dtype=">i4"),
    "strided": np.arange(12)[::2],
    "texts": np.array(["ab", "c"]),
    "truths": np.array([True, False]),
    "empty": np.zeros((0, 3)),
    "number": np.float32(2.5),
    "label": np.int64(7),
}


class Runs:
    """Pickles as a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("package", [b"numpy._core", b"numpy.core"])
def test_data_arrives_in_every_protocol(protocol: int, package: bytes, tmp_path: Path) -> None:
    content = pickle.dumps(GOOD, protocol)
    if protocol < 4:  # where a name's length is not written before it
        content = content.replace(b"numpy._core", package)
    (tmp_path / "a.pkl").write_bytes(content)
    found = read_pickle(tmp_path / "a.pkl")
    assert found.keys() == GOOD.keys()
    assert found["plain"] == GOOD["plain"]
    for key in GOOD.keys() - {"plain"}:
        np.testing.assert_array_equal(found[key], GOOD[key])
    assert found["half"].dtype == np.float16
    assert type(found["label"]) is int


@pytest.mark.parametrize("protocol", range(6))
def test_ordered_dicts_become_dicts(protocol: int, tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(OrderedDict(b=1, a=np.arange(2)), protocol))
    found = read_pickle(tmp_path / "a.pkl")
    assert type(found) is dict
    assert list(found) == ["b", "a"]
    assert found["a"].tolist() == [0, 1]


@pytest.mark.parametrize("protocol", range(6))
def test_large_arrays_may_stay_in_the_file(protocol: int, tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(2, 30, 25, 3))
    things = [x, x.astype(np.float16), np.asfortranarray(x), x.astype(">f4"), np.arange(3), x]
    (tmp_path / "a.pkl").write_bytes(
        pickle.dumps({"text": "t" * 5000, "bytes": b"b" * 5000, "x": things}, protocol)
    )
    found = read_pickle(tmp_path / "a.pkl", leave_arrays=True)
    assert (found["text"], found["bytes"]) == ("t" * 5000, b"b" * 5000)
    if protocol in (2, 3, 4):  # the others write arrays in ways that are read whole
        assert [left.size for left in found["x"]] == [0, 0, 0, 0, 3, 0]
    for left, true in zip(found["x"], things, strict=True):
        assert shape_of(left) == true.shape
        np.testing.assert_array_equal(whole_array(left, tmp_path / "a.pkl"), true)


def test_damage_where_a_large_array_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(np.full(2000, 200, np.uint8), 2))
    left = read_pickle(path, leave_arrays=True)
    content = bytearray(path.read_bytes())
    for place, value in ((left.left.piece.start, 65), (left.left.piece.start, 0xFF)):
        content[place] = value
        path.write_bytes(content)
        with pytest.raises(InputError, match="the numbers of an array are damaged"):
            whole_array(read_pickle(path, leave_arrays=True), path)


def test_a_pickle_of_python_2(tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(b"(S'S001C001P001R001A001'\nI4\nt.")
    assert read_pickle(tmp_path / "a.pkl") == ("S001C001P001R001A001", 4)


def _objects() -> np.ndarray:
    return np.array([{}, None], dtype=object)


ARRAY = (np.ndarray, (0,), b"b")
EVIL: dict[str, tuple[Any, str]] = {
    "os.system": (Runs(os.system, "touch ran"), r"\.system"),
    "eval": (Runs(eval, "open('ran', 'w')"), r"\.eval"),
    "exec": (Runs(exec, "open('ran', 'w')"), r"\.exec"),
    "getattr": (Runs(getattr, "x", "join"), r"\.getattr"),
    "import": (Runs(__import__, "os"), r"\.__import__"),
    "open": (Runs(open, "ran", "w"), "open"),
    "subprocess": (Runs(subprocess.Popen, ["touch", "ran"]), "Popen"),
    "map": (Runs(map, os.system, ["touch ran"]), "map"),
    "type": (Runs(type, "T", (), {}), r"\.type"),
    "nested": ({"split": {}, "annotations": [{"label": Runs(Runs, Runs(os.system, "touch ran"))}]}, "Runs"),
    "in an array": (Runs(np.ndarray, Runs(os.system, "touch ran")), r"\.system"),
    "copyreg": (
        Runs(copyreg._reconstructor, builtins.object, builtins.object, None),
        r"\._reconstructor",
    ),
    "np.load": (Runs(np.load, "x.npy", None, True), "numpy.load"),
    "np.fromfile": (Runs(np.fromfile, "/etc/passwd"), "fromfile"),
    "np.vectorize": (Runs(np.vectorize, os.system), "vectorize"),
    "memmap": (Runs(np.memmap, "ran", "u1", "w+", 0, (4,)), "memmap"),
    "objects": (_objects(), "numpy type"),
    "record": (np.zeros(2, [("a", "f4"), ("b", "O")]), "numpy type"),
    "object scalar": (Runs(np.dtype, "O"), "numpy type"),
    "dates": (np.array(["2020-01-01"], "M8[D]"), "numpy type"),
    "large": (Runs(np.ndarray, (10**12,)), "array that is not in the file"),
    "large bytes": (Runs(bytes, 10**12), "wants to run bytes"),
    "large bytearray": (Runs(bytearray, 10**12), "wants to run bytearray"),
    "codec": (Runs(__import__("_codecs").encode, "x", "rot13"), "_codecs.encode"),
}


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("name", EVIL)
def test_what_wants_to_run_is_refused_and_named(
    name: str, protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    thing, named = EVIL[name]
    Path("a.pkl").write_bytes(pickle.dumps(thing, protocol))
    with pytest.raises(InputError, match=rf"^a\.pkl: the pickle .*{named}.*refused: expects numbers, texts"):
        read_pickle(Path("a.pkl"))
    assert not Path("ran").exists()


@pytest.mark.parametrize(
    "program",
    [
        b"cos\nsystem\n(S'touch ran'\ntR.",
        b"(S'touch ran'\nios\nsystem\n.",
        b"(cos\nsystem\nS'touch ran'\no.",
        b"\x80\x02cnumpy\nndarray\n}(S'__setstate__'\ncos\nsystem\nsb.",
        b"\x80\x02cbuiltins\nlist.append\n.",
        b"\x80\x04\x8c\x08builtins\x8c\x0blist.append\x93.",
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n}S'__call__'\nI1\nsb.",
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\nN}S'kind'\nI1\ns\x86b.",
        b"\x80\x02cnumpy\nndarray\nI1000000000000\n\x85\x81.",
        b"Pos\n.",
        b"\x80\x02\x82\x01.",
        b"\x80\x02K\x01r\xff\xff\xff\x7f.",  # a memo index of two thousand million
        b"\x80\x02B\xff\xff\xff\x7fab.",  # two thousand million bytes
        b"\x80\x05\x96\x00\x00\x00\x00\x10\x00\x00\x00ab.",  # and so many of a bytearray
        b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f.",
    ],
)
def test_programs_written_by_hand(program: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.pkl").write_bytes(program)
    if program.startswith(b"\x80\x02K\x01r"):
        assert read_pickle(Path("a.pkl")) == 1
    else:
        with pytest.raises(InputError, match=r"a\.pkl: (the pickle .*refused|not a readable pickle)"):
            read_pickle(Path("a.pkl"))
    assert not Path("ran").exists()


PIECES = [pickle.dumps(GOOD, protocol) for protocol in (0, 2, 4, 5)]


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(PIECES), st.floats(0, 1), st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255))))
def test_damage_gives_an_error_or_data(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, cut: float, changes: list[tuple[float, int]]
) -> None:
    kept = bytearray(content[: max(1, round(cut * len(content)))])
    for at, value in changes:
        kept[int(at * (len(kept) - 1))] = value
    path = tmp_path_factory.mktemp("damaged") / "a.pkl"
    path.write_bytes(kept)
    for leave in (False, True):
        with contextlib.suppress(InputError):
            read_pickle(path, leave)
