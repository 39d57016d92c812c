"""A study trains, judges and compares; it goes on after a kill, in shares, and refuses what does not fit."""

import io
import json
import shutil

import pytest
import yaml
from rich.console import Console

from kinelex.cli import main
from kinelex.datasets.synthetic import write_actors
from kinelex.errors import InputError
from kinelex.reports import run_study
from kinelex.training.run_directory import RunDirectory


def study(acted, quick, out, *, said=None, **options):
    changes = ["beta=0.5,1.0", *quick, *options.pop("changes", ())]
    options = {"seeds": [0], "tasks": ["knn"]} | options
    console = Console(file=said if said is not None else io.StringIO(), width=200)
    options |= {"prompts": [acted.prompts], "changes": changes}
    return run_study("beta", acted.store, "xsub", out, console=console, **options)


@pytest.fixture(scope="module")
def done(acted, quick, tmp_path_factory):
    out = tmp_path_factory.mktemp("study")
    return out, study(acted, quick, out)


@pytest.fixture
def judge(monkeypatch):
    """Judges runs at once, all alike; fails for those whose names are put into the list."""
    failing = []

    def evaluate(path, data, protocol, tasks, *args, **kwargs):
        if path.name in failing:
            raise InputError("features are no numbers")
        about = {
            "protocol": protocol,
            "dataset": "actors",
            "counts": {"train": 77, "test": 43, "classes": 24, "unlabelled": 0, "copies": 0},
        }
        (path / "evaluation").mkdir(exist_ok=True)
        for task in tasks:
            (path / "evaluation" / f"{task}.json").write_text(json.dumps({"top1": 0.5, **about}))

    monkeypatch.setattr("kinelex.reports.pages.evaluate", evaluate)
    return failing


@pytest.fixture
def copied(done, tmp_path):
    shutil.copytree(done[0], tmp_path / "study")
    return tmp_path / "study"


def test_a_study_ends_in_a_comparison(done):
    out, result = done
    assert result["finished"] == result["runs"] == 2
    for ending in ("html", "csv", "md", "tex"):
        assert (out / f"comparison.{ending}").stat().st_size > 100
    runs = [RunDirectory(out / "runs" / f"beta={beta}+seed=0") for beta in ("0.5", "1.0")]
    assert [run.config["method"]["beta"] for run in runs] == [0.5, 1.0]
    judged = json.loads((runs[1].path / "evaluation" / "knn.json").read_text())
    assert result["table"]["beta 1.0"]["knn top-1"] == {"mean": judged["top1"], "sd": None}
    page = (out / "comparison.html").read_text()
    assert "how alike clips are within a modality" in page  # the question
    assert "runs/beta=0.5+seed=0/report.html" in page


def test_a_second_call_trains_nothing(copied, acted, quick):
    before = {p: p.stat().st_mtime_ns for p in (copied / "runs").rglob("*.safetensors")}
    said = io.StringIO()
    study(acted, quick, copied, said=said)
    assert said.getvalue().count("finished before") == 2
    assert {p: p.stat().st_mtime_ns for p in (copied / "runs").rglob("*.safetensors")} == before


def test_what_a_kill_left_is_taken_up(copied, acted, quick, done):
    first, second = (copied / "runs" / f"beta={beta}+seed=0" for beta in ("0.5", "1.0"))
    for file in ("encoder.json", "encoder.safetensors"):  # killed before the weights were written
        (first / file).unlink()
    shutil.rmtree(first / "evaluation")
    shutil.rmtree(second)  # killed before the config was written
    second.mkdir()
    (second / "environment.json").write_text("{}")
    (second / ".config.yaml.1.tmp").write_text("")
    said = io.StringIO()
    result = study(acted, quick, copied, said=said)
    assert "finished before" not in said.getvalue()
    assert result["table"] == done[1]["table"]


def test_a_run_that_changed_since_is_judged_again(copied, acted, quick, judge):
    weights = copied / "runs" / "beta=1.0+seed=0" / "encoder.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\0")
    said = io.StringIO()
    study(acted, quick, copied, said=said)
    assert said.getvalue().count("finished before") == 1


def test_shares_do_all_runs_and_the_last_compares(acted, quick, judge, tmp_path):
    first = study(acted, quick, tmp_path, share=(1, 2))
    assert first["finished"] == 1
    assert "comparison" not in first
    assert not (tmp_path / "comparison.html").exists()
    assert "comparison" in study(acted, quick, tmp_path, share=(2, 2))


def test_other_settings_are_refused_and_more_values_are_not(acted, quick, judge, tmp_path):
    study(acted, quick, tmp_path)
    with pytest.raises(InputError, match=r"method.dim \(8 there, 12 asked for\); pass another --out"):
        study(acted, quick, tmp_path, changes=["dim=12"])
    with pytest.raises(InputError, match=r"input.persons \(2 there, 1 asked for\)"):
        study(acted, quick, tmp_path, changes=["input.persons=1"])
    other = tmp_path / "other.arrow"
    shutil.copy(acted.prompts, other)
    changed = {"prompts": [other], "changes": ["beta=0.5", *quick]}
    with pytest.raises(InputError, match="prompts"):
        run_study("beta", acted.store, "xsub", tmp_path, **changed, seeds=[0], tasks=["knn"])
    said = io.StringIO()
    more = study(acted, quick, tmp_path, said=said, changes=["beta=0.5,0.75"])
    assert set(more["table"]) == {"beta 0.5", "beta 0.75"}
    assert said.getvalue().count("finished before") == 1


def test_numbers_that_follow_from_the_store_are_no_other_settings(acted, judge, tmp_path):
    grid = {
        "encoder": {
            "one place": {
                "encoder.name": "gru",
                "encoder.hidden": 4,
                "encoder.layers": 1,
                "encoder.persons": 1,
            },
            "a norm for each": {"encoder.name": "aagcn", "encoder.channels": 6, "encoder.depth": [1, 1, 1]},
        }
    }
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump({"recipe": "c2vl", "grid": grid, "seeds": [0], "tasks": ["knn"]}))
    small = ["epochs=1", "frames=16", "batch_size=24", "dim=8", "method.hidden=16", "accelerator=cpu"]
    for again in range(2):
        said = io.StringIO()
        changed = {"prompts": [acted.prompts], "changes": small}
        run_study(
            str(file), acted.store, "xsub", tmp_path / "out", console=Console(file=said, width=200), **changed
        )
        assert said.getvalue().count("finished before") == 2 * again
    configs = [RunDirectory(path).config for path in sorted((tmp_path / "out" / "runs").glob("[a-z]*"))]
    assert [config["input"]["persons"] for config in configs] == [2, 1]
    assert configs[0]["encoder"]["person_norms"] == 2


@pytest.mark.parametrize(
    ("tasks", "said"),
    [
        (["knnn"], "did you mean 'knn'"),
        (["knn", "knn"], "knn is given twice"),
        (["transfer"], "transfer needs options"),
    ],
)
def test_tasks_that_cannot_be_done_are_refused_before_the_first_training(acted, quick, tmp_path, tasks, said):
    with pytest.raises(InputError, match=said):
        study(acted, quick, tmp_path / "out", tasks=tasks)
    assert not (tmp_path / "out").exists()


def test_prompts_of_another_store_are_refused_before_the_first_training(acted, quick, tmp_path):
    write_actors(tmp_path / "other.arrow", clips=24)
    changed = {"prompts": [acted.prompts], "changes": quick}
    with pytest.raises(InputError, match="was made for another store"):
        run_study("beta", tmp_path / "other.arrow", "xsub", tmp_path / "out", **changed, tasks=["knn"])
    assert not (tmp_path / "out").exists()


def test_missing_prompts_are_told_before_the_first_training(acted, quick, tmp_path):
    with pytest.raises(InputError, match="pass --prompts PROMPTS"):
        run_study("beta", acted.store, "xsub", tmp_path / "out", changes=quick, seeds=[0], tasks=["knn"])
    assert not list((tmp_path / "out").rglob("config.yaml"))


def test_a_run_that_fails_does_not_stop_the_others(acted, quick, judge, tmp_path):
    judge.append("beta=0.5+seed=0")
    with pytest.raises(InputError, match="1 of 2 runs failed, .* beta=0.5.seed=0: features are no numbers"):
        study(acted, quick, tmp_path)
    assert not (tmp_path / "comparison.html").exists()
    judge.clear()
    said = io.StringIO()
    assert study(acted, quick, tmp_path, said=said)["finished"] == 2
    assert said.getvalue().count("finished before") == 1


def test_two_processes_do_not_work_on_one_run(copied, acted, quick, judge):
    fcntl = pytest.importorskip("fcntl", reason="this system has no file locks")
    shutil.rmtree(copied / "runs" / "beta=1.0+seed=0")
    said = io.StringIO()
    with (copied / "runs" / ".beta=1.0+seed=0.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        result = study(acted, quick, copied, said=said)
    assert "another process works on it" in said.getvalue()
    assert result["finished"] == 1


def test_the_command_line(done, acted, quick, tmp_path, capsys):
    out, _ = done
    place = ["--data", str(acted.store), "--protocol", "xsub", "--prompts", str(acted.prompts)]
    numbers = tmp_path / "numbers.json"
    given = ["study", "beta", *place, "--out", str(out), "--seeds", "0", "--tasks", "knn", "beta=0.5,1.0"]
    assert main([*given, *quick, "--json", str(numbers)]) == 0
    assert json.loads(numbers.read_text())["finished"] == 2
    for wrong, message in (
        (["--seeds", "0,0"], "different whole numbers"),
        (["--seeds", "0,00"], "different whole numbers"),
        (["--seeds", "²"], "different whole numbers"),
        (["--shard", "²/8"], "i from 1 to n"),
        (["--shard", "3/2"], "i from 1 to n"),
        (["--tasks", "knnn"], "knn"),
        (["--device", "abacus"], "abacus"),
    ):
        assert main([*given, *quick, *wrong]) == 2
        assert message in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["study", "--help"])
    assert "teacher_temperature: 0.04, 0.07, 0.12" in capsys.readouterr().out
