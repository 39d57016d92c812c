"""Where something is written: links are followed, devices and pipes stay what they are, one at a time."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kinelex.cli import main
from kinelex.data import open_store
from kinelex.datasets import prepare
from kinelex.errors import InputError
from kinelex.files.atomic import write_numbers, write_whole
from kinelex.files.lock import InUseError, sole_writer


def _device(path: Path) -> None:
    """A node like /dev/null, in a folder of the test."""
    try:
        os.mknod(path, 0o600 | 0o020000, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("only root makes device nodes")


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))


SPECIAL: dict[str, tuple[Callable[[Path], object], str]] = {
    "device": (_device, "is a device"),
    "pipe": (os.mkfifo, "is a pipe"),
    "socket": (_socket, "is a socket"),
    "dangling": (lambda path: path.symlink_to("nowhere"), "is a link to nowhere, which does not exist"),
    "loop": (lambda path: path.symlink_to(path.name), "is a link that cannot be followed"),
}


def _verbs(acted, there: Path) -> dict[str, list[object]]:
    """A command of every verb that would write to a place."""
    data = ["--data", acted.store, "--protocol", "xsub"]
    return {
        "quickstart": ["quickstart", "--out", there],
        "prepare": ["prepare", "actors", "--clips", "24", "--out", there],
        "prompts": ["prompts", acted.store, "--out", there],
        "prompts-report": ["prompts-report", acted.prompts, "--data", acted.store, "--out", there],
        "info": ["info", acted.store, "--html", there],
        "train": ["train", "c2vl", *data, "--prompts", acted.prompts, "--out", there],
        "compare": ["compare", acted.run, "--out", there],
        "ensemble": ["ensemble", acted.run, *data, "--out", there],
        "adapt": ["adapt", acted.run, *data, "--mode", "batch_norm", "--out", there],
        "study": ["study", "beta", *data, "--out", there],
        "convert": ["convert", acted.store, "--from", "cmd", "--out", there],
        "export-npz": ["export-data", acted.store, "--to", "ctrgcn_npz", "--out", there],
        "export-npy": ["export-data", acted.store, "--to", "npy", "--out", there],
        "json": ["info", acted.store, "--json", there],
    }


@pytest.mark.parametrize("kind", SPECIAL)
def test_no_verb_replaces_what_is_no_file(kind, acted, tmp_path, capsys):
    make, said = SPECIAL[kind]
    there = tmp_path / "place"
    make(there)
    before = there.lstat()
    for name, words in _verbs(acted, there).items():
        capsys.readouterr()
        assert main([str(word) for word in words]) == 2, name
        stderr = capsys.readouterr().err
        assert said in stderr, name
        assert len(stderr.splitlines()) == 1, stderr
        assert [p.name for p in tmp_path.iterdir()] == ["place"], name
    now = there.lstat()
    assert (now.st_ino, now.st_mode, now.st_mtime_ns) == (before.st_ino, before.st_mode, before.st_mtime_ns)


@pytest.mark.parametrize("kind", SPECIAL)
def test_neither_does_a_function(kind, tmp_path):
    make, said = SPECIAL[kind]
    make(tmp_path / "place")
    with pytest.raises(InputError, match=said):
        write_whole(tmp_path / "place", "text")
    with pytest.raises(InputError, match=said):
        prepare("actors", None, tmp_path / "place", progress=False, clips=24)
    assert [p.name for p in tmp_path.iterdir()] == ["place"]


def test_a_link_stays_and_its_file_is_replaced(acted, tmp_path):
    (tmp_path / "disk").mkdir()
    for name in ("store.arrow", "numbers.json", "card.html"):
        (tmp_path / "disk" / name).touch()
        (tmp_path / name).symlink_to(f"disk/{name}")
    store, card, numbers = (str(tmp_path / n) for n in ("store.arrow", "card.html", "numbers.json"))
    assert main(["prepare", "actors", "--clips", "24", "--out", store, "--json", numbers]) == 0
    assert main(["info", store, "--html", card]) == 0
    assert len(open_store(store)) == 24
    assert all((tmp_path / n).is_symlink() for n in ("store.arrow", "numbers.json", "card.html"))
    assert all(p.stat().st_size for p in (tmp_path / "disk").iterdir())
    assert len(list((tmp_path / "disk").iterdir())) == 3


def test_a_link_to_a_folder_is_followed(acted, tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "run").symlink_to("disk")
    words = ["export-data", acted.store, "--to", "npy", "--protocol", "xsub", "--out", tmp_path / "run"]
    assert main([str(word) for word in words]) == 0
    assert (tmp_path / "run").is_symlink()
    assert (tmp_path / "disk" / "train_position.npy").is_file()


def test_numbers_go_to_standard_streams(acted, tmp_path):
    command = [sys.executable, "-m", "kinelex.cli", "info", str(acted.store), "--json", "/dev/stdout"]
    if not Path("/dev/stdout").exists():
        pytest.skip("a system without /dev/stdout")
    piped = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert '"dataset": "actors"' in piped
    with open(tmp_path / "all.txt", "w") as file:
        subprocess.run(command, stdout=file, check=True)
    assert '"dataset": "actors"' in (tmp_path / "all.txt").read_text()
    write_numbers(Path("/dev/null"), "{}")
    assert Path("/dev/null").is_char_device()


def test_whoever_stops_reading_gets_no_traceback(acted):
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "kinelex.cli", "info", str(acted.store)]
    ended = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert ended.returncode in (1, 141)  # rich ends with 1 where it prints
    assert ended.stderr == b""


@contextmanager
def _other_process(path: Path, shared: bool = False) -> Iterator[subprocess.Popen[str]]:
    code = (
        "import sys\nfrom kinelex.files.lock import sole_writer\n"
        f"with sole_writer(sys.argv[1], shared={shared}):\n"
        "    print('held', flush=True)\n    sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_two_writers_of_one_output(acted, tmp_path, quick):
    out = tmp_path / "out"
    data = ["--data", acted.store, "--protocol", "xsub"]
    words = {
        "prepare": ["prepare", "actors", "--clips", "24", "--out", out],
        "prompts": ["prompts", acted.store, "--out", out],
        "train": ["train", "c2vl", *data, "--prompts", acted.prompts, "--out", out, *quick],
        "export": ["export-data", acted.store, "--to", "npy", "--protocol", "xsub", "--out", out],
    }
    with _other_process(out):
        for name, command in words.items():
            assert main([str(word) for word in command]) == 2, name
        assert [p.name for p in tmp_path.iterdir()] == [".out.lock"]
    assert main([str(word) for word in words["prepare"]]) == 0  # the lock of a dead process is none
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_lock_is_known_again_by_its_own_process_and_gone_afterwards(tmp_path):
    with sole_writer(tmp_path / "new" / "out"), sole_writer(tmp_path / "new" / "out"):
        assert [p.name for p in tmp_path.rglob("*")] == ["new", ".out.lock"]
    assert not list(tmp_path.iterdir())


def test_shares_work_side_by_side(tmp_path):
    with _other_process(tmp_path / "out", shared=True):
        with sole_writer(tmp_path / "out", shared=True):
            pass
        with pytest.raises(InUseError, match="another process is making"), sole_writer(tmp_path / "out"):
            pass
    with sole_writer(tmp_path / "out"):
        pass
    assert not list(tmp_path.iterdir())


def test_a_write_cleans_up_after_a_killed_one(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (tmp_path / f".note.txt.{dead.pid}.tmp").touch()
    (tmp_path / f".note.txt.{os.getppid()}.tmp").touch()  # that one is alive
    write_whole(tmp_path / "note.txt", "done")
    assert sorted(p.name for p in tmp_path.iterdir()) == [f".note.txt.{os.getppid()}.tmp", "note.txt"]
