"""The second ``kinelex evaluate`` of a run in which nothing has changed, and what counts as a change."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from kinelex import reports
from kinelex.cli.last_answer import LastAnswer
from kinelex.cli.main import main
from kinelex.inference.cache_version import VERSION


@pytest.fixture
def ask(run, tmp_path, monkeypatch, capsys):
    """Evaluates by the command line; gives what was printed, the numbers, and whether they were computed."""
    real, done = reports.evaluate, []
    monkeypatch.setattr(reports, "evaluate", lambda *a, **more: done.append(a) or real(*a, **more))

    def asked(*words: str) -> tuple[str, dict, bool]:
        done.clear()
        file = tmp_path / "numbers.json"
        assert main(["evaluate", str(run.path), "--tasks", "knn", *words, "--json", str(file)]) == 0
        return capsys.readouterr().out, json.loads(file.read_text()), bool(done)

    return asked


def test_the_second_answer_is_the_first_without_any_work(ask, run):
    printed, numbers, computed = ask()
    assert computed
    again, same, computed = ask()
    assert not computed
    assert same == numbers
    assert again == f"everything: cached\n{printed}"
    assert ask() == (again, numbers, False)
    assert ask("--fresh") == (printed, numbers, True)
    assert ask() == (again, numbers, False)


def test_it_does_not_import_torch(run):
    code = (
        "import sys; from kinelex.cli.main import main; "
        f"main(['evaluate', {str(run.path)!r}, '--tasks', 'knn']); print('torch' in sys.modules)"
    )
    environment = {**os.environ, "COLUMNS": "80"}  # as wide as the first of the two
    call = {"capture_output": True, "text": True, "check": True, "env": environment}
    said = [subprocess.run([sys.executable, "-c", code], **call).stdout for _ in range(2)]
    assert [text.splitlines()[-1] for text in said] == ["True", "False"]


@pytest.mark.parametrize(
    "change", ["config", "weights", "store", "store_touched", "page", "numbers", "scores", "new_file"]
)
def test_any_change_of_a_file_is_seen(ask, run, change):
    ask()
    assert not ask()[2]
    config = yaml.safe_load((run.path / "config.yaml").read_text())
    if change == "config":
        config["method"]["alpha"] = 0.7
        (run.path / "config.yaml").write_text(yaml.safe_dump(config))
    elif change in ("weights", "store"):
        path = run.path / "encoder.safetensors" if change == "weights" else Path(config["data"])
        content = path.read_bytes()
        times = path.stat().st_atime_ns, path.stat().st_mtime_ns
        path.write_bytes(content)
        os.utime(path, ns=times)  # the same size and time: the time of the change of the inode tells
    elif change == "store_touched":
        os.utime(config["data"])
    elif change == "page":
        (run.path / "report.html").unlink()
    elif change == "numbers":
        (run.path / "evaluation" / "knn.json").write_text("{}")
    elif change == "scores":
        next((run.path / "evaluation" / "scores").rglob("*.npz")).unlink()
    else:
        (run.path / "diagnostics_other.npz").write_bytes(b"")
    assert ask()[2]
    assert not ask()[2]
    assert (run.path / "report.html").is_file()


def test_other_options_and_another_version_are_other_questions(ask, monkeypatch):
    ask()
    assert ask("--seed", "3")[2]
    assert ask("knn.k=3")[2]
    monkeypatch.setattr("kinelex.cli.last_answer.VERSION", VERSION + 1)
    assert ask("knn.k=3")[2]
    assert not ask("knn.k=3")[2]
    monkeypatch.setattr("kinelex.plugins._loaded", ["own_parts"])
    assert ask("knn.k=3")[2]


def test_a_config_that_is_nested_too_deep_has_no_answer(tmp_path):
    (tmp_path / "config.yaml").write_text("a: " + "[" * 100_000)
    assert LastAnswer(tmp_path, {}).read() is None


def test_an_option_that_is_too_long_for_a_name_is_no_file(run):
    asked = {"options": [f"zero_shot.template={'a person ' * 40}"]}
    assert LastAnswer(run.path, asked).read() is None
