"""Stores appear whole or not at all; what is no store says so."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from kinelex.data import Sequence, SkeletonStoreWriter, StoreMeta, open_prompts, open_store
from kinelex.errors import InputError
from kinelex.skeleton import get_layout

META = StoreMeta("tiny", get_layout("sbu15"), ("wave",))


def _clip(name: str) -> Sequence:
    return Sequence(name, np.ones((40, 1, 15, 3), np.float32), label=0)


def _write(path: Path, count: int = 300) -> None:
    with SkeletonStoreWriter(path, META) as writer:
        for i in range(count):
            writer.add(_clip(f"c{i}"))


def _write_and_fail(path: Path, count: int) -> None:
    with SkeletonStoreWriter(path, META) as writer:
        for i in range(count):
            writer.add(_clip(f"c{i}"))
        raise RuntimeError("stop")


@pytest.mark.parametrize("before", [1, 300])
def test_an_exception_leaves_nothing(before: int, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="stop"):
        _write_and_fail(tmp_path / "a.arrow", before)
    assert not list(tmp_path.iterdir())


def test_an_exception_keeps_the_old_store(tmp_path: Path) -> None:
    path = tmp_path / "a.arrow"
    _write(path)
    old = path.read_bytes()
    with pytest.raises(RuntimeError, match="stop"):
        _write_and_fail(path, 1)
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]


def test_an_old_store_can_be_read_while_a_new_one_is_written(tmp_path: Path) -> None:
    path = tmp_path / "a.arrow"
    _write(path, 3)
    old = open_store(path)
    _write(path, 5)
    assert len(open_store(path)) == 5
    assert old.sequence(2).sum() == 40 * 15 * 3


KILLED = """
import sys, time
import numpy as np
from kinelex.skeleton import get_layout
from kinelex.data import Sequence, SkeletonStoreWriter, StoreMeta
writer = SkeletonStoreWriter(sys.argv[1], StoreMeta("tiny", get_layout("sbu15"), ("wave",))).__enter__()
for i in range(300):
    writer.add(Sequence(f"c{i}", np.ones((40, 1, 15, 3), np.float32), label=0))
print("half way", flush=True)
time.sleep(60)
"""


def test_a_killed_process_leaves_no_half_store_and_the_next_one_cleans_up(tmp_path: Path) -> None:
    path = tmp_path / "a.arrow"
    with subprocess.Popen([sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"half way\n"
        process.send_signal(signal.SIGKILL)
    leftovers = list(tmp_path.iterdir())
    assert path not in leftovers
    assert len(leftovers) == 1
    _write(path)
    assert list(tmp_path.iterdir()) == [path]
    assert len(open_store(path)) == 300


def test_the_file_of_a_living_process_is_left_alone(tmp_path: Path) -> None:
    other = tmp_path / f".a.arrow.{os.getppid()}.tmp"
    other.write_bytes(b"someone is writing")
    _write(tmp_path / "a.arrow")
    assert other.exists()


def test_the_folder_is_made_and_a_folder_is_no_file(tmp_path: Path) -> None:
    _write(tmp_path / "new" / "deeper" / "a.arrow", 1)
    assert len(open_store(tmp_path / "new" / "deeper" / "a.arrow")) == 1
    with pytest.raises(InputError, match="is a directory, expects the name of a file to write"):
        _write(tmp_path / "new")


OPENERS = [
    (open_store, "skeleton store", "kinelex prepare", "2 and 3"),
    (open_prompts, "prompt store", "kinelex prompts", "1 and 2"),
]


def _foreign(path: Path, header: dict[str, Any] | None) -> None:
    metadata = None if header is None else {b"kinelex": json.dumps(header).encode()}
    schema = pa.schema([pa.field("x", pa.int32())], metadata=metadata)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, schema) as writer:
        writer.write_batch(pa.record_batch([pa.array([1], pa.int32())], schema=schema))


@pytest.mark.parametrize(("opener", "kind", "made_by", "versions"), OPENERS)
def test_what_is_no_store_says_so(
    opener: Callable[[Path], object], kind: str, made_by: str, versions: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.arrow"
    with pytest.raises(InputError, match=f"does not exist; a {kind} is made by `{made_by}`"):
        opener(path)
    with pytest.raises(InputError, match=f"is a directory, expects a {kind}"):
        opener(tmp_path)
    for content in (b"", b"no arrow file at all", b"ARROW1\0\0" + bytes(100) + b"ARROW1"):
        path.write_bytes(content)
        with pytest.raises(InputError, match=f"is no {kind} \\(or is damaged\\)"):
            opener(path)
    _foreign(path, None)
    with pytest.raises(InputError, match=f"is no {kind}"):
        opener(path)
    _foreign(path, {"made": "by someone"})
    with pytest.raises(InputError, match=f"is a file of another program, expects a {kind}"):
        opener(path)
    for other in (0, 9):
        _foreign(path, {"kind": kind, "format_version": other})
        words = f"has format version {other}, this kinelex reads version {versions}: make it again with"
        with pytest.raises(InputError, match=f"{words} `{made_by}`"):
            opener(path)


def test_one_kind_of_store_is_not_the_other(tmp_path: Path) -> None:
    _write(tmp_path / "a.arrow", 1)
    with pytest.raises(InputError, match="is a skeleton store, expects a prompt store"):
        open_prompts(tmp_path / "a.arrow")


@pytest.mark.parametrize("keep", [0.999, 0.9, 0.5, 0.1, 0.001])
def test_a_truncated_store_is_damaged(keep: float, tmp_path: Path) -> None:
    path = tmp_path / "a.arrow"
    _write(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])
    with pytest.raises(InputError, match="is no skeleton store \\(or is damaged\\)"):
        open_store(path)
