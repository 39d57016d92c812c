"""What a cached result depends on: its own sources and no others; damaged files are made anew."""

import ast
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import kinelex
from kinelex.evaluation import cache as cache_module
from kinelex.evaluation import evaluate
from kinelex.evaluation.cache import Cache, digest, encoder_digest
from kinelex.evaluation.context import Context
from kinelex.evaluation.protocols.registry import TASKS
from kinelex.evaluation.sources import Sources
from kinelex.training.encoder_files import load_encoders

PACKAGE = Path(kinelex.__file__).parent
MODULES = {task: place.partition(":")[0] for task, place in TASKS.items()}


def edited(*names: str) -> Sources:
    """The sources as if a line had been added to some files of the package."""

    def read(path: Path) -> bytes:
        more = b"\n# edited\n" if path in [PACKAGE / name for name in names] else b""
        return path.read_bytes() + more

    return Sources(read)


def imports(path: Path) -> set[tuple[str, str, str]]:
    """Imports of our own package, by Python's own parser."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "kinelex":
            found |= {(node.module, alias.name, alias.asname or alias.name) for alias in node.names}
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name.split(".")[0] == "kinelex"]
            found |= {(name, "", name) for name in names}
    return found


def test_imports_are_those_that_pythons_parser_finds():
    sources, extra = Sources(), set()
    for path in PACKAGE.rglob("*.py"):
        name = ".".join(("kinelex", *path.relative_to(PACKAGE).with_suffix("").parts))
        name = name.removesuffix(".__init__")
        found = set(sources._imported(name))
        assert imports(path) <= found, name
        extra |= {(name, *other) for other in found - imports(path)}
    by_name = {place for name, place, inner, _ in extra if inner == ""}
    assert by_name >= set(MODULES.values())  # the table of tasks
    assert {name for name, _, inner, _ in extra if inner} <= {"kinelex.evaluation"}  # its docstring has one


@pytest.mark.parametrize("task", TASKS)
def test_a_task_depends_on_its_own_sources_and_not_on_those_of_other_tasks(task):
    own = Sources().closure(MODULES[task])
    assert own >= {MODULES[task], "kinelex.evaluation.context", "kinelex.inference.features"}
    used = {"transfer": {"kinelex.evaluation.frozen"}}.get(task, set())
    assert not own & (set(MODULES.values()) - {MODULES[task]} - used)
    for other in ("evaluation.report", "evaluation.evaluate", "evaluation.output", "studies", "cli"):
        assert not [name for name in own if name.startswith(f"kinelex.{other}")]


def test_an_edit_shows_where_it_matters():
    def changes(module: str, name: str) -> bool:
        return edited(name).digest(module) != edited().digest(module)

    knn, finetune, zero_shot = MODULES["knn"], MODULES["finetune"], MODULES["zero_shot"]
    for name in ("frozen.py", "knn.py", "context.py", "cache.py"):
        assert changes(knn, f"evaluation/{name}")
    assert changes(knn, "store/skeleton_store.py")  # behind the names that kinelex.data passes on
    assert changes(knn, "transforms/normalise.py")
    for name in ("evaluation/retrieval.py", "evaluation/report/maps.py", "encoders/hdgcn.py", "cli.py"):
        assert not changes(knn, name)
    assert changes(finetune, "training/adapt.py")  # imported within a function
    assert changes(finetune, "recipes/adapt/full.yaml")
    assert not changes(finetune, "methods/c2vl.py")
    assert changes(zero_shot, "prompts/minilm.py")  # known by name to the table of engines
    assert changes(zero_shot, "evaluation/class_texts/utd_mhad.yaml")


def test_features_depend_on_what_makes_them(run, monkeypatch):
    encoder = load_encoders(run.path)["joint"]

    def key(*names: str) -> str:
        monkeypatch.setattr(cache_module, "_SOURCES", edited(*names))
        return encoder_digest(encoder)

    plain = key()
    for name in ("encoders/stgcn.py", "transforms/pipeline.py", "skeleton/streams.py", "training/loader.py"):
        assert key(name) != plain
    for name in ("encoders/hdgcn.py", "evaluation/knn.py", "evaluation/context.py", "methods/c2vl.py"):
        assert key(name) == plain


def judged(run, tasks: str, **more) -> tuple[dict, set[str]]:
    """The numbers, and what came from the cache."""
    console = Console(file=io.StringIO(), width=120)
    result = evaluate(run.path, tasks=tasks.split(","), console=console, **more)
    return result, set(re.findall(r"^(\w+): cached", console.file.getvalue(), re.MULTILINE))


def test_what_was_not_edited_is_read(run, monkeypatch):
    tasks = "knn,linear,calibration"
    first, found = judged(run, tasks)
    assert found == set()
    assert judged(run, tasks) == (first, {"knn", "linear", "calibration", "baselines"})
    for name, left in (
        ("evaluation/calibration.py", {"knn", "linear", "baselines"}),
        ("evaluation/report/maps.py", {"knn", "linear", "calibration", "baselines"}),
        ("evaluation/baselines.py", {"knn", "linear", "calibration"}),
        ("evaluation/knn.py", set()),
    ):
        monkeypatch.setattr(cache_module, "_SOURCES", edited(name))
        assert judged(run, tasks) == (first, left)


def test_each_kind_of_baseline_is_kept_on_its_own(run, make_prompts, monkeypatch):
    from kinelex.evaluation import baseline_rows

    raw = []
    monkeypatch.setattr(baseline_rows, "_raw", lambda context: raw.append(1) or {})
    judged(run, "knn")
    _, found = judged(run, "knn", prompts=make_prompts().path)
    assert (raw, found) == ([1], {"knn"})


class Turn:
    """A change of clips, as a task has it."""

    def __call__(self, batch, generator):
        return batch


def test_changed_clips_are_made_anew_where_the_change_was_edited(run, store, monkeypatch):
    rows = np.arange(4)
    context = Context(run, load_encoders(run.path), store, "xsub", rows, rows)
    names = []
    for source in (Sources(), Sources(lambda path: path.read_bytes() + b"#" * (path == Path(__file__)))):
        monkeypatch.setattr(cache_module, "_SOURCES", source)
        names.append(context._feature_file("joint", "turned", Turn())[1])
    assert names[0] != names[1]


def test_a_task_of_ones_own_depends_on_what_it_imports_of_its_own_package(tmp_path, monkeypatch):
    folder = tmp_path / "mine_of_test"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "helper.py").write_text("ONE = 1\n")
    (folder / "task.py").write_text(
        "from . import helper\nfrom kinelex.errors import InputError\nimport numpy\nfrom os import path\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import_module("mine_of_test")
    closure = Sources().closure("mine_of_test.task")
    assert closure == {"mine_of_test.task", "mine_of_test.helper", "kinelex.errors"}


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
    for file in (run.path / "evaluation" / "cache").iterdir():
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


def test_a_second_report_draws_and_searches_nothing(run, make_prompts, monkeypatch):
    done = []

    def counting(place: str, name: str) -> None:
        module = import_module(place)
        owner = getattr(module, name.split(".")[0]) if "." in name else module
        real = getattr(owner, name.split(".")[-1])
        counted = lambda *args, **more: done.append(name) or real(*args, **more)  # noqa: E731
        monkeypatch.setattr(owner, name.split(".")[-1], counted)

    counting("matplotlib.figure", "Figure.savefig")
    counting("sklearn.manifold", "TSNE.fit_transform")
    counting("kinelex.evaluation.evidence", "knn")

    def page(**more) -> str:
        done.clear()
        judged(run, "knn,calibration", prompts=make_prompts().path, **more)
        return re.sub(r"written [^<]*", "", (run.path / "report.html").read_text())

    first = page()
    assert done.count("TSNE.fit_transform") == 2
    assert done.count("knn") == 1
    figures = done.count("Figure.savefig")
    assert figures > 5
    assert page() == first
    assert done == []
    monkeypatch.setattr(cache_module, "_SOURCES", edited("evaluation/report/maps.py"))
    assert page() == first
    assert done.count("TSNE.fit_transform") == 2
    assert 0 < done.count("Figure.savefig") < figures
    page(fresh=True)
    assert done.count("Figure.savefig") == figures
    for file in (run.path / "evaluation" / "cache").glob("drawing-*"):
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
