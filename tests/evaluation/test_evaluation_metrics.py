"""Metrics against scikit-learn."""

import numpy as np
import pytest
from sklearn import metrics as oracle

from kinelex.errors import InputError
from kinelex.evaluation import classification_metrics, confusion_matrix, top_k


@pytest.fixture
def scored() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return rng.normal(size=(200, 9)), rng.integers(0, 9, 200)


def test_numbers_are_those_of_scikit_learn(scored):
    scores, labels = scored
    numbers = classification_metrics(scores, labels, [f"c{c}" for c in range(9)])
    predicted = scores.argmax(axis=1)
    assert numbers["top1"] == pytest.approx(oracle.accuracy_score(labels, predicted))
    assert numbers["top5"] == pytest.approx(oracle.top_k_accuracy_score(labels, scores, k=5))
    assert numbers["mean_class"] == pytest.approx(oracle.balanced_accuracy_score(labels, predicted))
    recall = oracle.recall_score(labels, predicted, average=None)
    np.testing.assert_allclose(list(numbers["per_class"].values()), recall)
    np.testing.assert_array_equal(
        confusion_matrix(predicted, labels, 9), oracle.confusion_matrix(labels, predicted)
    )


def test_fewer_than_five_classes_and_a_class_without_clips():
    scores = np.array([[0.9, 0.05, 0.05], [0.2, 0.7, 0.1], [0.9, 0.1, 0.0]])
    numbers = classification_metrics(scores, np.array([0, 1, 1]), ["a", "b", "c"])
    assert numbers["top5"] == 1.0
    assert numbers["per_class"] == {"a": 1.0, "b": 0.5, "c": None}
    assert numbers["mean_class"] == 0.75


def test_equal_scores_are_no_hit_for_every_class():
    assert top_k(np.zeros((10, 10)), np.arange(10), 1) == 0.1
    assert top_k(np.zeros((10, 10)), np.arange(10), 5) == 0.5


def test_labels_must_match():
    with pytest.raises(InputError, match="one label per row"):
        top_k(np.zeros((3, 2)), np.zeros(2, int), 1)


@pytest.mark.parametrize("label", [-1, 2])
def test_a_label_that_is_no_column_is_refused(label):
    scores, labels = np.eye(2), np.array([0, label])
    for judge in (
        lambda: top_k(scores, labels, 1),
        lambda: confusion_matrix(np.array([0, 1]), labels, 2),
        lambda: confusion_matrix(labels, np.array([0, 1]), 2),  # it would count for another class
        lambda: classification_metrics(scores, labels, ["a", "b"]),
    ):
        with pytest.raises(InputError, match="expects classes from 0 to 1"):
            judge()
    with pytest.raises(InputError, match="a name for each of 3 columns"):
        classification_metrics(np.eye(3)[[2]], np.array([0]), ["a", "b"])
