"""Comparing runs: seeds in one row, pairs tested clip by clip, and what is refused."""

import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from rich.console import Console
from scipy.stats import binomtest

from kinelex.errors import InputError
from kinelex.evaluation.comparison.compare import _pairs_table, group_runs
from kinelex.evaluation.scores import load_scores
from kinelex.reports import compare, evaluate
from kinelex.training.encoder_files import load_encoders, save_encoders
from kinelex.training.run_directory import RunDirectory


def quiet() -> Console:
    return Console(file=io.StringIO(), width=160)


@pytest.fixture
def runs(run, tmp_path) -> dict[str, Path]:
    """Two seeds of one recipe and another recipe, each judged."""
    made = {}
    for place, (name, changes) in enumerate(
        {
            "base_s0": {"training": {"seed": 0, "threads": 1}},
            "base_s1": {"training": {"seed": 1, "threads": 2}},
            "other": {"training": {"seed": 0}, "method": {"name": "c2vl", "alpha": 0.2}},
        }.items()
    ):
        path = shutil.copytree(run.path, tmp_path / name)
        config = {**run.config, "data": str(run.config["data"]), **changes}
        fresh = load_encoders(path, untrained_seed=place)
        modules = {stream: encoder.encoder for stream, encoder in fresh.items()}
        save_encoders(path, modules, config["encoder"], next(iter(fresh.values())).pipeline)
        (path / "config.yaml").write_text(yaml.safe_dump(config))
        evaluate(path, tasks=("knn",), baselines=False, console=quiet())
        made[name] = path
    return made


def test_seeds_are_one_row_and_pairs_are_tested_clip_by_clip(runs, tmp_path):
    console = quiet()
    result = compare(list(runs.values()), out=tmp_path / "c", console=console)
    assert json.loads(json.dumps(result)) == result
    rates = {
        name: json.loads((path / "evaluation" / "knn.json").read_text())["top1"]
        for name, path in runs.items()
    }
    base, other = result["groups"]
    assert (base["name"], other["name"]) == ("base", "other")
    numbers = base["numbers"]["knn top-1"]
    both = [rates["base_s0"], rates["base_s1"]]
    assert numbers["values"] == pytest.approx(both)
    assert numbers["mean"] == pytest.approx(np.mean(both))
    assert numbers["sd"] == pytest.approx(np.std(both, ddof=1))
    lead = other["numbers"]["knn top-1"]["difference"]
    assert lead == pytest.approx(rates["other"] - rates["base_s0"])  # over the seeds that both have

    pairs = result["pairs"]["knn"]
    assert len(pairs) == 3
    for pair in pairs:
        files = [load_scores(Path(pair[w]) / "evaluation/scores/xsub/knn.npz") for w in ("first", "second")]
        hits = [f.logits.argmax(axis=1) == f.labels for f in files]
        only = [0, 0]
        for a, b in zip(*hits, strict=True):
            only[0] += int(a and not b)
            only[1] += int(b and not a)
        assert [pair["only_first"], pair["only_second"]] == only
        assert pair["p"] == pytest.approx(binomtest(only[0], sum(only)).pvalue if sum(only) else 1.0)
        assert pair["difference"] == pytest.approx(hits[0].mean() - hits[1].mean())
        assert pair["ci95"][0] <= pair["difference"] <= pair["ci95"][1]
        assert pair["p"] <= pair["p_holm"] <= 1
    text = console.file.getvalue()
    assert "McNemar" in text
    assert "±" in text
    assert "</html>" in (tmp_path / "c" / "comparison.html").read_text()
    assert next(csv.reader((tmp_path / "c" / "comparison.csv").open()))


def test_two_runs_of_one_name_are_told_apart():
    console = quiet()
    pair = {"first": "a/run", "second": "b/run", "top1": [0.5, 0.4], "difference": 0.1, "ci95": [0.0, 0.2]}
    console.print(_pairs_table("knn", [{**pair, "only_first": 6, "only_second": 1, "p": 0.1}]))
    assert "a/run : b/run" in console.file.getvalue()


def test_the_run_an_adapted_one_came_from_may_have_another_seed(runs):
    made = []
    for name, seed in (("base_s0", 0), ("base_s1", 1), ("other", 0)):
        path = runs[name]
        config = yaml.safe_load((path / "config.yaml").read_text())
        origin = {"method": config["method"], "training": {"seed": seed}, "data": f"{seed}.arrow"}
        config = {
            **config,
            "method": {"name": "supervised"},
            "adapted": {"mode": "full", "run": name, "from": origin},
        }
        (path / "config.yaml").write_text(yaml.safe_dump(config))
        made.append(RunDirectory(path))
    assert [[run.path.name for run in group.runs] for group in group_runs(made)] == [
        ["base_s0", "base_s1"],
        ["other"],
    ]


def test_what_cannot_be_compared_is_refused(runs, run):
    first, second, _ = runs.values()
    with pytest.raises(InputError, match="two runs or more"):
        compare([first], console=quiet())
    with pytest.raises(InputError, match="expects a folder, for comparison.html"):
        compare([first, second], out="c.html", console=quiet())
    with pytest.raises(InputError, match="given twice"):
        compare([first, second, first / "."], console=quiet())
    with pytest.raises(InputError, match="was not judged on xsub"):
        compare([first, run.path], console=quiet())
    with pytest.raises(InputError, match="no run directory"):
        compare([first, second / "evaluation"], console=quiet())
    path = second / "evaluation/scores/xsub/knn.npz"
    with np.load(path) as file:
        content = {name: file[name] for name in file.files}
    np.savez(path, **{**content, "ids": content["ids"][::-1]})
    with pytest.raises(InputError, match="other clips|different clips"):
        compare([first, second], console=quiet())
    path.write_bytes(b"PK")
    with pytest.raises(InputError, match="damaged"):
        compare([first, second], console=quiet())
    config = yaml.safe_load((second / "config.yaml").read_text())
    (second / "config.yaml").write_text(yaml.safe_dump({**config, "protocol": "random"}))
    with pytest.raises(InputError, match="several protocols.*--protocol"):
        compare([first, second], console=quiet())
    (second / "config.yaml").write_text(yaml.safe_dump({**config, "dataset": "sbu"}))
    (first / "config.yaml").write_text(yaml.safe_dump({**config, "dataset": "sysu"}))
    with pytest.raises(InputError, match=r"several data sets \(sbu, sysu\): pass --protocol"):
        compare([first, second], console=quiet())
    (second / "config.yaml").write_text(yaml.safe_dump({**config, "protocol": None}))
    with pytest.raises(InputError, match="does not say which protocol it was trained on: pass --protocol"):
        compare([first, second], console=quiet())
