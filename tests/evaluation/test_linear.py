"""Linear probes: the optimum, the choice of regularisation, and what must not leak."""

import inspect
import warnings

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, StratifiedKFold
from sklearn.preprocessing import StandardScaler

from kinelex.errors import InputError
from kinelex.evaluation import ProbeData, linear_probe, linear_sgd_probe, run_task
from kinelex.evaluation.protocols.linear_sgd import SGDSchedule, linear_sgd_layers
from kinelex.inference.linear_probe import STRENGTHS, training_folds
from kinelex.inference.logistic import LogisticPath


def make(rows: int = 240, noise: float = 1.0, classes: int = 4, seed: int = 0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, rows)
    features = rng.normal(size=(rows, 24)) * noise + 2 * np.eye(classes, 24)[labels]
    return features.astype(np.float32), labels


def test_probe_is_the_logistic_regression_of_scikit_learn():
    x, y = make()
    probe = linear_probe(x, y, 4, strengths=(0.03,))
    scaler = StandardScaler().fit(x)
    oracle = LogisticRegression(C=1 / (0.03 * len(x)), tol=1e-6, max_iter=2000).fit(scaler.transform(x), y)
    expected = oracle.predict_proba(scaler.transform(x))
    mine = torch.tensor(probe.scores(x)).softmax(dim=1).numpy()
    np.testing.assert_allclose(mine, expected, atol=0.01)


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("width", [24, 400])
def test_every_strength_of_a_path_is_nearer_to_the_optimum_than_scikit_learn_s_tolerance(width, classes):
    """Of the same problem, with copies among the rows, and more features than rows where they are 400."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, classes, 120) * 2
    x = rng.normal(size=(120, width)) + 2 * np.eye(2 * classes, width)[y]
    x, y = np.concatenate([x, x[:40]]).astype(np.float32), np.concatenate([y, y[:40]])
    other = rng.normal(size=(9, width)).astype(np.float32)
    path = LogisticPath(x, y)
    for strength in (1.0, 0.1, 0.01):
        path.fit(strength)
        options = {"C": 1 / (strength * len(x)), "max_iter": 20_000}
        exact = LogisticRegression(tol=1e-8, **options).fit(x.astype(np.float64), y)
        near = LogisticRegression(tol=1e-3, **options).fit(x, y)
        weight, bias = path.weights()
        np.testing.assert_allclose(path.scores(path.project(other)), other @ weight.T + bias, atol=2e-3)
        pair = (weight[1:] - weight[:1], bias[1:] - bias[:1]) if classes == 2 else (weight, bias)
        ours, optimum, theirs = (
            penalised_loss(x, y, strength, *p)
            for p in (pair, *((m.coef_, m.intercept_) for m in (exact, near)))
        )
        assert ours - optimum < max(2e-5, theirs - optimum)
        assert ours > optimum - 1e-6


def penalised_loss(x, y, strength, weight, bias) -> float:
    """The mean cross-entropy and the penalty, in float64; a row of weights stands for two classes."""
    logits = x.astype(np.float64) @ weight.T + bias
    if logits.shape[1] == 1:
        logits = np.concatenate([np.zeros_like(logits), logits], axis=1)
    _, known = np.unique(y, return_inverse=True)
    shares = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return float(
        -shares[np.arange(len(y)), known].mean() + strength / 2 * np.square(weight, dtype=float).sum()
    )


def test_chosen_strength_is_the_strongest_of_the_best():
    x, y = make(rows=120, noise=4.0)
    probe = linear_probe(x, y, 4)
    best = max(probe.fold_accuracy.values())
    assert tuple(probe.fold_accuracy) == STRENGTHS  # all are tried: on a flat curve rounding would end it
    assert probe.fold_accuracy[probe.regularisation] == best
    stronger = [s for s in probe.fold_accuracy if s > probe.regularisation]
    assert all(probe.fold_accuracy[s] < best for s in stronger)


def test_choice_cannot_depend_on_test_labels():
    """The tasks are not even given the test labels; the fitted model is the same whatever they are."""
    assert not any("test" in name for name in inspect.signature(linear_probe).parameters)
    x, y = make()
    test, truth = make(seed=1)
    outcome = run_task("linear", ProbeData(x, y, test, 4))
    rng = np.random.default_rng(0)
    order = rng.permutation(len(test))  # another order of the test part, so other labels per row
    again = run_task("linear", ProbeData(x, y, test[order], 4))
    assert again.details == outcome.details
    np.testing.assert_allclose(again.scores, outcome.scores[order], rtol=1e-5, atol=1e-5)
    assert (outcome.scores.argmax(axis=1) == truth).mean() > 0.6


def test_folds_keep_subjects_together():
    """With features that only tell the subject, grouped folds see through it and plain ones do not."""
    rng = np.random.default_rng(0)
    subjects = np.repeat(np.arange(8), 20)
    labels = subjects % 4
    features = np.eye(8, 24)[subjects] * 4 + rng.normal(size=(160, 24)) * 0.3
    plain = linear_probe(features, labels, 4)
    grouped = linear_probe(features, labels, 4, groups=subjects)
    assert max(plain.fold_accuracy.values()) > 0.95
    assert max(grouped.fold_accuracy.values()) < 0.7


@pytest.mark.parametrize("subjects", [None, np.arange(60) % 7])
def test_crops_are_more_rows_of_the_same_clips(subjects):
    """They are learned like clips, stay in the fold of their clip, and nothing is judged on them."""
    x, y = make(rows=60, noise=2.0)
    crops = x + np.random.default_rng(1).normal(size=(3, *x.shape)).astype(np.float32)
    probe = linear_probe(x, y, 4, subjects, crops=crops)
    rows, labels = np.concatenate([x, *crops]), np.tile(y, 4)
    alone = linear_probe(rows, labels, 4, strengths=(probe.regularisation,))
    np.testing.assert_array_equal(probe.weight, alone.weight)
    right = 0
    for fit, held in training_folds(y, subjects).parts:
        learned = np.isin(np.arange(240) % 60, fit)
        fold = linear_probe(rows[learned], labels[learned], 4, strengths=(probe.regularisation,))
        right += (fold.scores(x[held]).argmax(axis=1) == y[held]).sum()
    assert abs(60 * probe.fold_accuracy[probe.regularisation] - right) <= 1  # folds end at a larger gradient
    assert probe.folds_by == ("class" if subjects is None else "subject")
    plain = linear_probe(x, y, 4, subjects)
    np.testing.assert_array_equal(linear_probe(x, y, 4, subjects, crops=crops[:0]).weight, plain.weight)


def test_the_epochs_of_sgd_take_crops_in_turn():
    x, y = make(rows=32)
    other = x[:, ::-1].copy()
    about = {"num_classes": 4, "seed": 3}
    plain = linear_sgd_probe(x, y, schedule=SGDSchedule(epochs=1), **about)
    once = linear_sgd_probe(other, y, schedule=SGDSchedule(epochs=1), crops=np.stack([x, other]), **about)
    assert torch.equal(once.weight, plain.weight)  # the first crop, and never the features themselves
    same = linear_sgd_probe(other, y, schedule=SGDSchedule(epochs=5), crops=np.stack([x, x]), **about)
    assert torch.equal(same.weight, linear_sgd_probe(x, y, schedule=SGDSchedule(epochs=5), **about).weight)
    turns = linear_sgd_probe(x, y, schedule=SGDSchedule(epochs=5), crops=np.stack([x, other]), **about)
    assert not torch.allclose(turns.weight, same.weight, atol=1e-3)


def test_two_classes_constant_features_and_an_absent_class():
    x, y = make(classes=2)
    x[:, 5] = 3.0
    probe = linear_probe(x, y * 2, num_classes=4)
    assert np.isfinite(probe.weight).all()
    predicted = probe.scores(x).argmax(axis=1)
    assert set(predicted) <= {0, 2}
    assert (predicted == y * 2).mean() > 0.85


def test_a_class_with_one_clip_is_no_error():
    x, y = make()
    y[y == 3] = 2
    y[0] = 3
    assert np.isfinite(linear_probe(x, y, 4).weight).all()


@pytest.mark.parametrize("subjects", [None, np.arange(4), np.array([0, 0, 1, 1])])
def test_one_clip_per_class_leaves_nothing_to_search(subjects):
    """No clip that is held out can be recognised: the strongest penalty is taken."""
    x, y = np.eye(4, 6, dtype=np.float32) * 3, np.array([2, 0, 4, 1])
    probe = linear_probe(x, y, 5, subjects)
    assert (probe.regularisation, probe.fold_accuracy, probe.folds_by) == (1.0, {}, "none")
    assert probe.scores(x + 0.3).argmax(axis=1).tolist() == y.tolist()
    assert np.isneginf(probe.scores(x)[:, 3]).all()
    outcome = run_task("linear", ProbeData(x, y, x, 5, subjects))
    assert (outcome.details["fold_accuracy"], outcome.details["folds_by"]) == ({}, "none")
    with pytest.raises(InputError, match=r"knn\.sweep expects two training clips of a class"):
        run_task("knn", ProbeData(x, y, x, 5, subjects), sweep=(1, 2))
    with pytest.raises(InputError, match="did you mean 'sweep'"):
        run_task("knn", ProbeData(x, y, x, 5, subjects), sweeps=(1, 2))


def test_folds_are_five_whatever_the_smallest_class_has():
    labels = np.repeat([0, 1, 2], [10, 10, 1])
    parts, by = training_folds(labels, None)
    assert (len(parts), by) == (5, "class")
    assert sorted(np.concatenate([held for _, held in parts])) == list(range(21))
    assert all(np.bincount(labels[held], minlength=2)[:2].tolist() == [2, 2] for _, held in parts)
    assert len(training_folds(np.array([0, 0, 1, 2]), None).parts) == 2


@pytest.mark.parametrize("seed", range(20))
def test_folds_are_those_of_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    labels, groups = rng.integers(0, 5, 60), rng.integers(0, 9, 60)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class with fewer clips than folds
        by_class = list(StratifiedKFold(5, shuffle=True, random_state=0).split(labels, labels))
    by_group = list(GroupKFold(5).split(labels, labels, groups))
    for mine, theirs in (
        (training_folds(labels, None), by_class),
        (training_folds(labels, groups), by_group),
    ):
        assert [[r.tolist() for r in part] for part in mine.parts] == [
            [r.tolist() for r in part] for part in theirs
        ]


def test_subjects_without_a_class_in_common_are_not_held_out_whole():
    """Then no clip that is held out could be recognised, and every strength would be as good."""
    labels = np.repeat(np.arange(4), 6)
    parts, by = training_folds(labels, labels // 2)
    assert by == "class"
    assert all(set(labels[fit]) == set(labels[held]) == {0, 1, 2, 3} for fit, held in parts)
    assert training_folds(labels, np.arange(24) % 2).by == "subject"


def test_a_large_common_mean_costs_no_digit():
    x, y = make(rows=400)
    far = (x.astype(np.float64) * 2.0**-12 + 1).astype(np.float32)  # a spread of 2e-4 around 1
    near = (far.astype(np.float64) - 1) * 2.0**12
    one, two = (linear_probe(f, y, 4, strengths=(0.03,)).scores(f) for f in (near, far))
    np.testing.assert_allclose(two, one, atol=1e-3)


def test_one_class_is_always_predicted_and_no_clip_is_refused():
    probe = linear_probe(np.ones((4, 2)), np.full(4, 1), 3)
    assert probe.scores(np.zeros((5, 2))).argmax(axis=1).tolist() == [1] * 5
    assert probe.fold_accuracy == {}
    with pytest.raises(InputError, match="a clip or more"):
        linear_probe(np.ones((0, 2)), np.zeros(0, int), 3)


def test_sgd_probe_repeats_and_leaves_the_global_generator_alone():
    x, y = make()
    first, second = linear_sgd_probe(x, y, 4, seed=3), linear_sgd_probe(x, y, 4, seed=3)
    assert torch.equal(first.weight, second.weight)
    assert (first(torch.as_tensor(x)).argmax(dim=1).numpy() == y).mean() > 0.8
    assert not torch.equal(first.weight, linear_sgd_probe(x, y, 4, seed=4).weight)
    state = torch.get_rng_state()
    linear_sgd_probe(x, y, 4, SGDSchedule(epochs=1))
    assert torch.equal(torch.get_rng_state(), state)


def test_sgd_probe_is_the_plain_loop():
    """One epoch, one batch: the step of plain gradient descent from the same start."""
    x, y = make(rows=32)
    start = linear_sgd_probe(x, y, 4, SGDSchedule(epochs=0))
    step = linear_sgd_probe(x, y, 4, SGDSchedule(epochs=1))
    scores = start(torch.as_tensor(x)).numpy()
    p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    gradient = sum(np.outer(p[i] - np.eye(4)[y[i]], x[i]) for i in range(32)) / 32
    np.testing.assert_allclose(step.weight.numpy(), start.weight.numpy() - 0.1 * gradient, atol=1e-5)


def test_streams_trained_together_are_one_layer_on_their_features_side_by_side():
    """The mean of the logits is one product; a step of descent on it by hand."""
    (x, y), (z, _) = make(rows=32), make(rows=32, seed=5)
    start, step = (linear_sgd_layers([x, z], y, 4, SGDSchedule(epochs=e)) for e in (0, 1))
    logits = (start[0](torch.as_tensor(x)) + start[1](torch.as_tensor(z))).numpy() / 2
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    for features, before, after in zip((x, z), start, step, strict=True):
        gradient = (p - np.eye(4)[y]).T @ features / 32 / 2
        np.testing.assert_allclose(after.weight.numpy(), before.weight.numpy() - 0.1 * gradient, atol=1e-5)
        np.testing.assert_allclose(
            after.bias.numpy(), -0.1 * (p - np.eye(4)[y]).sum(axis=0) / 32 / 2, atol=1e-6
        )
    (alone,) = linear_sgd_layers([x], y, 4, seed=2)
    assert torch.equal(alone.weight, linear_sgd_probe(x, y, 4, seed=2).weight)


def test_features_that_cannot_be_fitted_are_one_message():
    with pytest.raises(InputError, match="row 1 holds numbers that are not finite"):
        linear_probe(np.array([[0.0], [np.nan]]), np.array([0, 1]), 2)
    with pytest.raises(InputError, match="expects a label per row, got 3 labels for 2 rows"):
        linear_probe(np.zeros((2, 1)), np.array([0, 1, 1]), 2)
    with pytest.raises(InputError, match="crops: row 3 holds numbers that are not finite"):
        linear_probe(np.zeros((2, 1)), np.array([0, 1]), 2, crops=[np.array([[0.0], [np.inf]])])
