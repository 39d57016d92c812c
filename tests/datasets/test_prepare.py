"""`prepare`: what is written, what is listed as skipped, and when nothing is made."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from kinelex.data import open_store
from kinelex.datasets import dataset_names, prepare, split_sizes
from kinelex.datasets.nw_ucla import NwUclaReader
from kinelex.datasets.prepare import PrepareSummary
from kinelex.errors import InputError

Write = Callable[..., Path]
Rows = Callable[[Path], list[dict[str, str]]]


def test_two_files_with_one_id(write_nw_ucla: Write, skipped_rows: Rows, ucla: Path, tmp_path: Path) -> None:
    write_nw_ucla(ucla / "copy", "a01_s01_e00_v01")
    prepare("nw_ucla", ucla, tmp_path / "s.arrow", progress=False)
    row = skipped_rows(tmp_path / "s.arrow")[0]
    assert row["file"] == str(ucla / "copy" / "a01_s01_e00_v01.json")
    assert row["reason"] == f"has the id a01_s01_e00_v01, which {ucla / 'a01_s01_e00_v01.json'} already has"


def test_skipped_csv_keeps_the_rows_of_other_stores_and_forgets_old_ones(
    write_nw_ucla: Write, skipped_rows: Rows, ucla: Path, tmp_path: Path
) -> None:
    bad = write_nw_ucla(ucla, "a01_s01_e00_v02", label=2)
    for name in ("a.arrow", "b.arrow", "a.arrow"):
        prepare("nw_ucla", ucla, tmp_path / name, progress=False)
    assert sorted(row["store"] for row in skipped_rows(tmp_path / "a.arrow")) == ["a.arrow", "b.arrow"]
    bad.unlink()
    prepare("nw_ucla", ucla, tmp_path / "a.arrow", progress=False)
    assert [row["store"] for row in skipped_rows(tmp_path / "a.arrow")] == ["b.arrow"]
    prepare("nw_ucla", ucla, tmp_path / "b.arrow", progress=False)
    assert not (tmp_path / "skipped.csv").exists()


def test_only_a_store_is_replaced(ucla: Path, tmp_path: Path) -> None:
    raw = next(ucla.glob("*.json"))
    kept = raw.read_bytes()
    with pytest.raises(InputError, match="is there already and is no skeleton store: expects a new name"):
        prepare("nw_ucla", ucla, raw, progress=False)
    assert raw.read_bytes() == kept
    (tmp_path / "s.arrow").touch()
    for _ in range(2):
        assert prepare("nw_ucla", ucla, tmp_path / "s.arrow", progress=False).written


@pytest.mark.parametrize("text", ["a,b\n1,2\n", "", "file,reason,store\na," + "x" * 140_000 + ",s.arrow\n"])
def test_a_skipped_csv_of_somebody_else_stays(text: str, ucla: Path, tmp_path: Path) -> None:
    (tmp_path / "skipped.csv").write_text(text)
    with pytest.raises(InputError, match=r"skipped.csv is no list of skipped files .*: move it away"):
        prepare("nw_ucla", ucla, tmp_path / "s.arrow", progress=False)
    assert (tmp_path / "skipped.csv").read_text() == text
    assert not (tmp_path / "s.arrow").exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="limits of the size of files are POSIX")
def test_a_full_disk_keeps_nothing(ucla: Path, tmp_path: Path) -> None:
    code = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from kinelex.datasets import prepare\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))\n"
        "prepare('nw_ucla', Path(sys.argv[1]), Path(sys.argv[2]), progress=False)\n"
    )
    out = tmp_path / "full" / "s.arrow"
    ran = subprocess.run([sys.executable, "-c", code, ucla, out], capture_output=True, text=True)
    assert "InputError" in ran.stderr
    assert "s.arrow cannot be written" in ran.stderr
    assert not list(out.parent.glob("*"))


@pytest.mark.parametrize("dataset", ["nw_ucla", "utd_mhad"])
def test_no_folder_an_empty_folder_and_no_file_that_parses(dataset: str, tmp_path: Path) -> None:
    source, out = tmp_path / "raw", tmp_path / "out" / "s.arrow"
    with pytest.raises(InputError, match=r"raw does not exist: expects a folder with the files"):
        prepare(dataset, source, out, progress=False)
    with pytest.raises(InputError, match="needs its raw files: expects a folder with"):
        prepare(dataset, None, out, progress=False)
    source.mkdir()
    with pytest.raises(InputError, match=r"raw holds no clip: expects a folder with the files"):
        prepare(dataset, source, out, progress=False)
    for ending in ("json", "mat"):
        (source / f"holiday.{ending}").write_text("?")
    with pytest.raises(InputError, match=r"^[^:]*holiday"):
        prepare(dataset, source, out, progress=False)
    with pytest.raises(InputError, match=r"holiday.json is a file: expects a folder"):
        prepare(dataset, source / "holiday.json", out, progress=False)
    assert not out.parent.exists()


def test_unknown_data_set_and_a_place_that_cannot_be_written(ucla: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"unknown data set 'nwucla': did you mean 'nw_ucla'\?"):
        prepare("nwucla", ucla, tmp_path / "s.arrow", progress=False)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        prepare("nw_ucla", ucla, tmp_path / "file" / "s.arrow", progress=False)
    with pytest.raises(InputError, match="is a directory, expects the name of a file"):
        prepare("nw_ucla", ucla, tmp_path, progress=False)
    with pytest.raises(InputError, match="actors are built in and read no files: leave out"):
        prepare("actors", ucla, tmp_path / "s.arrow", progress=False)


def test_a_failure_half_way_keeps_the_old_store(write_nw_ucla: Write, ucla: Path, tmp_path: Path) -> None:
    out = tmp_path / "s.arrow"
    prepare("nw_ucla", ucla, out, progress=False)
    old = out.read_bytes()
    write_nw_ucla(ucla, "a12_s09_e00_v01", label=1)
    with pytest.raises(InputError, match="a12_s09_e00_v01"):
        prepare("nw_ucla", ucla, out, strict=True, progress=False)
    assert out.read_bytes() == old
    assert sorted(os.listdir(tmp_path)) == ["raw", "s.arrow"]


def test_the_progress_bar_goes_to_stderr(
    ucla: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    prepare("nw_ucla", ucla, tmp_path / "s.arrow")
    captured = capfd.readouterr()
    assert captured.out == ""
    assert "prepare nw_ucla" in captured.err
    assert "3/3" in captured.err


def test_the_built_in_actors_need_no_files(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    summary = prepare("actors", None, tmp_path / "s.arrow")
    assert "960/960" in capfd.readouterr().err
    store = open_store(tmp_path / "s.arrow")
    assert summary.written == len(store) == 960
    assert all(min(sizes) > 0 for sizes in split_sizes(store).values())


def test_summary_wording() -> None:
    assert {"actors", "nw_ucla", "ntu60", "folder"} < set(dataset_names())
    assert str(PrepareSummary(Path("a"), 1484, 0, 1.0)) == "1 484 written"
    assert str(PrepareSummary(Path("a"), 1480, 4, 1.0)) == "1 480 written, 4 skipped: see skipped.csv"


@pytest.mark.parametrize(("dataset", "clips"), [("nw_ucla", 1484), ("utd_mhad", 861)])
def test_the_real_data_sets(dataset: str, clips: int, shared: Path, tmp_path: Path) -> None:
    summary = prepare(dataset, shared / "data" / dataset, tmp_path / "s.arrow", progress=False)
    assert (summary.written, summary.skipped) == (clips, 0)
    if dataset == "utd_mhad":
        lines = (shared / "data" / dataset / "classes.txt").read_text().splitlines()
        assert open_store(summary.store).class_names == tuple(line.split(" ", 1)[1] for line in lines if line)


def test_a_source_that_cannot_be_searched_is_named(
    ucla: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(reader: NwUclaReader) -> NoReturn:
        raise PermissionError(13, "Permission denied", str(reader.source))

    monkeypatch.setattr(NwUclaReader, "items", refuse)
    with pytest.raises(InputError, match=r"all_sqe: cannot be read: .*Permission denied"):
        prepare("nw_ucla", ucla, tmp_path / "s.arrow", progress=False)
