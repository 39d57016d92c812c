"""Protocols with a star: all folds are trained and judged, and end in one row that compare takes."""

import json
import re
import shutil

import numpy as np
import pytest

from kinelex import reports
from kinelex.cli import main
from kinelex.data import open_store
from kinelex.data.splits.folds import fold_names
from kinelex.datasets import get_split
from kinelex.errors import InputError
from kinelex.evaluation import evaluate
from kinelex.evaluation.comparison.compare import compare
from kinelex.evaluation.scores import load_scores, score_path
from kinelex.training.encoder_files import load_encoder
from kinelex.training.train import train

SMALL = [
    "encoder.name=gru",
    "hidden=8",
    "layers=1",
    "frames=8",
    "batch_size=12",
    "accelerator=cpu",
    "epochs=1",
]
SMALL += ["logger=[]"]


@pytest.fixture(scope="module")
def judged(acted, tmp_path_factory):
    """Two trainings on three folds, the second with another seed, both judged."""
    folder = tmp_path_factory.mktemp("folds")
    results = []
    for seed in (0, 1):
        run = folder / f"run_{seed}"
        train("supervised", acted.store, "xsub:fold*of3", run, overrides=[*SMALL, f"seed={seed}"])
        results.append(evaluate(run, tasks=["classify"], baselines=False))
    return folder, results


def test_names(acted):
    store = open_store(acted.store)
    subjects = np.unique(store.subjects)
    assert fold_names(store, "loso:*") == [f"loso:{s}" for s in subjects]
    for wrong in ("xsub*", "nobody:*", "xsub:fold*of1"):
        with pytest.raises(InputError):
            fold_names(store, wrong)


def test_one_row_with_mean_spread_and_the_confusion_of_all_clips(acted, judged):
    folder, (result, _) = judged
    store, run = open_store(acted.store), folder / "run_0"
    whole = get_split(store, "xsub").train
    numbers = json.loads((run / "evaluation" / "classify.json").read_text())
    assert numbers["protocol"] == result["protocol"] == "xsub:fold*of3"
    values = numbers["folds"]["values"]
    assert list(values) == [f"xsub:fold{k}of3" for k in (1, 2, 3)]
    assert numbers["folds"]["mean"] == pytest.approx(np.mean(list(values.values())))
    assert numbers["folds"]["sd"] == pytest.approx(np.std(list(values.values()), ddof=1))
    confusion = np.array(numbers["confusion"])
    assert confusion.sum() == len(whole) == numbers["counts"]["test"]
    assert numbers["top1"] == pytest.approx(np.trace(confusion) / confusion.sum())
    scores = load_scores(score_path(run, "xsub:fold*of3", "classify"))
    assert sorted(scores.ids) == sorted(store.ids[row] for row in whole)


def test_compare_takes_runs_of_folds(judged):
    folder, results = judged
    found = compare([folder / "run_0", folder / "run_1"])
    assert found["protocol"] == "xsub:fold*of3"
    assert found["pairs"]["classify"][0]["top1"] == [r["classify"]["top1"] for r in results]
    [group] = found["groups"]  # two seeds of one recipe
    assert len(group["runs"]) == 2


def test_a_killed_training_goes_on_with_the_folds_that_are_missing(acted, judged, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(judged[0] / "run_0", run)
    shutil.rmtree(run / "folds" / "xsub_fold2of3")
    (run / "folds" / "xsub_fold3of3" / "encoder.safetensors").unlink()
    before = (run / "folds" / "xsub_fold1of3" / "config.yaml").stat().st_mtime_ns
    with pytest.raises(InputError, match=r"not finished \(xsub:fold2of3, xsub:fold3of3\): go on"):
        evaluate(run)
    with pytest.raises(InputError, match="not empty: pass --resume"):
        train("supervised", acted.store, "xsub:fold*of3", run)
    train("supervised", acted.store, "xsub:fold*of3", run, resume=True)
    assert (run / "folds" / "xsub_fold1of3" / "config.yaml").stat().st_mtime_ns == before
    (run / "folds" / "xsub_fold3of3" / "encoder.safetensors").unlink()
    config = run / "folds" / "xsub_fold3of3" / "config.yaml"
    config.write_text(config.read_text().replace("accelerator: cpu", "accelerator: tpu"))
    train("supervised", acted.store, "xsub:fold*of3", run, resume=True, overrides=["accelerator=cpu"])
    again = evaluate(run, tasks=["classify"], baselines=False)
    assert again["classify"]["top1"] == judged[1][0]["classify"]["top1"]


def test_what_needs_one_encoder_names_the_run_of_a_fold(judged, capsys):
    run = judged[0] / "run_0"
    with pytest.raises(InputError, match=r"holds the runs of 3 folds: name the run of one, .*/xsub_fold1of3"):
        load_encoder(run)
    assert main(["predict", str(run), "nothing.npy"]) == 2
    assert "name the run of one" in capsys.readouterr().err
    with pytest.raises(InputError, match="every fold has its own protocol"):
        evaluate(run, protocol="xsub")


def test_the_report_of_folds_has_a_page_and_confusions(judged):
    run = judged[0] / "run_1"
    assert main(["evaluate", str(run), "--tasks", "classify", "--no-baselines"]) == 0
    page = (run / "report.html").read_text()
    assert "over the 3 folds" in page
    assert "true class" in page
    for linked in re.findall('href="([^#"]+)"', page):
        assert (run / linked).is_file(), linked
    assert page.count('href="folds/') == 3
    assert 'href="report.csv"' in page
    with pytest.raises(InputError, match="nowhere"):
        reports.evaluate(run, tasks=["classify"], baselines=False, against=run / "nowhere")
