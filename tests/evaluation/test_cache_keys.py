"""What a cached result depends on; damaged files are made anew."""

import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from importlib import import_module

import numpy as np
import torch
from rich.console import Console

from kinelex.inference import cache as cache_module
from kinelex.inference.cache import Cache, digest, encoder_digest
from kinelex.reports import evaluate
from kinelex.training.encoder_files import load_encoders
from kinelex.training.run_directory import RunDirectory


def test_features_depend_on_weights_preparation_and_the_version(run, monkeypatch):
    def key() -> str:
        return encoder_digest(encoder)

    encoder = load_encoders(run.path)["joint"]
    plain = key()
    assert encoder_digest(load_encoders(run.path)["joint"]) == plain
    config = encoder.pipeline.config
    encoder.pipeline.config = replace(config, frames=config.frames + 1)
    assert key() != plain
    encoder.pipeline.config = config
    with torch.no_grad():
        next(encoder.encoder.parameters()).add_(1e-3)
    assert key() != plain
    with torch.no_grad():
        next(encoder.encoder.parameters()).sub_(1e-3)
    monkeypatch.setattr(cache_module, "VERSION", cache_module.VERSION + 1)
    assert encoder_digest(load_encoders(run.path)["joint"]) != plain


def judged(run, tasks: str, **more) -> tuple[dict, set[str]]:
    """The numbers, and what came from the cache."""
    console = Console(file=io.StringIO(), width=120)
    result = evaluate(run.path, tasks=tasks.split(","), console=console, **more)
    return result, set(re.findall(r"^(\w+): cached", console.file.getvalue(), re.MULTILINE))


def test_what_was_computed_is_read_until_the_version_is_raised(run, monkeypatch):
    tasks = "knn,linear,calibration"
    first, found = judged(run, tasks)
    assert found == set()
    assert judged(run, tasks) == (first, {"knn", "linear", "calibration", "baselines"})
    _, found = judged(run, tasks, options={"calibration": {"bins": 5}})
    assert found == {"knn", "linear", "baselines"}
    monkeypatch.setattr(cache_module, "VERSION", cache_module.VERSION + 1)
    assert judged(run, tasks) == (first, set())


def test_each_kind_of_baseline_is_kept_on_its_own(run, make_prompts, monkeypatch):
    from kinelex.evaluation import baseline_rows

    raw = []
    monkeypatch.setattr(baseline_rows, "_raw", lambda context: raw.append(1) or {})
    judged(run, "knn")
    _, found = judged(run, "knn", prompts=make_prompts().path)
    assert (raw, found) == ([1], {"knn"})


def test_runs_of_a_store_share_what_is_not_their_own(run, make_prompts, tmp_path, monkeypatch):
    """Raw rows and prompts once, in a folder beside the store, or in the run where that cannot be written."""
    from kinelex.evaluation import baseline_rows

    raw = []
    monkeypatch.setattr(baseline_rows, "_raw", lambda context: raw.append(1) or {})
    other = RunDirectory(shutil.copytree(run.path, tmp_path / "other"))
    beside = tmp_path / "tiny.arrow.baselines"
    first, _ = judged(run, "knn", prompts=make_prompts().path)
    kinds = {file.name.rpartition("-")[0] for file in beside.iterdir()}
    assert kinds >= {"baselines-raw", "baselines-prompts", "copies"}
    assert judged(other, "knn", prompts=make_prompts().path) == (first, {"baselines"})
    assert raw == [1]
    assert judged(other, "knn", fresh=True)[0]["baselines"]
    assert len(raw) == 2
    shutil.rmtree(beside)
    beside.write_text("a file where the folder would be")
    assert judged(run, "knn")[0]["knn"] == first["knn"]
    assert judged(run, "knn")[1] == {"knn", "baselines"}
    assert len(raw) == 3


def test_a_damaged_file_is_none_or_what_was_written(tmp_path):
    kept = Cache(tmp_path)
    kept.write_json("t", "k", {"a": 1}, {"scores": np.eye(2)})
    (path,) = tmp_path.iterdir()
    good = path.read_bytes()

    def read() -> object:
        found = kept.read_json("t", "k")
        return None if found is None else (found[0], {k: v.tolist() for k, v in found[1].items()})

    whole = ({"a": 1}, {"scores": [[1, 0], [0, 1]]})
    assert read() == whole
    for place in range(len(good)):
        path.write_bytes(good[:place] + bytes([good[place] ^ 0x81]) + good[place + 1 :])
        assert read() in (None, whole)
        path.write_bytes(good[:place])
        assert read() is None


def test_a_damaged_result_is_computed_again(run):
    first, _ = judged(run, "knn,linear")
    for file in run.path.parent.rglob("*-*.npz"):
        file.write_bytes(file.read_bytes()[:-30])
    assert judged(run, "knn,linear") == (first, set())
    assert judged(run, "knn,linear") == (first, {"knn", "linear", "baselines"})


def test_the_digest_of_a_large_file_is_kept_until_it_changes(tmp_path, monkeypatch):
    hashed = []
    real = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda file, kind: hashed.append(1) or real(file, kind))
    monkeypatch.setattr(cache_module, "_LARGE", 4)
    path = tmp_path / "store"
    path.write_bytes(b"something large")

    def found() -> str:
        monkeypatch.setattr(cache_module, "_FILES", {})  # another process
        return Cache(tmp_path / "cache").file_digest(path)

    expected = hashlib.sha256(b"something large").hexdigest()
    assert [found(), found()] == [expected] * 2
    assert len(hashed) == 2  # just written: another change might have the same time
    long_ago = time.time() - 60
    os.utime(path, (long_ago, long_ago))
    assert [found(), found(), found()] == [expected] * 3
    assert len(hashed) == 3
    path.write_bytes(b"something other")
    assert found() == hashlib.sha256(b"something other").hexdigest()
    monkeypatch.setattr(cache_module, "_LARGE", 1 << 26)
    assert digest(path) == digest(hashlib.sha256(b"something other").hexdigest())


def test_a_second_report_projects_and_searches_nothing(run, make_prompts, monkeypatch):
    done = []

    def counting(place: str, name: str) -> None:
        module = import_module(place)
        owner = getattr(module, name.split(".")[0]) if "." in name else module
        real = getattr(owner, name.split(".")[-1])
        counted = lambda *args, **more: done.append(name) or real(*args, **more)  # noqa: E731
        monkeypatch.setattr(owner, name.split(".")[-1], counted)

    counting("kinelex.reports.run.maps", "tsne")
    counting("kinelex.reports.run.examples", "knn")

    def page(**more) -> str:
        done.clear()
        judged(run, "knn,calibration", prompts=make_prompts().path, **more)
        return (run.path / "report.html").read_text()

    first = page()
    assert (done.count("tsne"), done.count("knn")) == (2, 1)
    assert page() == first
    assert done == []
    page(fresh=True)
    assert (done.count("tsne"), done.count("knn")) == (2, 1)
    for file in run.path.parent.rglob("map-*"):
        file.write_bytes(file.read_bytes()[:-20])
    assert page() == first


def test_to_evaluate_does_not_wait_for_what_only_training_and_fitting_need():
    slow = "lightning", "sklearn", "scipy.stats", "pandas", "transformers", "matplotlib"
    code = f"import sys, kinelex.evaluation; print([name for name in {slow} if name in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_two_processes_may_evaluate_the_same_run(run):
    """Both write the same files at the same time: every one is whole, and both get the same numbers."""
    tasks = "knn,linear,calibration"
    command = [sys.executable, "-m", "kinelex.cli", "evaluate", str(run.path), "--tasks", tasks]
    other = subprocess.Popen([*command, "--json", str(run.path / "other.json")], stdout=subprocess.PIPE)
    results = []
    while other.poll() is None or len(results) < 2:
        results.append(judged(run, tasks, fresh=True)[0])  # writes every file anew
    assert other.returncode == 0
    results.append(json.loads((run.path / "other.json").read_text()))
    assert all(result == results[0] for result in results)
    assert judged(run, tasks) == (results[0], {"knn", "linear", "calibration", "baselines"})
    assert not list(run.path.rglob("*.tmp"))
    assert (run.path / "report.html").read_text().rstrip().endswith("</html>")
