"""One-shot: exemplars drawn or named, rates against a plain loop."""

import io

import numpy as np
import pytest
import yaml
from rich.console import Console

from kinelex.datasets import get_split
from kinelex.errors import InputError
from kinelex.evaluation.context import Context
from kinelex.evaluation.protocols.one_shot import OneShot, OneShotOptions, _exemplars, _hits
from kinelex.evaluation.protocols.supervision import split_of
from kinelex.training.encoder_files import load_encoders


@pytest.fixture
def context(run, store) -> Context:
    split = get_split(store, "xsub")
    quiet = Console(file=io.StringIO())
    return Context(run, load_encoders(run.path), store, "xsub", split.train, split.test, console=quiet)


def split_file(tmp_path, **content):
    path = tmp_path / "classes.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_named_exemplars_against_a_loop(context, store, tmp_path):
    rows = context.test[context.truth > 0]
    exemplars = [rows[store.labels[rows] == c][2] for c in (2, 1)]
    split = split_file(tmp_path, unseen=["c", "b"], exemplars=[store.ids[row] for row in exemplars])
    numbers = OneShot().run(context, OneShotOptions(split)).numbers
    hits = []
    for row in set(rows) - set(exemplars):
        own = context.features("joint", np.array([row]))[0]
        cosines = []
        for exemplar in exemplars:
            other = context.features("joint", np.array([exemplar]))[0]
            cosines.append(own @ other / np.linalg.norm(own) / np.linalg.norm(other))
        hits.append((2, 1)[int(np.argmax(cosines))] == store.labels[row])
    assert numbers["top1"] == pytest.approx(np.mean(hits))
    assert numbers["clips"] == len(hits) == 14
    assert numbers["exemplars"] == "named"
    assert numbers["draws"]["n"] == 1
    assert numbers["exemplar_ids"] == [store.ids[exemplars[1]], store.ids[exemplars[0]]]


def test_draws_are_one_clip_of_each_class_and_change_with_the_seed(context, store, tmp_path):
    split = split_of(context, split_file(tmp_path, unseen=["a", "c"]), "one_shot")
    rows = context.test[context.truth != 1]
    draws = _exemplars(context, split, rows, 6)
    for draw in draws:
        assert store.labels[rows[draw]].tolist() == [0, 2]
    assert len({tuple(draw) for draw in draws}) > 2
    again = _exemplars(context, split, rows[::-1], 6)
    assert [rows[d].tolist() for d in draws] == [rows[::-1][d].tolist() for d in again]
    context.seed = 1
    assert [d.tolist() for d in _exemplars(context, split, rows, 6)] != [d.tolist() for d in draws]


def test_the_mean_over_draws_is_the_rate(context, tmp_path):
    split = split_file(tmp_path, unseen=["a", "c"])
    ten = OneShot().run(context, OneShotOptions(split)).numbers
    assert ten["top1"] == pytest.approx(ten["draws"]["mean"])
    assert ten["draws"]["n"] == 10
    assert ten["ci95"][0] <= ten["top1"] <= ten["ci95"][1]
    assert 0 <= ten["raw"]["top1"] <= 1
    assert ten["raw"]["aligned"] is True
    assert set(ten["per_class"]) == {"a", "c"}


def test_a_class_that_is_only_its_exemplar_has_no_rate(context, store, tmp_path):
    single = context.test[context.truth == 0][:1]
    context.test = np.sort(np.concatenate([single, context.test[context.truth == 1]]))
    numbers = OneShot().run(context, OneShotOptions(split_file(tmp_path, unseen=["a", "b"]), draws=3)).numbers
    assert numbers["per_class"]["a"] is None
    assert numbers["per_class"]["b"] == pytest.approx(numbers["top1"])
    context.test = np.sort(np.concatenate([single, context.test[store.labels[context.test] == 1][:1]]))
    with pytest.raises(InputError, match="none beside the exemplars"):
        OneShot().run(context, OneShotOptions(split_file(tmp_path, unseen=["a", "b"])))


def test_wrong_exemplars_are_refused(context, store, tmp_path):
    first = {c: store.ids[context.test[context.truth == c][0]] for c in range(3)}
    mixed = split_file(tmp_path, unseen=["a", "b"], exemplars=[first[1], first[0]])
    with pytest.raises(InputError, match=f"names {first[1]}, a clip of 'b', as the exemplar of 'a'"):
        OneShot().run(context, OneShotOptions(mixed))
    trains = store.ids[context.train[store.labels[context.train] == 0][0]]
    other = split_file(tmp_path, unseen=["a", "b"], exemplars=[trains, first[1]])
    with pytest.raises(InputError, match=f"{trains} of .* is no clip of a novel class in the test part"):
        OneShot().run(context, OneShotOptions(other))
    context.test = context.test[context.truth > 0]
    with pytest.raises(InputError, match="has no clip of 'a'"):
        OneShot().run(context, OneShotOptions(split_file(tmp_path, unseen=["a", "b"])))
    with pytest.raises(InputError, match="at least 1"):
        OneShotOptions(draws=0)


def test_exemplars_are_compared_with_all_digits():
    """Features that share a large mean: the nearest of unit vectors in long floats."""
    rng = np.random.default_rng(0)
    features = (0.04 * (1 + 1e-5 * rng.normal(size=(80, 32)))).astype(np.float32)
    wide = features.astype(np.longdouble)
    wide /= np.sqrt((wide * wide).sum(axis=1, keepdims=True))
    exemplars = np.arange(8)
    nearest = ((wide[:, None] - wide[None, :8]) ** 2).sum(axis=2).argmin(axis=1)
    (hits,) = _hits(features, nearest, [exemplars])
    assert np.isnan(hits[:8]).all()
    assert (hits[8:] == 1).all()
