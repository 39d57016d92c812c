"""A run directory with a damaged table or description: one message, from every verb that reads it."""

import shutil
import subprocess

import pytest
import yaml

from kinelex.cli import main
from kinelex.errors import InputError
from kinelex.training.run_directory import RunDirectory, environment
from kinelex.training.train import train

DAMAGE = {
    "environment.json": [b"", b"\xff\xfe", b"[" * 100_000],
    "metrics.csv": [b"\xff\xfe\0\0", b"epoch,loss\n0,much\n", b"epoch,loss\n0,1,2,3\n"],
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_file_of_a_run_is_one_message(name, acted, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(acted.run, run)
    whole = (run / name).read_bytes()
    verbs = (["info", run], ["evaluate", run, "--tasks", "knn"])
    for content in (DAMAGE[name][-1], whole[: len(whole) // 2 + 1]):
        (run / name).write_bytes(content)
        for words in verbs:
            capsys.readouterr()
            status = main([str(word) for word in words])
            told = capsys.readouterr().err
            assert "Traceback" not in told, (content[:20], words)
            assert status in (0, 2)
            if status:
                (message,) = told.splitlines()
                assert f"{name} is " in message
                assert "damaged" in message, message


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_named(name, acted, tmp_path):
    shutil.copytree(acted.run, tmp_path / "run")
    for content in DAMAGE[name]:
        (tmp_path / "run" / name).write_bytes(content)
        run = RunDirectory(tmp_path / "run")
        with pytest.raises(InputError, match=rf"{name} is .*damaged: "):
            _ = run.environment if name == "environment.json" else run.metrics()


def test_a_training_does_not_go_on_from_damaged_files(acted, tmp_path):
    shutil.copytree(acted.run, tmp_path / "run")
    file = tmp_path / "run" / "config.yaml"
    config = yaml.safe_load(file.read_text())
    data, protocol = acted.store, config["protocol"]
    (tmp_path / "run" / "trackers.json").write_text('["csv"]')
    with pytest.raises(InputError, match=r"trackers\.json is missing or damaged"):
        train("c2vl", data, protocol, tmp_path / "run", resume=True)
    file.write_text(yaml.safe_dump({key: value for key, value in config.items() if key != "optimizer"}))
    with pytest.raises(InputError, match=r"config\.yaml is damaged: it has no section optimizer"):
        train("c2vl", data, protocol, tmp_path / "run", resume=True)
    file.write_text(yaml.safe_dump({**config, "training": [1]}))
    assert "training is no mapping" in repr(RunDirectory(tmp_path / "run"))


def test_a_machine_without_git_has_an_environment_too(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    assert environment()["commit"] is None


def test_an_installed_package_does_not_take_the_commit_of_the_project_around_it(monkeypatch, tmp_path):
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], [*who, "commit", "-q", "--allow-empty", "-m", "theirs"]):
        subprocess.run(["git", "-C", str(tmp_path), *command], check=True)
    found = []
    for folder in ("src", "site-packages"):
        (tmp_path / folder).mkdir()
        monkeypatch.setattr("kinelex.training.run_directory.__file__", str(tmp_path / folder / "k.py"))
        found.append(environment()["commit"])
    assert len(found[0]) == 40
    assert found[1] is None
