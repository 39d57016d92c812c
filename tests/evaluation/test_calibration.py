"""Calibration by a plain loop, by scikit-learn's Brier score, and as a task."""

import io
import math
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console
from sklearn.metrics import brier_score_loss, log_loss

from kinelex.data import open_store
from kinelex.datasets import get_split
from kinelex.errors import InputError
from kinelex.evaluation.context import Context
from kinelex.evaluation.protocols.calibration import Calibration, CalibrationOptions, reliability
from kinelex.inference.fusion import softmax
from kinelex.inference.linear_probe import linear_probe
from kinelex.training.encoder_files import load_encoders
from kinelex.training.run_directory import RunDirectory


@pytest.fixture
def actors(acted) -> Context:
    store, run = open_store(acted.store), RunDirectory(acted.run)
    split = get_split(store, "xsub")
    console = Console(file=io.StringIO(), width=120)
    return Context(run, load_encoders(run.path), store, "xsub", split.train, split.test, console=console)


def by_loop(probabilities, truth, bins) -> tuple[float, float, list[int]]:
    held = [[] for _ in range(bins)]
    for row, label in zip(probabilities.tolist(), truth.tolist(), strict=True):
        sure = max(row)
        place = max(math.ceil(sure * bins), 1) - 1
        held[place].append((sure, row.index(sure) == label))
    gaps = [abs(sum(s for s, _ in h) - sum(r for _, r in h)) for h in held]
    means = [g / len(h) for g, h in zip(gaps, held, strict=True) if h]
    return sum(gaps) / len(truth), max(means), [len(h) for h in held]


@pytest.mark.parametrize("bins", [1, 7, 15])
def test_errors_by_a_loop(bins):
    rng = np.random.default_rng(bins)
    probabilities, truth = softmax(2 * rng.normal(size=(200, 5))), rng.integers(0, 5, 200)
    found = reliability(probabilities, truth, bins)
    ece, mce, clips = by_loop(probabilities, truth, bins)
    assert (found["ece"], found["mce"]) == pytest.approx((ece, mce))
    assert [b["clips"] for b in found["bins"]] == clips


def test_scores_of_scikit_learn():
    rng = np.random.default_rng(0)
    probabilities, truth = softmax(rng.normal(size=(300, 2))), rng.integers(0, 2, 300)
    found = reliability(probabilities, truth)
    assert found["nll"] == pytest.approx(log_loss(truth, probabilities))
    assert found["brier"] == pytest.approx(2 * brier_score_loss(truth, probabilities[:, 1]))


def test_sure_and_right_is_calibrated_sure_and_wrong_is_not():
    certain = np.eye(4)[[0, 1, 2, 3]]
    right, wrong = reliability(certain, np.arange(4)), reliability(certain, np.array([1, 2, 3, 0]))
    assert (right["ece"], right["brier"], right["bins"][-1]["clips"]) == (0, 0, 4)
    assert (wrong["ece"], wrong["mce"], wrong["brier"]) == (1, 1, 2)
    assert math.isfinite(wrong["nll"])


def test_what_is_no_probability_is_refused():
    with pytest.raises(InputError, match="rows of probabilities"):
        reliability(np.array([[2.0, 1.0]]), np.array([0]))
    with pytest.raises(InputError, match="got 2 for 1 rows"):
        reliability(np.array([[1.0, 0.0]]), np.array([0, 1]))
    for label in (-1, 2):
        with pytest.raises(InputError, match="expects classes from 0 to 1"):
            reliability(np.array([[1.0, 0.0]]), np.array([label]))
    with pytest.raises(InputError, match=r"calibration\.bins"):
        CalibrationOptions(bins=0)
    with pytest.raises(InputError, match=r"calibration\.by"):
        CalibrationOptions(by="knn")


def test_the_task_takes_a_probe_where_the_run_has_no_classifier(actors):
    result = Calibration().run(actors, CalibrationOptions(bins=5))
    m = actors.probe_data()["joint"]
    probe = linear_probe(m.train, m.train_labels, m.num_classes, m.groups)
    expected = reliability(softmax(probe.scores(m.test)), actors.truth, 5)
    assert {k: result.numbers[k] for k in expected} == expected
    assert result.numbers["by"] == "linear"
    low, high = result.numbers["accuracy_ci95"]
    assert low <= result.numbers["accuracy"] <= high
    curve = result.curves["reliability"]
    assert sum(curve["clips"]) == len(actors.test)
    assert len(curve["x"]) == len(curve["y"])
    with pytest.raises(InputError, match="learned no classifier"):
        Calibration().run(actors, CalibrationOptions(by="classify"))


def test_streams_are_averaged_as_probabilities(actors):
    encoder = actors.encoders["joint"]
    bone = load_encoders(actors.run.path, untrained_seed=4)["joint"]
    both = replace(actors, encoders={"joint": encoder, "bone": bone})
    found = Calibration().run(both, CalibrationOptions()).numbers
    alone = []
    for m in both.probe_data().values():
        probe = linear_probe(m.train, m.train_labels, m.num_classes, m.groups)
        alone.append(softmax(probe.scores(m.test)))
    assert found["ece"] == pytest.approx(reliability((alone[0] + alone[1]) / 2, both.truth)["ece"])
    assert found["streams"]["bone"]["ece"] == pytest.approx(reliability(alone[1], both.truth)["ece"])


def test_the_right_edge_belongs_to_a_bin():
    """A confidence on an edge is in the bin below it; by hand, with what the sums over it are."""
    probabilities = np.array([[0.5, 0.5], [0.75, 0.25], [1.0, 0.0]])
    found = reliability(probabilities, np.array([0, 0, 1]), bins=4)
    assert [b["clips"] for b in found["bins"]] == [0, 1, 1, 1]
    assert found["ece"] == pytest.approx((0.5 + 0.25 + 1) / 3)
    assert found["mce"] == pytest.approx(1)
    assert found["brier"] == pytest.approx((0.5 + 0.125 + 2) / 3)
