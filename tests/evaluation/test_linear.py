"""Linear probes: the optimum, the choice of regularisation, and what must not leak."""

import inspect

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from kinelex.errors import InputError
from kinelex.evaluation import Material, linear_probe, linear_sgd_probe, run_task


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


def test_chosen_strength_is_the_strongest_of_the_best():
    x, y = make(rows=120, noise=4.0)
    probe = linear_probe(x, y, 4)
    best = max(probe.fold_accuracy.values())
    assert probe.fold_accuracy[probe.regularisation] == best
    stronger = [s for s in probe.fold_accuracy if s > probe.regularisation]
    assert all(probe.fold_accuracy[s] < best for s in stronger)


def test_choice_cannot_depend_on_test_labels():
    """The tasks are not even given the test labels; the fitted model is the same whatever they are."""
    assert not any("test" in name for name in inspect.signature(linear_probe).parameters)
    x, y = make()
    test, truth = make(seed=1)
    outcome = run_task("linear", Material(x, y, test, 4))
    rng = np.random.default_rng(0)
    order = rng.permutation(len(test))  # another order of the test part, so other labels per row
    again = run_task("linear", Material(x, y, test[order], 4))
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


def test_one_class_is_refused():
    with pytest.raises(InputError, match="two classes"):
        linear_probe(np.ones((4, 2)), np.zeros(4, int), 3)


def test_sgd_probe_repeats_and_leaves_the_global_generator_alone():
    x, y = make()
    first, second = linear_sgd_probe(x, y, 4, seed=3), linear_sgd_probe(x, y, 4, seed=3)
    assert torch.equal(first.weight, second.weight)
    assert (first(torch.as_tensor(x)).argmax(dim=1).numpy() == y).mean() > 0.8
    assert not torch.equal(first.weight, linear_sgd_probe(x, y, 4, seed=4).weight)
    state = torch.get_rng_state()
    linear_sgd_probe(x, y, 4, epochs=1)
    assert torch.equal(torch.get_rng_state(), state)


def test_sgd_probe_is_the_plain_loop():
    """One epoch, one batch: the step of plain gradient descent from the same start."""
    x, y = make(rows=32)
    start = linear_sgd_probe(x, y, 4, epochs=0)
    step = linear_sgd_probe(x, y, 4, epochs=1)
    scores = start(torch.as_tensor(x)).numpy()
    p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    gradient = sum(np.outer(p[i] - np.eye(4)[y[i]], x[i]) for i in range(32)) / 32
    np.testing.assert_allclose(step.weight.numpy(), start.weight.numpy() - 0.1 * gradient, atol=1e-5)
