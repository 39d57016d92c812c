"""`prepare` with worker processes: the same store, after kills too; faults end it; memory is bounded."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import toy_reader
from toy_reader import ToyReader, write_toys

from kinelex.cli import main
from kinelex.data import open_store
from kinelex.datasets import prepare, registry
from kinelex.errors import InputError

Rows = Callable[[Path], list[dict[str, str]]]
TOY = [sys.executable, "-c", "import toy_reader; toy_reader.main()"]
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join([str(Path(toy_reader.__file__).parent), *sys.path]),
}


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The data set ``toy``."""
    monkeypatch.setitem(registry.READERS, "toy", (ToyReader, "a toy"))


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def test_workers_give_the_store_of_one_process(skipped_rows: Rows, tmp_path: Path) -> None:
    words = {"n3": "bad", "n70": "many", "n71": "same", "n140": "same", "n150": "nan", "n151": "print"}
    source = write_toys(tmp_path / "raw", 200, **words)
    stores, rows = [], []
    for workers in (1, 2, 3):
        out = tmp_path / str(workers) / "s.arrow"
        summary = prepare("toy", source, out, progress=False, workers=workers)
        assert (summary.written, summary.skipped) == (198, 5)
        stores.append(out.read_bytes())
        rows.append(skipped_rows(out))
        assert names(out.parent) == ["s.arrow", "skipped.csv"]
    assert stores[0] == stores[1] == stores[2]
    assert rows[0] == rows[1] == rows[2]
    assert [row["reason"] for row in rows[0]] == [
        "is bad",
        "its second clip is none",
        "has 2 coordinates per joint, expects 3 as in the clips before it",
        f"has the id same, which {source / 't00071.txt'} already has",
        "t00150: coordinates of frame 1 are not finite numbers",
    ]
    store = open_store(out)
    row = store.ids.index("t00070-4")
    assert store.scores(row) is not None
    assert store.captions[row] == "four"
    assert (store.splits[0], store.image_size(0)) == (("own:train",), (4, 5))


def test_large_sets_go_into_parts_also_in_one_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    source = write_toys(tmp_path / "raw", 130)
    prepare("toy", source, tmp_path / "small.arrow", progress=False)
    monkeypatch.setattr(sys.modules["kinelex.datasets.prepare"], "_SMALL", 10)
    for workers in (1, None):
        prepare("toy", source, tmp_path / "large.arrow", progress=False, workers=workers)
        assert (tmp_path / "large.arrow").read_bytes() == (tmp_path / "small.arrow").read_bytes()
    monkeypatch.setattr(ToyReader, "in_parallel", False)
    log = tmp_path / "log"
    prepare("toy", source, tmp_path / "large.arrow", progress=False, workers=4, log=str(log))
    assert {line.split()[1] for line in log.read_text().splitlines()} == {str(os.getpid())}


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_killed_at_any_moment_it_goes_on_and_gives_the_same_store(workers: int, tmp_path: Path) -> None:
    rng = random.Random(workers)
    source, out, log = write_toys(tmp_path / "raw", 500, n9="bad", n350="same"), tmp_path / "s.arrow", "log"
    prepare("toy", source, tmp_path / "whole.arrow", progress=False, workers=1)
    parts, whole = tmp_path / ".s.arrow.parts", (tmp_path / "whole.arrow").read_bytes()
    command = [*TOY, str(source), str(out), str(workers), str(tmp_path / log), "0.001"]
    for when in (0, 1, 3):  # parts; in one process, where a small set has none, hundreds of files
        before = _lines(tmp_path / log)
        with subprocess.Popen(command, env=ENVIRONMENT) as process:
            while process.poll() is None and (
                _lines(tmp_path / log) - before < 100 * when
                if workers == 1
                else len(list(parts.glob("*.arrow"))) < when
            ):
                time.sleep(0.002)
            time.sleep(rng.random() * 0.05)
            process.kill()
        assert not out.exists() or out.read_bytes() == whole
    before = -1
    while (now := _lines(tmp_path / log)) != before:  # until the killed one's workers have ended, too
        before = now
        time.sleep(0.3)
    kept = len(list(parts.glob("*.arrow")))
    ended = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout == "499 written, 1 skipped: see skipped.csv\n"
    assert names(tmp_path) == ["log", "raw", "s.arrow", "skipped.csv", "whole.arrow"]
    assert _lines(tmp_path / log) - before <= 500 - 64 * (kept - 1)
    assert out.read_bytes() == whole


def _lines(log: Path) -> int:
    return len(log.read_text().splitlines()) if log.exists() else 0


def _half_done(tmp_path: Path, count: int = 300) -> tuple[Path, Path, Path]:
    """A run that stopped at the last file, with a fault: source, store and log."""
    source, out, log = write_toys(tmp_path / "raw", count, n299="fault"), tmp_path / "s.arrow", tmp_path / "l"
    with pytest.raises(ZeroDivisionError, match="a fault in the reader"):
        prepare("toy", source, out, progress=False, workers=2, log=str(log))
    assert names(tmp_path) == [".s.arrow.parts", "l", "raw"]
    log.unlink()
    return source, out, log


def test_what_has_changed_is_read_again_and_the_rest_is_not(tmp_path: Path) -> None:
    source, out, log = _half_done(tmp_path)
    (source / "t00299.txt").write_text("fine")
    (source / "t00070.txt").write_text("many")
    (source / "t00150.note").write_text("a file beside has come")
    next((tmp_path / ".s.arrow.parts").glob("*.arrow")).write_bytes(b"power went off")
    summary = prepare("toy", source, out, progress=False, workers=2, log=str(log))
    assert summary.written == 301
    read = Counter(line.split()[0] for line in log.read_text().splitlines())
    assert set(read.values()) == {1}
    assert {"t00070", "t00150", "t00299"} <= set(read)
    assert 64 + 64 + 44 <= len(read) <= 64 + 64 + 44 + 64
    assert names(tmp_path) == ["l", "raw", "s.arrow", "skipped.csv"]


def test_other_options_begin_anew(tmp_path: Path) -> None:
    source, out, log = _half_done(tmp_path)
    (source / "t00299.txt").write_text("fine")
    prepare("toy", source, out, progress=False, workers=2, log=str(log), frames=4)
    assert len(log.read_text().splitlines()) == 300
    assert set(open_store(out).lengths.tolist()) == {4}


def test_a_refusal_leaves_nothing(tmp_path: Path) -> None:
    source, out = write_toys(tmp_path / "raw", 300, n299="bad"), tmp_path / "new" / "s.arrow"
    with pytest.raises(InputError, match=r"t00299.txt: is bad"):
        prepare("toy", source, out, progress=False, strict=True, workers=2)
    assert names(tmp_path) == ["raw"]  # not even the new folder
    with pytest.raises(InputError, match="at least 1 worker, got workers=0"):
        prepare("toy", source, out, progress=False, workers=0)


def test_a_worker_that_dies_ends_it_with_a_word(tmp_path: Path) -> None:
    source, out = write_toys(tmp_path / "raw", 300, n100="kill"), tmp_path / "s.arrow"
    with pytest.raises(InputError, match=r"a worker process was killed while it read .*fewer --workers"):
        prepare("toy", source, out, progress=False, workers=2)
    assert names(tmp_path) == [".s.arrow.parts", "raw"]
    (source / "t00100.txt").write_text("exit")
    (source / "t00250.txt").write_text("good as new")  # two chunks to read: one alone is read in this process
    with pytest.raises(RuntimeError, match=r"(?s)ended while it read .*EXIT\(7\)"):
        prepare("toy", source, out, progress=False, workers=2)


def test_a_reader_that_workers_cannot_import_is_our_fault(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    source = write_toys(tmp_path / "raw", 130)
    monkeypatch.setattr(
        sys, "path", [path for path in sys.path if Path(path) != Path(toy_reader.__file__).parent]
    )
    with pytest.raises(ModuleNotFoundError, match="No module named 'toy_reader'"):
        prepare("toy", source, tmp_path / "s.arrow", progress=False, workers=2)


def test_a_fault_in_a_worker_is_ours(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_toys(tmp_path / "raw", 130, n100="fault")
    given = ["prepare", "toy", str(source), "--out", str(tmp_path / "s.arrow")]
    for workers in ("1", "2"):
        assert main([*given, "--workers", workers]) == 1
        assert "ZeroDivisionError: a fault in the reader" in capsys.readouterr().err


def test_a_file_that_cannot_be_opened_is_skipped(skipped_rows: Rows, tmp_path: Path) -> None:
    source, out = write_toys(tmp_path / "raw", 3), tmp_path / "s.arrow"
    (source / "t00001.txt").unlink()
    (source / "t00001.txt").mkdir()
    (source / "t00002.txt").unlink()
    (source / "t00002.txt").symlink_to(tmp_path / "gone")
    for workers in (1, 2):
        assert prepare("toy", source, out, progress=False, workers=workers).skipped == 2
        assert all(row["reason"].startswith("cannot be read: ") for row in skipped_rows(out))


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_workers_end_with_the_process_that_began_them(sent: signal.Signals, tmp_path: Path) -> None:
    source, log = write_toys(tmp_path / "raw", 300), tmp_path / "log"
    given = [str(source), str(tmp_path / "s.arrow"), "2", str(log), "0.2"]
    # a process that was begun in the background ignores Ctrl-C, and so would its children
    hears = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    with subprocess.Popen([*TOY, *given], env=ENVIRONMENT, stderr=subprocess.PIPE, **hears) as process:
        while process.poll() is None and (not log.exists() or len(_pids(log)) < 2):
            time.sleep(0.01)
        process.send_signal(sent)
    workers = _pids(log)
    until = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in workers):
        assert time.monotonic() < until, "workers are still there"
        time.sleep(0.01)
    assert not (tmp_path / "s.arrow").exists()


def _pids(log: Path) -> set[str]:
    lines = log.read_text().splitlines()
    return {line.split()[1] for line in lines if len(line.split()) == 2}


MEASURE = """
import json, resource, sys
from pathlib import Path
import toy_reader
from kinelex.datasets import prepare
toy_reader.register()
prepare("toy", Path(sys.argv[1]), Path(sys.argv[2]), progress=False, workers=2, frames=170)
peaks = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(json.dumps(peaks[0] + 2 * peaks[1]))
"""


def test_memory_does_not_grow_with_the_number_of_files(tmp_path: Path) -> None:
    peaks = []  # kB, of clips of 61 kB each: 37 MB, 184 MB
    for count in (600, 3000):
        source = write_toys(tmp_path / str(count), count)
        command = [sys.executable, "-c", MEASURE, str(source), str(tmp_path / "s.arrow")]
        ended = subprocess.run(command, env=ENVIRONMENT, capture_output=True, check=True, timeout=120)
        peaks.append(json.loads(ended.stdout))
    assert peaks[1] - peaks[0] < 60_000


def test_settings_have_one_name_in_every_process(tmp_path: Path) -> None:
    source = write_toys(tmp_path / "raw", 3)
    code = (
        "import sys; from pathlib import Path; from toy_reader import ToyReader;"
        "from kinelex.datasets.making.parts import Parts, RawFiles;"
        "r = ToyReader(Path(sys.argv[1])); i = r.items();"
        "print(Parts(Path('s'), r, r.meta(), i, RawFiles.of(r, i)).chunks[0].path)"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code, str(source)],
            env={**ENVIRONMENT, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(found) == 1


SCRIPT = """
import sys
from pathlib import Path
from toy_reader import ToyReader, prepare, registry

@registry.register
class Mine(ToyReader):
    dataset = "mine"

print(prepare("mine", Path(sys.argv[1]), Path(sys.argv[2]), progress=False, workers=2).written)
"""


def test_a_reader_of_the_users_script_goes_to_its_workers(tmp_path: Path) -> None:
    source = write_toys(tmp_path / "raw", 70)
    command = [sys.executable, "-c", SCRIPT, str(source), str(tmp_path / "s.arrow")]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("70\n", "")
