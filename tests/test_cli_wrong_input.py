"""The command line given something wrong: status 2, one clear message, nothing written."""

import json
from pathlib import Path

import numpy as np
import pytest
from raw_clips import write_clip

from kinelex.cli import main
from kinelex.datasets.synthetic import write_actors


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file and folder below, with size and time of the last change."""
    return {str(p.relative_to(folder)): (p.stat().st_size, p.stat().st_mtime_ns) for p in folder.rglob("*")}


@pytest.fixture
def refused(capsys, tmp_path):
    """Runs a command that must fail: status 2, one message, nothing written; returns the message."""

    def run(*arguments: object) -> str:
        before = listing(tmp_path)
        capsys.readouterr()
        assert main([str(a) for a in arguments]) == 2
        stderr = capsys.readouterr().err
        lines = [line for line in stderr.splitlines() if line and "━" not in line]  # without progress bars
        assert len(lines) == 1, stderr
        assert lines[0].startswith("kinelex: error: ")
        assert listing(tmp_path) == before
        return lines[0].removeprefix("kinelex: error: ")

    return run


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "expects a verb"),
        ("trian", "unknown verb 'trian': did you mean 'train'?"),
        ("--wrong", "unrecognized arguments: --wrong"),
        ("info", "expects a store, a prompt store or a run directory, or else --layout NAME alone"),
        ("info a b", "unrecognized arguments: b"),
        ("prepare actors", "required: --out"),
        ("train c2vl", "required: --data, --protocol, --out"),
        ("train c2vl --data a --protocol", "argument --protocol: expected one argument"),
        ("train c2vl --data a --protocol p --out o --epochs", "--epochs expects a value"),
        ("train c2vl --data a --protocl p --out o", "unknown option '--protocl': did you mean '--protocol'?"),
        (
            "train c2vl --no-prompts",
            "unknown option '--no-prompts': did you mean '--prompts'? Known: --data, ",
        ),
        ("adapt r --lable 0.1 --out o", "unknown option '--lable': did you mean '--labels'?"),
        (
            "study beta --no-json",
            "did you mean '--json'? Known: --",
        ),
        ("evaluate r --xyz", "unknown option '--xyz'. Known: --"),
        ("evaluate r --taks knn", "unknown option '--taks': did you mean '--tasks'?"),
        ("evaluate r --knn.k", "--knn.k expects a value: --knn.k VALUE"),
        ("prompts a --lang kinematic --out b", "unknown option '--lang': did you mean '--language'?"),
        ("prompts-report p --page x", "unknown option '--page'. Known: --data, "),
        ("compare a b --protcol=x", "unknown option '--protcol': did you mean '--protocol'?"),
        ("ensemble a --wieghts 1", "unknown option '--wieghts': did you mean '--weights'?"),
        ("export-data a --two npy", "unknown option '--two': did you mean '--to'?"),
        ("convert a --form cmd", "unknown option '--form': did you mean '--from'?"),
        ("prepare nw_ucla a --ot b", "unknown option '--ot': did you mean '--out'?"),
        ("info a --josn b", "unknown option '--josn': did you mean '--json'?"),
        (
            "quickstart --outt b",
            "unknown option '--outt': did you mean '--out'? Known: --json, --out, --plugin; see",
        ),
        ("prompts a --out b --frames many", "argument --frames: invalid int value: 'many'"),
    ],
)
def test_wrong_words_on_the_command_line(refused, arguments, message):
    assert message in refused(*arguments.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            "nw_ucla r --out o --denoise tracks",
            "nw_ucla has no option --denoise; it has --name, --gaps, --persons, --fps",
        ),
        ("ntu60 r --out o --denois=tracks", "ntu60 has no option --denois; it has --denoise"),
        ("--out sbu ntu60 . --denoise all", "unknown denoise 'all'"),
        ("ntu r --out o --denoise tracks", "unknown data set 'ntu': did you mean 'ntu60'"),
        ("nw_ucla a b --out o", "unrecognized arguments: b"),
        ("actors --out o --clips few", "argument --clips: invalid int value: 'few'"),
        ("actors --out o --workers 0", "at least 1 worker"),
    ],
)
def test_options_that_a_data_set_does_not_have(refused, arguments, message):
    assert message in refused("prepare", *arguments.split())


def test_options_of_a_data_set(tmp_path):
    assert main(["prepare", "--clips", "24", "actors", "--out", str(tmp_path / "a"), "--workers", "1"]) == 0


def test_options_may_stand_anywhere(capsys, tmp_path):
    """The optional folder after an option is still the folder."""
    assert main(["prepare", "actors", "--out", str(tmp_path / "a"), "somewhere"]) == 2
    assert "leave out somewhere" in capsys.readouterr().err


# Raw files


@pytest.fixture
def raw(tmp_path) -> Path:
    """A folder of three good clips."""
    x = np.random.default_rng(0).normal(size=(3, 20, 3))
    for name in ("a01_s01_e00_v01", "a02_s01_e00_v02", "a12_s02_e03_v03"):
        write_clip(tmp_path / "raw", name, x)
    return tmp_path / "raw"


def test_missing_empty_and_wrong_folders(refused, tmp_path, raw):
    out = ("--out", tmp_path / "made" / "s.arrow")
    assert "nix does not exist" in refused("prepare", "nw_ucla", tmp_path / "nix", *out)
    (tmp_path / "empty").mkdir()
    assert "empty holds no clip" in refused("prepare", "nw_ucla", tmp_path / "empty", *out)
    assert "needs its raw files" in refused("prepare", "utd_mhad", *out)
    assert "did you mean 'nw_ucla'" in refused("prepare", "nw_ulca", raw, *out)
    assert "is a directory" in refused("prepare", "nw_ucla", raw, "--out", tmp_path / "empty")
    inside = next(raw.glob("*.json")) / "s.arrow"
    assert "cannot be written" in refused("prepare", "nw_ucla", raw, "--out", inside)


@pytest.mark.parametrize("wrong", ["truncated", "not a number"])
def test_damaged_clips_are_skipped_and_refused_when_strict(refused, capsys, tmp_path, raw, wrong):
    if wrong == "truncated":
        path = write_clip(raw, "a03_s01_e00_v01", np.ones((3, 20, 3)))
        path.write_text(path.read_text()[:200])
    else:
        path = write_clip(raw, "a03_s01_e00_v01", np.full((3, 20, 3), np.nan))
    message = refused("prepare", "nw_ucla", raw, "--out", tmp_path / "s.arrow", "--strict")
    assert "a03_s01_e00_v01" in message
    numbers = tmp_path / "n.json"
    assert (
        main(["prepare", "nw_ucla", str(raw), "--out", str(tmp_path / "s.arrow"), "--json", str(numbers)])
        == 0
    )
    assert "3 written, 1 skipped: see skipped.csv" in capsys.readouterr().out
    assert "a03_s01_e00_v01" in (tmp_path / "skipped.csv").read_text()
    assert json.loads(numbers.read_text())["skipped"] == 1


# Stores, recipes, runs


@pytest.mark.parametrize("kind", ["nothing", "text", "folder", "truncated"])
@pytest.mark.parametrize("role", ["--data", "--prompts"])
def test_what_is_no_store(refused, acted, tmp_path, quick, kind, role):
    path = tmp_path / "thing.arrow"
    good = {"--data": acted.store, "--prompts": acted.prompts}
    if kind == "text":
        path.write_text("hello")
    elif kind == "folder":
        path.mkdir()
    elif kind == "truncated":
        path.write_bytes(good[role].read_bytes()[:5000])
    given = {**good, role: path}
    words = [word for pair in given.items() for word in pair]
    message = refused("train", "c2vl", *words, "--protocol", "xsub", "--out", tmp_path / "o", *quick)
    expected = {"nothing": "does not exist", "folder": "is a directory"}.get(kind, "is damaged")
    assert "thing.arrow" in message
    assert expected in message
    assert "kinelex prepare" in message if role == "--data" else "kinelex prompts" in message
    if role == "--data":
        assert "thing.arrow" in refused("prompts", path, "--language", "kinematic", "--out", tmp_path / "p")
        assert "thing.arrow" in refused("info", path)


def test_wrong_things_to_train_on(refused, acted, tmp_path, quick):
    other = tmp_path / "other.arrow"
    write_actors(other, clips=24, seed=1)

    def train(*more, recipe="c2vl", data=acted.store, prompts=acted.prompts, protocol="xsub", out=None):
        given = ["--data", data, "--prompts", prompts, "--protocol", protocol]
        return refused("train", recipe, *given, "--out", out or tmp_path / "o", *quick, *more)

    assert "is a prompt store, expects a skeleton store" in train(data=acted.prompts)
    assert "is a skeleton store, expects a prompt store" in train(prompts=acted.store)
    assert "was made for another store" in train(data=other)
    assert "did you mean 'xview'" in train(protocol="xveiw")
    assert "did you mean 'c2vl'" in train(recipe="c2lv")
    assert "does not exist" in train(recipe=tmp_path / "mine.yaml")
    assert "did you mean 'epochs'" in train("epohcs=3")
    assert "did you mean 'method.alpha'" in train("--method.alpa", "0.5")
    assert "pass --resume" in train(out=acted.run)
    assert "cannot be made" in train(out=other / "o")
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("training:\n  epoch: 3\n")
    assert "did you mean 'epochs'" in train(recipe=recipe)
    recipe.write_bytes(b"\xff\xfe")
    assert "cannot be read as text" in train(recipe=recipe)
    without = ["--data", acted.store, "--protocol", "xsub", "--out", tmp_path / "o"]
    assert "pass --prompts PROMPTS" in refused("train", "c2vl", *without, *quick)
    assert "no run directory" in refused("train", "c2vl", *without, "--resume")
    # A resumed training keeps its own recipe, and the one it was begun with may be gone.
    assert "no run directory" in refused("train", tmp_path / "gone.yaml", *without, "--resume")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("epochs=two", "training.epochs: expected int. Got value: two"),
        ("epochs=", "training.epochs expects a value"),
        ("epochs=-1", "epochs of at least 0 and repeat, devices and num_nodes of at least 1"),
        ("batch_size=0", "batch size of at least 1"),
        ("input.crop=0.5", "input.crop: expected"),
        ("crop=[0.9,0.1]", "0 < low <= high <= 1"),
        ("test_crop=0", "above 0 and up to 1"),
        ("depth=[1,1]", "a list with 3 elements"),
        ("channels=0", "channels and depths of at least 1"),
        ("lr=-1", "learning rate above 0"),
        ("seed=-1", "seed from 0"),
        ("devices=3", "batch size that 3 devices can share"),
        ("accelerator=abacus", "accelerator=abacus, devices=1"),
        ("precision=nine", "precision=nine cannot be used"),
    ],
)
def test_wrong_values_are_named_before_anything_is_written(refused, acted, tmp_path, quick, change, message):
    given = ["--data", acted.store, "--prompts", acted.prompts, "--protocol", "xsub", "--out", tmp_path / "o"]
    changes = [*quick, "batch_size=25"] if change == "devices=3" else quick
    assert message in refused("train", "c2vl", *given, *changes, change)


def test_wrong_things_to_evaluate(refused, acted, tmp_path):
    other = tmp_path / "other.arrow"
    write_actors(other, clips=24, seed=1)
    before = listing(acted.folder)
    assert "is no run directory" in refused("evaluate", tmp_path)
    assert "is no run directory" in refused("evaluate", acted.store)
    assert "did you mean 'knn'" in refused("evaluate", acted.run, "--tasks", "knm,linear")
    assert "at least one task" in refused("evaluate", acted.run, "--tasks", ",")
    assert "did you mean 'metric'" in refused("evaluate", acted.run, "knn.metrik=cosine")
    assert "knn.k expects int, got 'many'" in refused("evaluate", acted.run, "knn.k=many")
    assert "did you mean 'knn'" in refused("evaluate", acted.run, "knm.k=5")
    assert "options of linear_sgd are given" in refused("evaluate", acted.run, "linear_sgd.epochs=5")
    assert "SECTION.KEY=VALUE" in refused("evaluate", acted.run, "k=5")
    assert "the task knn is given twice" in refused("evaluate", acted.run, "--tasks", "knn,linear,knn")
    assert "knn.k is given twice, as '1' and '5'" in refused("evaluate", acted.run, "knn.k=1", "--knn.k=5")
    message = refused("evaluate", acted.run, "--tasks", "robustness", "robustness.noise=much")
    assert "robustness.noise expects list of float, got 'much'" in message
    assert "unknown protocol" in refused("evaluate", acted.run, "--protocol", "xset")
    assert "is a skeleton store" in refused("evaluate", acted.run, "--prompts", acted.store)
    message = refused("evaluate", acted.run, "--data", other, "--prompts", acted.prompts)
    assert "was made for another store" in message
    assert "cannot be used" in refused("evaluate", acted.run, "--device", "toaster")
    assert "is a directory" in refused("evaluate", acted.run, "--json", tmp_path)
    assert "is a file" in refused("evaluate", acted.run, "--json", other / "r.json")
    assert listing(acted.folder) == before


@pytest.mark.parametrize("name", ["config.yaml", "encoder.json", "encoder.safetensors"])
def test_a_damaged_run(refused, acted, tmp_path, name):
    for file in ("config.yaml", "encoder.json", "encoder.safetensors"):
        content = (acted.run / file).read_bytes()
        (tmp_path / file).write_bytes(b"{" + content[:20] if file == name else content)
    assert name in refused("evaluate", tmp_path)


def test_wrong_things_to_export(refused, acted, tmp_path):
    out = ("--out", tmp_path / "o")
    assert "did you mean 'pyskl'" in refused("export-data", acted.store, "--to", "pyskel", *out)
    assert "unknown protocol" in refused(
        "export-data", acted.store, "--to", "npy", *out, "--protocol", "xset"
    )
    assert "expects a skeleton store" in refused("export-data", acted.prompts, "--to", "npy", *out)
    assert "required: --to" in refused("export-data", acted.store, *out)


def test_a_quickstart_that_cannot_begin(refused, acted):
    assert "is not empty" in refused("quickstart", "--out", acted.run)
    assert "is not empty" in refused("quickstart", "--out", acted.store)
    assert "cannot be made" in refused("quickstart", "--out", acted.store / "q")


def test_wrong_things_to_describe(refused, acted, tmp_path):
    assert "does not exist" in refused("info", tmp_path / "nix")
    assert "is no run directory" in refused("info", tmp_path)
    assert "is a file" in refused("info", acted.store, "--json", acted.prompts / "i.json")
    for option in ("--json", "--html"):
        assert "is a store, which would be lost" in refused("info", acted.store, option, acted.store)
    words = refused("prompts", acted.store, "--out", tmp_path / "p.arrow")
    assert "name a language engine" in words
    words = refused("prompts", acted.store, "--out", tmp_path / "p.arrow", "--language", "kinematik")
    assert "did you mean 'kinematic'" in words
