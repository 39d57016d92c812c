"""Nearest neighbours against scikit-learn."""

import numpy as np
import pytest
from sklearn.model_selection import GroupKFold, StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from kinelex.errors import InputError
from kinelex.evaluation import ProbeData, run_task
from kinelex.inference.neighbours import distance_chunks, knn, knn_scores, nearest


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
    monkeypatch.setattr("kinelex.inference.distances._CHUNK_BYTES", 4 * 301)
    parts = knn(train, labels, test, 7, k=3)
    np.testing.assert_allclose(parts.scores, whole.scores)
    np.testing.assert_array_equal(parts.indices, whole.indices)


def test_class_without_training_clip_is_last_and_empty_test_is_fine(material):
    train, labels, test = material
    scores = knn(train, labels, test, 8).scores
    assert (scores.argmin(axis=1) == 7).all()
    assert knn(train, labels, test[:0], 8).scores.shape == (0, 8)


def test_the_search_alone_is_that_of_scikit_learn(material, monkeypatch):
    train, _, test = material
    monkeypatch.setattr("kinelex.inference.distances._CHUNK_BYTES", 8 * 7 * 300)
    for metric in ("cosine", "euclidean"):
        distances, expected = NearestNeighbors(n_neighbors=4, metric=metric).fit(train).kneighbors(test)
        indices, similarities = nearest(train, test, 4, metric)
        np.testing.assert_array_equal(indices, expected)
        np.testing.assert_allclose(
            similarities, 1 - distances if metric == "cosine" else -distances, atol=1e-5
        )
    parts = list(distance_chunks(train, test))
    assert [first for first, _ in parts] == list(range(0, 90, 7))
    assert sum(len(part) for _, part in parts) == 90
    assert nearest(train, test[:0], 4)[0].shape == (0, 4)


def with_a_large_mean(spread: float, rows: int, seed: int) -> np.ndarray:
    """Features as before any training: they differ little around what all of them share."""
    rng = np.random.default_rng(seed)
    return (0.04 * (1 + rng.random(64)) * (1 + spread * rng.normal(size=(rows, 64)))).astype(np.float32)


def distances(query: np.ndarray, bank: np.ndarray, metric: str) -> np.ndarray:
    """Of all pairs, by differences of long floats."""
    wide = [x.astype(np.longdouble) for x in (query, bank)]
    if metric == "cosine":
        wide = [x / np.sqrt((x * x).sum(axis=1, keepdims=True)) for x in wide]
    return np.stack([((row - wide[1]) ** 2).sum(axis=1) for row in wide[0]])


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("spread", [1.0, 5e-3, 1e-6])
def test_neighbours_keep_all_digits_under_a_large_common_mean(metric, spread):
    train, test = with_a_large_mean(spread, 300, 0), with_a_large_mean(spread, 60, 1)
    labels = np.arange(300) % 7
    expected = distances(test, train, metric)
    order = np.argsort(expected, axis=1, kind="stable")
    found = knn(train, labels, test, 7, k=5, metric=metric)
    np.testing.assert_array_equal(found.indices, order[:, :5])
    np.testing.assert_array_equal(nearest(train, test, 5, metric)[0], order[:, :5])
    by_class = np.stack([expected[:, labels == c].min(axis=1) for c in range(7)], axis=1)
    single = knn(train, labels, test, 7, metric=metric).scores
    np.testing.assert_array_equal(np.argsort(-single, axis=1), np.argsort(by_class, axis=1))


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_of_equally_near_clips_the_first_ones_come_first(metric):
    """Copies, more of them than k, in any place of the bank; and points of a grid, which lie equally far."""
    copied = with_a_large_mean(1e-3, 40, 2)[np.random.default_rng(0).integers(0, 40, 500)]
    query = with_a_large_mean(1e-3, 30, 3)
    labels = np.random.default_rng(1).integers(0, 5, 500)
    grid = np.array([[x, y, z] for x in (1, 2, 3) for y in (1, 2, 3) for z in (1, 2, 3)], np.float32)
    for bank, asked, classes in ((copied, query, labels), (grid, grid[::2] + 4, np.arange(27) % 5)):
        if metric == "cosine" and bank is grid:
            continue  # of unit vectors only copies are equal to the last bit
        order = np.argsort(distances(asked, bank, metric).astype(np.float64), axis=1, kind="stable")
        for k in (1, 3, 20):
            np.testing.assert_array_equal(knn(bank, classes, asked, 5, k, metric).indices, order[:, :k])
            np.testing.assert_array_equal(nearest(bank, asked, k, metric)[0], order[:, :k])


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_what_float32_confuses_is_decided_in_float64(metric):
    """Crowds whose rows differ by less than float32 tells, far from each other: the order is float64's."""
    rng = np.random.default_rng(0)
    crowds = rng.normal(size=(6, 32)) * 50
    bank = crowds[np.arange(600) % 6] + 1e-4 * rng.normal(size=(600, 32))
    asked = crowds[np.arange(24) % 6] + 1e-4 * rng.normal(size=(24, 32))
    order = np.argsort(distances(asked, bank, metric), axis=1, kind="stable")
    for k in (1, 2, 7):
        found = knn(bank, np.arange(600) % 4, asked, 4, k, metric)
        np.testing.assert_array_equal(found.indices, order[:, :k])
        np.testing.assert_array_equal(nearest(bank, asked, k, metric)[0], order[:, :k])


def test_clips_of_zeros_have_the_cosine_0_with_all():
    bank = np.array([[0.0, 0.0], [-1.0, 0.0], [0.0, 2.0]])
    indices, similarities = nearest(bank, np.array([[1.0, 0.0], [0.0, 0.0]]), 3)
    np.testing.assert_allclose(similarities, [[0, 0, -1], [0, 0, 0]], atol=1e-15)
    assert indices.tolist() == [[0, 2, 1], [0, 1, 2]]
    same = np.full((4, 3), 7.0)
    assert nearest(same, same, 4)[0].tolist() == [[0, 1, 2, 3]] * 4
    assert nearest(same[:1], same, 1, "euclidean")[1].tolist() == [[0.0]] * 4


def test_several_k_are_as_one_by_one(material):
    train, labels, test = material
    for k, scores in zip((9, 1, 4), knn_scores(train, labels, test, 7, (9, 1, 4)), strict=True):
        np.testing.assert_array_equal(scores, knn(train, labels, test, 7, k).scores)


@pytest.mark.parametrize("grouped", [True, False])
def test_k_is_swept_on_whole_subjects_of_the_training_part(grouped):
    """With noisy labels many neighbours are better than one; the accuracy is that of scikit-learn's loop."""
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 3, 240)
    train = rng.normal(size=(240, 8)) + 2.5 * np.eye(3, 8)[labels]
    labels = np.where(rng.random(240) < 0.3, rng.integers(0, 3, 240), labels)
    groups = np.arange(240) % 6 if grouped else None
    m = ProbeData(train, labels, train[:5], 3, groups)
    found = run_task("knn", m, sweep=(1, 15, 5), metric="euclidean").details
    splitter = GroupKFold(5) if grouped else StratifiedKFold(5, shuffle=True, random_state=0)
    right = dict.fromkeys((1, 5, 15), 0)
    for fit, held in splitter.split(train, labels, groups):
        for k in right:
            scores = knn(train[fit], labels[fit], train[held], 3, k, "euclidean").scores
            right[k] += int((scores.argmax(axis=1) == labels[held]).sum())
    assert found["fold_accuracy"] == pytest.approx({str(k): n / 240 for k, n in right.items()})
    assert found["k"] == max(right, key=right.get) > 1
    assert found["folds_by"] == ("subject" if grouped else "class")
    with pytest.raises(InputError, match="at most"):
        run_task("knn", m, sweep=(1, 230))
    with pytest.raises(InputError, match="at least 1"):
        run_task("knn", m, sweep=(0, 1))


def test_wrong_input(material):
    train, labels, test = material
    with pytest.raises(InputError, match="did you mean 'cosine'"):
        knn(train, labels, test, 7, metric="cosin")
    with pytest.raises(InputError, match="1 to 300 neighbours"):
        knn(train, labels, test, 7, k=301)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"train": np.full((4, 3), np.nan)},
            "searched: row 0 .and 3 more rows. holds numbers that are not finite",
        ),
        ({"test": np.array([[0.0, 1.0, np.inf]])}, "looked for: row 0 holds numbers that are not finite"),
        (
            {"test": np.zeros((1, 2))},
            "looked for: expects 3 numbers per row, as the other features have, got 2",
        ),
        (
            {"train": np.zeros((4, 3, 1))},
            r"searched: expects features of shape .clips, numbers., got .4, 3, 1.",
        ),
        ({"train_labels": np.zeros(3, int)}, "searched: expects a label per row, got 3 labels for 4 rows"),
    ],
)
def test_rows_that_cannot_be_compared_are_one_message(change, said):
    rows = {"train": np.eye(4, 3), "train_labels": np.arange(4), "test": np.eye(1, 3)}
    with pytest.raises(InputError, match=said):
        knn(**{**rows, **change}, num_classes=4)
