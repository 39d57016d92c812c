"""A study that searches: on folds of the training part, pruned, resumed, never worse than the recipe."""

import csv

import pytest
import yaml

from kinelex.errors import InputError
from kinelex.evaluation.study import find_study, run_study
from kinelex.evaluation.study.search import Range, search_of

pytest.importorskip("optuna", reason="the extra 'search' is not installed")

SMALL = ["encoder.name=gru", "hidden=8", "layers=1", "frames=8", "batch_size=12", "accelerator=cpu"]
SMALL += ["epochs=1", "logger=[]", "lr=0.001"]
CONTENT = {
    "recipe": "supervised",
    "search": {
        "trials": 3,
        "folds": 2,
        "ranges": {"optimizer.lr": {"low": "1e-4", "high": 0.3, "log": True}, "encoder.hidden": [8, 16]},
    },
    "tasks": ["classify"],
}


def _write(folder, **search):
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump({**CONTENT, "search": {**CONTENT["search"], **search}}))
    return str(path)


def test_it_finds_at_least_the_recipes_own_score_and_goes_on(acted, tmp_path):
    out = tmp_path / "out"
    first = run_study(_write(tmp_path, trials=2), acted.store, "xsub", out, changes=SMALL)
    assert [t["trial"] for t in first["trials"]] == [0, 1]
    assert first["trials"][0]["values"] == {"optimizer.lr": 0.001, "encoder.hidden": 8}
    begun = (out / "runs" / "trial-000" / "xsub_fold1of2+seed=0" / "config.yaml").stat().st_mtime_ns
    result = run_study(_write(tmp_path), acted.store, "xsub", out, changes=SMALL)
    assert len(result["trials"]) == 3
    assert result["trials"][:2] == first["trials"]
    assert (out / "runs" / "trial-000" / "xsub_fold1of2+seed=0" / "config.yaml").stat().st_mtime_ns == begun
    assert result["best"] >= result["own"] == result["trials"][0]["score"]
    best = yaml.safe_load((out / "best.yaml").read_text())
    assert best["optimizer"]["lr"] == result["values"]["optimizer.lr"]
    assert best["encoder"]["hidden"] == result["values"]["encoder.hidden"]
    with (out / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["trial"] for row in rows] == ["0", "1", "2"]
    assert float(rows[0]["optimizer.lr"]) == 0.001
    trained = {path.name for path in (out / "runs").glob("*/*")}
    assert trained <= {"xsub_fold1of2+seed=0", "xsub_fold2of2+seed=0"}  # nothing saw the test part
    with pytest.raises(InputError, match="holds a search with another recipe"):
        run_study(_write(tmp_path), acted.store, "xsub", out, changes=[*SMALL, "epochs=2"])


def test_a_trial_that_another_process_left_is_taken_up(acted, tmp_path, monkeypatch):
    from kinelex.evaluation.study import search_run

    real, calls = search_run.evaluate, []

    def killed(*arguments, **settings):
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments, **settings)

    monkeypatch.setattr(search_run, "evaluate", killed)
    study, out = _write(tmp_path, trials=1), tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        run_study(study, acted.store, "xsub", out, changes=SMALL)
    result = run_study(study, acted.store, "xsub", out, changes=SMALL)
    assert [(t["trial"], t["state"], len(t["folds"])) for t in result["trials"]] == [(0, "complete", 2)]
    assert len(calls) == 3  # the first fold was not judged again


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ({"ranges": {}}, "expects search: {ranges"),
        ({"trial": 3}, "unknown key of search .*'trial': did you mean 'trials'"),
        ({"trials": 0}, "expects trials as a whole number from 1"),
        ({"folds": 1}, "expects folds as a whole number from 2"),
        ({"pruning": "some"}, "unknown pruning"),
        ({"ranges": {"optimizer.lr": {"low": 1, "high": 0}}}, "expects optimizer.lr to be a list"),
        (
            {"ranges": {"optimizer.lr": {"low": 0, "high": 1, "log": True}}},
            "expects optimizer.lr to be a list",
        ),
        (
            {"ranges": {"optimizer.lr": {"low": 0, "high": float("inf")}}},
            "expects optimizer.lr to be a list",
        ),
        ({"ranges": {"lr": [0.001, 0.1]}}, "expects full keys in search"),
        ({"ranges": {"optimizer.lr": [0.1, 0.2]}}, "own optimizer.lr=0.001 is tried first"),
    ],
)
def test_wrong_searches_are_told(acted, tmp_path, search, message):
    with pytest.raises(InputError, match=message):
        run_study(_write(tmp_path, **search), acted.store, "xsub", tmp_path / "out", changes=SMALL)
    assert not (tmp_path / "out").exists()


def test_ranges():
    search = search_of("mine", {"ranges": {"a.b": {"low": 8, "high": 64, "step": 8}, "a.c": [True, False]}})
    assert search.ranges["a.b"].holds(16)
    assert not search.ranges["a.b"].holds(17)
    assert Range(low=1, high=2).holds(1.5)
    optuna = pytest.importorskip("optuna")
    trial = optuna.create_study().ask()
    assert Range(low=1, high=2, step=0.5).draw(trial, "a.d") in (1, 1.5, 2)
    with pytest.raises(InputError, match="either grid: or search:"):
        find_study(_no_search())


def _no_search():
    import tempfile
    from pathlib import Path

    path = Path(tempfile.mkdtemp()) / "none.yaml"
    path.write_text("recipe: cmd\n")
    return str(path)
