"""The template of a plugin, from its installation to a judged run."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import kinelex
from kinelex import plugins
from kinelex.errors import InputError
from kinelex.training.learned import reads_labels
from kinelex.training.run_directory import RunDirectory
from kinelex.training.train import reopen

TEMPLATE = Path(__file__).resolve().parents[1] / "examples" / "plugin"
SOURCES = str(Path(kinelex.__file__).parents[1])


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Runs Python where the template is installed, in a folder with raw clips for its reader."""
    folder = tmp_path_factory.mktemp("plugin")
    source, target = folder / "source", folder / "site"
    shutil.copytree(TEMPLATE, source)  # setuptools writes beside what it builds
    shutil.copy(source / "recipe.yaml", folder)
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--target", target, source], check=True, capture_output=True)
    rng = np.random.default_rng(0)
    (folder / "raw").mkdir()
    for action in range(2):
        for subject in range(12):
            clip = rng.normal(size=(24, 1, 20, 3)) + action
            np.save(folder / "raw" / f"a{action}_s{subject}_r0.npy", clip.astype(np.float32))

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        paths = [str(target), SOURCES]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), plugins.VARIABLE: ""}
        command = [sys.executable, *words]
        return subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )

    run.folder = folder  # type: ignore[attr-defined]
    return run


KINDS = """
import json, kinelex
from kinelex.encoders import create
from kinelex.evaluation.protocols.registry import find_task
from kinelex.datasets.registry import reader_class
from kinelex.methods import method_class
from kinelex.prompts.registry import factory_of
from kinelex.transforms import create as transform
kinds = {
    "encoder": lambda: create("pose_mlp"),
    "method": lambda: method_class("barlow_twins"),
    "reader": lambda: reader_class("numpy_clips"),
    "language engine": lambda: factory_of("language engine", "tallest"),
    "task": lambda: find_task("nearest_mean"),
    "transform": lambda: type(transform("drop_joints")),
}
print(json.dumps({kind: find().__module__ for kind, find in kinds.items()}))
"""
PLACES = {
    "encoder": "encoder",
    "language engine": "language",
    "method": "method",
    "reader": "reader",
    "task": "task",
    "transform": "transform",
}


def test_each_kind_is_found_from_python_where_it_is_installed(installed):
    done = installed("-c", KINDS)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {k: f"kinelex_template.{place}" for k, place in PLACES.items()}


def test_the_template_from_raw_files_to_a_judged_run(installed):
    def kinelex_verb(*words: str) -> subprocess.CompletedProcess[str]:
        return installed("-m", "kinelex.cli", *words)

    made = kinelex_verb("prepare", "numpy_clips", "raw", "--out", "clips.arrow", "--workers", "2")
    assert made.returncode == 0, made.stderr
    assert "24 written" in made.stdout
    assert made.stderr.startswith("plugins: kinelex_template")
    data = ["--data", "clips.arrow", "--protocol", "random:0.7:0"]
    trained = kinelex_verb("train", "recipe.yaml", *data, "--out", "run", "redundancy=0.01", "width=8")
    assert trained.returncode == 0, trained.stderr
    run = installed.folder / "run"
    assert json.loads((run / "encoder.json").read_text())["plugins"] == ["kinelex_template"]
    assert "plugins:\n- kinelex_template" in (run / "config.yaml").read_text()
    tasks = ["--tasks", "nearest_mean", "nearest_mean.metric=cosine", "--json", "numbers.json"]
    judged = kinelex_verb("evaluate", "run", *tasks, "--no-baselines")
    assert judged.returncode == 0, judged.stderr
    assert "nearest class mean on features" in judged.stdout
    assert 0 <= json.loads((installed.folder / "numbers.json").read_text())["nearest_mean"]["top1"] <= 1
    # This process has no such plugin.
    message = "run uses the plugin kinelex_template, which is not loaded: install it, or name it with"
    with pytest.raises(InputError, match=message):
        kinelex.load_encoder(run)
    with pytest.raises(InputError, match=message):
        reopen(run, kinelex.open_store(installed.folder / "clips.arrow"), "random:0.7:0")
    with pytest.raises(InputError, match="a run of the method barlow_twins uses the plugin kinelex_template"):
        reads_labels(RunDirectory(run).config)
