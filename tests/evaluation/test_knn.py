"""Nearest neighbours against scikit-learn."""

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from kinelex.errors import InputError
from kinelex.evaluation.knn import knn


@pytest.fixture
def material() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 7, 300)
    return rng.normal(size=(300, 16)) + np.eye(7, 16)[labels], labels, rng.normal(size=(90, 16))


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("k", [1, 5])
def test_neighbours_are_those_of_scikit_learn(material, metric, k):
    train, labels, test = material
    found = knn(train, labels, test, 7, k=k, metric=metric)
    distances, indices = NearestNeighbors(n_neighbors=k, metric=metric).fit(train).kneighbors(test)
    np.testing.assert_array_equal(found.indices, indices)
    expected = 1 - distances if metric == "cosine" else -distances
    np.testing.assert_allclose(found.similarities, expected, atol=1e-5)


@pytest.mark.parametrize("k", [1, 4, 9])
def test_prediction_is_that_of_scikit_learn_where_votes_are_not_tied(material, k):
    train, labels, test = material
    oracle = KNeighborsClassifier(n_neighbors=k, metric="cosine").fit(train, labels)
    votes = np.sort(oracle.predict_proba(test), axis=1)
    clear = votes[:, -1] > votes[:, -2]
    assert clear.sum() > 30
    predicted = knn(train, labels, test, 7, k=k).scores.argmax(axis=1)
    np.testing.assert_array_equal(predicted[clear], oracle.predict(test)[clear])


def test_classes_without_a_vote_are_ranked_by_their_nearest_clip(material):
    train, labels, test = material
    scores = knn(train, labels, test, 7).scores
    for row in range(0, 90, 10):
        cosine = train @ test[row] / np.linalg.norm(train, axis=1)
        nearest = [cosine[labels == c].max() for c in range(7)]
        np.testing.assert_array_equal(np.argsort(scores[row]), np.argsort(nearest))


def test_chunks_do_not_change_the_result(material, monkeypatch):
    train, labels, test = material
    whole = knn(train, labels, test, 7, k=3)
    monkeypatch.setattr("kinelex.evaluation.knn._CHUNK_ELEMENTS", 301)
    parts = knn(train, labels, test, 7, k=3)
    np.testing.assert_allclose(parts.scores, whole.scores)
    np.testing.assert_array_equal(parts.indices, whole.indices)


def test_class_without_training_clip_is_last_and_empty_test_is_fine(material):
    train, labels, test = material
    scores = knn(train, labels, test, 8).scores
    assert (scores.argmin(axis=1) == 7).all()
    assert knn(train, labels, test[:0], 8).scores.shape == (0, 8)


def test_wrong_input(material):
    train, labels, test = material
    with pytest.raises(InputError, match="did you mean 'cosine'"):
        knn(train, labels, test, 7, metric="cosin")
    with pytest.raises(InputError, match="1 to 300 neighbours"):
        knn(train, labels, test, 7, k=301)
