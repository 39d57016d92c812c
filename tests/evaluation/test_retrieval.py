"""Retrieval: average precision and recall by hand, against scikit-learn and a plain loop; and the task."""

import io

import numpy as np
import pytest
from rich.console import Console
from sklearn.metrics import average_precision_score

from kinelex.datasets import get_split
from kinelex.errors import InputError
from kinelex.evaluation.context import Context
from kinelex.evaluation.protocols.retrieval import RetrievalOptions, RetrievalTask
from kinelex.evaluation.retrieval_metrics import retrieve
from kinelex.training.encoder_files import load_encoders


def angles(*degrees: float) -> np.ndarray:
    turned = np.deg2rad(degrees)
    return np.stack([np.cos(turned), np.sin(turned)], axis=1)


def test_average_precision_and_recall_by_hand():
    # Seen from 0 degrees the gallery comes in the order given; the query asks for places 2, 3 and 5.
    gallery, labels = angles(5, 10, 15, 20, 25), np.array([1, 0, 0, 1, 0])
    found = retrieve(angles(0), np.array([0]), gallery, labels, recall_at=(1, 2, 5))
    assert found.average_precision[0] == pytest.approx((1 / 2 + 2 / 3 + 3 / 5) / 3)
    assert [float(found.hits[k][0]) for k in (1, 2, 5)] == [0, 1, 1]


def test_two_queries_have_the_mean_of_both_and_one_without_an_answer_is_left_out():
    gallery, labels = angles(0, 90), np.array([0, 1])
    numbers = retrieve(angles(10, 20, 30), np.array([0, 1, 7]), gallery, labels).numbers()
    assert numbers["mAP"] == pytest.approx((1 + 1 / 2) / 2)
    assert (numbers["R@1"], numbers["R@5"], numbers["queries"], numbers["unanswered"]) == (0.5, 1, 2, 1)
    with pytest.raises(InputError, match="nothing of what any query asks for"):
        retrieve(angles(10), np.array([7]), gallery, labels).numbers()


def test_the_query_itself_is_left_out():
    gallery, labels = angles(0, 10, 20), np.array([0, 1, 0])
    with_itself = retrieve(gallery, labels, gallery, labels)
    without = retrieve(gallery, labels, gallery, labels, own=np.arange(3))
    assert with_itself.average_precision[0] == pytest.approx((1 + 2 / 3) / 2)
    np.testing.assert_allclose(without.average_precision, [1 / 2, np.nan, 1 / 2])
    assert without.hits[1].tolist()[0] == 0


def test_a_space_in_which_all_is_alike_retrieves_nothing():
    alike = np.ones((8, 3))
    found = retrieve(alike[:1], np.array([0]), alike, np.array([0, 0, 1, 1, 1, 1, 1, 1]))
    assert found.average_precision[0] == pytest.approx(2 / 8)
    assert (found.hits[5][0], found.hits[10][0]) == (0, 1)


def test_random_vectors_against_scikit_learn_and_a_loop(monkeypatch):
    monkeypatch.setattr("kinelex.inference.distances._CHUNK_BYTES", 8 * 200)  # several chunks
    rng = np.random.default_rng(0)
    gallery, query = rng.normal(size=(60, 5)), rng.normal(size=(25, 5))
    gallery[30:40] = gallery[20:30]  # some are equally similar
    labels, wanted = rng.integers(0, 4, 60), rng.integers(0, 4, 25)
    own = np.where(rng.random(25) < 0.5, rng.integers(0, 60, 25), -1)
    found = retrieve(query, wanted, gallery, labels, own)
    for i in range(25):
        kept = np.arange(60) != own[i]
        similarity = (gallery[kept] @ query[i]) / np.linalg.norm(gallery[kept], axis=1)
        similarity = (similarity / np.linalg.norm(query[i])).round(6)  # equal ones are equal here too
        right = labels[kept] == wanted[i]
        assert found.average_precision[i] == pytest.approx(average_precision_score(right, similarity))
        others = (similarity[~right] >= similarity[right].max()).sum()
        for k, hit in found.hits.items():
            assert hit[i] == (others < k)


@pytest.mark.parametrize("spread", [5e-3, 1e-6])
def test_a_large_common_mean_hides_no_digit_and_copies_share_a_rank(spread):
    rng = np.random.default_rng(0)
    gallery, query = ((0.04 * (1 + spread * rng.normal(size=(n, 32)))).astype(np.float32) for n in (120, 20))
    gallery[60:90] = gallery[30:60]
    labels, wanted = rng.integers(0, 4, 120), rng.integers(0, 4, 20)
    found = retrieve(query, wanted, gallery, labels)
    unit = [x.astype(np.longdouble) for x in (query, gallery)]
    unit = [x / np.sqrt((x * x).sum(axis=1, keepdims=True)) for x in unit]
    for i in range(20):
        similarity = -((unit[0][i] - unit[1]) ** 2).sum(axis=1).astype(np.float64)
        right = labels == wanted[i]
        assert found.average_precision[i] == pytest.approx(average_precision_score(right, similarity))
        assert found.hits[5][i] == ((similarity[~right] >= similarity[right].max()).sum() < 5)


def test_an_empty_gallery_and_k_of_zero_are_refused():
    with pytest.raises(InputError, match="expects a gallery"):
        retrieve(angles(0), np.array([0]), angles()[:0], np.zeros(0, int))
    with pytest.raises(InputError, match="k of at least 1"):
        retrieve(angles(0), np.array([0]), angles(1), np.zeros(1, int), recall_at=(0,))


@pytest.fixture
def context(run, store) -> Context:
    split = get_split(store, "xsub")
    quiet = Console(file=io.StringIO())
    return Context(run, load_encoders(run.path), store, "xsub", split.train, split.test, console=quiet)


def test_skeletons_of_a_run_without_a_space(context, store):
    numbers = RetrievalTask().run(context, RetrievalOptions()).numbers
    query, gallery = (context.features("joint", rows) for rows in (context.test, context.train))
    expected = retrieve(query, context.truth, gallery, store.labels[context.train]).numbers()
    assert numbers["skeleton_to_skeleton"] == expected
    assert "no space" in numbers["note"] or "makes no space" in numbers["note"]
    within = RetrievalTask().run(context, RetrievalOptions(gallery="test", at=(1,))).numbers
    assert within["mAP"] != numbers["mAP"]
    assert "R@5" not in within


def test_wrong_options(context):
    with pytest.raises(InputError, match="did you mean 'train'"):
        RetrievalOptions(gallery="trian")
    with pytest.raises(InputError, match=r"retrieval\.at"):
        RetrievalOptions(at=(0,))
    context.train = context.train[context.store.labels[context.train] == 0]
    context.test = context.test[context.truth == 1]
    with pytest.raises(InputError, match=r"retrieval\.gallery=test"):
        RetrievalTask().run(context, RetrievalOptions())
